//! Answering from memory: open the shard, wait until it is good enough, make the response.
//!
//! Every path to cached bytes takes an [`Authorized`]; a state for [`Requirement::Latest`] takes a
//! [`FreshAt`]. What can't be served says why, and is forwarded.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use rand::RngExt as _;
use tracing::{debug, warn};

use crate::{
    api::{
        negotiate::AnswerKind,
        object_key::ObjectKey,
        options::{EventsAfter, ListRequest, WatchRequest, WatchStart, WatchTimeout},
        resource::Scope,
        version::ResourceVersion,
    },
    cache::{audience::AudienceKey, watch_cache::Snapshot},
    codec::{segments::Segments, watch_event::Form},
    identity::access::{Access, Authorized},
    net::{
        handler::{ConnectionInfo, Protocol},
        http::TLS_DATA_FRAME,
    },
    shards::{
        hub::Hub,
        registry::{MemoryFull, Need, Registry},
        shard::{NotCovered, Shard},
    },
    upstream::{
        discovery::{ServedType, Types},
        freshness::{Fresh, FreshAt, NotProven, Patience, Proofs},
    },
};

use super::{
    body::ResponseBody,
    decide::{Requirement, Source},
    list::{self, COMPRESSED_ABOVE, List},
    read::{Read, What},
    reason::{CACHE_STATUS, ForwardReason, HIT},
    watch::{Limits, Start, WatchBody},
};

/// Ties an answer to upstream's audit log.
pub const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Serves reads from shards.
#[derive(Clone, Debug)]
pub struct Server {
    types: Types,
    registry: Arc<Registry>,
    proofs: Arc<Proofs>,
    hubs: Arc<[Arc<Hub>]>,
    access: Access,
}

/// The circumstances of a request.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// When it arrived.
    pub arrived: Instant,
    /// The connection it came by.
    pub connection: &'a ConnectionInfo,
    /// Its `Audit-ID`, if it brought one.
    pub audit_id: Option<HeaderValue>,
}

/// What upstream waits for a version to come, and with it a watch for a proof (semantics §3.1).
const BLOCK: Duration = Duration::from_secs(3);

/// What a client waits for a shard's first fill.
const FILL: Duration = Duration::from_secs(3);

/// A list waits for the shard's own stream only: longer costs more than asking upstream.
const LIST: Patience =
    Patience { stream: Duration::from_millis(100), total: Duration::from_millis(400) };

/// Clients that open a watch with the state wait anyway (DESIGN "Freshness").
const WATCH: Patience = Patience { stream: Duration::from_millis(100), total: BLOCK };

/// Objects that a list may look at on a thread that serves connections: about half a millisecond.
const SCANNED_HERE: usize = 4096;

/// Frames of connections that pack no TLS records.
const PLAIN_FRAME: usize = 64 << 10;

/// Upstream's choice when a watch names no timeout (semantics §5.5).
const WATCH_SECONDS: std::ops::Range<u64> = 1800..3600;

// === impl Server ===

impl Server {
    /// Serves from the registry's shards, whose watchers live on `hubs`.
    pub fn new(
        types: Types,
        registry: Arc<Registry>,
        proofs: Arc<Proofs>,
        hubs: Arc<[Arc<Hub>]>,
        access: Access,
    ) -> Self {
        Self { types, registry, proofs, hubs, access }
    }

    /// The answer to a read that its asker is allowed.
    ///
    /// # Errors
    /// Why it is to be forwarded after all.
    pub async fn serve(
        &self,
        read: Read,
        authorized: Authorized,
        circumstances: &Circumstances<'_>,
    ) -> Result<Response<ResponseBody>, ForwardReason> {
        let shard = self.shard(&read)?;
        let arrived = circumstances.arrived;
        let readable = match read.what {
            What::Watch(..) => self.readable(&shard, read.requirement, WATCH, arrived).await?,
            _ => self.readable(&shard, read.requirement, LIST, arrived).await?,
        };
        // The wait may have outlived the permission.
        let authorized = match self.access.renew(authorized).await {
            Ok(Some(authorized)) => authorized,
            Ok(None) => return Err(ForwardReason::Denied),
            Err(_) => return Err(ForwardReason::Review),
        };
        let max_frame = max_frame(circumstances.connection);
        let mut response = match read.what {
            What::Get(key) => {
                let bytes = get(&readable, &shard, &key, read.source.form, authorized)?;
                typed(ResponseBody::whole(bytes.into(), max_frame), &shard, AnswerKind::Object)
            }
            What::List(request, audience) => {
                let scope = read.served.resource.scope;
                let list = make_list(&readable, &shard, scope, request, audience, authorized).await;
                let (bytes, is_gzip) = encoded(list, read.gzip).await;
                let body = ResponseBody::whole(bytes, max_frame);
                let mut response = typed(body, &shard, AnswerKind::List);
                if is_gzip {
                    let headers = response.headers_mut();
                    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
                }
                response
            }
            What::Watch(request, audience) => {
                let limits = Limits {
                    timeout: timeout(request.timeout),
                    grant: self.access.hold(authorized),
                    draining: circumstances.connection.draining.clone(),
                    max_frame,
                };
                let hub = &self.hubs[circumstances.connection.core % self.hubs.len()];
                let body = begin_watch(&readable, &shard, hub, &request, audience, limits)?;
                typed(ResponseBody::Watch(Box::new(body)), &shard, AnswerKind::Watch)
            }
        };
        complete(response.headers_mut(), read.served.warning, circumstances);
        Ok(response)
    }

    fn shard(&self, read: &Read) -> Result<Arc<Shard>, ForwardReason> {
        let shard = self.open(read)?;
        // The request's idea of the type is as old as its access review. A shard of another one
        // would be read with the wrong places of fields; one opened under an outdated one would
        // stay when the others were closed.
        let wanted = read.served.fingerprint;
        let present = self.types.get(&shard.key().gvr).map(|served| served.fingerprint);
        if present != Some(shard.fingerprint()) {
            self.registry.close(|candidate| candidate.id() == shard.id());
        }
        if shard.fingerprint() != wanted || present != Some(wanted) {
            return Err(ForwardReason::Cold);
        }
        Ok(shard)
    }

    fn open(&self, read: &Read) -> Result<Arc<Shard>, ForwardReason> {
        let ServedType { resource, fingerprint, .. } = &read.served;
        let Source { representation, fuller, .. } = read.source;
        let fuller = fuller
            .and_then(|fuller| self.registry.get(&resource.gvr, fuller))
            .filter(|shard| shard.resource_version().is_some())
            .filter(|shard| shard.codec().offers(read.source.form));
        match fuller {
            Some(fuller) => Ok(fuller),
            None => self
                .registry
                .open(resource, *fingerprint, representation, Need::Requests)
                .map_err(|MemoryFull| ForwardReason::Memory),
        }
    }

    /// Waits until the shard meets the requirement.
    async fn readable(
        &self,
        shard: &Arc<Shard>,
        requirement: Requirement,
        patience: Patience,
        arrived: Instant,
    ) -> Result<Readable, ForwardReason> {
        let warm = shard
            .wait_until(FILL, |progress| progress.version.is_some() || progress.failure.is_some());
        if warm.await.is_none_or(|progress| progress.version.is_none()) {
            return Err(ForwardReason::Cold);
        }
        let freshness = self.proofs.of(shard);
        let fresh = match requirement {
            Requirement::Any => {
                let snapshot = shard.snapshot().ok_or(ForwardReason::Cold)?;
                return Ok(Readable { snapshot, proof: None });
            }
            Requirement::AtLeast(version) => {
                let patience = Patience { total: BLOCK, ..patience };
                freshness.reach(version, arrived, patience).await
            }
            Requirement::Latest => freshness.prove(arrived, patience).await,
        };
        let fresh = fresh.map_err(|error: NotProven| {
            debug!(shard = %shard.key(), %error, "forwarding for want of a proof");
            ForwardReason::NotProven
        })?;
        let Fresh { at, state, held } = fresh;
        Ok(Readable { snapshot: state, proof: Some(Proof { at, held }) })
    }
}

/// A state that meets the request's requirement.
struct Readable {
    snapshot: Arc<Snapshot>,
    proof: Option<Proof>,
}

/// That the state is new enough, and the shard's own view of the same objects.
struct Proof {
    at: FreshAt,
    held: Arc<Snapshot>,
}

fn get(
    readable: &Readable,
    shard: &Shard,
    key: &ObjectKey,
    form: Form,
    _authorized: Authorized,
) -> Result<Bytes, ForwardReason> {
    list::get(&readable.snapshot, shard.codec(), key, form).ok_or(ForwardReason::Absent)
}

async fn make_list(
    readable: &Readable,
    shard: &Shard,
    scope: Scope,
    request: ListRequest,
    audience: AudienceKey,
    _authorized: Authorized,
) -> List {
    let (snapshot, codec) = (Arc::clone(&readable.snapshot), Arc::clone(shard.codec()));
    if list::looks_at(&snapshot, &codec, &request, &audience) <= SCANNED_HERE {
        return list::list(&snapshot, &codec, scope, &request, &audience);
    }
    let (request, audience) = (Arc::new(request), Arc::new(audience));
    let scan = {
        let (snapshot, codec) = (Arc::clone(&snapshot), Arc::clone(&codec));
        let (request, audience) = (Arc::clone(&request), Arc::clone(&audience));
        move || list::list(&snapshot, &codec, scope, &request, &audience)
    };
    match tokio::task::spawn_blocking(scan).await {
        Ok(list) => list,
        Err(error) => {
            warn!(%error, "a list could not be made aside");
            list::list(&snapshot, &codec, scope, &request, &audience)
        }
    }
}

/// The list's bytes, compressed when the client can take it and it is large (semantics §6.4).
async fn encoded(list: List, gzip: bool) -> (Segments, bool) {
    if !gzip || list.length() <= COMPRESSED_ABOVE {
        return (list.plain(), false);
    }
    if let Some(bytes) = list.compressed_before() {
        return (bytes, true);
    }
    let plain = list.clone();
    match tokio::task::spawn_blocking(move || list.compressed()).await {
        Ok(bytes) => (bytes, true),
        Err(error) => {
            warn!(%error, "a list could not be compressed");
            (plain.plain(), false)
        }
    }
}

fn begin_watch(
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
            let state = shard.subscribe_with_state(hub, audience.clone());
            let (subscription, snapshot) = state.map_err(not_covered)?;
            let version = begins_at(readable, &snapshot)?;
            let start = Start::State {
                objects: snapshot.objects.owned_range(list::key_range(&audience)),
                version,
                announce_end: marks_end,
            };
            return Ok(WatchBody::new(subscription, audience, start, template, limits));
        }
        WatchStart::Events(EventsAfter::Version(version)) => version,
        WatchStart::Events(EventsAfter::Latest) => {
            readable.proof.as_ref().ok_or(ForwardReason::NotProven)?.at.version()
        }
        WatchStart::Events(EventsAfter::Any) => readable.snapshot.resource_version,
    };
    let events = shard.subscribe_after(hub, audience.clone(), after);
    let (subscription, replay) = events.map_err(not_covered)?;
    let start = Start::After { replay, version: after };
    Ok(WatchBody::new(subscription, audience, start, template, limits))
}

/// The version of the state that a watch begins with, taken after the proof. What the proof was about
/// has either grown to its version since, or is unchanged and known to be the state at it.
fn begins_at(readable: &Readable, taken: &Snapshot) -> Result<ResourceVersion, ForwardReason> {
    let Some(Proof { at, held }) = &readable.proof else { return Ok(taken.resource_version) };
    if taken.resource_version >= at.version() {
        return Ok(taken.resource_version);
    }
    let unchanged =
        taken.generation == held.generation && taken.resource_version == held.resource_version;
    if unchanged { Ok(readable.snapshot.resource_version) } else { Err(ForwardReason::NotProven) }
}

fn not_covered(error: NotCovered) -> ForwardReason {
    match error {
        NotCovered::NotFilled => ForwardReason::Cold,
        NotCovered::TooOld => ForwardReason::Uncovered,
    }
}

fn typed(body: ResponseBody, shard: &Shard, kind: AnswerKind) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    let media_type = shard.key().representation.media_type().content_type(kind);
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

/// The headers that the API server puts on every answer (semantics §6.4).
fn complete(
    headers: &mut HeaderMap,
    warning: Option<HeaderValue>,
    circumstances: &Circumstances<'_>,
) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert(AUDIT_ID, circumstances.audit_id.clone().unwrap_or_else(new_audit_id));
    headers.insert(CACHE_STATUS, HIT);
    if let Some(warning) = warning {
        headers.insert(header::WARNING, warning);
    }
}

fn new_audit_id() -> HeaderValue {
    let mut text = uuid::Uuid::encode_buffer();
    let text = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

fn timeout(requested: WatchTimeout) -> Duration {
    requested
        .requested()
        .unwrap_or_else(|| Duration::from_secs(rand::rng().random_range(WATCH_SECONDS)))
}

/// Over TLS and HTTP/2 a longer frame would be split into two records.
fn max_frame(connection: &ConnectionInfo) -> usize {
    match (connection.tls, connection.protocol) {
        (true, Protocol::Http2) => TLS_DATA_FRAME,
        _ => PLAIN_FRAME,
    }
}
