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
//! A [`FreshAt`] can only be made here. It does not say that the shard is ready to be read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{
    api::version::ResourceVersion,
    cache::watch_cache::{Snapshot, Violation},
    codec::{frame_decoder::FrameDecoder, watch_event::WatchEvent},
    shards::shard::{Shard, ShardId},
    upstream::{
        Lane, RequestBody, Upstream,
        probe::{Probed, probe},
        reflector::{driver::WentBack, machine::accept},
        turns::Turns,
    },
};

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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// Upstream did not say how far the store is.
    #[error("probe: {0}")]
    Probe(Arc<str>),
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
    /// How long the proof may take from the request's arrival, probe and auxiliary watches included.
    /// Below half a second no auxiliary watch is begun: it could not bring anything.
    pub total: Duration,
}

/// Proves freshness for one shard.
pub struct Freshness {
    shard: Arc<Shard>,
    upstream: Upstream,
    went_back: WentBack,
    probes: Turns<Result<Probed, Arc<str>>>,
    auxiliaries: Turns<()>,
}

/// The proofs of all shards of one upstream.
pub struct Proofs {
    upstream: Upstream,
    went_back: WentBack,
    by_shard: DashMap<ShardId, Arc<Freshness>>,
}

/// With `timeoutSeconds=3` bookmarks come at 0.5–0.8 s and 1.6–1.9 s; with 2 or less never
/// (semantics §5.4).
const AUXILIARY_SECONDS: u64 = 3;

/// The least time in which an auxiliary watch can bring its bookmark.
const WORTH_A_WATCH: Duration = Duration::from_millis(500);

/// Between auxiliary watches that brought nothing.
const PAUSE: Duration = Duration::from_millis(200);

/// A frame of an auxiliary watch may be an object.
const MAX_FRAME: usize = 64 << 20;

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
    pub fn new(upstream: Upstream, went_back: WentBack) -> Self {
        Self { upstream, went_back, by_shard: DashMap::new() }
    }

    /// The proofs of a shard, shared by all who ask for them.
    pub fn of(&self, shard: &Arc<Shard>) -> Arc<Freshness> {
        if let Some(freshness) = self.by_shard.get(&shard.id()) {
            return Arc::clone(&freshness);
        }
        // Shards are opened rarely; their number is that of the served types.
        self.by_shard.retain(|_, freshness| !freshness.shard.progress().borrow().closed);
        let freshness =
            Freshness::new(Arc::clone(shard), self.upstream.clone(), Arc::clone(&self.went_back));
        Arc::clone(&self.by_shard.entry(shard.id()).or_insert_with(|| Arc::new(freshness)))
    }
}

// === impl Freshness ===

impl Freshness {
    /// Proofs for `shard`, asked of the upstream that fills it.
    pub fn new(shard: Arc<Shard>, upstream: Upstream, went_back: WentBack) -> Self {
        Self { shard, upstream, went_back, probes: Turns::new(), auxiliaries: Turns::new() }
    }

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
        let left = patience.total.saturating_sub(arrived.elapsed());
        let probed = timeout(left, self.probe()).await.map_err(|_| NotProven::TooSlow)??;
        if let Some(fresh) = self.compared(&probed, patience.stream).await {
            return Ok(fresh);
        }
        // The stream had its time above.
        self.advance_to(probed.version, arrived + patience.total).await
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
    /// [`NotProven::TooSlow`].
    pub async fn reach(
        self: &Arc<Self>,
        wanted: ResourceVersion,
        arrived: Instant,
        patience: Patience,
    ) -> Result<Fresh, NotProven> {
        if self.stream_reaches(wanted, patience.stream).await {
            return self.fresh(FreshAt(wanted)).ok_or(NotProven::TooSlow);
        }
        // A quiet shard: maybe its objects are those of a later version.
        let left = patience.total.saturating_sub(arrived.elapsed());
        let probed = timeout(left, self.probe()).await.map_err(|_| NotProven::TooSlow)??;
        if probed.version >= wanted
            && let Some(fresh) = self.compared(&probed, Duration::ZERO).await
        {
            return Ok(fresh);
        }
        self.advance_to(wanted, arrived + patience.total).await
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
        arrived: Instant,
        patience: Patience,
    ) -> Result<Fresh, NotProven> {
        if self.stream_reaches(wanted, patience.stream).await {
            return self.fresh(FreshAt(wanted)).ok_or(NotProven::TooSlow);
        }
        let left = patience.total.saturating_sub(arrived.elapsed());
        let probed = timeout(left, self.probe()).await.map_err(|_| NotProven::TooSlow)??;
        if probed.version < wanted {
            return Err(NotProven::Ahead);
        }
        if probed.version == wanted
            && let Some(fresh) = self.compared(&probed, Duration::ZERO).await
        {
            return Ok(fresh);
        }
        self.advance_to(wanted, arrived + patience.total).await
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

    /// Runs auxiliary watches until the shard has reached `wanted`.
    async fn watch_until(self: &Arc<Self>, wanted: ResourceVersion) {
        while !self.has_reached(wanted) {
            let before = self.shard.resource_version();
            self.auxiliary().await;
            if self.shard.resource_version() == before {
                // Refused or without news: not in a tight loop.
                tokio::time::sleep(PAUSE).await;
            }
        }
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
            async move { this.run_probe().await.map_err(Arc::from) }
        });
        match outcome.await {
            Some(outcome) => outcome.map_err(NotProven::Probe),
            None => Err(NotProven::Probe("the probe was abandoned".into())),
        }
    }

    async fn auxiliary(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let outcome = self.auxiliaries.share(move || {
            let this = Arc::clone(&this);
            async move { this.run_auxiliary().await }
        });
        if outcome.await.is_none() {
            tracing::debug!(shard = %self.shard.key(), "auxiliary watch abandoned");
        }
    }

    /// Asks the store for its version. It can't be below one that the shard showed before: then the
    /// store was restored from the past, and nothing that is cached is true any more.
    async fn run_probe(&self) -> Result<Probed, String> {
        let before = self.shard.snapshot();
        let held = before.as_ref().map_or(0, |snapshot| snapshot.objects.len());
        let shown = before.map(|snapshot| snapshot.resource_version);
        let probed = probe(&self.upstream, &self.shard.key().gvr, held).await?;
        let found = probed.version;
        match shown {
            // Shown still: otherwise somebody else noticed and the shard was emptied since.
            Some(shown) if found < shown && self.has_reached(shown) => {
                let violation = Violation::WentBack { found, shown };
                (self.went_back)(&self.shard, &violation);
                Err(violation.to_string())
            }
            _ => Ok(probed),
        }
    }

    /// One auxiliary watch, from the shard's version until its first bookmark or event. Whatever
    /// goes wrong only costs the proof, which is then refused for lack of time.
    async fn run_auxiliary(&self) {
        let Some(from) = self.shard.resource_version() else { return };
        if let Some(to) = self.first_bookmark(from).await
            && self.shard.advance(from, to)
        {
            tracing::debug!(shard = %self.shard.key(), %from, %to, "quiet shard advanced");
        }
    }

    async fn first_bookmark(&self, from: ResourceVersion) -> Option<ResourceVersion> {
        let key = self.shard.key();
        let target = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={AUXILIARY_SECONDS}&resourceVersion={from}",
            key.gvr.path(),
        );
        let request = Request::get(target)
            .header(header::ACCEPT, accept(key.representation, true))
            .body(RequestBody::empty())
            .ok()?;
        let watch = async {
            let response = self.upstream.send(Lane::Gateway, request).await.ok()?;
            if response.status() != StatusCode::OK {
                return None;
            }
            let mut decoder = FrameDecoder::new(key.representation, MAX_FRAME);
            let mut body = response.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                let Ok(chunk) = frame.into_data() else { continue };
                decoder.push(chunk);
                if let Some(frame) = decoder.next_frame().ok()? {
                    return match self.shard.codec().decode_watch_event(frame).ok()? {
                        WatchEvent::Bookmark(bookmark) => Some(bookmark.resource_version),
                        _ => None,
                    };
                }
            }
            None
        };
        timeout(Duration::from_secs(AUXILIARY_SECONDS + 1), watch).await.ok()?
    }
}
