//! [`FillPlaces`]: how many shards are filled at once.
//!
//! A fill costs upstream a read of a whole type. A gateway that starts in front of a garbage collector
//! that watches 2,000 types would ask for all of them at the same moment; here they wait for one of
//! [`AT_ONCE`] places. Shards that somebody waits for come first, in the order of their coming;
//! every fourth place goes to whoever waits longest, so that nobody waits for ever. A fill that has
//! not ended after `COUNTED` goes on, but its place is given to the next: an upstream that answers
//! nothing for some types must not hold up the others.
//! Locks: one, never held across an await.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout_at};

use crate::shards::shard::Shard;

/// Fills that run at the same time.
pub const AT_ONCE: usize = 20;

/// How long a fill counts: as long as 100,000 objects of 2 KB take.
const COUNTED: Duration = Duration::from_secs(10);

/// Every so many places go to whoever waits longest.
const BY_AGE: u64 = 4;

/// The places of one upstream; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct FillPlaces {
    state: Arc<Mutex<State>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct FillPlace {
    number: u64,
    places: FillPlaces,
}

#[derive(Debug, Default)]
struct State {
    /// Numbers and beginnings of the fills that run, oldest first.
    running: Vec<(u64, Instant)>,
    waiting: VecDeque<Waiting>,
    given: u64,
}

#[derive(Debug)]
struct Waiting {
    shard: Arc<Shard>,
    place: oneshot::Sender<FillPlace>,
}

// === impl FillPlaces ===

impl FillPlaces {
    /// Waits for a place for this shard. Dropping the future gives the turn up.
    pub async fn take(&self, shard: &Arc<Shard>) -> FillPlace {
        let mut receiver = self.queue(shard);
        loop {
            let next_overdue = self.hand_out(Instant::now());
            match timeout_at(next_overdue.into(), &mut receiver).await {
                Ok(Ok(place)) => return place,
                // Whoever takes a turn out of the queue sends a place; else there is a new turn.
                Ok(Err(_)) => receiver = self.queue(shard),
                Err(_) => {}
            }
        }
    }

    fn queue(&self, shard: &Arc<Shard>) -> oneshot::Receiver<FillPlace> {
        let (place, receiver) = oneshot::channel();
        self.state.lock().waiting.push_back(Waiting { shard: Arc::clone(shard), place });
        receiver
    }

    /// How many fills run, and how many wait.
    pub fn figures(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.running.len(), state.waiting.len())
    }

    /// Gives every free place to somebody; returns when the next one is free at the latest.
    fn hand_out(&self, now: Instant) -> Instant {
        loop {
            let mut state = self.state.lock();
            state.running.retain(|(_, began)| now.saturating_duration_since(*began) < COUNTED);
            if state.running.len() >= AT_ONCE {
                return state.running[0].1 + COUNTED;
            }
            let Some(next) = state.next() else { return now + COUNTED };
            state.given += 1;
            let number = state.given;
            state.running.push((number, now));
            drop(state);
            // One who has gone away meanwhile drops the place, which frees it.
            let place = FillPlace { number, places: self.clone() };
            drop(next.place.send(place));
        }
    }
}

// === impl State ===

impl State {
    fn next(&mut self) -> Option<Waiting> {
        self.waiting.retain(|waiting| !waiting.place.is_closed());
        let by_age = self.given.is_multiple_of(BY_AGE);
        let wanted = self.waiting.iter().position(|waiting| waiting.shard.is_awaited());
        self.waiting.remove(if by_age { 0 } else { wanted.unwrap_or(0) })
    }
}

// === impl FillPlace ===

impl Drop for FillPlace {
    fn drop(&mut self) {
        self.places.state.lock().running.retain(|(number, _)| *number != self.number);
        self.places.hand_out(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        cache::{fixture::pods, log::LogBudget},
        codec::object::Representation,
        shards::shard::ShardId,
    };

    fn shard(number: u32) -> Arc<Shard> {
        let budget = LogBudget { bytes: 1 << 20, age: Duration::from_secs(600) };
        let (form, hubs) = (Representation::Json, Arc::from([]));
        Arc::new(Shard::new(ShardId(number), pods(), 1, form, budget, hubs))
    }

    async fn all_taken(places: &FillPlaces) -> Vec<FillPlace> {
        let mut taken = Vec::new();
        for number in 0..AT_ONCE as u32 {
            taken.push(places.take(&shard(number)).await);
        }
        taken
    }

    #[tokio::test]
    async fn no_more_than_so_many_run() {
        let places = FillPlaces::default();
        let mut taken = all_taken(&places).await;
        let one_more = shard(99);
        let mut next = Box::pin(places.take(&one_more));
        assert!(next.as_mut().now_or_never().is_none());
        assert_eq!(places.figures(), (AT_ONCE, 1));
        taken.pop();
        let place = next.await;
        assert_eq!(places.figures(), (AT_ONCE, 0));
        drop((place, taken));
        assert_eq!(places.figures(), (0, 0));
    }

    #[tokio::test]
    async fn what_somebody_waits_for_comes_first_but_nobody_waits_for_ever() {
        let places = FillPlaces::default();
        let mut taken = all_taken(&places).await;
        let shards: Vec<_> = (100..108).map(shard).collect();
        let (idle, wanted) = shards.split_at(4);
        let mut idle: Vec<_> = idle.iter().map(|shard| Box::pin(places.take(shard))).collect();
        idle.iter_mut().for_each(|take| assert!(take.as_mut().now_or_never().is_none()));
        let _who_wait: Vec<_> =
            wanted.iter().flat_map(|shard| [shard.progress(), shard.progress()]).collect();
        let mut wanted: Vec<_> = wanted.iter().map(|shard| Box::pin(places.take(shard))).collect();
        wanted.iter_mut().for_each(|take| assert!(take.as_mut().now_or_never().is_none()));
        let mut order = Vec::new();
        for _ in 0..8 {
            taken.pop();
            for (name, takes) in [("idle", &mut idle), ("wanted", &mut wanted)] {
                takes.retain_mut(|take| match take.as_mut().now_or_never() {
                    Some(place) => {
                        order.push(name);
                        taken.insert(0, place);
                        false
                    }
                    None => true,
                });
            }
        }
        assert_eq!(order[..5], ["idle", "wanted", "wanted", "wanted", "idle"]);
        assert_eq!(order.len(), 8);
    }

    #[tokio::test]
    async fn who_gives_up_takes_no_place() {
        let places = FillPlaces::default();
        let mut taken = all_taken(&places).await;
        let (gone, next) = (shard(98), shard(99));
        let mut gave_up = Box::pin(places.take(&gone));
        assert!(gave_up.as_mut().now_or_never().is_none());
        drop(gave_up);
        taken.pop();
        let _place = places.take(&next).await;
        assert_eq!(places.figures(), (AT_ONCE, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fill_that_takes_long_does_not_hold_up_others() {
        let places = FillPlaces::default();
        let taken = all_taken(&places).await;
        let began = places.state.lock().running[0].1;
        assert_eq!(places.hand_out(began + COUNTED / 2), began + COUNTED);
        places.hand_out(Instant::now() + COUNTED);
        assert_eq!(places.figures(), (0, 0), "they go on, uncounted");
        let _place = places.take(&shard(99)).await;
        drop(taken);
        assert_eq!(places.figures(), (1, 0), "a place is given back once");
    }
}
