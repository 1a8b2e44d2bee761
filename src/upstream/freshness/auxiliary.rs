//! The auxiliary watch: moves a quiet shard on when its own stream has nothing to say.
//!
//! From the shard's version N until the first bookmark B or event. A bookmark first, with the shard
//! still at N, means that nothing happened in (N, B]. One runs per shard and one waits at most; one
//! that nobody waits for is not begun. Whatever goes wrong only costs the proof, which is then
//! refused for lack of time.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{
    api::version::ResourceVersion,
    codec::{frame_decoder::FrameDecoder, watch_event::WatchEvent},
    upstream::{Lane, RequestBody, reflector::machine::accept},
};

use super::Freshness;

/// With `timeoutSeconds=3` bookmarks come at 0.5–0.8 s and 1.6–1.9 s; with 2 or less never
/// (semantics §5.4).
const SECONDS: u64 = 3;

/// Between auxiliary watches that brought nothing.
const PAUSE: Duration = Duration::from_millis(200);

/// A frame may be an object.
const MAX_FRAME: usize = 64 << 20;

// === impl Freshness ===

impl Freshness {
    /// Runs auxiliary watches until the shard has reached `wanted`.
    pub(super) async fn watch_until(self: &Arc<Self>, wanted: ResourceVersion) {
        while !self.has_reached(wanted) {
            let before = self.shard.resource_version();
            self.auxiliary().await;
            if self.shard.resource_version() == before {
                // Refused or without news: not in a tight loop.
                tokio::time::sleep(PAUSE).await;
            }
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
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={SECONDS}&resourceVersion={from}",
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
        timeout(Duration::from_secs(SECONDS + 1), watch).await.ok()?
    }
}
