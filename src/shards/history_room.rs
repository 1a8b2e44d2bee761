//! The room for history that all logs share when they are extended backwards.
//!
//! Each log alone may take the whole budget, and memory is looked at every few seconds only: without
//! this, as many logs as are extended in between could each take all that is left. What live events
//! take is not counted here until the next look.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that extensions may take together until memory is looked at again.
#[derive(Debug)]
pub struct HistoryRoom {
    left: AtomicU64,
}

// === impl HistoryRoom ===

impl HistoryRoom {
    /// This many are left.
    pub const fn new(bytes: u64) -> Self {
        Self { left: AtomicU64::new(bytes) }
    }

    /// How many are left.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Says how many are left by a new count.
    pub(super) fn set(&self, bytes: u64) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// Takes so many, if they are left.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Gives back what was taken and not used.
    pub(super) fn give_back(&self, bytes: u64) {
        let give = |left: u64| Some(left.saturating_add(bytes));
        let _always = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give);
    }
}
