//! One LIST for all who ask the same: the answer of those lists whose freshness could not be proven
//! in time.
//!
//! Requests that arrived before the upstream LIST was sent share its answer; of each such list one
//! runs and at most one waits. It runs with the gateway's own rights, so its answer counts as one
//! from memory: who hands it out must have shown that its client may see it. Only complete 200s of
//! the form asked for are shared; what upstream tells the gateway otherwise is not the client's.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dashmap::DashMap;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::Freshness;
use crate::{
    api::version::ResourceVersion,
    cache::watch_cache::Violation,
    codec::{decode_error::DecodeError, list_version::list_version},
    shards::shard::ShardId,
    telemetry::metrics::proofs::Asked,
    upstream::{Lane, RequestBody, UpstreamBody, UpstreamError, error::Cause, turns::Turns},
};

/// Everything that the answer of a LIST for the latest state depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListAsk {
    /// Path and query in origin form.
    pub target: String,
    /// The `Accept` header.
    pub accept: &'static str,
    /// The `Content-Type` that the answer must have.
    pub content_type: &'static str,
    /// Whether the answer may be compressed.
    pub gzip: bool,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct SharedList {
    /// The version of the state that is listed.
    pub version: ResourceVersion,
    /// The body as upstream sent it. While anybody holds it, it counts against the memory of all shared lists.
    pub body: Bytes,
    /// Whether it is compressed.
    pub gzip: bool,
}

/// There is no answer to share.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotShared {
    /// Too many different lists are read at the moment.
    #[error("{MAX_LISTS} different lists are read at the same time already")]
    Crowded,
    /// Upstream gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Upstream answered something else than the list.
    #[error("upstream answered {0}")]
    Refused(StatusCode),
    /// The answer is not in the form asked for.
    #[error("upstream answered in another form than asked for")]
    Form,
    /// The answer broke off.
    #[error("the answer broke off: {0}")]
    Broken(Cause),
    /// The answer is too long to be kept.
    #[error("the answer is longer than {MAX_ANSWER} bytes")]
    TooLong,
    /// All answers that are held together are too long.
    #[error("the answers held are longer than {MEMORY} bytes together")]
    Memory,
    /// The answer's version cannot be read.
    #[error("the answer is no list: {0}")]
    NotAList(#[from] DecodeError),
    /// The answer is older than what the shard shows.
    #[error(transparent)]
    WentBack(#[from] Violation),
    /// No answer in time.
    #[error("no answer within {PATIENCE:?}")]
    TooSlow,
    /// The gateway is ending.
    #[error("the list was abandoned")]
    Abandoned,
}

type Outcome = Result<Arc<SharedList>, NotShared>;
type Key = (ShardId, ListAsk);

/// The lists of all shards that somebody waits for.
#[derive(Debug)]
pub(super) struct SharedLists {
    turns: DashMap<Key, Arc<Turns<Outcome>>>,
    memory: Arc<Semaphore>,
}

/// Keeps a list's turns in the table while somebody waits or a run is under way.
struct Seat {
    lists: Arc<SharedLists>,
    key: Key,
    turns: Option<Arc<Turns<Outcome>>>,
}

/// An answer's bytes with their share of the memory.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

/// Different lists at the same time; requests for more are forwarded one by one.
const MAX_LISTS: usize = 128;

/// One answer. Larger ones are forwarded one by one.
pub const MAX_ANSWER: usize = 64 << 20;

/// All answers that are being collected or sent.
const MEMORY: usize = 256 << 20;

/// What a client waits for its answer, the run before its own included; upstream's own limit is 60 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// Compressed bodies up to this length are read on a thread that serves others: a millisecond or two.
const INFLATED_HERE: usize = 16 << 10;

// === impl SharedLists ===

impl SharedLists {
    pub(super) fn new() -> Self {
        Self { turns: DashMap::new(), memory: Arc::new(Semaphore::new(MEMORY)) }
    }

    fn seat(self: &Arc<Self>, key: Key) -> Result<Seat, NotShared> {
        let present = self.turns.get(&key).map(|turns| Arc::clone(&turns));
        let turns = match present {
            Some(turns) => turns,
            None if self.turns.len() >= MAX_LISTS => return Err(NotShared::Crowded),
            None => {
                Arc::clone(&self.turns.entry(key.clone()).or_insert_with(|| Arc::new(Turns::new())))
            }
        };
        Ok(Seat { lists: Arc::clone(self), key, turns: Some(turns) })
    }

    async fn collect(&self, mut body: UpstreamBody) -> Result<Bytes, NotShared> {
        let mut held = Held::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| NotShared::Broken(error.into()))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if held.bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(NotShared::TooLong);
            }
            let room = u32::try_from(chunk.len()).map_err(|_| NotShared::TooLong)?;
            let room = Arc::clone(&self.memory).try_acquire_many_owned(room);
            held.take(&chunk, room.map_err(|_| NotShared::Memory)?);
        }
        held.bytes.shrink_to_fit();
        Ok(Bytes::from_owner(held))
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        // First: of several that leave at the same time, the last must find itself alone.
        self.turns = None;
        self.lists.turns.remove_if(&self.key, |_, turns| Arc::strong_count(turns) == 1);
    }
}

// === impl Held ===

impl Held {
    fn take(&mut self, chunk: &[u8], room: OwnedSemaphorePermit) {
        self.bytes.extend_from_slice(chunk);
        match &mut self.room {
            Some(held) => held.merge(room),
            None => self.room = Some(room),
        }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

// === impl Freshness ===

impl Freshness {
    /// The answer of a LIST that is sent after this call, shared with all who ask the same.
    ///
    /// # Errors
    /// [`NotShared`]; the request is to be forwarded then.
    pub async fn list(self: &Arc<Self>, ask: ListAsk) -> Result<Arc<SharedList>, NotShared> {
        let seat = Arc::new(self.lists.seat((self.shard.id(), ask))?);
        let Some(turns) = seat.turns.clone() else { return Err(NotShared::Abandoned) };
        let this = Arc::clone(self);
        let outcome = turns.share({
            let seat = Arc::clone(&seat);
            move || {
                let (this, seat) = (Arc::clone(&this), Arc::clone(&seat));
                async move {
                    let list = timeout(PATIENCE, this.run_list(&seat.key.1)).await;
                    list.unwrap_or(Err(NotShared::TooSlow)).map(Arc::new)
                }
            }
        });
        let outcome = timeout(PATIENCE, outcome).await;
        drop(turns);
        outcome.map_err(|_| NotShared::TooSlow)?.unwrap_or(Err(NotShared::Abandoned))
    }

    async fn run_list(&self, ask: &ListAsk) -> Result<SharedList, NotShared> {
        self.metrics.proofs.asked(Asked::List);
        let shown = self.shard.resource_version();
        let mut request = Request::get(&ask.target).header(header::ACCEPT, ask.accept);
        if ask.gzip {
            request = request.header(header::ACCEPT_ENCODING, "gzip");
        }
        let request = request.body(RequestBody::empty()).map_err(|_| NotShared::Form)?;
        let response = self.upstream.send(Lane::Gateway, request).await?;
        if response.status() != StatusCode::OK {
            return Err(NotShared::Refused(response.status()));
        }
        let gzip = form(response.headers(), ask).ok_or(NotShared::Form)?;
        let body = self.lists.collect(response.into_body()).await?;
        let version = version(&body, gzip).await?;
        self.check(version, shown)?;
        Ok(SharedList { version, body, gzip })
    }
}

/// Whether the answer is compressed; `None` when it is not what was asked for.
fn form(headers: &HeaderMap, ask: &ListAsk) -> Option<bool> {
    if headers.get(header::CONTENT_TYPE)?.as_bytes() != ask.content_type.as_bytes() {
        return None;
    }
    match headers.get(header::CONTENT_ENCODING) {
        None => Some(false),
        Some(encoding) => (ask.gzip && encoding == "gzip").then_some(true),
    }
}

/// The version of a list, read aside when that takes long.
async fn version(body: &Bytes, gzip: bool) -> Result<ResourceVersion, NotShared> {
    if !gzip || body.len() <= INFLATED_HERE {
        return Ok(list_version(body, gzip)?);
    }
    let body = body.clone();
    let read = tokio::task::spawn_blocking(move || list_version(&body, gzip)).await;
    Ok(read.map_err(|_| NotShared::Abandoned)??)
}
