//! How a watch begins: with a state, after a version, or after whatever is now.
//!
//! Guarantees: the state is taken together with the subscription, so no event falls between the two.
//! What the log does not cover is said, not served: before that it is extended backwards if that can
//! be done soon, and a version that upstream itself no longer has is refused in upstream's words.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rand::RngExt as _;

use crate::{
    api::{
        negotiate::MediaType,
        options::{EventsAfter, WatchRequest, WatchStart, WatchTimeout},
        status::Status,
        version::ResourceVersion,
    },
    cache::audience::AudienceKey,
    gateway::{list, reason::ForwardReason, state::Readable},
    shards::{
        hub::Hub,
        readers::Holding,
        shard::{NotCovered, Shard},
    },
    upstream::history::Histories,
};

use super::{Limits, Start, WatchBody};

/// Upstream's choice when a watch names no timeout (semantics §5.5).
const WATCH_SECONDS: std::ops::Range<u64> = 1800..3600;

/// What a watch from before the log waits for the log to be extended: the herd is gathered for two
/// seconds, and a quiet resource's bookmark takes as long.
const COVER: Duration = Duration::from_secs(6);

/// Waits until the shard's log reaches back to where the watch begins, or it is clear that it won't.
pub(in crate::gateway) async fn cover(
    histories: &Histories,
    shard: &Arc<Shard>,
    request: &WatchRequest,
) {
    if let Some(version) = resumed_at(request) {
        histories.cover(shard, version, COVER).await;
    }
}

/// The stream with which upstream would refuse a watch that is not covered: one ERROR event
/// (semantics §5.1). `None` when upstream may still have what happened since, unless that does not
/// help: as a `last_resort` the shard refuses as an API server does that has just begun to watch.
pub(in crate::gateway) fn refusal(
    histories: &Histories,
    shard: &Shard,
    request: &WatchRequest,
    last_resort: bool,
) -> Option<Bytes> {
    let version = resumed_at(request)?;
    let upstream = histories.floor_above(shard, version);
    let own = || shard.log_start().filter(|start| last_resort && *start > version);
    let status = Status::watch_expired(version, upstream.or_else(own)?);
    let status = match shard.key().representation.media_type() {
        MediaType::Json => status.to_json(),
        MediaType::Protobuf => status.to_protobuf(),
    };
    Some(shard.codec().frame_error(&status))
}

fn resumed_at(request: &WatchRequest) -> Option<ResourceVersion> {
    match request.start {
        WatchStart::Events(EventsAfter::Version(version)) => Some(version),
        _ => None,
    }
}

/// The body of a watch of a shard that meets the request's requirement.
///
/// # Errors
/// Why it is to be forwarded.
pub(in crate::gateway) fn begin(
    readable: &Readable,
    shard: &Arc<Shard>,
    hub: &Arc<Hub>,
    request: &WatchRequest,
    audience: AudienceKey,
    limits: Limits,
) -> Result<WatchBody, ForwardReason> {
    let template = readable.snapshot.template.clone();
    if request.bookmarks && template.is_none() {
        // Upstream has not shown yet what its bookmarks of this type look like.
        return Err(ForwardReason::Cold);
    }
    let template = template.filter(|_| request.bookmarks);
    let after = match request.start {
        WatchStart::State { marks_end, .. } => {
            // Read before the state is taken: it may be counted as older than it is, never as newer.
            let turnover = Arc::clone(shard.turnover());
            let since = turnover.replaced();
            let state = shard.subscribe_with_state(hub, audience.clone());
            let (subscription, snapshot) = state.map_err(not_covered)?;
            let version = readable.begins_at(&snapshot)?;
            let start = Start::State {
                objects: snapshot
                    .objects
                    .owned_range(list::key_range(&audience, shard.resource().scope)),
                version,
                announce_end: marks_end,
            };
            let whole = snapshot.objects.resident_bytes();
            let holding = Holding::State { turnover, since, part: whole, whole };
            let body = WatchBody::new(subscription, audience, start, template, limits);
            return Ok(body.holding(holding));
        }
        WatchStart::Events(EventsAfter::Version(version)) => version,
        WatchStart::Events(EventsAfter::Latest) => {
            readable.proof.as_ref().ok_or(ForwardReason::NotProven)?.at.version()
        }
        WatchStart::Events(EventsAfter::Any) => readable.snapshot.resource_version,
    };
    let turnover = Arc::clone(shard.turnover());
    let holding = Holding::Events { since: turnover.forgotten(), turnover };
    let events = shard.subscribe_after(hub, audience.clone(), after);
    let (subscription, replay) = events.map_err(not_covered)?;
    let start = Start::After { replay, version: after };
    Ok(WatchBody::new(subscription, audience, start, template, limits).holding(holding))
}

/// When a watch ends by itself.
pub(in crate::gateway) fn timeout(requested: WatchTimeout) -> Duration {
    requested
        .requested()
        .unwrap_or_else(|| Duration::from_secs(rand::rng().random_range(WATCH_SECONDS)))
}

fn not_covered(error: NotCovered) -> ForwardReason {
    match error {
        NotCovered::NotFilled => ForwardReason::Cold,
        NotCovered::TooOld => ForwardReason::Uncovered,
    }
}
