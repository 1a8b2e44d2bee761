//! What came of a run: for programs as JSON, for people as a table and as a page.

pub mod html;
pub mod plot;
mod text;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    accounting::{Costs, Sample},
    board::Board,
    delay::{DelaySummary, Step},
    fill::Filled,
    history::Faults,
    sampler::Series,
    scenario::Scenario,
    transport::Protocol,
};

/// The result of one run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// `host:port` of the endpoint.
    pub server: String,
    /// What was asked for.
    pub scenario: Scenario,
    /// The run's name, which its objects' label had.
    pub run: String,
    /// The user or the time limit ended it early.
    pub interrupted: bool,
    /// What the run could not find out, or not clean up.
    pub problems: Vec<String>,
    /// Objects made before.
    pub filled: Vec<Filled>,
    /// How long it took to open all watches that begin first.
    pub open_seconds: f64,
    /// Each workload of watches.
    pub watches: Vec<GroupReport>,
    /// Each churn.
    pub writes: Vec<ChurnReport>,
    /// Each workload of requests.
    pub requests: Vec<AskReport>,
    /// Each phase.
    pub phases: Vec<PhaseReport>,
    /// CPU and memory.
    pub costs: Costs,
    /// Second by second.
    pub series: Series,
}

/// The result of one workload of watches.
#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    /// Its name.
    pub name: String,
    /// Whether the time until synced is what it is for.
    pub informers: bool,
    /// How many watches.
    pub watches: u32,
    /// How many of them read slowly.
    pub slow: u32,
    /// How they were carried.
    pub protocol: Protocol,
    /// Connections that carried them.
    pub connections: u32,
    /// Those that began and had what there was then.
    pub synced: u64,
    /// Those that had not begun at the end.
    pub not_begun: u64,
    /// Those that had begun, and at the end did not have what there was then, slow ones
    /// apart; nothing is lost to them.
    pub not_synced: u64,
    /// Refused watches and lists that were asked for again, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Opened again after an end.
    pub reopened: u64,
    /// Watchers that gave up, by reason.
    pub broken: BTreeMap<String, u64>,
    /// Watchers with any fault.
    pub faulty: u64,
    /// Of all watchers together.
    pub faults: Faults,
    /// Events seen for the first time, of all watchers together.
    pub deliveries: u64,
    /// The same per second, from the first write that was due to the last event.
    pub deliveries_per_second: f64,
    /// Events of others' objects.
    pub foreign: u64,
    /// Others' updates of the run's objects, such as announce a pod's deletion.
    pub touched: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// From the write's due time to the watcher; without slow ones.
    pub delay: DelaySummary,
    /// The same as a histogram.
    pub delay_steps: Vec<Step>,
    /// From the write's due time to the last watcher that selects it.
    pub last_watcher_delay: DelaySummary,
    /// From when a watch was to begin until it had everything there was.
    pub sync: DelaySummary,
    /// The same as a histogram.
    pub sync_steps: Vec<Step>,
    /// From the end by a herd until the watch was open again.
    pub reopen: DelaySummary,
}

/// The result of one churn.
#[derive(Clone, Debug, Serialize)]
pub struct ChurnReport {
    /// Its name.
    pub name: String,
    /// By the plan.
    pub due: u64,
    /// Begun in time; the server kept the writers too busy for the rest.
    pub attempted: u64,
    /// Answered with success.
    pub succeeded: u64,
    /// Answered otherwise, or not at all.
    pub failed: u64,
    /// Under way when the run was ended.
    pub cut_off: u64,
    /// Why, and how often.
    pub failures: BTreeMap<String, u64>,
    /// From the due time to the answer.
    pub latency: DelaySummary,
    /// The same as a histogram.
    pub steps: Vec<Step>,
}

/// The result of one workload of requests.
#[derive(Clone, Debug, Serialize)]
pub struct AskReport {
    /// Its name.
    pub name: String,
    /// How they were carried.
    pub protocol: Protocol,
    /// How many clients.
    pub clients: u32,
    /// How many were due: answered, failed and unanswered.
    pub due: u64,
    /// Complete answers with success.
    pub answers: u64,
    /// Other answers, or none by the server's fault.
    pub failed: u64,
    /// Those that nobody answered before the end.
    pub unanswered: u64,
    /// Answers per second, from the first request to the last answer.
    pub answers_per_second: f64,
    /// Bytes of their bodies, as they came.
    pub bytes: u64,
    /// To the end of the answer, from the request or from when it was due. The unanswered count with
    /// the time that they waited.
    pub latency: DelaySummary,
    /// The same as a histogram.
    pub steps: Vec<Step>,
    /// Other answers and none at all, by reason.
    pub failures: BTreeMap<String, u64>,
}

/// One phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// How long it was.
    pub seconds: f64,
    /// CPU seconds of each server.
    pub server_cpu_seconds: Vec<f64>,
    /// Resident memory of each server at the phase's end.
    pub server_resident: Vec<u64>,
    /// CPU seconds of the load generator.
    pub own_cpu_seconds: f64,
    /// Delays and latencies of each workload, by name.
    pub delays: BTreeMap<String, DelaySummary>,
}

/// What a run comes to; of several runs, the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was to happen did, every watcher saw every write once and in order, and no
    /// write or request failed.
    Passed,
    /// Nothing was wrong as far as it went, but not all that was to happen did: the run was ended
    /// early, watches were not synced, writes not begun, or the end could not be looked at.
    Incomplete,
    /// Events were lost, repeated, out of order or wrong, or a write or request failed.
    Failed,
}

// === impl Verdict ===

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Incomplete => "INCOMPLETE",
            Self::Failed => "FAILED",
        })
    }
}

// === impl RunReport ===

impl RunReport {
    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let unanswered = self.requests.iter().any(|it| it.unanswered > 0);
        let failed = self.watches.iter().any(|it| !it.faults.none() || !it.broken.is_empty())
            || self.writes.iter().any(|it| it.failed > 0)
            || self.requests.iter().any(|it| it.failed > 0)
            || (unanswered && !self.interrupted);
        let complete = !self.interrupted
            && self.problems.is_empty()
            && self.watches.iter().all(|it| it.not_begun == 0 && it.not_synced == 0)
            && self.writes.iter().all(|it| it.attempted >= it.due && it.cut_off == 0)
            && self.requests.iter().all(|it| it.answers > 0);
        match (failed, complete) {
            (true, _) => Verdict::Failed,
            (false, false) => Verdict::Incomplete,
            (false, true) => Verdict::Passed,
        }
    }

    /// Events delivered, of all watches.
    pub fn deliveries(&self) -> u64 {
        self.watches.iter().map(|it| it.deliveries).sum()
    }

    /// What CPU time is given per.
    pub fn unit(&self) -> &'static str {
        if self.watches.is_empty() { "answer" } else { "delivery" }
    }
}

// === impl PhaseReport ===

impl PhaseReport {
    /// What happened between two samples; ends the boards' phase.
    pub fn of(name: &str, board: &Board, begin: &Sample, end: &Sample) -> Self {
        let groups = board.groups.iter().map(|it| (it.spec.name.clone(), it.delay.phase()));
        let askings = board.askings.iter().map(|it| (it.spec.name.clone(), it.latency.phase()));
        let churns = board.churns.iter().map(|it| (it.spec.name.clone(), it.latency.phase()));
        let servers = end.servers.iter().zip(&begin.servers);
        let cpu = |end: &crate::process::Usage, begin: &crate::process::Usage| {
            end.cpu.saturating_sub(begin.cpu).as_secs_f64()
        };
        Self {
            name: name.to_owned(),
            seconds: end.at.duration_since(begin.at).as_secs_f64(),
            server_cpu_seconds: servers.map(|(end, begin)| cpu(end, begin)).collect(),
            server_resident: end.servers.iter().map(|usage| usage.resident).collect(),
            own_cpu_seconds: cpu(&end.own, &begin.own),
            delays: groups.chain(askings).chain(churns).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
