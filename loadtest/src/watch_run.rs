//! One watch run from beginning to end: open, write, drain, compare, clean up.
//!
//! Guarantees: whatever happens after the scratch namespace exists, the run's objects are deleted
//! before it returns; a stop by the user ends the writing at once and everything else in order. Ends
//! within the scenario's duration plus some minutes of bounded waits.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    accounting::{Accounting, Work},
    board::Board,
    history::{Faults, Written},
    lag::LagMeter,
    process::ProcessError,
    progress::Progress,
    report::{WatchReport, Watches, Writes},
    scenario::{OutOfBounds, WatchScenario},
    scratch::{BadSelector, Scratch, State},
    slot::Slot,
    target::Target,
    transport::{Connection, Protocol, Tcp, Transport, TransportError},
    watcher::{WatchError, Watcher},
    writer::{Writer, WriterLog},
};

/// Writers on one HTTP/2 connection.
const WRITERS_PER_CONNECTION: usize = 50;
/// Time for memory to settle after the watches are open.
const SETTLE: Duration = Duration::from_secs(1);
/// The drain ends when nothing came for so long, and after this at the latest.
const DRAIN_SILENCE: Duration = Duration::from_secs(3);
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const MAX_REASONS: usize = 10;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario is not allowed.
    #[error(transparent)]
    Bounds(#[from] OutOfBounds),
    /// Objects may be left behind.
    #[error("namespace {namespace}: the run's objects could not be deleted: {source}")]
    CleanUp {
        /// Where they are.
        namespace: String,
        /// Why.
        source: TransportError,
    },
    /// Not all watches could be opened.
    #[error(
        "{opened} of {watchers} watches opened ({reason}); does the server allow \
         --streams-per-connection {streams}?"
    )]
    NotOpened {
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
    /// The label selector cannot be used.
    #[error(transparent)]
    Selector(#[from] BadSelector),
    /// A task of the run failed, which is a bug.
    #[error("a task ended unexpectedly: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The server did not do what the run needs.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A run whose namespace exists.
struct Run<'a> {
    scenario: &'a WatchScenario,
    scratch: Arc<Scratch>,
    board: Arc<Board>,
    transport: Arc<dyn Transport>,
    accounting: &'a Accounting,
    stop: &'a CancellationToken,
    /// Ends the watchers.
    done: CancellationToken,
}

type Watched = (Watcher, Option<WatchError>);

/// Runs a scenario against an endpoint until it ends or `stop` is cancelled.
///
/// # Errors
/// When there is no result. Faults of the server are results.
pub async fn run(
    target: &Arc<Target>,
    scenario: &WatchScenario,
    accounting: &Accounting,
    stop: &CancellationToken,
) -> Result<WatchReport, RunError> {
    scenario.check()?;
    let transport: Arc<dyn Transport> = Arc::new(Tcp::new(Arc::clone(target), scenario.protocol));
    let scratch = Arc::new(Scratch::new(
        scenario.resource,
        scenario.namespace.as_deref(),
        scenario.label_selector.as_deref(),
        scenario.object_bytes,
    )?);
    scratch.set_up(&*transport.connect().await?).await?;
    let run = Run {
        scenario,
        scratch: Arc::clone(&scratch),
        board: Arc::new(Board::new(scenario.plan(), scenario.writes())),
        transport: Arc::clone(&transport),
        accounting,
        stop,
        done: CancellationToken::new(),
    };
    let result = Box::pin(run.measure(target.endpoint().label().to_string())).await;
    run.done.cancel();
    let cleaned = async { scratch.clean_up(&*transport.connect().await?).await }.await;
    let report = result?;
    cleaned.map_err(|source| {
        let namespace = scratch.namespace().to_owned();
        RunError::CleanUp { namespace, source }
    })?;
    Ok(report)
}

// === impl Run ===

impl Run<'_> {
    async fn measure(&self, server: String) -> Result<WatchReport, RunError> {
        let control = self.transport.connect().await?;
        let revision = self.scratch.state(&*control).await?.revision;
        let before = self.accounting.sample()?;
        let _progress = Progress::start(Arc::clone(&self.board), self.accounting.clone());
        let started = Instant::now();
        let mut watchers = self.spawn_watchers(&revision);
        self.wait_until_open(&mut watchers).await?;
        let open_seconds = started.elapsed().as_secs_f64();
        sleep(SETTLE).await;

        let lag = LagMeter::start();
        let idle = self.accounting.sample()?;
        let logs = self.write().await?;
        if self.scenario.writers == 0 {
            self.unless_stopped(sleep(self.scenario.duration)).await;
        }
        self.drain().await;
        let end = self.accounting.sample()?;
        let loop_lag = lag.summary();

        let state = self.final_state(&control).await?;
        self.done.cancel();
        let mut watched = Vec::with_capacity(watchers.len());
        while let Some(ended) = watchers.join_next().await {
            watched.push(ended?);
        }
        let (written, writes) = self.writes(logs);
        let work = self.work();
        let costs = self.accounting.costs(&[before, idle, end], work, loop_lag);
        let watches = self.watches(watched, &written, &state, open_seconds, costs.seconds);
        Ok(WatchReport {
            server,
            scenario: self.scenario.clone(),
            interrupted: self.stop.is_cancelled(),
            writes,
            watches,
            costs,
        })
    }

    fn spawn_watchers(&self, revision: &str) -> JoinSet<Watched> {
        let mut watchers = JoinSet::new();
        let mut slot = Arc::new(Slot::new(Arc::clone(&self.transport)));
        for number in 0..self.scenario.watchers {
            if number % self.scenario.streams_per_connection == 0 {
                slot = Arc::new(Slot::new(Arc::clone(&self.transport)));
            }
            let mut watcher = Watcher::new(
                number as usize,
                Arc::clone(&slot),
                Arc::clone(&self.scratch),
                Arc::clone(&self.board),
                revision.to_owned(),
            );
            let (done, board) = (self.done.clone(), Arc::clone(&self.board));
            watchers.spawn(async move {
                let reason = done.run_until_cancelled(watcher.run()).await;
                if reason.is_some() {
                    board.broken.add(1);
                }
                (watcher, reason)
            });
        }
        watchers
    }

    async fn wait_until_open(&self, watchers: &mut JoinSet<Watched>) -> Result<(), RunError> {
        let wanted = u64::from(self.scenario.watchers);
        let patience = Duration::from_secs(40 + wanted / 100);
        let open = async {
            while self.board.opened.count() < wanted
                && self.board.broken.count() == 0
                && !self.stop.is_cancelled()
            {
                sleep(POLL).await;
            }
        };
        // The count says how it ended.
        let _in_time = timeout(patience, open).await;
        let opened = self.board.opened.count();
        if opened >= wanted && self.board.broken.count() == 0 {
            return Ok(());
        }
        let mut reason = "no answer in time".to_owned();
        while let Some(ended) = watchers.try_join_next() {
            if let (_, Some(error)) = ended? {
                reason = error.to_string();
            }
        }
        Err(RunError::NotOpened {
            opened,
            watchers: self.scenario.watchers,
            streams: self.scenario.streams_per_connection,
            reason,
        })
    }

    /// Lets the writers do their plan, and gives what each did.
    async fn write(&self) -> Result<Vec<WriterLog>, RunError> {
        let Some(plan) = self.scenario.plan() else { return Ok(Vec::new()) };
        let per_connection = match self.scenario.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 => WRITERS_PER_CONNECTION,
        };
        let slots: Vec<_> = (0..self.scenario.writers as usize)
            .step_by(per_connection)
            .map(|_| Arc::new(Slot::new(Arc::clone(&self.transport))))
            .collect();
        for slot in &slots {
            slot.connection(None).await?;
        }
        self.board.start();
        let mut tasks = JoinSet::new();
        for number in 0..self.scenario.writers {
            let slot = Arc::clone(&slots[number as usize / per_connection]);
            let (scratch, board) = (Arc::clone(&self.scratch), Arc::clone(&self.board));
            let mut writer = Writer::new(number, plan, slot, scratch, board);
            let (stop, duration) = (self.stop.clone(), self.scenario.duration);
            tasks.spawn(async move {
                let _ended = stop.run_until_cancelled(writer.run(duration)).await;
                (number, writer.log)
            });
        }
        let mut logs = BTreeMap::new();
        while let Some(ended) = tasks.join_next().await {
            let (number, log) = ended?;
            logs.insert(number, log);
        }
        Ok(logs.into_values().collect())
    }

    /// Waits until every watcher has seen every write, or nothing comes any more.
    async fn drain(&self) {
        let watchers = u64::from(self.scenario.watchers);
        let started = Instant::now();
        let (mut last, mut changed) = (self.board.deliveries.count(), Instant::now());
        while last < self.board.written.count() * watchers
            && changed.elapsed() < DRAIN_SILENCE
            && started.elapsed() < DRAIN_LIMIT
        {
            sleep(POLL).await;
            let now = self.board.deliveries.count();
            if now > last {
                (last, changed) = (now, Instant::now());
            }
        }
    }

    /// The server's state, by a connection that may have died under load.
    async fn final_state(&self, control: &Arc<dyn Connection>) -> Result<State, RunError> {
        match self.scratch.state(&**control).await {
            Err(TransportError::Http(_)) => {
                Ok(self.scratch.state(&*self.transport.connect().await?).await?)
            }
            other => Ok(other?),
        }
    }

    async fn unless_stopped(&self, future: impl Future<Output = ()>) {
        let _ended = self.stop.run_until_cancelled(future).await;
    }

    fn work(&self) -> Work {
        let watches = u64::from(self.scenario.watchers);
        Work { watches, deliveries: self.board.deliveries.count() }
    }

    fn writes(&self, logs: Vec<WriterLog>) -> (Written, Writes) {
        let mut written = Written { attempted: Vec::new(), uncertain: HashSet::new() };
        let mut failures: BTreeMap<String, u64> = BTreeMap::new();
        for log in logs {
            written.attempted.push(log.attempted);
            written.uncertain.extend(log.uncertain);
            for (reason, count) in log.reasons {
                *failures.entry(reason).or_default() += count;
            }
        }
        let writes = Writes {
            due: self.scenario.writes(),
            attempted: written.attempted.iter().sum(),
            succeeded: self.board.written.count(),
            failed: self.board.failed.count(),
            failures,
            latency: self.board.write.summary(),
        };
        (written, writes)
    }

    fn watches(
        &self,
        watched: Vec<Watched>,
        written: &Written,
        state: &State,
        open_seconds: f64,
        seconds: f64,
    ) -> Watches {
        let mut faults = Faults::default();
        let mut broken: BTreeMap<String, u64> = BTreeMap::new();
        let (mut faulty, mut reopened) = (0, 0);
        for (watcher, reason) in watched {
            reopened += watcher.opened.saturating_sub(1);
            let found = watcher.history.finish(written, &state.objects);
            faulty += u64::from(!found.none());
            faults.add(&found);
            if let Some(reason) = reason.map(|reason| reason.to_string()) {
                let full = broken.len() >= MAX_REASONS && !broken.contains_key(&reason);
                *broken.entry(if full { "others".to_owned() } else { reason }).or_default() += 1;
            }
        }
        let board = &self.board;
        Watches {
            connections: self.scenario.connections(),
            open_seconds,
            reopened,
            broken,
            faulty,
            faults,
            deliveries: board.deliveries.count(),
            deliveries_per_second: board.deliveries.count() as f64 / seconds.max(0.001),
            foreign: board.foreign.count(),
            bytes: board.bytes.count(),
            delay: board.delivery.summary(),
            last_watcher_delay: board.last_watcher.summary(self.scenario.watchers),
        }
    }
}
