//! Durations counted by size, with as few shared cache lines as there are writers.
//!
//! A [`Histogram`] is a row of atomic counters that one core, or code that runs rarely, writes. What
//! several of them hold is added up in [`Observations`] when somebody asks.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use prometheus::proto;

/// The upper bounds of a histogram's buckets, in microseconds; what is larger is counted apart.
pub type Bounds = &'static [u64];

/// From a look into memory to the longest that a request waits: 250 µs to a minute.
pub const REQUESTS: Bounds = &[
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// From one wake-up to a reader that hardly reads: 50 µs to 10 s.
pub const DELIVERY: Bounds = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// One writer's share of a histogram.
#[derive(Debug)]
pub struct Histogram {
    bounds: Bounds,
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    nanoseconds: AtomicU64,
}

/// What was observed, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observations {
    bounds: Bounds,
    counts: Vec<u64>,
    nanoseconds: u64,
}

// === impl Histogram ===

impl Histogram {
    /// Nothing observed yet.
    pub fn new(bounds: Bounds) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, nanoseconds: AtomicU64::new(0) }
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let microseconds = duration.as_nanos().div_ceil(1000);
        let place = self.bounds.partition_point(|bound| u128::from(*bound) < microseconds);
        self.counts[place].fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// What it holds.
    pub fn observations(&self) -> Observations {
        let mut all = Observations::none(self.bounds);
        all.add(self);
        all
    }
}

// === impl Observations ===

impl Observations {
    /// None.
    pub fn none(bounds: Bounds) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], nanoseconds: 0 }
    }

    /// Adds what a histogram of the same bounds holds.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(&histogram.counts) {
            *sum += count.load(Relaxed);
        }
        self.nanoseconds = self.nanoseconds.wrapping_add(histogram.nanoseconds.load(Relaxed));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// In the form of the exposition: seconds, and each bucket with all smaller ones in it.
    #[allow(clippy::cast_precision_loss, reason = "the format has no other numbers")]
    pub(super) fn to_histogram(&self) -> proto::Histogram {
        let mut below = 0;
        let bucket = |(bound, count): (&u64, &u64)| {
            below += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e6);
            bucket.set_cumulative_count(below);
            bucket
        };
        let buckets = self.bounds.iter().zip(&self.counts).map(bucket).collect();
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(self.count());
        histogram.set_sample_sum(self.nanoseconds as f64 / 1e9);
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::new(&[1_000, 2_000]);
        for microseconds in [1, 1_000, 1_001, 2_000, 5_000_000] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        histogram.observe(Duration::from_nanos(1_000_001));
        let observed = histogram.observations();
        assert_eq!((&observed.counts[..], observed.count()), (&[2, 3, 1][..], 6));
        let exposed = observed.to_histogram();
        let bucket = |place: usize| {
            let bucket = &exposed.get_bucket()[place];
            (bucket.upper_bound(), bucket.cumulative_count())
        };
        assert_eq!((bucket(0), bucket(1)), ((0.001, 2), (0.002, 5)));
        assert_eq!(exposed.get_sample_count(), 6);
        assert!((exposed.get_sample_sum() - 5.005_002_001).abs() < 1e-6);
    }

    #[test]
    fn shares_are_added_up() {
        let shares = [Histogram::new(DELIVERY), Histogram::new(DELIVERY)];
        shares[0].observe(Duration::from_millis(1));
        shares[1].observe(Duration::from_secs(100));
        let mut all = Observations::none(DELIVERY);
        shares.iter().for_each(|share| all.add(share));
        assert_eq!(all.count(), 2);
        assert_eq!(
            all.to_histogram().get_bucket().last().map(proto::Bucket::cumulative_count),
            Some(1)
        );
    }

    #[test]
    fn bounds_grow() {
        for bounds in [REQUESTS, DELIVERY] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
