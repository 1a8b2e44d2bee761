//! One run from beginning to end: fill, open, load, drain, compare, clean up.
//!
//! Guarantees: whatever happens after something was made in the cluster, what the run made is
//! deleted before it returns; a stop by the user, or the scenario's time limit, ends the load at once
//! and everything else in order. Once the load has begun there is a report, whatever fails then: what
//! the run could not find out is a problem in it. Ends within the time limit plus some minutes of
//! bounded waits.

mod asking;
mod churn;
mod opening;
mod stage;
mod verdict;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use self::{asking::Askers, churn::Churning, opening::Watched, stage::Stage};
use crate::{
    accounting::{Accounting, Sample, Work},
    audience::RUN_LABEL,
    board::{Group, Herding, remaining},
    fill::{Filled, Filling},
    lag::LagMeter,
    process::ProcessError,
    report::{PhaseReport, RunReport},
    sampler::Sampler,
    scenario::{
        Problem, Scenario,
        workload::{Herd, Workload},
    },
    target::Target,
    transport::{TransportError, Windows, open},
};

/// Time for memory to settle after the watches are open.
const SETTLE: Duration = Duration::from_secs(1);
/// The drain ends when nothing came for so long, and after this at the latest.
const DRAIN_SILENCE: Duration = Duration::from_secs(3);
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario is not allowed.
    #[error(transparent)]
    Bounds(#[from] Problem),
    /// The objects before the load could not be made.
    #[error("fill: {failed} {resource} could not be made ({reason})")]
    Fill {
        /// What was to be made.
        resource: String,
        /// How many were not.
        failed: u64,
        /// Of one that was not.
        reason: String,
    },
    /// Not all watches could be opened.
    #[error(
        "{workload}: {opened} of {watchers} watches opened ({reason}); does the server allow \
         streams-per-connection: {streams}?"
    )]
    NotOpened {
        /// Which workload.
        workload: String,
        /// So many were.
        opened: u64,
        /// So many should be.
        watchers: u32,
        /// On each connection.
        streams: u32,
        /// Of one that was not.
        reason: String,
    },
    /// A `--server-pid` is not there.
    #[error("--server-pid: {0}")]
    Process(#[from] ProcessError),
    /// A selector does not parse for some number, or the watches select too much.
    #[error("{workload}: {reason}")]
    Selector {
        /// Which workload.
        workload: String,
        /// What is wrong.
        reason: String,
    },
    /// A task of the run failed, which is a bug.
    #[error("a task ended unexpectedly: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The server did not do what the run needs.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A run whose objects may exist.
struct Run<'a> {
    stage: &'a Stage,
    accounting: &'a Accounting,
    /// Ends the load.
    stop: &'a CancellationToken,
    /// Ends the watchers.
    done: CancellationToken,
    sampler: Sampler,
    started: Instant,
    /// What could not be found out.
    problems: Mutex<BTreeSet<String>>,
}

/// Runs a scenario against an endpoint until it ends or `stop` is cancelled.
///
/// # Errors
/// When there is no result. Faults of the server are results.
pub async fn run(
    target: &Arc<Target>,
    scenario: &Scenario,
    accounting: &Accounting,
    stop: &CancellationToken,
) -> Result<RunReport, RunError> {
    scenario.check()?;
    let stage = Stage::new(target, scenario)?;
    // A child, so that the end of this run's time does not end what comes after it.
    let stop = stop.child_token();
    let limit = stop.clone();
    let limited = scenario.time_limit.0;
    let watchdog = tokio::spawn(async move {
        sleep(limited).await;
        limit.cancel();
    });
    let result = Box::pin(measure(&stage, accounting, &stop)).await;
    watchdog.abort();
    let cleaned = stage.installer.remove(&stage.kinds).await;
    let left = cleaned.err().map(|error| {
        let label = format!("{RUN_LABEL}={}", stage.board.run);
        format!("objects with the label {label} could not be deleted: {error}")
    });
    match result {
        Ok(mut report) => {
            report.problems.extend(left);
            Ok(report)
        }
        Err(error) => {
            if let Some(left) = left {
                eprintln!("{left}");
            }
            Err(error)
        }
    }
}

async fn measure(
    stage: &Stage,
    accounting: &Accounting,
    stop: &CancellationToken,
) -> Result<RunReport, RunError> {
    let filled = prepare(stage, stop).await?;
    let (board, started) = (Arc::clone(&stage.board), Instant::now());
    let sampler = Sampler::start(board, accounting.clone(), started);
    let done = CancellationToken::new();
    let problems = Mutex::default();
    let run = Run { stage, accounting, stop, done, sampler, started, problems };
    let result = Box::pin(run.measure(filled)).await;
    run.done.cancel();
    result
}

/// Makes what is to be there before the load.
async fn prepare(stage: &Stage, stop: &CancellationToken) -> Result<Vec<Filled>, RunError> {
    let installer = &stage.installer;
    installer.namespaces(&stage.namespaces).await?;
    if stage.defines {
        installer.definition().await?;
    }
    let mut filled = Vec::new();
    for fill in &stage.scenario.fill {
        eprintln!("making {} {}", fill.count, fill.resource);
        let filling = Arc::new(Filling::default());
        let result = installer.fill(fill, stage.scenario.seed, &filling, stop).await?;
        if let Some(reason) = result.failures.keys().next() {
            return Err(RunError::Fill {
                resource: fill.resource.to_string(),
                failed: result.failures.values().sum(),
                reason: reason.clone(),
            });
        }
        filled.push(result);
    }
    Ok(filled)
}

// === impl Run ===

impl Run<'_> {
    async fn measure(&self, filled: Vec<Filled>) -> Result<RunReport, RunError> {
        let before = self.accounting.sample()?;
        let mut watched = JoinSet::new();
        let opened = Instant::now();
        let mut late = Vec::new();
        for index in 0..self.stage.board.groups.len() {
            if self.stage.begins_first(index) {
                self.open(index, Instant::now(), &mut watched).await?;
            } else {
                late.push(index);
            }
        }
        self.wait_until_open(&mut watched).await?;
        let open_seconds = opened.elapsed().as_secs_f64();
        self.unless_stopped(sleep(SETTLE)).await;

        let lag = LagMeter::start();
        let idle = self.accounting.sample()?;
        let idle_watches = self.stage.board.groups.iter().map(|it| it.synced.count()).sum();
        let (phases, last) = self.load(&idle, late, &mut watched).await?;
        self.sampler.phase("draining");
        self.drain().await;
        let end = self.sample(&last);
        let loop_lag = lag.summary();
        let samples = [before, idle, end];
        let series = self.sampler.series(&self.stage.board);
        let known = self.known().await;
        self.done.cancel();
        let mut watchers: Vec<Watched> = Vec::with_capacity(watched.len());
        while let Some(ended) = watched.join_next().await {
            watchers.push(ended?);
        }
        let work = Work { idle_watches, deliveries: self.stage.work() };
        let seconds = |sample: &Sample| sample.at.duration_since(self.started).as_secs_f64();
        let span = (seconds(&samples[1]), seconds(&samples[2]));
        let costs = self.accounting.costs(&samples, work, loop_lag);
        let costs = costs.with_trends(&series, span.0, span.1);
        Ok(self.report(verdict::Ended {
            filled,
            open_seconds,
            phases,
            watchers,
            known,
            costs,
            series,
        }))
    }

    /// The figures now; of a process that cannot be read, those of the last time.
    fn sample(&self, last: &Sample) -> Sample {
        let (sample, failures) = self.accounting.sample_after(last);
        for failure in failures {
            self.problem(format!("its figures end early: {failure}"));
        }
        sample
    }

    fn problem(&self, problem: String) {
        self.problems.lock().insert(problem);
    }

    /// The phases, one after the other on their schedule.
    async fn load(
        &self,
        idle: &Sample,
        late: Vec<usize>,
        watched: &mut JoinSet<Watched>,
    ) -> Result<(Vec<PhaseReport>, Sample), RunError> {
        let scenario = &self.stage.scenario;
        let begin = Instant::now() + POLL;
        let mut tasks = self.start_load(begin);
        let (mut reports, mut last, mut end) = (Vec::new(), idle.clone(), begin);
        for phase in &scenario.phases {
            self.sampler.phase(&phase.name);
            for index in &late {
                if self.stage.board.groups[*index].spec.from == phase.name {
                    let opened = self.open(*index, Instant::now(), watched).await;
                    if let Err(error) = opened {
                        self.problem(format!("{} did not begin: {error}", self.stage.name(*index)));
                    }
                }
            }
            end += phase.duration.0;
            self.unless_stopped(sleep(remaining(end))).await;
            if self.stop.is_cancelled() {
                break;
            }
            let sample = self.sample(&last);
            reports.push(PhaseReport::of(&phase.name, &self.stage.board, &last, &sample));
            last = sample;
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok((reports, last))
    }

    /// Starts churns, requests and herds, each on its schedule.
    fn start_load(&self, begin: Instant) -> JoinSet<()> {
        let stage = self.stage;
        let mut tasks = JoinSet::new();
        for (index, churn) in stage.board.churns.iter().enumerate() {
            let churning = Churning {
                board: Arc::clone(&stage.board),
                objects: Arc::clone(&stage.objects),
                index,
                transport: open(&stage.target, churn.protocol, Windows::LIST),
                seed: stage.scenario.seed,
            };
            let at = begin + stage.scenario.span(&churn.spec.phases).0;
            let stop = self.stop.clone();
            tasks.spawn(async move {
                let waited = stop.run_until_cancelled(sleep(remaining(at))).await;
                if waited.is_some() {
                    churning.run(at, stop).await;
                }
            });
        }
        for board in &stage.board.askings {
            let (from, to) = stage.scenario.span(&board.spec.phases);
            let askers = Askers {
                board: Arc::clone(board),
                transport: open(&stage.target, board.protocol, Windows::LIST),
                run: stage.board.run.clone(),
            };
            let stop = self.stop.clone();
            tasks.spawn(askers.run(begin + from, begin + to, stop));
        }
        for workload in &stage.scenario.workloads {
            if let Workload::ReconnectHerd(herd) = workload {
                self.start_herd(herd, begin, &mut tasks);
            }
        }
        tasks
    }

    fn start_herd(&self, herd: &Herd, begin: Instant, tasks: &mut JoinSet<()>) {
        let groups = &self.stage.board.groups;
        let Some(group) = groups.iter().find(|it| it.spec.name == herd.workload) else { return };
        let phases = if herd.phase.is_empty() { Vec::new() } else { vec![herd.phase.clone()] };
        let first = begin + self.stage.scenario.span(&phases).0 + herd.after.0;
        let last = begin + self.stage.scenario.duration();
        let (group, herd, stop) = (Arc::clone(group), herd.clone(), self.stop.clone());
        tasks.spawn(async move {
            for time in 1..=herd.times {
                let at = first + herd.every.0 * (time - 1);
                if at >= last || stop.run_until_cancelled(sleep(remaining(at))).await.is_none() {
                    return;
                }
                let (share, connections) = (herd.share, herd.connections);
                group.herd.send_replace(Herding { share, time, at: Instant::now(), connections });
            }
        });
    }

    /// Waits until every watcher has seen every write, or nothing comes any more. How many events are
    /// to come is not known of watches that began among writes, nor when a write may or may not have
    /// happened: then only silence tells. All get the time to have their initial state.
    async fn drain(&self) {
        let stage = self.stage;
        let groups = &stage.board.groups;
        let started = Instant::now();
        let late = (0..groups.len()).any(|it| groups[it].informers || !stage.begins_first(it));
        let expected = stage.board.expected().filter(|_| !late);
        let all = || {
            let seen = || groups.iter().map(|group| group.prompt.count());
            expected.as_ref().is_some_and(|all| seen().zip(all).all(|(seen, all)| seen >= *all))
        };
        // Not of a workload that could not begin, nor of slow readers.
        let unfinished = |it: &Arc<Group>| {
            let ready = it.synced.count() + it.broken.count();
            it.begun.get().is_some() && it.spec.slow.is_none() && ready < u64::from(it.spec.count)
        };
        let syncing = || !self.stop.is_cancelled() && groups.iter().any(unfinished);
        // Slow readers may go on for long, and nobody waits for them.
        let alive = || {
            let of = |it: &Arc<Group>| {
                let bytes = if it.spec.slow.is_some() { 0 } else { it.bytes.count() };
                it.prompt.count() + it.opened.count() + bytes
            };
            groups.iter().map(of).sum::<u64>()
        };
        let (mut last, mut changed) = (alive(), Instant::now());
        while !all()
            && (changed.elapsed() < DRAIN_SILENCE || syncing())
            && started.elapsed() < DRAIN_LIMIT
        {
            sleep(POLL).await;
            let now = alive();
            if now > last {
                (last, changed) = (now, Instant::now());
            }
        }
    }

    async fn unless_stopped(&self, future: impl Future<Output = ()>) {
        let _ended = self.stop.run_until_cancelled(future).await;
    }
}
