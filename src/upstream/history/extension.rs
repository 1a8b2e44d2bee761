//! One extension of a shard's log: an upstream watch from an earlier version and, where some event
//! needs it, the state at that version by a LIST of exactly it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    api::version::ResourceVersion,
    cache::{
        backlog::{Backlog, Reach, Unusable},
        beginning::Beginning,
    },
    codec::watch_event::UpstreamStatus,
    shards::shard::Shard,
    upstream::{
        Lane, RequestBody, Upstream, UpstreamBody,
        reflector::machine::{MAX_PAGE, PAGE_SIZE, accept},
        short_watch::{ShortWatch, ShortWatchError},
    },
};

use super::floor::floor_in;

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// Where to begin.
    pub(super) from: ResourceVersion,
    /// Where it must begin at the latest to be of use to all.
    pub(super) least: ResourceVersion,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extended {
    /// Where the log begins now.
    pub(super) start: ResourceVersion,
    /// Events put before the others.
    pub(super) events: usize,
    /// It begins later than was wanted, since the log is full now.
    pub(super) is_cut: bool,
}

/// Why the log stays as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotExtended {
    /// Upstream serves watches from this version on only.
    #[error("upstream's own history begins at {0}")]
    BelowFloor(ResourceVersion),
    /// The state at this version is needed, and the store has it no longer.
    #[error("the state at {0} is compacted")]
    Compacted(ResourceVersion),
    /// What came is not what it should be.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// An answer that is none.
    #[error("upstream answered {0}")]
    Status(StatusCode),
    /// No answer, or none of use.
    #[error("{0}")]
    Upstream(String),
    /// Not even the latest of the events before the log has room in it.
    #[error("the history has no room for more")]
    NoRoom,
    /// The log was trimmed, filled anew or emptied meanwhile, or its budget is spent.
    #[error("the log changed meanwhile, or is full")]
    Moved,
}

/// Extends the shard's log, which has this beginning.
pub(super) async fn extend(
    upstream: &Upstream,
    shard: &Arc<Shard>,
    beginning: Beginning,
    range: Range,
) -> Result<Extended, NotExtended> {
    if beginning.room == 0 {
        return Err(NotExtended::NoRoom);
    }
    let asking = Asking { upstream, shard };
    let backlog = Backlog::new(range.from, beginning.version, beginning.room);
    let mut backlog = asking.events(backlog, range.from).await?;
    // It gave way to its own events, up to the last.
    if backlog.start() >= beginning.version {
        return Err(NotExtended::NoRoom);
    }
    if backlog.needs_state()
        && let Err(error) = asking.state(&mut backlog).await
    {
        // The store may have compacted the earlier version but not the one that is wanted.
        if backlog.start() >= range.least {
            return Err(error);
        }
        backlog.begin_at(range.least);
        if backlog.needs_state() {
            asking.state(&mut backlog).await?;
        }
    }
    let shard = Arc::clone(shard);
    let put_together = move || {
        let start = backlog.start();
        let events = backlog.assemble(&beginning.versions())?;
        if !shard.extend_back(&beginning, start, &events, Instant::now()) {
            return Err(NotExtended::Moved);
        }
        Ok(Extended { start, events: events.len(), is_cut: start > range.least })
    };
    let joined = tokio::task::spawn_blocking(put_together).await;
    joined.map_err(|error| NotExtended::Upstream(error.to_string()))?
}

struct Asking<'a> {
    upstream: &'a Upstream,
    shard: &'a Shard,
}

// === impl Asking ===

impl Asking<'_> {
    /// Reads events until the backlog is complete.
    async fn events(
        &self,
        mut backlog: Backlog,
        from: ResourceVersion,
    ) -> Result<Backlog, NotExtended> {
        let mut watch = ShortWatch::begin(self.upstream, self.shard, from).await?;
        while let Some(event) = watch.next().await? {
            match backlog.push(event) {
                Ok(Reach::Complete) => return Ok(backlog),
                Ok(Reach::Short) => {}
                Err(Unusable::Refused(status)) => return Err(refused(status)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unusable::Incomplete.into())
    }

    /// Reads the state at the backlog's start.
    async fn state(&self, backlog: &mut Backlog) -> Result<(), NotExtended> {
        let start = backlog.start();
        let mut query =
            format!("limit={PAGE_SIZE}&resourceVersion={start}&resourceVersionMatch=Exact");
        loop {
            let body = self.send(&query).await.map_err(|error| match error {
                NotExtended::Status(StatusCode::GONE) => NotExtended::Compacted(start),
                other => other,
            })?;
            let body = Limited::new(body, MAX_PAGE).collect().await.map_err(broken)?;
            let body: Bytes = body.to_bytes();
            let page = self.shard.codec().decode_list_page(body).map_err(broken)?;
            if page.resource_version != start {
                let found = page.resource_version;
                return Err(broken(format!("asked for the state at {start}, got that at {found}")));
            }
            backlog.add_state(page.objects);
            let Some(token) = page.continue_token.filter(|token| !token.is_empty()) else {
                return Ok(());
            };
            let token = utf8_percent_encode(&token, NON_ALPHANUMERIC);
            query = format!("limit={PAGE_SIZE}&continue={token}");
        }
    }

    async fn send(&self, query: &str) -> Result<UpstreamBody, NotExtended> {
        let key = self.shard.key();
        let request = Request::get(format!("{}?{query}", key.gvr.path()))
            .header(header::ACCEPT, accept(key.representation, false))
            .body(RequestBody::empty())
            .map_err(broken)?;
        let response = self.upstream.send(Lane::Gateway, request).await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(NotExtended::Status(status)),
        }
    }
}

impl From<ShortWatchError> for NotExtended {
    fn from(error: ShortWatchError) -> Self {
        match error {
            ShortWatchError::Refused(status) => Self::Status(status),
            other => broken(other),
        }
    }
}

fn refused(status: UpstreamStatus) -> NotExtended {
    match floor_in(&status.message) {
        Some(floor) if status.code == i32::from(StatusCode::GONE.as_u16()) => {
            NotExtended::BelowFloor(floor)
        }
        _ => Unusable::Refused(status).into(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: impl ToString) -> NotExtended {
    NotExtended::Upstream(error.to_string())
}
