//! How much of a shard has gone since a reader began: what the reader alone may keep alive.
//!
//! Two sums of bytes that only grow. A reader notes one of them at its begin; what it keeps beyond
//! the present is at most what the sum grew by since. The sums count whole events (see
//! [`Event::weight`](crate::cache::event::Event::weight)), which is no less than the parts of pages
//! that they displaced, so the estimate is on the safe side and costs two additions per burst.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has left a shard, in bytes since it was opened.
#[derive(Debug, Default)]
pub struct Turnover {
    replaced: AtomicU64,
    forgotten: AtomicU64,
}

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

    /// Counts what changed the state, and what left the log.
    pub(super) fn add(&self, replaced: u64, forgotten: u64) {
        self.replaced.fetch_add(replaced, Ordering::Relaxed);
        self.forgotten.fetch_add(forgotten, Ordering::Relaxed);
    }
}
