//! The shard's past: looked up under its lock, counted and rebuilt outside of it.

use std::{sync::Arc, time::Instant};

use crate::{
    api::version::ResourceVersion,
    cache::{
        map::bytes_apart,
        past::{Past, PastStates},
        watch_cache::Snapshot,
    },
};

use super::Shard;

/// What a shard's kept states may hold beyond the present one: one more copy of 10,000 pods.
const KEPT_BYTES: u64 = 64 << 20;

// === impl Shard ===

impl Shard {
    /// The state at exactly `version`, or how to come by it.
    pub fn state_at(&self, version: ResourceVersion) -> Past {
        if let Some(present) = self.snapshot().filter(|held| held.resource_version == version) {
            return Past::Held(present);
        }
        self.cache.lock().state_at(version)
    }

    /// Keeps a state for the pages to come.
    pub fn keep(&self, state: &Arc<Snapshot>) {
        let removed = self.cache.lock().keep(Arc::clone(state));
        // Not under the lock.
        drop(removed);
    }

    /// Lets the past age. To be called every few seconds.
    pub fn tend_past(&self, now: Instant) {
        let aged = self.cache.lock().tend_past(now);
        drop(aged);
        self.count_past();
    }

    /// Holds the kept states within their bounds. Takes time: not to be called on a thread that
    /// serves connections.
    pub fn count_past(&self) {
        let kept = self.cache.lock().past().map_or_else(Vec::new, PastStates::kept);
        if kept.is_empty() {
            return;
        }
        let Some(present) = self.snapshot() else { return };
        let bytes = bytes_apart(&present.objects, kept.iter().map(|state| &state.objects));
        let mut held = 0;
        let fitting = bytes.iter().take_while(|bytes| {
            let fits = held + **bytes <= KEPT_BYTES;
            held += if fits { **bytes } else { 0 };
            fits
        });
        let fitting = fitting.count();
        self.cache.lock().drop_kept(&kept[fitting..], held);
    }

    /// Drops every kept state: memory is short.
    pub fn drop_past(&self) {
        let kept = {
            let mut cache = self.cache.lock();
            let kept = cache.past().map_or_else(Vec::new, PastStates::kept);
            cache.drop_kept(&kept, 0);
            kept
        };
        // Not under the lock.
        drop(kept);
    }
}
