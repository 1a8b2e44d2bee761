//! How often something happened, and why.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

/// Reasons kept; more are counted together.
const MAX_REASONS: usize = 10;
/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// Why something failed, and how often.
#[derive(Debug, Default)]
pub struct Reasons {
    reasons: Mutex<BTreeMap<String, u64>>,
    count: Counter,
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

// === impl Reasons ===

impl Reasons {
    /// One more.
    pub fn add(&self, reason: &impl fmt::Display) {
        self.count.add(1);
        let reason: String = reason.to_string().chars().take(300).collect();
        let mut reasons = self.reasons.lock();
        let full = reasons.len() >= MAX_REASONS && !reasons.contains_key(&reason);
        *reasons.entry(if full { "others".to_owned() } else { reason }).or_default() += 1;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.count()
    }

    /// By reason.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.reasons.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_bounded() {
        let reasons = Reasons::default();
        (0..20).for_each(|number| reasons.add(&number));
        assert_eq!((reasons.count(), reasons.all().len()), (20, MAX_REASONS + 1));
        assert_eq!(reasons.all()["others"], 10);
    }
}
