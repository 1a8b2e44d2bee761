//! Delays in microseconds: recorded by many, summed up once.
//!
//! Guarantees: three significant digits from 1 µs to an hour; longer ones count as an hour. Each
//! recorder takes one of a few shards, so that the many watchers hold neither a histogram each nor
//! all the same lock.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

const SHARDS: usize = 8;
const LONGEST: u64 = 3_600_000_000;

/// A histogram that many record into, and someone collects now and then.
pub struct Delays {
    /// What was recorded since the last collection.
    shards: Vec<Mutex<Histogram<u64>>>,
    collected: Mutex<Collected>,
}

struct Collected {
    phase: Histogram<u64>,
    total: Histogram<u64>,
}

/// A histogram in short, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DelaySummary {
    /// How many delays.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// Nine of ten are not longer.
    pub p90_ms: f64,
    /// All but one of a hundred are not longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// One bar of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// Delays up to this.
    pub until_ms: f64,
    /// How many, beyond those of the step before.
    pub count: u64,
}

/// For each event the delay of the watcher that got it last, by the write's position.
pub struct LastDelays {
    events: Vec<LastDelay>,
}

#[derive(Default)]
struct LastDelay {
    longest: AtomicU64,
    watchers: AtomicU32,
}

// === impl Delays ===

impl Delays {
    /// None yet.
    pub fn new() -> Self {
        let collected = Collected { phase: histogram(), total: histogram() };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(histogram())).collect(),
            collected: Mutex::new(collected),
        }
    }

    /// Takes a delay in. Recorders with the same `recorder` modulo 8 wait for each other.
    pub fn record(&self, recorder: usize, delay: Duration) {
        self.shards[recorder % SHARDS].lock().saturating_record(micros(delay));
    }

    /// What came since the last call.
    pub fn interval(&self) -> DelaySummary {
        let mut interval = histogram();
        for shard in &self.shards {
            let mut shard = shard.lock();
            if !shard.is_empty() {
                add(&mut interval, &shard);
                shard.reset();
            }
        }
        let mut collected = self.collected.lock();
        add(&mut collected.phase, &interval);
        add(&mut collected.total, &interval);
        DelaySummary::of(&interval)
    }

    /// What came since the last call of this function.
    pub fn phase(&self) -> DelaySummary {
        self.interval();
        let mut collected = self.collected.lock();
        let summary = DelaySummary::of(&collected.phase);
        collected.phase.reset();
        summary
    }

    /// All of them.
    pub fn summary(&self) -> DelaySummary {
        self.interval();
        DelaySummary::of(&self.collected.lock().total)
    }

    /// How many of all lie in each of some steps, from the shortest to the longest.
    pub fn steps(&self) -> Vec<Step> {
        self.interval();
        let collected = self.collected.lock();
        let total = &collected.total;
        let steps = total.iter_log(total.value_at_quantile(0.0).max(1), 1.5);
        let count = steps.map(|it| Step {
            until_ms: it.value_iterated_to() as f64 / 1000.0,
            count: it.count_since_last_iteration(),
        });
        count.collect()
    }
}

impl Default for Delays {
    fn default() -> Self {
        Self::new()
    }
}

// === impl DelaySummary ===

impl DelaySummary {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: histogram.max() as f64 / 1000.0,
        }
    }
}

// === impl LastDelays ===

impl LastDelays {
    /// For writes at positions below `positions`.
    pub fn new(positions: u64) -> Self {
        Self { events: (0..positions).map(|_| LastDelay::default()).collect() }
    }

    /// One watcher got the event. Positions out of range are not written, so not expected.
    pub fn record(&self, position: u64, delay: Duration) {
        let event = usize::try_from(position).ok().and_then(|index| self.events.get(index));
        if let Some(event) = event {
            event.longest.fetch_max(micros(delay), Ordering::Relaxed);
            event.watchers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Over the events that all watchers got: `watchers` tells how many that is by the position.
    pub fn summary(&self, watchers: impl Fn(u64) -> u32) -> DelaySummary {
        let mut sum = histogram();
        for (position, event) in (0..).zip(&self.events) {
            let expected = watchers(position);
            if expected > 0 && event.watchers.load(Ordering::Relaxed) == expected {
                sum.saturating_record(event.longest.load(Ordering::Relaxed));
            }
        }
        DelaySummary::of(&sum)
    }
}

/// Cannot fail: all have the same bounds.
fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    if !from.is_empty() && to.add(from).is_err() {
        debug_assert!(false, "histograms of different bounds");
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("fixed bounds that the library takes")
}

fn micros(delay: Duration) -> u64 {
    u64::try_from(delay.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_over_all_shards() {
        let delays = Delays::new();
        for recorder in 0..100 {
            delays.record(recorder, Duration::from_millis(recorder as u64 + 1));
        }
        let summary = delays.summary();
        assert_eq!(summary.count, 100);
        assert!((summary.p50_ms - 50.0).abs() < 0.1 && (summary.p99_ms - 99.0).abs() < 0.1);
        assert!((summary.max_ms - 100.0).abs() < 0.1, "{summary:?}");
        assert_eq!(delays.steps().iter().map(|step| step.count).sum::<u64>(), 100);
    }

    #[test]
    fn intervals_and_phases_are_told_apart() {
        let delays = Delays::new();
        delays.record(0, Duration::from_millis(5));
        assert_eq!((delays.interval().count, delays.interval().count), (1, 0));
        delays.record(1, Duration::from_millis(5));
        assert_eq!((delays.phase().count, delays.phase().count), (2, 0));
        assert_eq!(delays.summary().count, 2);
    }

    #[test]
    fn the_last_watcher_counts_and_only_events_that_all_got() {
        let last = LastDelays::new(2);
        last.record(0, Duration::from_millis(5));
        last.record(0, Duration::from_millis(3));
        last.record(1, Duration::from_millis(70));
        last.record(9, Duration::from_millis(70));
        let summary = last.summary(|_| 2);
        assert_eq!(summary.count, 1);
        assert!((summary.max_ms - 5.0).abs() < 0.01, "{summary:?}");
    }
}
