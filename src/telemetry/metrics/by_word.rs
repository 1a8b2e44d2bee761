//! A few counters that are told apart by one word each.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters, one for each of the words. Those who count know the place of theirs.
#[derive(Debug)]
pub(super) struct ByWord<const N: usize> {
    words: [&'static str; N],
    counts: [AtomicU64; N],
}

// === impl ByWord ===

impl<const N: usize> ByWord<N> {
    /// All at 0.
    pub(super) fn new(words: [&'static str; N]) -> Self {
        Self { words, counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Counts one for the word at this place.
    pub(super) fn add(&self, place: usize) {
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Words and counts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.words.iter().zip(&self.counts).map(|(word, count)| (*word, count.load(Relaxed)))
    }
}
