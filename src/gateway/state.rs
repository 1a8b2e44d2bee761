//! The state that answers a read: waits for the proof that the read's requirement takes.
//!
//! Guarantees: a state for [`Requirement::Latest`] comes with the [`FreshAt`] that shows it new
//! enough; one for [`Requirement::Exact`] is the state at that very version. Does not look at permissions; who serves the state does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::debug;

use crate::{
    api::version::ResourceVersion,
    cache::watch_cache::Snapshot,
    shards::{rebuilds::Rebuilds, shard::Shard},
    telemetry::metrics::proofs::{Outcome, Wanted},
    upstream::freshness::{Fresh, FreshAt, NotProven, Patience, Proofs},
};

use super::{decide::Requirement, reason::ForwardReason};

/// A state that meets the request's requirement.
pub(super) struct Readable {
    /// The objects.
    pub(super) snapshot: Arc<Snapshot>,
    /// `None` when any state would do.
    pub(super) proof: Option<Proof>,
}

/// That the state is new enough, and the shard's own view of the same objects.
pub(super) struct Proof {
    /// The version that had to be reached.
    pub(super) at: FreshAt,
    /// The same objects as the shard holds them, maybe at an earlier version.
    pub(super) held: Arc<Snapshot>,
}

/// What upstream waits for a version to come (semantics §3.1).
const BLOCK: Duration = Duration::from_secs(3);

/// A list waits for the shard's own stream only: longer costs more than asking upstream.
pub(super) const LIST: Patience =
    Patience { stream: Duration::from_millis(100), total: Duration::from_millis(400) };

/// Clients that open a watch with the state wait anyway (DESIGN "Freshness"). As long as it takes
/// those who come while a probe and an auxiliary watch run: these, and then two of their own.
pub(super) const WATCH: Patience =
    Patience { stream: Duration::from_millis(100), total: Duration::from_secs(6) };

/// Waits until the shard meets the requirement.
///
/// # Errors
/// Why the request is to be forwarded.
pub(super) async fn readable(
    proofs: &Proofs,
    rebuilds: &Rebuilds,
    shard: &Arc<Shard>,
    requirement: Requirement,
    patience: Patience,
    arrived: Instant,
) -> Result<Readable, ForwardReason> {
    // Who waits for the fill is the matter of `admission`.
    if shard.resource_version().is_none() {
        // What a fill that is still to come finds is newer than any version that a client knows.
        let past = matches!(requirement, Requirement::Exact(_));
        return Err(if past { ForwardReason::Exact } else { ForwardReason::Cold });
    }
    let freshness = proofs.of(shard);
    let fresh = match requirement {
        Requirement::Any => {
            let snapshot = shard.snapshot().ok_or(ForwardReason::Cold)?;
            return Ok(Readable { snapshot, proof: None });
        }
        Requirement::AtLeast(version) => {
            let patience = Patience { total: BLOCK, ..patience };
            counted(proofs, Wanted::NotOlderThan, freshness.reach(version, patience)).await
        }
        Requirement::Latest => {
            counted(proofs, Wanted::Latest, freshness.prove(arrived, patience)).await
        }
        Requirement::Exact(version) => {
            let snapshot = past(proofs, rebuilds, shard, version).await?;
            return Ok(Readable { snapshot, proof: None });
        }
    };
    let fresh = fresh.map_err(|error| not_proven(shard, &error))?;
    let Fresh { at, state, held } = fresh;
    Ok(Readable { snapshot: state, proof: Some(Proof { at, held }) })
}

/// The state at exactly `version`. Waits as long as upstream does if the shard is not there yet: the
/// pages that follow will be here.
async fn past(
    proofs: &Proofs,
    rebuilds: &Rebuilds,
    shard: &Arc<Shard>,
    version: ResourceVersion,
) -> Result<Arc<Snapshot>, ForwardReason> {
    if let Some(state) = rebuilds.state_at(shard, version).await {
        return Ok(state);
    }
    if shard.resource_version().is_some_and(|shown| shown >= version) {
        return Err(ForwardReason::Exact);
    }
    let freshness = proofs.of(shard);
    let reaching = freshness.reach_exactly(version, Patience { total: BLOCK, ..WATCH });
    let reached = counted(proofs, Wanted::Exactly, reaching).await;
    let Fresh { state, .. } = reached.map_err(|error| not_proven(shard, &error))?;
    if state.resource_version == version {
        return Ok(state);
    }
    rebuilds.state_at(shard, version).await.ok_or(ForwardReason::Exact)
}

/// Counts what comes of a proof.
async fn counted(
    proofs: &Proofs,
    wanted: Wanted,
    proof: impl Future<Output = Result<Fresh, NotProven>>,
) -> Result<Fresh, NotProven> {
    let began = Instant::now();
    let proven = proof.await;
    let outcome = match &proven {
        Ok(_) => Outcome::Proven,
        Err(NotProven::Probe(_) | NotProven::Abandoned) => Outcome::ProbeFailed,
        Err(NotProven::WentBack(_)) => Outcome::WentBack,
        Err(NotProven::TooSlow) => Outcome::TooSlow,
        Err(NotProven::Ahead) => Outcome::Ahead,
    };
    proofs.metrics().proofs.count(wanted, outcome, began.elapsed());
    proven
}

fn not_proven(shard: &Shard, error: &NotProven) -> ForwardReason {
    debug!(shard = %shard.key(), %error, "forwarding for want of a proof");
    ForwardReason::NotProven
}

// === impl Readable ===

impl Readable {
    /// The version of the state that a watch begins with, taken after the proof. What the proof was
    /// about has either grown to its version since, or is unchanged and known to be the state at it.
    pub(super) fn begins_at(&self, taken: &Snapshot) -> Result<ResourceVersion, ForwardReason> {
        let Some(Proof { at, held }) = &self.proof else { return Ok(taken.resource_version) };
        if taken.resource_version >= at.version() {
            return Ok(taken.resource_version);
        }
        let unchanged =
            taken.generation == held.generation && taken.resource_version == held.resource_version;
        if unchanged { Ok(self.snapshot.resource_version) } else { Err(ForwardReason::NotProven) }
    }
}
