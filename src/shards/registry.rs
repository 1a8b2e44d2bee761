//! Every open shard by its key.
//!
//! A shard is opened by the first request that memory could answer, or at start for resources whose
//! policy is eager, and stays until its type changes or memory is short (see [`super::pressure`]).
//! Opening hands the shard to the starter, which keeps it filled; the registry knows nothing of
//! upstream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::{DashMap, mapref::entry::Entry};
use tokio::task::AbortHandle;

use crate::{
    api::resource::{GroupVersionResource, ResourceType},
    cache::{joined::JoinedRoom, log::LogBudget},
    codec::object::Representation,
    sync::Mutex,
    telemetry::metrics::Metrics,
};

use super::{
    history_room::HistoryRoom,
    hub::Hub,
    object_room::{ObjectRoom, group_resource},
    outgrown::Outgrown,
    readers::Readers,
    shard::{Shard, ShardId, ShardKey},
};

/// Starts what fills a shard; dropping the shard from the registry aborts it.
pub type Starter = Box<dyn Fn(Arc<Shard>) -> AbortHandle + Send + Sync>;

/// The open shards.
pub struct Registry {
    shards: DashMap<ShardKey, Entered>,
    next: AtomicU32,
    hubs: Arc<[Arc<Hub>]>,
    budget: LogBudget,
    history_room: Arc<HistoryRoom>,
    joined_room: Arc<JoinedRoom>,
    start: Starter,
    metrics: Metrics,
    /// Set while the cached objects are over their budget: no further shard is opened.
    full: AtomicBool,
    /// Shards that were closed for memory, and the bytes that they and others may take.
    outgrown: Mutex<Outgrown>,
    room: AtomicU64,
    object_room: Arc<ObjectRoom>,
    began: Instant,
    readers: Arc<Readers>,
}

/// Why a shard is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The operator wants it: closed for memory after all others, and not opened while there is no
    /// room.
    Eager,
    /// The gateway itself reads it: opened whatever the memory, never closed for it.
    Gateway,
    /// To answer requests, which can also be forwarded.
    Requests,
}

/// Memory is short; the request is to be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for its objects in the memory budget")]
pub struct MemoryFull;

#[derive(Debug)]
struct Entered {
    shard: Arc<Shard>,
    filler: AbortHandle,
    need: Need,
    /// Seconds after the registry's begin at which a request last wanted it.
    used: AtomicU64,
}

// === impl Registry ===

impl Registry {
    /// No shards yet; each new one gets `budget` for its log and is handed to `start`.
    pub fn new(hubs: Arc<[Arc<Hub>]>, budget: LogBudget, start: Starter) -> Self {
        Self {
            shards: DashMap::new(),
            next: AtomicU32::new(0),
            hubs,
            budget,
            history_room: Arc::new(HistoryRoom::new(budget.bytes)),
            joined_room: Arc::default(),
            start,
            metrics: Metrics::default(),
            full: AtomicBool::new(false),
            outgrown: Mutex::new(Outgrown::default()),
            room: AtomicU64::new(u64::MAX),
            object_room: Arc::default(),
            began: Instant::now(),
            readers: Arc::default(),
        }
    }

    /// The readers of its shards that have not finished.
    pub fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }

    /// Shards count what happens to them here.
    #[must_use]
    pub fn counting(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The shard of a type in a representation, opened now if it was not.
    ///
    /// # Errors
    /// [`MemoryFull`]: it was not open and may not be opened for requests now.
    pub fn open(
        &self,
        resource: &Arc<ResourceType>,
        fingerprint: u64,
        representation: Representation,
        need: Need,
    ) -> Result<Arc<Shard>, MemoryFull> {
        if let Some(shard) = self.get(&resource.gvr, representation) {
            if need != Need::Requests {
                self.keep(shard.key(), need);
            }
            return Ok(shard);
        }
        let key = ShardKey { gvr: resource.gvr.clone(), representation };
        let now = Instant::now();
        let room = self.room.load(Ordering::Relaxed);
        let room = room.min(self.object_room.left(&group_resource(&resource.gvr)));
        let must = need == Need::Gateway;
        if !must && self.is_full() {
            return Err(MemoryFull);
        }
        let bytes = {
            let outgrown = self.outgrown.lock();
            if !must && !outgrown.may_open(&key, room, now) {
                return Err(MemoryFull);
            }
            outgrown.bytes(&key)
        };
        Ok(match self.shards.entry(key) {
            Entry::Occupied(entry) => Arc::clone(&entry.get().shard),
            Entry::Vacant(entry) => {
                let id = ShardId(self.next.fetch_add(1, Ordering::Relaxed));
                let hubs = Arc::clone(&self.hubs);
                let resource = Arc::clone(resource);
                let shard =
                    Shard::new(id, resource, fingerprint, representation, self.budget, hubs);
                let (history, joined) = (&self.history_room, &self.joined_room);
                let shard = shard.sharing(Arc::clone(history), Arc::clone(joined));
                let shard = shard.counting(&self.metrics);
                let shard = if must { shard } else { shard.within(Arc::clone(&self.object_room)) };
                let shard = Arc::new(shard);
                let filler = (self.start)(Arc::clone(&shard));
                let used = AtomicU64::new(self.began.elapsed().as_secs());
                entry.insert(Entered { shard: Arc::clone(&shard), filler, need, used });
                // Others are not to count on the room that this one will take.
                let room = self.room.load(Ordering::Relaxed);
                self.room.store(room.saturating_sub(bytes), Ordering::Relaxed);
                shard
            }
        })
    }

    /// The shard if it is open.
    pub fn get(
        &self,
        gvr: &GroupVersionResource,
        representation: Representation,
    ) -> Option<Arc<Shard>> {
        let key = ShardKey { gvr: gvr.clone(), representation };
        self.shards.get(&key).map(|entered| {
            entered.used.store(self.began.elapsed().as_secs(), Ordering::Relaxed);
            Arc::clone(&entered.shard)
        })
    }

    /// Somebody else needs a shard that requests opened.
    fn keep(&self, key: &ShardKey, need: Need) {
        if let Some(mut entered) = self.shards.get_mut(key)
            && entered.need != Need::Gateway
        {
            entered.need = need;
        }
    }

    /// The open shards that may be closed for memory, with their need and the time since a request
    /// last wanted them.
    pub fn closable(&self) -> Vec<(Arc<Shard>, Need, Duration)> {
        let now = self.began.elapsed().as_secs();
        self.shards
            .iter()
            .filter(|entered| entered.need != Need::Gateway)
            .map(|entered| {
                let idle = now.saturating_sub(entered.used.load(Ordering::Relaxed));
                (Arc::clone(&entered.shard), entered.need, Duration::from_secs(idle))
            })
            .collect()
    }

    /// What objects may take, together and by resource.
    pub fn object_room(&self) -> &ObjectRoom {
        &self.object_room
    }

    /// Says whether further shards may be opened for requests.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Whether no further shard is opened for requests.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// What the logs may take at their beginnings, together.
    pub fn history_room(&self) -> &HistoryRoom {
        &self.history_room
    }

    /// Says how many more bytes of objects there may be, those of shards under way not counted.
    pub(super) fn set_room(&self, bytes: u64) {
        let outgrown = self.outgrown.lock();
        let empty = self.all().into_iter().filter(|shard| shard.snapshot().is_none());
        let expected: u64 = empty.map(|shard| outgrown.bytes(shard.key())).sum();
        self.room.store(bytes.saturating_sub(expected), Ordering::Relaxed);
    }

    /// Closes a shard of this size to make room. It is opened again when it fits, or after a while.
    pub fn close_for_memory(&self, shard: &Shard, bytes: u64) {
        self.outgrown.lock().close(shard.key(), bytes, Instant::now());
        self.close(|candidate| candidate.id() == shard.id());
    }

    /// Closes the shards that `unwanted` names: their watches end and nothing fills them any more.
    pub fn close(&self, unwanted: impl Fn(&Shard) -> bool) -> usize {
        let mut closed = Vec::new();
        self.shards.retain(|_, entered| {
            let keep = !unwanted(&entered.shard);
            if !keep {
                entered.filler.abort();
                closed.push(Arc::clone(&entered.shard));
            }
            keep
        });
        for shard in &closed {
            shard.clear(true);
        }
        closed.len()
    }

    /// Empties every shard: the store behind them is not the one they show. Their fillers begin
    /// anew.
    pub fn clear_all(&self) {
        for shard in self.all() {
            shard.clear(false);
        }
    }

    /// All open shards.
    pub fn all(&self) -> Vec<Arc<Shard>> {
        self.shards.iter().map(|entered| Arc::clone(&entered.shard)).collect()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("open", &self.shards.len()).finish_non_exhaustive()
    }
}
