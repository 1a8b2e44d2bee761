//! One value for each core, none of which shares a cache line with another.
//!
//! Connections never leave their core, so what they count in their core's value no other core writes:
//! counting costs what it costs on one core, however many there are. Readers add up.

/// A value per core.
#[derive(Debug)]
pub struct PerCore<T> {
    cores: Box<[Apart<T>]>,
}

/// On cache lines of its own; processors fetch them in pairs of 64 bytes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

// === impl PerCore ===

impl<T> PerCore<T> {
    /// A value for each of so many cores, at least one.
    pub fn new(cores: usize, value: impl Fn() -> T) -> Self {
        Self { cores: (0..cores.max(1)).map(|_| Apart(value())).collect() }
    }

    /// The core's value. Whoever runs on none counts with one of them.
    pub fn of(&self, core: usize) -> &T {
        &self.cores[core % self.cores.len()].0
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.cores.iter().map(|apart| &apart.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[test]
    fn cores_share_no_cache_line() {
        let counters = PerCore::new(2, || AtomicU64::new(0));
        counters.of(0).fetch_add(1, Relaxed);
        counters.of(3).fetch_add(4, Relaxed);
        assert_eq!(
            counters.iter().map(|counter| counter.load(Relaxed)).collect::<Vec<_>>(),
            [1, 4]
        );
        let at = |core| std::ptr::from_ref(counters.of(core)).addr();
        assert!(at(0).abs_diff(at(1)) >= 128);
    }
}
