//! Answering from memory: open the shard, wait until it is good enough, make the response.
//!
//! Every path to cached bytes takes an [`Authorized`]. What can't be served says why, and is
//! forwarded. How new the state must be is the matter of `state.rs`, what goes around the bytes
//! that of [`super::answer`].

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tracing::warn;

use crate::{
    api::{negotiate::AnswerKind, object_key::ObjectKey, options::ListRequest, resource::Scope},
    cache::audience::AudienceKey,
    codec::watch_event::Form,
    identity::access::{Access, Authorized},
    shards::{
        hub::Hub,
        registry::{MemoryFull, Need, Registry},
        shard::Shard,
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
    decide::Source,
    list::{self, List},
    read::{Read, What},
    reason::ForwardReason,
    state::{self, Readable},
    watch::{Limits, begin},
};

/// Serves reads from shards.
#[derive(Clone, Debug)]
pub struct Server {
    types: Types,
    registry: Arc<Registry>,
    proofs: Arc<Proofs>,
    histories: Arc<Histories>,
    hubs: Arc<[Arc<Hub>]>,
    access: Access,
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
        Self { types, registry, proofs, histories, hubs, access }
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
        let patience = match read.what {
            What::Watch(..) => state::WATCH,
            _ => state::LIST,
        };
        let arrived = circumstances.arrived;
        let (proofs, requirement) = (&self.proofs, read.requirement);
        let readable = state::readable(proofs, &shard, requirement, patience, arrived).await?;
        if let What::Watch(request, _) = &read.what {
            begin::cover(&self.histories, &shard, request).await;
        }
        // The wait may have outlived the permission.
        let authorized = match self.access.renew(authorized).await {
            Ok(Some(authorized)) => authorized,
            Ok(None) => return Err(ForwardReason::Denied),
            Err(_) => return Err(ForwardReason::Review),
        };
        let max_frame = answer::max_frame(circumstances.connection);
        let media_type = shard.key().representation.media_type();
        let typed = |body, kind| answer::typed(body, media_type.content_type(kind));
        let mut response = match read.what {
            What::Get(key) => {
                let bytes = get(&readable, &shard, &key, read.source.form, authorized)?;
                typed(ResponseBody::whole(bytes.into(), max_frame), AnswerKind::Object)
            }
            What::List(request, audience) => {
                let scope = read.served.resource.scope;
                let list = make_list(&readable, &shard, scope, request, audience, authorized).await;
                let (bytes, is_gzip) = answer::encoded(list, read.gzip).await;
                let mut response = typed(ResponseBody::whole(bytes, max_frame), AnswerKind::List);
                if is_gzip {
                    answer::mark_compressed(response.headers_mut());
                }
                response
            }
            What::Watch(request, audience) => {
                let limits = Limits {
                    timeout: begin::timeout(request.timeout),
                    grant: self.access.hold(authorized),
                    draining: circumstances.connection.draining.clone(),
                    max_frame,
                };
                let hub = &self.hubs[circumstances.connection.core % self.hubs.len()];
                let body = match begin::begin(&readable, &shard, hub, &request, audience, limits) {
                    Ok(body) => ResponseBody::Watch(Box::new(body)),
                    Err(ForwardReason::Uncovered) => {
                        begin::refusal(&self.histories, &shard, &request)
                            .map(|event| ResponseBody::stream(event.into(), max_frame))
                            .ok_or(ForwardReason::Uncovered)?
                    }
                    Err(reason) => return Err(reason),
                };
                typed(body, AnswerKind::Watch)
            }
        };
        answer::complete(response.headers_mut(), read.served.warning, circumstances);
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
