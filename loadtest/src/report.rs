//! What came of a watch run: for programs as JSON, for people as a table.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    accounting::Costs, delay::DelaySummary, history::Faults, scenario::WatchScenario, table::Table,
};

/// The result of one watch run.
#[derive(Clone, Debug, Serialize)]
pub struct WatchReport {
    /// `host:port` of the endpoint.
    pub server: String,
    /// What was asked for.
    pub scenario: WatchScenario,
    /// The user ended it early.
    pub interrupted: bool,
    /// The writers' side.
    pub writes: Writes,
    /// The watchers' side.
    pub watches: Watches,
    /// CPU and memory.
    pub costs: Costs,
}

/// The writers' side of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Writes {
    /// By the plan.
    pub due: u64,
    /// Begun in time; the server kept the writers too busy for the rest.
    pub attempted: u64,
    /// Answered with success.
    pub succeeded: u64,
    /// Answered otherwise, or not at all.
    pub failed: u64,
    /// Why, and how often.
    pub failures: BTreeMap<String, u64>,
    /// From the due time to the answer.
    pub latency: DelaySummary,
}

/// The watchers' side of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Watches {
    /// Connections that carried them.
    pub connections: u32,
    /// How long it took to open all.
    pub open_seconds: f64,
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
    /// The same per second of the load.
    pub deliveries_per_second: f64,
    /// Events of others.
    pub foreign: u64,
    /// Bytes of watch bodies.
    pub bytes: u64,
    /// From the write's due time to the watcher.
    pub delay: DelaySummary,
    /// From the write's due time to the last watcher.
    pub last_watcher_delay: DelaySummary,
}

// === impl WatchReport ===

impl WatchReport {
    /// Whether every watcher saw every write once, in order, and no write failed.
    pub fn passed(&self) -> bool {
        self.watches.faults.none() && self.watches.broken.is_empty() && self.writes.failed == 0
    }
}

impl fmt::Display for WatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, writes, watches, costs, .. } = self;
        let mut table = Table::default();
        table.row("server", &self.server);
        let (count, connections) = (scenario.watchers, watches.connections);
        let opened = format!("{count} on {connections} connections, {}", scenario.protocol);
        table.row("watches", format!("{opened}, opened in {:.1} s", watches.open_seconds));
        let Writes { due, attempted, succeeded, failed, .. } = writes;
        table.row("writes", format!("{succeeded} of {due} due, {failed} failed"));
        if attempted < due {
            table.row("", format!("{} not begun in time", due - attempted));
        }
        for (reason, count) in &writes.failures {
            table.row("", format!("{count} × {reason}"));
        }
        table.row("write latency", writes.latency);
        let (deliveries, rate) = (watches.deliveries, watches.deliveries_per_second);
        let megabytes = watches.bytes as f64 / 1e6;
        table.row("deliveries", format!("{deliveries}, {rate:.0}/s, {megabytes:.1} MB"));
        table.row("delivery delay", watches.delay);
        table.row("last watcher", watches.last_watcher_delay);
        let faults = &watches.faults;
        table.row(
            "faults",
            format!(
                "{} lost, {} duplicate, {} out of order, {} wrong, {} states differ ({} watchers)",
                faults.lost,
                faults.duplicate,
                faults.out_of_order,
                faults.wrong,
                faults.state_differs,
                watches.faulty
            ),
        );
        table.row("reopened", watches.reopened);
        for (reason, count) in &watches.broken {
            table.row("gave up", format!("{count} × {reason}"));
        }
        costs.rows(&mut table, "delivery");
        let interrupted = if self.interrupted { " (interrupted)" } else { "" };
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        table.row("verdict", format!("{verdict}{interrupted}"));
        write!(f, "{table}")
    }
}
