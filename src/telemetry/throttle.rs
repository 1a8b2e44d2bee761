//! Keeps a warning that could repeat without end to one line per interval.
//!
//! Guarantees a bound on lines, and that the lines left out are counted in the next one. It does
//! not log by itself: the caller words the line. Usable from many threads; lock free.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Decides whether a repeated warning is due. One per place that warns.
#[derive(Debug)]
pub struct Throttle {
    started: Instant,
    interval: Duration,
    /// Nanoseconds after `started` from which the next line may be written.
    due: AtomicU64,
    suppressed: AtomicU64,
}

// === impl Throttle ===

impl Throttle {
    /// At most one line per `interval`, the first at once.
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self { started: now, interval, due: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// `Some(n)` when a line may be written now; `n` lines were left out since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let at = nanoseconds(now.saturating_duration_since(self.started));
        let due = self.due.load(Ordering::Relaxed);
        let next = at.saturating_add(nanoseconds(self.interval));
        let won = at >= due
            && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if won {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// Saturates after 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval_and_the_rest_counted() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let throttle = Throttle::new(second, start);
        assert_eq!(throttle.admit(start), Some(0));
        assert_eq!(throttle.admit(start), None);
        assert_eq!(throttle.admit(start + second / 2), None);
        assert_eq!(throttle.admit(start + second), Some(2));
        assert_eq!(throttle.admit(start + second), None);
        assert_eq!(throttle.admit(start + 10 * second), Some(1));
    }
}
