//! Rebuilding older states: aside from the threads that serve connections, each once for all who
//! want it, and few at a time.
//!
//! Whoever doesn't get a state is to be forwarded. Does not wait for a shard to get anywhere.

use std::{
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};
use tracing::warn;

use crate::{
    api::version::ResourceVersion,
    cache::{
        past::{Past, Rebuild},
        watch_cache::Snapshot,
    },
};

use super::shard::{Shard, ShardId};

/// The rebuilds of all shards.
#[derive(Debug)]
pub struct Rebuilds {
    turns: Arc<Semaphore>,
    under_way: Mutex<HashMap<Wanted, Weak<Shared>>>,
}

/// One state of one shard; the generation tells apart what was before and after the shard was
/// emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    shard: ShardId,
    generation: u64,
    version: ResourceVersion,
}

/// `None` when it could not be made.
type Shared = OnceCell<Option<Arc<Snapshot>>>;

/// How long a request waits for others' rebuilds: as long as a list waits for freshness.
const TURN: Duration = Duration::from_millis(100);

// === impl Rebuilds ===

impl Default for Rebuilds {
    fn default() -> Self {
        Self::new()
    }
}

impl Rebuilds {
    /// None under way. One in four cores, at least one, may be busy with them.
    pub fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new((cores / 4).max(1)));
        Self { turns, under_way: Mutex::default() }
    }

    /// The state of the shard at exactly `version`; `None` when it is not known, or others' rebuilds
    /// take too long.
    pub async fn state_at(
        &self,
        shard: &Arc<Shard>,
        version: ResourceVersion,
    ) -> Option<Arc<Snapshot>> {
        let rebuild = match shard.state_at(version) {
            Past::Held(state) => return Some(state),
            Past::Ahead | Past::Gone => return None,
            Past::Rebuild(rebuild) => rebuild,
        };
        let generation = rebuild.base().generation;
        let shared = self.shared(Wanted { shard: shard.id(), generation, version });
        shared.get_or_init(|| self.rebuild(Arc::clone(shard), rebuild)).await.clone()
    }

    /// The place where the result will be, shared as long as anybody waits for it.
    fn shared(&self, wanted: Wanted) -> Arc<Shared> {
        let mut under_way = self.under_way.lock();
        if let Some(shared) = under_way.get(&wanted).and_then(Weak::upgrade) {
            return shared;
        }
        under_way.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(OnceCell::new());
        under_way.insert(wanted, Arc::downgrade(&shared));
        shared
    }

    /// What was begun is finished and kept even if nobody waits for it any more.
    async fn rebuild(&self, shard: Arc<Shard>, rebuild: Rebuild) -> Option<Arc<Snapshot>> {
        let turn = timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await.ok()?.ok()?;
        // Somebody may have begun it, gone away, and had it kept in the meantime.
        if let Past::Held(state) = shard.state_at(rebuild.version()) {
            return Some(state);
        }
        let work = move || {
            let state = Arc::new(rebuild.run());
            shard.keep(&state);
            shard.count_past();
            drop(turn);
            state
        };
        let state = tokio::task::spawn_blocking(work).await;
        state.inspect_err(|error| warn!(%error, "an older state could not be rebuilt")).ok()
    }
}

#[cfg(test)]
mod tests;
