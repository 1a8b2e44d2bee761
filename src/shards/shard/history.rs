//! The shard's log: extended backwards at its beginning, and cut to what it may keep.

use std::{sync::Arc, time::Instant};

use crate::{
    api::version::ResourceVersion,
    cache::{beginning::Beginning, event::Event},
};

use super::Shard;

// === impl Shard ===

impl Shard {
    /// Where the log begins, `None` before the first fill. Its room is what the log itself has and
    /// what all logs share.
    pub fn beginning(&self) -> Option<Beginning> {
        let mut beginning = self.cache.lock().beginning()?;
        beginning.room = beginning.room.min(self.history_room.left());
        Some(beginning)
    }

    /// The version after which watches can begin, `None` before the first fill.
    pub fn log_start(&self) -> Option<ResourceVersion> {
        self.cache.lock().log_start()
    }

    /// Extends the log backwards, if there is room among all logs; see
    /// [`WatchCache::extend_back`](crate::cache::watch_cache::WatchCache::extend_back).
    pub fn extend_back(
        &self,
        beginning: &Beginning,
        start: ResourceVersion,
        events: &[Arc<Event>],
        now: Instant,
    ) -> bool {
        let bytes = events.iter().map(|event| event.weight()).sum();
        if !self.history_room.take(bytes) {
            return false;
        }
        let taken = self.cache.lock().extend_back(beginning, start, events, now);
        if !taken {
            self.history_room.give_back(bytes);
        }
        taken
    }

    /// Changes how many bytes the log may keep.
    pub fn limit_log(&self, bytes: u64, now: Instant) {
        let mut cache = self.cache.lock();
        let before = cache.forgotten_bytes();
        cache.limit_log(bytes, now);
        self.turnover.add(0, cache.forgotten_bytes() - before);
    }
}
