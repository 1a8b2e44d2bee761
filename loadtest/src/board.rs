//! What all workloads of a run write down while it goes on.
//!
//! Counters are relaxed atomics: they feed progress and totals, and order nothing. Locks: one
//! histogram shard for the time of one record; the reasons of failures, when something failed.

mod count;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, watch};

pub use self::count::{Counter, Reasons};
use crate::{
    delay::{Delays, LastDelays},
    ledger::{Ledger, Outcome},
    plan::{ChurnPlan, Write},
    scenario::workload::{Asking, Churn, Start, Watching},
    transport::Protocol,
};

/// Watches of a workload that are being opened at once, unless it is about that.
const OPENING: usize = 256;

/// The board of one run.
pub struct Board {
    /// The run's name.
    pub run: String,
    /// What became of each write.
    pub ledger: Arc<Ledger>,
    /// In the order of the ledger's plan.
    pub churns: Vec<Arc<ChurnBoard>>,
    /// Watch workloads.
    pub groups: Vec<Arc<Group>>,
    /// Workloads of requests.
    pub askings: Vec<Arc<AskBoard>>,
    /// When it was made.
    pub made: Instant,
}

/// Of one churn.
pub struct ChurnBoard {
    /// What it does.
    pub spec: Churn,
    /// How it is carried.
    pub protocol: Protocol,
    /// When its first write was due.
    pub started: OnceLock<Instant>,
    /// From a write's due time to its answer.
    pub latency: Delays,
    /// Writes that succeeded.
    pub succeeded: Counter,
    /// Writes that did not.
    pub failures: Reasons,
}

/// Of one workload of requests.
pub struct AskBoard {
    /// What it does.
    pub spec: Asking,
    /// How it is carried.
    pub protocol: Protocol,
    /// From the request (or when it was due) to the end of the answer; of one without an answer, to
    /// when nobody waited any longer.
    pub latency: Delays,
    /// Requests that were due.
    pub due: Counter,
    /// Complete answers with success.
    pub answers: Counter,
    /// Requests that nobody answered before the end.
    pub unanswered: Counter,
    /// Bytes of their bodies, as they came.
    pub bytes: Counter,
    /// Other answers and none at all.
    pub failures: Reasons,
    /// From the first request due to the last answer.
    pub span: OnceLock<Duration>,
}

/// Of one workload of watches.
pub struct Group {
    /// What it does.
    pub spec: Watching,
    /// Whether the time until synced is what it is for.
    pub informers: bool,
    /// Where its watches begin.
    pub start: Start,
    /// When the first of them was to begin.
    pub begun: OnceLock<Instant>,
    /// How it is carried.
    pub protocol: Protocol,
    /// How many of its watches, other than slow ones, select each slot.
    pub watchers_of: Vec<u32>,
    /// From a write's due time to its event at a watcher.
    pub delay: Delays,
    /// The same of the watcher that was last.
    pub last_watcher: LastDelays,
    /// From when a watch was to begin until it had everything there was.
    pub sync: Delays,
    /// From the end of a watch by a herd until it was open again.
    pub reopen: Delays,
    /// Watches opened, reopened ones included.
    pub opened: Counter,
    /// Watchers that have begun and have what there was then.
    pub synced: Counter,
    /// Watchers that gave up.
    pub broken: Counter,
    /// Events of this run that a watcher saw for the first time.
    pub deliveries: Counter,
    /// Those of watchers that do not read slowly.
    pub prompt: Counter,
    /// Events of others' objects.
    pub foreign: Counter,
    /// Others' updates of the run's objects.
    pub touched: Counter,
    /// Watches and lists that were refused and asked for again.
    pub refused: Reasons,
    /// Bytes of bodies.
    pub bytes: Counter,
    /// Ends a share of the watches.
    pub herd: watch::Sender<Herding>,
    /// Whether a herd is planned.
    pub herded: bool,
    /// Who may open a watch now.
    pub opening: Semaphore,
    /// When the last event was delivered, in microseconds since the board's beginning.
    last: AtomicU64,
}

/// An end for a share of the watches.
#[derive(Clone, Copy, Debug)]
pub struct Herding {
    /// Those below this number, modulo the count and counted from a begin that moves.
    pub share: f64,
    /// Which time it is.
    pub time: u32,
    /// When it was.
    pub at: Instant,
    /// Whether connections end, too.
    pub connections: bool,
}

// === impl Board ===

impl Board {
    /// When a write was due; `None` before its churn's beginning.
    pub fn due(&self, write: Write) -> Option<Instant> {
        let (index, churn) = self.ledger.plan.churn_of(write.slot)?;
        Some(*self.churns.get(index)?.started.get()? + churn.due_of(write))
    }

    /// How many events each group whose watches began before the first write must have been sent by
    /// now, without those of slow watchers; `None` if some write may or may not have happened, so that
    /// nobody knows.
    pub fn expected(&self) -> Option<Vec<u64>> {
        let mut expected = vec![0; self.groups.len()];
        for churn in self.ledger.plan.churns() {
            for write in (0..churn.writes).map(|index| churn.write(index)) {
                match self.ledger.outcome(write) {
                    Outcome::NotBegun => continue,
                    Outcome::Uncertain => return None,
                    Outcome::Done(_) => {}
                }
                for (expected, group) in expected.iter_mut().zip(&self.groups) {
                    *expected += u64::from(group.watchers_of[write.slot as usize]);
                }
            }
        }
        Some(expected)
    }
}

// === impl Group ===

impl Group {
    /// Watches that have not begun; `watchers_of` says how many select each slot, without slow ones.
    pub fn new(
        spec: Watching,
        informers: bool,
        scenario: Protocol,
        watchers_of: Vec<u32>,
        writes: u64,
    ) -> Self {
        Self {
            informers,
            start: spec.start.unwrap_or(if informers { Start::List } else { Start::Now }),
            protocol: spec.protocol.unwrap_or(scenario),
            begun: OnceLock::new(),
            watchers_of,
            delay: Delays::new(),
            last_watcher: LastDelays::new(writes),
            sync: Delays::new(),
            reopen: Delays::new(),
            opened: Counter::default(),
            synced: Counter::default(),
            broken: Counter::default(),
            deliveries: Counter::default(),
            prompt: Counter::default(),
            foreign: Counter::default(),
            touched: Counter::default(),
            refused: Reasons::default(),
            bytes: Counter::default(),
            herd: watch::Sender::new(Herding::none()),
            herded: false,
            opening: Semaphore::new(if informers { spec.count as usize } else { OPENING }),
            last: AtomicU64::new(0),
            spec,
        }
    }

    /// A watcher got a write's event for the first time.
    pub fn delivered(&self, board: &Board, watcher: usize, slow: bool, write: Write, now: Instant) {
        self.deliveries.add(1);
        let micros = now.saturating_duration_since(board.made).as_micros();
        self.last.fetch_max(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
        if slow {
            return;
        }
        self.prompt.add(1);
        if let (Some(due), Some(position)) = (board.due(write), board.ledger.plan.position(write)) {
            let delay = now.saturating_duration_since(due);
            self.delay.record(watcher, delay);
            self.last_watcher.record(position, delay);
        }
    }

    /// From the first write that a watch of it could see, on `board`, to its last event; zero without
    /// one.
    pub fn span(&self, board: &Board) -> Duration {
        let slots = |churn: &ChurnPlan| churn.first_slot..churn.first_slot + churn.slots;
        let seen = |churn: &ChurnPlan| {
            slots(churn).any(|slot| self.watchers_of.get(slot as usize).is_some_and(|it| *it > 0))
        };
        let churns = board.churns.iter().zip(board.ledger.plan.churns());
        let seen = churns.filter(|(_, plan)| seen(plan));
        let first = seen.filter_map(|(churn, _)| churn.started.get()).min();
        let first = first.copied().max(self.begun.get().copied());
        let last = board.made + Duration::from_micros(self.last.load(Ordering::Relaxed));
        first.map_or(Duration::ZERO, |first| last.saturating_duration_since(first))
    }
}

// === impl AskBoard ===

impl AskBoard {
    /// Nothing asked.
    pub fn new(spec: Asking, scenario: Protocol) -> Self {
        Self {
            protocol: spec.protocol.unwrap_or(scenario),
            spec,
            latency: Delays::new(),
            due: Counter::default(),
            answers: Counter::default(),
            unanswered: Counter::default(),
            bytes: Counter::default(),
            failures: Reasons::default(),
            span: OnceLock::new(),
        }
    }

    /// A request that was due gets no answer any more: it took at least so long.
    pub fn left_unanswered(&self, recorder: usize, due: Instant) {
        self.unanswered.add(1);
        self.latency.record(recorder, due.elapsed());
    }
}

// === impl ChurnBoard ===

impl ChurnBoard {
    /// Nothing written.
    pub fn new(spec: Churn, scenario: Protocol) -> Self {
        Self {
            protocol: spec.protocol.unwrap_or(scenario),
            spec,
            started: OnceLock::new(),
            latency: Delays::new(),
            succeeded: Counter::default(),
            failures: Reasons::default(),
        }
    }

    /// A write was answered with success.
    pub fn wrote(&self, recorder: usize, due: Instant) {
        self.succeeded.add(1);
        self.latency.record(recorder, due.elapsed());
    }
}

// === impl Herding ===

impl Herding {
    /// The state before the first.
    pub fn none() -> Self {
        Self { share: 0.0, time: 0, at: Instant::now(), connections: false }
    }

    /// Whether it is for the watch with this number of so many: each time for others.
    pub fn takes(&self, number: u32, count: u32) -> bool {
        let taken = (f64::from(count) * self.share).ceil() as u64;
        let begin = u64::from(self.time.saturating_sub(1)) * taken;
        let (number, count) = (u64::from(number), u64::from(count.max(1)));
        (number + count - begin % count) % count < taken
    }
}

/// What is left of a time.
pub fn remaining(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::Plan,
        resource::{Kind, Resource},
    };

    #[test]
    fn a_herd_takes_its_share_and_each_time_others() {
        let taken = |time| {
            let herding = Herding { share: 0.3, time, ..Herding::none() };
            (0..10).filter(|number| herding.takes(*number, 10)).collect::<Vec<u32>>()
        };
        assert_eq!((taken(1), taken(2)), (vec![0, 1, 2], vec![3, 4, 5]));
        assert_eq!(taken(4), [0, 1, 9]);
        let all = Herding { share: 1.0, time: 3, ..Herding::none() };
        assert!((0..7).all(|number| all.takes(number, 7)));
    }

    #[test]
    fn what_is_expected_and_since_when_follows_from_the_writes() {
        let mut plan = Plan::default();
        for _churn in 0..2 {
            plan.add(2, 1, 10.0, Duration::from_secs(1));
        }
        let pods = || Resource::of(Kind::Pod);
        let spec = Watching::new("watches", 1, pods());
        let group = |watchers_of| {
            Arc::new(Group::new(spec.clone(), false, Protocol::Http2, watchers_of, 20))
        };
        let churn =
            || Arc::new(ChurnBoard::new(Churn::new("writes", pods(), 10.0), Protocol::Http2));
        let board = Board {
            run: "run".to_owned(),
            ledger: Arc::new(Ledger::new(plan)),
            churns: vec![churn(), churn()],
            groups: vec![group(vec![0, 0, 1, 0]), group(vec![1, 0, 0, 0])],
            askings: Vec::new(),
            made: Instant::now(),
        };
        let second = |second| board.made + Duration::from_secs(second);
        for (number, churn) in (0..).zip(&board.churns) {
            churn.started.get_or_init(|| second(10 + 20 * number));
        }
        for (slot, group) in [(2, &board.groups[0]), (0, &board.groups[1])] {
            assert_eq!(group.span(&board), Duration::ZERO);
            group.begun.get_or_init(|| second(15));
            let write = Write { slot, generation: 0 };
            group.delivered(&board, 0, false, write, second(40));
        }
        let spans = [&board.groups[0], &board.groups[1]].map(|group| group.span(&board).as_secs());
        // The second one began among the writes.
        assert_eq!(spans, [10, 25]);
        let write = |generation| Write { slot: 0, generation };
        board.ledger.begin(write(0));
        board.ledger.done(write(0), Some(7));
        assert_eq!(board.expected(), Some(vec![0, 1]));
        // Its event may come, and must not stand in for another one.
        board.ledger.begin(write(1));
        assert_eq!(board.expected(), None);
    }
}
