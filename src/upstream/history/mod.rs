//! What happened before a shard's log begins: one shared extension instead of a watch for each.
//!
//! After a restart of the gateway every client resumes its watches at versions from before the logs.
//! Those who ask within a tenth of a second, or two seconds more while they are many, are served by
//! one upstream watch per shard, from the least version asked for and some way below it for those
//! still to come. What it brings is proven complete (`cache::backlog`) and put before the log. Where
//! upstream refuses, its floor is remembered and later watches are refused from memory.
//!
//! Guarantees: per shard one extension runs and at most one waits; whatever goes wrong leaves the
//! log as it is, and whoever waited is forwarded. Does not answer watches: `gateway::watch` does.

mod extension;
mod floor;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tracing::{debug, info};

use crate::{
    api::version::ResourceVersion,
    shards::shard::{Shard, ShardId},
    upstream::{Upstream, turns::Turns},
};

use self::extension::{NotExtended, Range, extend};

pub use self::floor::{Epoch, Floors};

/// The histories of all shards of one upstream.
pub struct Histories {
    upstream: Upstream,
    floors: Floors,
    background: Handle,
    by_shard: DashMap<ShardId, Arc<History>>,
}

/// How one shard's log is extended backwards.
struct History {
    shard: Arc<Shard>,
    upstream: Upstream,
    floors: Floors,
    demand: Mutex<Demand>,
    turns: Turns<()>,
}

#[derive(Debug, Default)]
struct Demand {
    /// The least version that somebody waits for.
    least: Option<ResourceVersion>,
    /// How many wait.
    askers: usize,
    /// Until when nothing is tried: the last extension failed for no reason that asking again mends.
    not_before: Option<Instant>,
    /// The state at this version was needed, and compacted.
    compacted: Option<Compacted>,
}

/// One version that is too old must not spoil the extension for all who want less.
#[derive(Clone, Copy, Debug)]
struct Compacted {
    version: ResourceVersion,
    /// How often the shard had been emptied: another store may be behind it since.
    cleared: u64,
}

/// How long an extension waits for others that want one.
const GATHER: Duration = Duration::from_millis(100);

/// When so many have come by then it waits on, for as many turns as still bring more than a few:
/// clients that lost the gateway come back over some seconds, and the one with the oldest version
/// need not be among the first. One who is missed costs another upstream watch.
const HERD: usize = 8;
const GATHER_TURN: Duration = Duration::from_millis(400);
const GATHER_TURNS: usize = 5;

/// A turn that brings less than this share of all brings few.
const FEW: usize = 16;

/// An extension takes no longer: the backlog comes at once, a bookmark within two seconds, the state
/// of 100,000 objects in some ten. Those who came first have gone by then, but their clients try again,
/// and given up it would have to be begun again for every one of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// After a failure watches are forwarded for this long.
const PAUSE: Duration = Duration::from_secs(10);

/// An extension goes this share further than it must, for those still to come. Not far: the oldest
/// versions that clients know are those of watches that never saw an event, and may lie just above
/// upstream's floor, below which a watch is refused and has to be opened again.
const MARGIN_SHARE: u64 = 16;

impl std::fmt::Debug for Histories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histories").field("shards", &self.by_shard.len()).finish_non_exhaustive()
    }
}

// === impl Histories ===

impl Histories {
    /// None asked for yet. Extensions run on `background`, away from connections.
    pub fn new(upstream: Upstream, floors: Floors, background: Handle) -> Self {
        Self { upstream, floors, background, by_shard: DashMap::new() }
    }

    /// Sees to it that the shard's log begins at `version` or earlier, if that can be done within
    /// `patience`. Whether it does is for the caller to see.
    pub async fn cover(&self, shard: &Arc<Shard>, version: ResourceVersion, patience: Duration) {
        let history = self.of(shard);
        if !history.wants(version) {
            return;
        }
        let run = self.background.spawn(async move {
            let this = Arc::clone(&history);
            let work = move || {
                let this = Arc::clone(&this);
                async move { this.run().await }
            };
            history.turns.share(work).await
        });
        // Too late, or abandoned: the watch is forwarded.
        if !matches!(timeout(patience, run).await, Ok(Ok(Some(())))) {
            debug!(shard = %shard.key(), %version, "not covered in time");
        }
    }

    /// Upstream's floor, if a watch from `version` lies below it: upstream would refuse it.
    pub fn floor_above(&self, shard: &Shard, version: ResourceVersion) -> Option<ResourceVersion> {
        self.floors.of(shard).filter(|floor| *floor > version)
    }

    fn of(&self, shard: &Arc<Shard>) -> Arc<History> {
        if let Some(history) = self.by_shard.get(&shard.id()) {
            return Arc::clone(&history);
        }
        // Shards are opened rarely; their number is that of the served types.
        self.by_shard.retain(|_, history| !history.shard.progress().borrow().closed);
        let history = History {
            shard: Arc::clone(shard),
            upstream: self.upstream.clone(),
            floors: self.floors.clone(),
            demand: Mutex::default(),
            turns: Turns::new(),
        };
        Arc::clone(&self.by_shard.entry(shard.id()).or_insert_with(|| Arc::new(history)))
    }
}

// === impl History ===

impl History {
    /// Notes that somebody wants the log to reach back to `version`; false when it does, or when
    /// nothing can be done about it.
    fn wants(&self, version: ResourceVersion) -> bool {
        if self.shard.log_start().is_none_or(|start| version >= start)
            || self.floors.of(&self.shard).is_some_and(|floor| version < floor)
        {
            return false;
        }
        let cleared = self.shard.progress().borrow().cleared;
        let mut demand = self.demand.lock();
        if demand.is_paused(Instant::now()) || demand.is_compacted(version, cleared) {
            return false;
        }
        demand.least = Some(demand.least.map_or(version, |least| least.min(version)));
        demand.askers += 1;
        true
    }

    async fn run(&self) {
        if self.demand.lock().least.is_none() {
            // Whoever waits for this run was part of the one before.
            return;
        }
        self.gather().await;
        let Some(least) = self.demand.lock().take(Instant::now()) else { return };
        let key = self.shard.key();
        let cleared = self.shard.progress().borrow().cleared;
        match timeout(PATIENCE, self.extend(least)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(extended))) => {
                let (start, events) = (extended.start, extended.events);
                info!(shard = %key, %start, events, "history extended backwards");
                if extended.is_cut {
                    // Asked again it would read all of upstream's history, and have room for none.
                    self.pause("it has no room for more");
                }
            }
            Ok(Err(NotExtended::Compacted(version))) => {
                info!(shard = %key, %version, "history not extended: its state is compacted");
                self.demand.lock().compacted = Some(Compacted { version, cleared });
            }
            Ok(Err(error)) => self.pause(&error.to_string()),
            Err(_) => self.pause("it took too long"),
        }
    }

    async fn gather(&self) {
        sleep(GATHER).await;
        let mut before = 0;
        for _ in 0..GATHER_TURNS {
            let askers = self.demand.lock().askers;
            if askers < HERD || askers - before <= askers / FEW {
                return;
            }
            before = askers;
            sleep(GATHER_TURN).await;
        }
    }

    fn pause(&self, reason: &str) {
        info!(shard = %self.shard.key(), reason, "history not extended; older watches are forwarded");
        self.demand.lock().not_before = Some(Instant::now() + PAUSE);
    }

    /// One extension, and one more try from upstream's floor if it refuses the first.
    async fn extend(
        &self,
        least: ResourceVersion,
    ) -> Result<Option<extension::Extended>, NotExtended> {
        let mut refused = false;
        loop {
            let Some(beginning) = self.shard.beginning() else { return Ok(None) };
            let floor = self.floors.of(&self.shard);
            let Some(range) = range(least, beginning.version, floor) else { return Ok(None) };
            let epoch = self.floors.epoch();
            match extend(&self.upstream, &self.shard, beginning, range).await {
                Ok(extended) => return Ok(Some(extended)),
                Err(NotExtended::BelowFloor(floor)) if !refused => {
                    self.floors.learn(epoch, &self.shard, floor);
                    refused = true;
                }
                Err(error) => {
                    if let NotExtended::BelowFloor(floor) = error {
                        self.floors.learn(epoch, &self.shard, floor);
                    }
                    return Err(error);
                }
            }
        }
    }
}

// === impl Demand ===

impl Demand {
    fn is_paused(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|until| now < until)
    }

    fn is_compacted(&self, version: ResourceVersion, cleared: u64) -> bool {
        self.compacted.is_some_and(|known| version <= known.version && cleared == known.cleared)
    }

    /// What is wanted, unless nothing is to be tried now.
    fn take(&mut self, now: Instant) -> Option<ResourceVersion> {
        self.askers = 0;
        let least = self.least.take();
        least.filter(|_| !self.is_paused(now))
    }
}

/// From where to extend a log that begins at `start` so that watches from `least` on are covered, and
/// some from below it. A young store has not come that far: half of its versions are left alone.
/// `None` when there is nothing to be had above the floor.
fn range(
    least: ResourceVersion,
    start: ResourceVersion,
    floor: Option<ResourceVersion>,
) -> Option<Range> {
    let least = floor.map_or(least, |floor| least.max(floor));
    let distance = start.get().checked_sub(least.get()).filter(|distance| *distance > 0)?;
    let mut margin = (distance / MARGIN_SHARE).min(least.get() / 2);
    if let Some(floor) = floor {
        // It may have risen since it was learned.
        let above = least.get() - floor.get();
        margin = margin.min(above - above / 8);
    }
    let from = ResourceVersion::new(least.get() - margin).unwrap_or(least);
    Some(Range { from, least })
}

#[cfg(test)]
mod tests;
