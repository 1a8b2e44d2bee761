//! How late events came: distributions over all arrivals, and the last watch of each write.

use crate::crowd::Arrival;

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Delays {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The median over the writes of when the last watch had it.
    pub(crate) last_p50: f64,
    /// The share of arrivals before their write was seen to have happened: they count as at once.
    pub(crate) early: f64,
}

impl Delays {
    /// Of arrivals after the times when their writes happened; `None` without arrivals. What came before counts as at once.
    pub(crate) fn of(arrivals: &[Arrival], happened_micros: &[u32]) -> Option<Self> {
        let mut last = vec![0; happened_micros.len()];
        let (mut all, mut early) = (Vec::with_capacity(arrivals.len()), 0_usize);
        for arrival in arrivals {
            let write = arrival.write as usize;
            let Some(happened) = happened_micros.get(write) else { continue };
            early += usize::from(arrival.micros < *happened);
            let delay = arrival.micros.saturating_sub(*happened);
            all.push(delay);
            last[write] = delay.max(last[write]);
        }
        all.sort_unstable();
        last.sort_unstable();
        let at = |sorted: &[u32], share: f64| {
            let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().checked_sub(1)?);
            Some(f64::from(sorted[index]) / 1e3)
        };
        Some(Self {
            p50: at(&all, 0.5)?,
            p99: at(&all, 0.99)?,
            last_p50: at(&last, 0.5)?,
            early: early as f64 / all.len() as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_of_each_arrival_and_of_the_last_of_each_write() {
        let arrival = |write, micros| Arrival { write, micros };
        let arrivals: Vec<Arrival> = (0..100)
            .flat_map(|write| (1..=10).map(move |n| arrival(write, write * 1000 + n * 100)))
            .collect();
        let happened: Vec<u32> = (0..100).map(|write| write * 1000).collect();
        let delays = Delays::of(&arrivals, &happened).unwrap();
        assert_eq!(delays, Delays { p50: 0.6, p99: 1.0, last_p50: 1.0, early: 0.0 });
        assert_eq!(Delays::of(&[], &happened), None);
        // What is seen before it is known to have happened was there at once.
        let early = Delays::of(&[arrival(1, 5), arrival(1, 2000)], &happened).unwrap();
        assert_eq!((early.last_p50, early.early), (0.0, 0.5));
    }
}
