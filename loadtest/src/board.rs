//! What all watchers and writers of a run write down while it goes on.
//!
//! Counters are relaxed atomics: they feed progress and totals, and order nothing. Locks: one
//! histogram shard for the time of one record.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    delay::{Delays, LastDelays},
    plan::{Plan, Write},
};

/// The board of one run.
pub struct Board {
    /// `None` for a run that writes nothing.
    pub plan: Option<Plan>,
    /// When the first write was due.
    started: OnceLock<Instant>,
    /// From a write's due time to its event at a watcher.
    pub delivery: Delays,
    /// The same of the watcher that was last.
    pub last_watcher: LastDelays,
    /// From a write's due time to its answer.
    pub write: Delays,
    /// Watches opened, reopened ones included.
    pub opened: Counter,
    /// Watchers that gave up.
    pub broken: Counter,
    /// Events of this run that a watcher saw for the first time.
    pub deliveries: Counter,
    /// Events of others.
    pub foreign: Counter,
    /// Bytes of watch bodies.
    pub bytes: Counter,
    /// Writes that succeeded.
    pub written: Counter,
    /// Writes that did not.
    pub failed: Counter,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

// === impl Board ===

impl Board {
    /// An empty one for so many writes.
    pub fn new(plan: Option<Plan>, writes: u64) -> Self {
        Self {
            plan,
            started: OnceLock::new(),
            delivery: Delays::new(),
            last_watcher: LastDelays::new(writes),
            write: Delays::new(),
            opened: Counter::default(),
            broken: Counter::default(),
            deliveries: Counter::default(),
            foreign: Counter::default(),
            bytes: Counter::default(),
            written: Counter::default(),
            failed: Counter::default(),
        }
    }

    /// The writing starts now, or has already.
    pub fn start(&self) -> Instant {
        *self.started.get_or_init(Instant::now)
    }

    /// When a write is due; `None` before the start.
    pub fn due(&self, write: Write) -> Option<Instant> {
        Some(*self.started.get()? + self.plan?.due(write))
    }

    /// A watcher got a write's event for the first time.
    pub fn delivered(&self, watcher: usize, write: Write, now: Instant) {
        self.deliveries.add(1);
        if let (Some(due), Some(plan)) = (self.due(write), &self.plan) {
            let delay = now.saturating_duration_since(due);
            self.delivery.record(watcher, delay);
            self.last_watcher.record(plan.position(write), delay);
        }
    }

    /// A write was answered with success.
    pub fn wrote(&self, write: Write) {
        self.written.add(1);
        if let Some(due) = self.due(write) {
            let delay: Duration = due.elapsed();
            self.write.record(write.writer as usize, delay);
        }
    }
}

// === impl Counter ===

impl Counter {
    /// Raises it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
