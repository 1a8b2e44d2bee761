//! A short watch of a shard's type: what happened after a version and, soon, a bookmark.
//!
//! As the gateway, in the shard's own form, so that its codec reads the events. Upstream ends it after
//! [`LASTS`]; how long to wait for its beginning is for the caller to say. It changes nothing of the
//! shard.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::BodyExt;

use crate::{
    api::version::ResourceVersion,
    codec::{
        ResourceCodec,
        decode_error::DecodeError,
        frame_decoder::{FrameDecoder, FrameError},
        watch_event::WatchEvent,
    },
    shards::shard::Shard,
};

use super::{
    Lane, RequestBody, Upstream, UpstreamBody, UpstreamError,
    error::Cause,
    reflector::machine::{MAX_FRAME, accept},
};

/// The stream of one short watch.
pub(super) struct ShortWatch {
    codec: Arc<ResourceCodec>,
    decoder: FrameDecoder,
    body: UpstreamBody,
}

/// Why it does not begin, or breaks off.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShortWatchError {
    /// The resource's path is none.
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
    /// Upstream gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Upstream answered something else than a stream.
    #[error("upstream answered {0}")]
    Refused(StatusCode),
    /// The stream broke off.
    #[error("the stream broke off: {0}")]
    Broken(Cause),
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame is no event.
    #[error(transparent)]
    Event(#[from] DecodeError),
}

/// With three seconds bookmarks come at about 0.7 s and 1.8 s; with two or less never (semantics §5.4).
pub(super) const LASTS: Duration = Duration::from_secs(3);

// === impl ShortWatch ===

impl ShortWatch {
    /// Begins after `from`.
    ///
    /// # Errors
    /// [`ShortWatchError`].
    pub(super) async fn begin(
        upstream: &Upstream,
        shard: &Shard,
        from: ResourceVersion,
    ) -> Result<Self, ShortWatchError> {
        let key = shard.key();
        let (path, seconds) = (key.gvr.path(), LASTS.as_secs());
        let target = format!(
            "{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={from}"
        );
        let request = Request::get(target)
            .header(header::ACCEPT, accept(key.representation, true))
            .body(RequestBody::empty())?;
        let response = upstream.send(Lane::Gateway, request).await?;
        match response.status() {
            StatusCode::OK => Ok(Self {
                codec: Arc::clone(shard.codec()),
                decoder: FrameDecoder::new(key.representation, MAX_FRAME),
                body: response.into_body(),
            }),
            status => Err(ShortWatchError::Refused(status)),
        }
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// [`ShortWatchError`]; nothing more comes then.
    pub(super) async fn next(&mut self) -> Result<Option<WatchEvent>, ShortWatchError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(self.codec.decode_watch_event(frame)?));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| ShortWatchError::Broken(error.into()))?;
            if let Ok(chunk) = frame.into_data() {
                self.decoder.push(chunk);
            }
        }
    }
}
