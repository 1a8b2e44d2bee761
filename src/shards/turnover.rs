//! How much of a shard has gone since a reader began: what the reader alone may keep alive.
//!
//! Two sums of bytes that only grow. A reader notes one of them at its begin; what it keeps beyond
//! the present is at most what the sum grew by since. An event counts more than it can displace of
//! pages and nodes, so the estimate is on the safe side; it costs a few additions per burst.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has left a shard, in bytes since it was opened.
#[derive(Debug, Default)]
pub struct Turnover {
    replaced: AtomicU64,
    forgotten: AtomicU64,
}

/// A change copies the nodes on one path through the map.
const NODES: u64 = 4 << 10;

// === impl Turnover ===

impl Turnover {
    /// Bytes by which states have changed.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Bytes of events that the log has let go.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Counts events that changed the state, and what they weigh together. A page is written anew
    /// when a quarter of its objects changed, if they are small; an event weighs the object and the
    /// one before it.
    pub(super) fn add_events(&self, events: usize, weight: u64) {
        self.add(2 * weight + events as u64 * NODES, 0);
    }

    /// Counts what changed the state, and what left the log.
    pub(super) fn add(&self, replaced: u64, forgotten: u64) {
        self.replaced.fetch_add(replaced, Ordering::Relaxed);
        self.forgotten.fetch_add(forgotten, Ordering::Relaxed);
    }
}
