//! Answering from memory: open the shard, wait until it is good enough, make the response.
//!
//! Every path to cached bytes takes an [`Authorized`]. What can't be served says why, and is
//! forwarded. How new the state must be is the matter of `state.rs`, what goes around the bytes
//! that of [`super::answer`].

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::{
    api::{
        negotiate::AnswerKind,
        object_key::ObjectKey,
        options::{ListRequest, WatchRequest},
        resource::{GroupVersionResource, Scope},
        status::{GroupResource, Status},
    },
    cache::audience::AudienceKey,
    codec::watch_event::Form,
    identity::access::{Access, Authorized},
    shards::{
        hub::Hub,
        readers::Holding,
        rebuilds::Rebuilds,
        registry::{MemoryFull, Need, Registry},
        shard::{Progress, Shard},
    },
    upstream::{
        discovery::{ServedType, Types},
        freshness::Proofs,
        history::Histories,
    },
};

use super::{
    answer::{self, Circumstances},
    body::ResponseBody,
    collapse,
    encoding::{Encoded, Encoding, NotEncoded, Plain, Room},
    enrolment::{Begun, Enrolment},
    list::{self, List},
    read::{Read, What},
    reason::ForwardReason,
    refusal,
    state::{self, Readable},
    watch::{Limits, begin},
};

/// Serves reads from shards.
#[derive(Clone, Debug)]
pub struct Server {
    types: Types,
    registry: Arc<Registry>,
    proofs: Arc<Proofs>,
    rebuilds: Arc<Rebuilds>,
    histories: Arc<Histories>,
    hubs: Arc<[Arc<Hub>]>,
    access: Access,
    room: Room,
}

/// Objects that a list may look at on a thread that serves connections: about half a millisecond.
const SCANNED_HERE: usize = 4096;

// === impl Server ===

impl Server {
    /// Serves from the registry's shards, whose watchers live on `hubs`.
    pub fn new(
        types: Types,
        registry: Arc<Registry>,
        proofs: Arc<Proofs>,
        histories: Arc<Histories>,
        hubs: Arc<[Arc<Hub>]>,
        access: Access,
    ) -> Self {
        let rebuilds = Arc::new(Rebuilds::new());
        let room = Room::new();
        Self { types, registry, proofs, rebuilds, histories, hubs, access, room }
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
        let begun = Begun::now(&shard);
        let patience = match read.what {
            What::Watch(..) => state::WATCH,
            _ => state::LIST,
        };
        let arrived = circumstances.arrived;
        let (proofs, rebuilds) = (&self.proofs, &self.rebuilds);
        let readable =
            state::readable(proofs, rebuilds, &shard, read.requirement, patience, arrived).await;
        let readable = match readable {
            Err(ForwardReason::NotProven) => {
                let shared = self.share(read, &shard, authorized, circumstances);
                return Box::pin(shared).await;
            }
            readable => readable?,
        };
        if let What::Watch(request, _) = &read.what
            && !circumstances.last_resort
        {
            begin::cover(&self.histories, &shard, request).await;
        }
        let authorized = self.renew(authorized).await?;
        let response = self.answer(read, &shard, &readable, authorized, circumstances).await?;
        let enrolment = Enrolment::of_this_exchange(self.registry.readers());
        let is_shared = response.body().is_shared();
        let holding = |length| {
            if is_shared {
                begun.state(&shard, &readable.snapshot, length)
            } else {
                Holding::Alone(length)
            }
        };
        Ok(response.map(|body| body.enrolled(enrolment.as_ref(), holding)))
    }

    /// The answer from a state that is new enough.
    async fn answer(
        &self,
        read: Read,
        shard: &Arc<Shard>,
        readable: &Readable,
        authorized: Authorized,
        circumstances: &Circumstances<'_>,
    ) -> Result<Response<ResponseBody>, ForwardReason> {
        let max_frame = answer::max_frame(circumstances.connection);
        let media_type = shard.key().representation.media_type();
        let typed = |body, kind| answer::typed(body, media_type.content_type(kind));
        let whole = |Encoded { bytes, is_gzip, is_shared }, kind| {
            let body = ResponseBody::whole(bytes, max_frame).shared(is_shared);
            let mut response = typed(body, kind);
            if is_gzip {
                answer::mark_compressed(response.headers_mut());
            }
            response
        };
        let scope = read.served.resource.scope;
        let mut response = match read.what {
            What::Get(ref key) => {
                let found = get(readable, shard, key, read.source.form, authorized);
                let Some(bytes) = found else {
                    return refusal::refuse(&read, &not_found(&read, key), circumstances);
                };
                let encoded = self.encode(read.encoding, Plain::Object(bytes)).await?;
                whole(encoded, AnswerKind::Object)
            }
            What::List(request, audience) => {
                let list = make_list(readable, shard, scope, request, audience, authorized).await;
                if list.has_more() && !self.registry.is_full() {
                    shard.keep(&readable.snapshot);
                }
                whole(self.encode(read.encoding, Plain::List(list)).await?, AnswerKind::List)
            }
            What::Watch(request, audience) => {
                let limits = self.limits(&request, authorized, circumstances);
                let watch = (&request, audience, limits);
                let body = self.watch(readable, shard, watch, circumstances)?;
                typed(body, AnswerKind::Watch)
            }
        };
        answer::complete(response.headers_mut(), read.served.warning, circumstances);
        Ok(response)
    }

    /// A watch, or the event with which upstream refuses one of a time that it has forgotten.
    fn watch(
        &self,
        readable: &Readable,
        shard: &Arc<Shard>,
        (request, audience, limits): (&WatchRequest, AudienceKey, Limits),
        circumstances: &Circumstances<'_>,
    ) -> Result<ResponseBody, ForwardReason> {
        let Circumstances { connection, last_resort, .. } = *circumstances;
        let (hub, max_frame) = (&self.hubs[connection.core % self.hubs.len()], limits.max_frame);
        match begin::begin(readable, shard, hub, request, audience, limits) {
            Ok(body) => Ok(ResponseBody::Watch(Box::new(body))),
            Err(ForwardReason::Uncovered) => {
                begin::refusal(&self.histories, shard, request, last_resort)
                    .map(|event| ResponseBody::stream(event.into(), max_frame))
                    .ok_or(ForwardReason::Uncovered)
            }
            Err(reason) => Err(reason),
        }
    }

    fn limits(
        &self,
        request: &WatchRequest,
        authorized: Authorized,
        circumstances: &Circumstances<'_>,
    ) -> Limits {
        Limits {
            timeout: begin::timeout(request.timeout),
            grant: self.access.hold(authorized),
            draining: circumstances.connection.draining.clone(),
            max_frame: answer::max_frame(circumstances.connection),
            enrolment: Enrolment::of_this_exchange(self.registry.readers()),
        }
    }

    /// A list that could not be proven new enough, from the one that upstream is asked for all.
    async fn share(
        &self,
        read: Read,
        shard: &Arc<Shard>,
        authorized: Authorized,
        circumstances: &Circumstances<'_>,
    ) -> Result<Response<ResponseBody>, ForwardReason> {
        let ask = collapse::ask(&read, shard).ok_or(ForwardReason::NotProven)?;
        let list = self.proofs.of(shard).list(ask).await.map_err(|error| {
            debug!(shard = %shard.key(), %error, "forwarding a list that could not be shared");
            ForwardReason::NotProven
        })?;
        let authorized = self.renew(authorized).await?;
        let enrolment = Enrolment::of_this_exchange(self.registry.readers());
        // Shared lists have a bound of their own; they are enrolled to be let go in time.
        let shared = collapse::shared(&list, read, circumstances, authorized);
        Ok(shared.map(|body| body.enrolled(enrolment.as_ref(), |_| Holding::Alone(0))))
    }

    async fn encode(&self, encoding: Encoding, plain: Plain) -> Result<Encoded, ForwardReason> {
        encoding.apply(plain, &self.room).await.map_err(|error| match error {
            NotEncoded::TooLong(_) | NotEncoded::Failed(_) => ForwardReason::Accept,
            NotEncoded::Full(_) => ForwardReason::Memory,
        })
    }

    /// The wait may have outlived the permission.
    async fn renew(&self, authorized: Authorized) -> Result<Authorized, ForwardReason> {
        match self.access.renew(authorized).await {
            Ok(Some(authorized)) => Ok(authorized),
            Ok(None) => Err(ForwardReason::Denied),
            Err(_) => Err(ForwardReason::Review),
        }
    }

    /// What can be waited for of the shard that would answer; `None` when none is open.
    pub(super) fn progress(&self, read: &Read) -> Option<watch::Receiver<Progress>> {
        let own = || self.registry.get(&read.served.resource.gvr, read.source.representation);
        let shard = self.fuller(read).or_else(own)?;
        (shard.fingerprint() == read.served.fingerprint).then(|| shard.progress())
    }

    fn shard(&self, read: &Read) -> Result<Arc<Shard>, ForwardReason> {
        let shard = self.open(read)?;
        // The request's idea of the type is as old as its access review. A shard of another one
        // would be read with the wrong places of fields; one opened under an outdated one would
        // stay when the others were closed.
        let wanted = read.served.fingerprint;
        let present = self.types.glance().get(&shard.key().gvr).map(|served| served.fingerprint);
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
        let representation = read.source.representation;
        match self.fuller(read) {
            Some(fuller) => Ok(fuller),
            None => self
                .registry
                .open(resource, *fingerprint, representation, Need::Requests)
                .map_err(|MemoryFull| ForwardReason::Memory),
        }
    }

    /// The shard that is open for other reads and answers this one as well.
    fn fuller(&self, read: &Read) -> Option<Arc<Shard>> {
        let fuller = self.registry.get(&read.served.resource.gvr, read.source.fuller?)?;
        let answers =
            fuller.resource_version().is_some() && fuller.codec().offers(read.source.form);
        answers.then_some(fuller)
    }
}

fn get(
    readable: &Readable,
    shard: &Shard,
    key: &ObjectKey,
    form: Form,
    _authorized: Authorized,
) -> Option<Bytes> {
    list::get(&readable.snapshot, shard.codec(), key, form)
}

fn not_found(read: &Read, key: &ObjectKey) -> Status {
    let GroupVersionResource { group, resource, .. } = &read.served.resource.gvr;
    Status::not_found(GroupResource::new(group, resource), key.name())
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
    if let Ok(list) = list::list_within(&snapshot, &codec, scope, &request, &audience, SCANNED_HERE)
    {
        return list;
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
