//! The shard filled, emptied and withdrawn: whatever moves all of its objects at once.
//!
//! Connection threads take the shard's lock, too. So objects are sorted and compared before it is
//! taken, and what goes is dropped after it was given back.

use std::time::Instant;

use crate::{
    api::version::ResourceVersion,
    cache::{
        map::OrderedMap,
        watch_cache::{Arrival, Fill, Violation},
    },
    shards::hub::Message,
};

use super::{Filled, Shard};

// === impl Shard ===

impl Shard {
    /// Notes that a state is asked for now, by the first of its requests if they are several; see
    /// [`WatchCache::expect_fill`](crate::cache::watch_cache::WatchCache::expect_fill).
    pub fn expect_fill(&self) {
        self.cache.lock().expect_fill();
    }

    /// Takes a complete, consistent state whose request was sent at `requested`, when the shard had
    /// been emptied `cleared` times.
    ///
    /// # Errors
    /// [`Violation::WentBack`] when the store is older than what was shown.
    pub fn fill(
        &self,
        objects: OrderedMap,
        version: ResourceVersion,
        requested: Instant,
        cleared: u64,
    ) -> Result<Fill, Violation> {
        let mut arrival = Arrival::new(objects, version);
        // Held until after the lock: what readers were shown must not be dropped under it.
        let held = self.snapshot();
        if let Some(held) = &held {
            arrival = arrival.compared_with(&held.objects);
        }
        let mut cache = self.cache.lock();
        let dropped = {
            let progress = self.progress.borrow();
            progress.closed || progress.cleared != cleared
        };
        if dropped {
            // Closed or emptied while the state was on its way here; nobody may see it.
            drop(cache);
            return Ok(Fill::Void);
        }
        let shown = cache.resource_version();
        let before = cache.resident_bytes();
        let (outcome, discarded) = cache.fill(arrival);
        if let Ok(fill) = outcome {
            match (fill, shown) {
                (Fill::Changed, _) => self.tell_all(&Message::End(self.id)),
                (Fill::Unchanged, Some(shown)) => {
                    self.tell_all(&Message::EndBetween(self.id, shown, version));
                }
                _ => {}
            }
            self.publish(&cache, |progress| {
                progress.filled = Some(Filled { requested, version });
                progress.failure = None;
                progress.unfillable = false;
            });
        }
        // When the new state is shown: see `apply`.
        match outcome {
            Ok(Fill::Changed) => self.turnover.add(before.0, before.1),
            Ok(Fill::Unchanged) => self.turnover.add(0, before.1),
            _ => {}
        }
        drop(cache);
        drop((held, discarded));
        outcome
    }

    /// Fills the shard with these objects, in any order.
    #[cfg(test)]
    pub(crate) fn fill_with(
        &self,
        objects: Vec<crate::codec::object::Object>,
        version: ResourceVersion,
        requested: Instant,
        cleared: u64,
    ) -> Result<Fill, Violation> {
        let objects = OrderedMap::from_objects(self.codec.item_join(), objects);
        self.fill(objects, version, requested, cleared)
    }

    /// Says why the shard cannot be filled; readers are forwarded meanwhile if nothing is held.
    pub fn set_failure(&self, reason: &str) {
        self.progress.send_modify(|progress| {
            progress.failure = Some(reason.into());
            progress.unfillable = false;
        });
    }

    /// Drops everything and ends all watches; `closed` when it will not be filled again.
    pub fn clear(&self, closed: bool) {
        let mut cache = self.cache.lock();
        let before = cache.resident_bytes();
        let discarded = cache.clear();
        self.tell_all(&Message::End(self.id));
        self.publish(&cache, |progress| {
            progress.filled = None;
            progress.cleared += 1;
            progress.closed |= closed;
        });
        self.turnover.add(before.0, before.1);
        drop(cache);
        drop(discarded);
    }

    /// Shows nothing any more and ends all watches, because what upstream has now cannot be kept:
    /// the old state would be shown for ever and its watches would be silent for ever. Unlike
    /// [`Shard::clear`] remembers how far the store was. `unfillable` as in [`super::Progress`].
    pub fn withdraw(&self, reason: &str, unfillable: bool) {
        let mut cache = self.cache.lock();
        let before = cache.resident_bytes();
        let discarded = cache.withdraw();
        self.tell_all(&Message::End(self.id));
        self.publish(&cache, |progress| {
            progress.filled = None;
            progress.failure = Some(reason.into());
            progress.unfillable = unfillable;
        });
        self.turnover.add(before.0, before.1);
        drop(cache);
        drop(discarded);
    }
}
