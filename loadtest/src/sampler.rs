//! Figures of each second of a run: what plots show and what progress prints.
//!
//! One task reads counters, empties the histograms' intervals and looks into `/proc`; nothing on the
//! hot path waits for it for longer than one histogram shard takes.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    accounting::{Accounting, Sample},
    board::Board,
    delay::DelaySummary,
    process::Usage,
};

const INTERVAL: Duration = Duration::from_secs(1);
/// Without a terminal, a line so often.
const PLAIN_LINES: Duration = Duration::from_secs(5);

/// A run's figures over time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    /// Names of the watch workloads, in the order of [`Point::groups`].
    pub groups: Vec<String>,
    /// Names of the workloads of requests, in the order of [`Point::askings`].
    pub askings: Vec<String>,
    /// Names of the churns, in the order of [`Point::churns`].
    pub churns: Vec<String>,
    /// Second by second.
    pub points: Vec<Point>,
}

/// About a second.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Seconds since the run's beginning.
    pub at: f64,
    /// Of each watch workload: deliveries.
    pub groups: Vec<Flow>,
    /// Of each workload of requests: answers.
    pub askings: Vec<Flow>,
    /// Of each churn: writes.
    pub churns: Vec<Flow>,
    /// Of each server process.
    pub servers: Vec<Load>,
    /// Of the load generator.
    pub own: Load,
}

/// What happened, and how long it took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Flow {
    /// How much per second.
    pub per_second: f64,
    /// The median.
    pub p50_ms: f64,
    /// All but one of a hundred are not longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// What a process used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Load {
    /// CPU seconds per second.
    pub cores: f64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Open file descriptors.
    pub descriptors: Option<u64>,
}

/// Samples until dropped.
pub struct Sampler {
    points: Arc<Mutex<Vec<Point>>>,
    phase: Arc<Mutex<String>>,
    _task: AbortOnDropHandle<()>,
}

struct Sampling {
    board: Arc<Board>,
    accounting: Accounting,
    points: Arc<Mutex<Vec<Point>>>,
    phase: Arc<Mutex<String>>,
    started: Instant,
    counts: Vec<u64>,
    sample: Option<Sample>,
    at: Instant,
    terminal: bool,
    printed: Instant,
}

// === impl Sampler ===

impl Sampler {
    /// Starts in the current runtime.
    pub fn start(board: Arc<Board>, accounting: Accounting, started: Instant) -> Self {
        let (points, phase) = (Arc::new(Mutex::default()), Arc::new(Mutex::new("opening".into())));
        let mut sampling = Sampling {
            board,
            accounting,
            points: Arc::clone(&points),
            phase: Arc::clone(&phase),
            started,
            counts: Vec::new(),
            sample: None,
            at: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            printed: Instant::now(),
        };
        sampling.take();
        let task = tokio::spawn(async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                if let Some(point) = sampling.take() {
                    sampling.print(&point);
                    sampling.points.lock().push(point);
                }
            }
        });
        Self { points, phase, _task: AbortOnDropHandle::new(task) }
    }

    /// What progress calls the present.
    pub fn phase(&self, name: &str) {
        name.clone_into(&mut self.phase.lock());
    }

    /// Everything so far.
    pub fn series(&self, board: &Board) -> Series {
        if std::io::stderr().is_terminal() {
            eprintln!();
        }
        Series {
            groups: board.groups.iter().map(|it| it.spec.name.clone()).collect(),
            askings: board.askings.iter().map(|it| it.spec.name.clone()).collect(),
            churns: board.churns.iter().map(|it| it.spec.name.clone()).collect(),
            points: self.points.lock().clone(),
        }
    }
}

// === impl Sampling ===

impl Sampling {
    fn take(&mut self) -> Option<Point> {
        let now = Instant::now();
        // A server that ended stays at its last figures; the report says so.
        let sample = match &self.sample {
            Some(last) => Some(self.accounting.sample_after(last).0),
            None => self.accounting.sample().ok(),
        };
        let seconds = now.duration_since(self.at).as_secs_f64();
        let mut counts = Vec::with_capacity(self.counts.len());
        let before = std::mem::take(&mut self.counts);
        let mut flow = |count: u64, delays: DelaySummary| {
            let last = before.get(counts.len()).copied().unwrap_or(0);
            counts.push(count);
            let DelaySummary { p50_ms, p99_ms, max_ms, .. } = delays;
            let per_second = (count - last) as f64 / seconds.max(0.001);
            Flow { per_second, p50_ms, p99_ms, max_ms }
        };
        let board = &self.board;
        let groups = board.groups.iter().map(|it| flow(it.deliveries.count(), it.delay.interval()));
        let groups = groups.collect();
        let askings =
            board.askings.iter().map(|it| flow(it.answers.count(), it.latency.interval()));
        let askings = askings.collect();
        let churns =
            board.churns.iter().map(|it| flow(it.succeeded.count(), it.latency.interval()));
        let churns = churns.collect();
        self.counts = counts;
        self.at = now;
        let last = std::mem::replace(&mut self.sample, sample);
        let (now, then) = (self.sample.as_ref()?, last?);
        let load = |now: &Usage, then: &Usage| Load {
            cores: now.cpu.saturating_sub(then.cpu).as_secs_f64() / seconds.max(0.001),
            resident: now.resident,
            descriptors: now.descriptors,
        };
        let servers = now.servers.iter().zip(&then.servers).map(|(now, then)| load(now, then));
        let at = self.started.elapsed().as_secs_f64();
        let (servers, own) = (servers.collect(), load(&now.own, &then.own));
        Some(Point { at, groups, askings, churns, servers, own })
    }

    fn print(&mut self, point: &Point) {
        if !self.terminal && self.printed.elapsed() < PLAIN_LINES {
            return;
        }
        self.printed = Instant::now();
        let rate = |flows: &[Flow]| flows.iter().map(|flow| flow.per_second).sum::<f64>();
        let worst = |flows: &[Flow]| flows.iter().map(|flow| flow.p99_ms).fold(0.0, f64::max);
        let board = &self.board;
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.sum::<u64>();
        let failed = sum(&mut board.churns.iter().map(|it| it.failures.count()))
            + sum(&mut board.askings.iter().map(|it| it.failures.count()))
            + sum(&mut board.groups.iter().map(|it| it.broken.count()));
        let mut line = format!("{:>5.0} s  {}", point.at, self.phase.lock());
        if !board.groups.is_empty() {
            let synced = sum(&mut board.groups.iter().map(|it| it.synced.count()));
            let (rate, worst) = (rate(&point.groups), worst(&point.groups));
            line += &format!("  watches {synced}  events {rate:.0}/s p99 {worst:.1} ms");
        }
        if !board.askings.is_empty() {
            let (rate, worst) = (rate(&point.askings), worst(&point.askings));
            line += &format!("  answers {rate:.0}/s p99 {worst:.1} ms");
        }
        if !board.churns.is_empty() {
            line += &format!("  writes {:.0}/s", rate(&point.churns));
        }
        line += &format!("  failed {failed}  CPU");
        for server in &point.servers {
            line += &format!(" server {:.2} ({} MiB)", server.cores, server.resident >> 20);
        }
        line += &format!(" own {:.2}", point.own.cores);
        let mut out = std::io::stderr().lock();
        // Nobody may be reading; the run goes on.
        let _unread = if self.terminal {
            write!(out, "\r\x1b[K{line}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{line}")
        };
    }
}
