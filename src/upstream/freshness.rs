//! Freshness proofs: is a shard at least as new as the store was when a request arrived?
//!
//! The API has no call that asks an API server how far the store is without listing something, so
//! (DESIGN "Freshness", semantics §3.1 and §16 b):
//!
//! 1. a **probe**, a consistent LIST of few objects' metadata, gives a version X; requests that
//!    arrived before it was sent share it, and per shard at most one runs and one waits;
//! 2. the proof is there once the shard's own stream has reached X, or once its objects are found
//!    to be exactly those of a probe that saw all of them: then its state is the state at X;
//! 3. for a large quiet shard an **auxiliary watch** from its version N brings a bookmark B; if no
//!    event came before it and the shard is still at N, nothing happened in (N, B] and it moves to
//!    B. One at a time, shared by all who wait, at most three seconds each.
//!
//! A [`FreshAt`] can only be made here. It does not say that the shard is ready to be read. Lists that
//! no proof comes for in time can share one answer of upstream: [`shared_list`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use tokio::time::timeout;

use crate::{
    api::version::ResourceVersion,
    cache::watch_cache::{Snapshot, Violation},
    shards::shard::{Shard, ShardId},
    telemetry::metrics::{Metrics, proofs::Asked},
    upstream::{
        Upstream,
        probe::{ProbeError, Probed, probe},
        reflector::driver::WentBack,
        turns::Turns,
    },
};

mod auxiliary;
pub mod shared_list;

use self::shared_list::SharedLists;

/// Proof that a shard at this version or later answers a request for the latest state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct FreshAt(ResourceVersion);

/// A state that answers a request for the latest one, or for one not older than a version.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fresh {
    /// The proof.
    pub at: FreshAt,
    /// The state at that version or a later one.
    pub state: Arc<Snapshot>,
    /// The same objects as the shard holds them, maybe at an earlier version: its stream has not
    /// said yet that nothing happened since.
    pub held: Arc<Snapshot>,
}

/// No proof in time.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotProven {
    /// Upstream did not say how far the store is.
    #[error("probe: {0}")]
    Probe(#[from] ProbeError),
    /// The gateway is ending.
    #[error("the probe was abandoned")]
    Abandoned,
    /// The answer is older than what the shard shows.
    #[error(transparent)]
    WentBack(#[from] Violation),
    /// The shard did not get there in the time given.
    #[error("the shard did not reach the store's version in time")]
    TooSlow,
    /// The store itself is not there yet.
    #[error("the store has not reached the version asked for")]
    Ahead,
}

/// How far a request may go for its proof.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long the shard's own stream may take to reach the probe's version.
    pub stream: Duration,
    /// How long the proof may take, probe and auxiliary watches included.
    /// Below half a second no auxiliary watch is begun: it could not bring anything.
    pub total: Duration,
}

/// Proves freshness for one shard.
pub struct Freshness {
    shard: Arc<Shard>,
    upstream: Upstream,
    went_back: WentBack,
    metrics: Metrics,
    probes: Turns<Result<Probed, NotProven>>,
    auxiliaries: Turns<()>,
    lists: Arc<SharedLists>,
}

/// The proofs of all shards of one upstream.
pub struct Proofs {
    upstream: Upstream,
    went_back: WentBack,
    metrics: Metrics,
    by_shard: DashMap<ShardId, Arc<Freshness>>,
    lists: Arc<SharedLists>,
}

/// The least time in which an auxiliary watch can bring its bookmark.
const WORTH_A_WATCH: Duration = Duration::from_millis(500);

// === impl FreshAt ===

impl FreshAt {
    /// The version that an answer must have reached.
    pub fn version(self) -> ResourceVersion {
        self.0
    }
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proofs").field("shards", &self.by_shard.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Freshness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Freshness").field("shard", &self.shard).finish_non_exhaustive()
    }
}

// === impl Proofs ===

impl Proofs {
    /// None yet. `went_back` is told when a probe finds the store older than what a shard shows.
    pub fn new(upstream: Upstream, went_back: WentBack, metrics: Metrics) -> Self {
        let lists = Arc::new(SharedLists::new());
        Self { upstream, went_back, metrics, by_shard: DashMap::new(), lists }
    }

    /// Where they are counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The proofs of a shard, shared by all who ask for them.
    pub fn of(&self, shard: &Arc<Shard>) -> Arc<Freshness> {
        if let Some(freshness) = self.by_shard.get(&shard.id()) {
            return Arc::clone(&freshness);
        }
        // Shards are opened rarely; their number is that of the served types.
        self.by_shard.retain(|_, freshness| !freshness.shard.progress().borrow().closed);
        let freshness = || {
            Arc::new(Freshness {
                shard: Arc::clone(shard),
                upstream: self.upstream.clone(),
                went_back: Arc::clone(&self.went_back),
                metrics: self.metrics.clone(),
                probes: Turns::new(),
                auxiliaries: Turns::new(),
                lists: Arc::clone(&self.lists),
            })
        };
        Arc::clone(&self.by_shard.entry(shard.id()).or_insert_with(freshness))
    }
}

// === impl Freshness ===

impl Freshness {
    /// A state that is as new as the store was at `arrived`, with its proof.
    ///
    /// # Errors
    /// [`NotProven`]; the request is to be forwarded then.
    pub async fn prove(
        self: &Arc<Self>,
        arrived: Instant,
        patience: Patience,
    ) -> Result<Fresh, NotProven> {
        let filled = self.shard.progress().borrow().filled;
        if let Some(filled) = filled.filter(|filled| filled.requested >= arrived)
            && let Some(fresh) = self.fresh(FreshAt(filled.version))
        {
            return Ok(fresh);
        }
        // The request may have waited for the first fill before.
        let deadline = Instant::now() + patience.total;
        let probed =
            timeout(patience.total, self.probe()).await.map_err(|_| NotProven::TooSlow)??;
        if let Some(fresh) = self.compared(&probed, patience.stream).await {
            return Ok(fresh);
        }
        // The stream had its time above.
        self.advance_to(probed.version, deadline).await
    }

    /// Waits until the shard's stream has reached the probe's version, or its state is the one
    /// that the probe saw.
    async fn compared(&self, probed: &Probed, patience: Duration) -> Option<Fresh> {
        let mut progress = self.shard.progress();
        let at = FreshAt(probed.version);
        let settled = async {
            loop {
                progress.borrow_and_update();
                if let Some(fresh) = self.fresh(at) {
                    return Some(fresh);
                }
                let snapshot = self.shard.snapshot()?;
                if probed.is_state_of(&snapshot) {
                    let state = Snapshot { resource_version: at.0, ..Snapshot::clone(&snapshot) };
                    return Some(Fresh { at, state: Arc::new(state), held: snapshot });
                }
                progress.changed().await.ok()?;
            }
        };
        timeout(patience, settled).await.ok()?
    }

    /// The shard's state if it has reached the version by itself.
    fn fresh(&self, at: FreshAt) -> Option<Fresh> {
        let held = self.shard.snapshot().filter(|held| held.resource_version >= at.0)?;
        Some(Fresh { at, state: Arc::clone(&held), held })
    }

    /// Waits until the shard has reached `wanted`, which some client was told by the store.
    ///
    /// # Errors
    /// [`NotProven`]; at once when the store itself is not there yet: upstream waits for that, too.
    pub async fn reach(
        self: &Arc<Self>,
        wanted: ResourceVersion,
        patience: Patience,
    ) -> Result<Fresh, NotProven> {
        // A quiet shard: maybe its objects are those of a later version.
        self.reach_by_comparison(wanted, patience, |_later| true).await
    }

    /// Waits until the shard can tell the state at exactly `wanted`: its state is the one at that
    /// version, or it has reached the version itself. That its objects are those of a later version
    /// says nothing about `wanted`: some may have come and gone.
    ///
    /// # Errors
    /// [`NotProven::Ahead`] at once when the store is not there yet.
    pub async fn reach_exactly(
        self: &Arc<Self>,
        wanted: ResourceVersion,
        patience: Patience,
    ) -> Result<Fresh, NotProven> {
        self.reach_by_comparison(wanted, patience, |probed| probed == wanted).await
    }

    /// Waits for the shard's stream; then compares the shard with a probe, if being the state at the
    /// probe's version `tells` of `wanted`; then has it moved on.
    async fn reach_by_comparison(
        self: &Arc<Self>,
        wanted: ResourceVersion,
        patience: Patience,
        tells: impl Fn(ResourceVersion) -> bool,
    ) -> Result<Fresh, NotProven> {
        let deadline = Instant::now() + patience.total;
        if self.stream_reaches(wanted, patience.stream).await {
            return self.fresh(FreshAt(wanted)).ok_or(NotProven::TooSlow);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let probed = timeout(left, self.probe()).await.map_err(|_| NotProven::TooSlow)??;
        if probed.version < wanted {
            return Err(NotProven::Ahead);
        }
        if tells(probed.version)
            && let Some(fresh) = self.compared(&probed, Duration::ZERO).await
        {
            return Ok(fresh);
        }
        self.advance_to(wanted, deadline).await
    }

    /// Moves the shard to `wanted` by auxiliary watches. One that could not bring anything before
    /// the deadline is not begun.
    async fn advance_to(
        self: &Arc<Self>,
        wanted: ResourceVersion,
        deadline: Instant,
    ) -> Result<Fresh, NotProven> {
        if Instant::now() + WORTH_A_WATCH > deadline {
            return Err(NotProven::TooSlow);
        }
        // Whatever brings the shard there will do. An auxiliary watch that began before this request
        // wanted one may be as good, and to wait for the next would take seconds more.
        let remaining = deadline.saturating_duration_since(Instant::now());
        let reached = tokio::select! {
            () = self.watch_until(wanted) => true,
            reached = self.stream_reaches(wanted, remaining) => reached,
        };
        self.fresh(FreshAt(wanted)).filter(|_| reached).ok_or(NotProven::TooSlow)
    }

    async fn stream_reaches(&self, wanted: ResourceVersion, patience: Duration) -> bool {
        let reached = |version: Option<ResourceVersion>| version.is_some_and(|at| at >= wanted);
        self.shard.wait_until(patience, |progress| reached(progress.version)).await.is_some()
    }

    fn has_reached(&self, wanted: ResourceVersion) -> bool {
        self.shard.resource_version().is_some_and(|version| version >= wanted)
    }

    async fn probe(self: &Arc<Self>) -> Result<Probed, NotProven> {
        let this = Arc::clone(self);
        let outcome = self.probes.share(move || {
            let this = Arc::clone(&this);
            async move { this.run_probe().await }
        });
        outcome.await.unwrap_or(Err(NotProven::Abandoned))
    }

    /// Asks the store for its version.
    async fn run_probe(&self) -> Result<Probed, NotProven> {
        self.metrics.proofs.asked(Asked::Probe);
        let before = self.shard.snapshot();
        let held = before.as_ref().map_or(0, |snapshot| snapshot.objects.len());
        let shown = before.map(|snapshot| snapshot.resource_version);
        let probed = probe(&self.upstream, &self.shard.key().gvr, held).await?;
        self.check(probed.version, shown)?;
        Ok(probed)
    }

    /// A consistent answer can't be older than what the shard showed before it was asked for: then
    /// the store was restored from the past, and nothing that is cached is true any more.
    fn check(
        &self,
        found: ResourceVersion,
        shown: Option<ResourceVersion>,
    ) -> Result<(), Violation> {
        match shown {
            // Shown still: otherwise somebody else noticed and the shard was emptied since.
            Some(shown) if found < shown && self.has_reached(shown) => {
                let violation = Violation::WentBack { found, shown };
                (self.went_back)(&self.shard, &violation);
                Err(violation)
            }
            _ => Ok(()),
        }
    }
}
