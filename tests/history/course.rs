//! What everybody in a run shares: the order of moments, its phase, and counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::checker::record::{Moment, Version};
use crate::ground::Ground;

/// How far the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Writers write, watchers come and go.
    Churn,
    /// Writers are done, watchers go on.
    Settling,
    /// Watchers read until all is silent, then end.
    Draining,
}

/// A run.
pub(crate) struct Course {
    pub(crate) ground: Arc<Ground>,
    pub(crate) phase: watch::Sender<Phase>,
    moment: AtomicU64,
    step: AtomicU64,
    open: AtomicUsize,
    peak: AtomicUsize,
    events: AtomicUsize,
    begin: AtomicU64,
}

impl Course {
    pub(crate) fn new(ground: Arc<Ground>) -> Self {
        Self {
            ground,
            phase: watch::Sender::new(Phase::Churn),
            moment: AtomicU64::new(1),
            step: AtomicU64::new(1),
            open: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            events: AtomicUsize::new(0),
            begin: AtomicU64::new(0),
        }
    }

    /// The present moment; every call has another.
    pub(crate) fn moment(&self) -> Moment {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    /// A number of its own for each write.
    pub(crate) fn step(&self) -> u64 {
        self.step.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is(&self, phase: Phase) -> bool {
        *self.phase.borrow() == phase
    }

    /// Counts a watch as open until it is dropped.
    pub(crate) fn opened(self: &Arc<Self>) -> Opened {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(open, Ordering::Relaxed);
        Opened(self.clone())
    }

    /// Notes that a reference knows what happened after a version.
    pub(crate) fn knows_from(&self, version: Version) {
        self.begin.fetch_max(version, Ordering::Relaxed);
    }

    /// Whether all references know what happened after a version.
    pub(crate) fn knows(&self, version: Version) -> bool {
        version >= self.begin.load(Ordering::Relaxed)
    }

    /// Counts an event that a watcher was given.
    pub(crate) fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// How many events watchers were given so far.
    pub(crate) fn events(&self) -> usize {
        self.events.load(Ordering::Relaxed)
    }

    /// How many watches are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many watches were open at the same time.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

/// An open watch.
pub(crate) struct Opened(Arc<Course>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
