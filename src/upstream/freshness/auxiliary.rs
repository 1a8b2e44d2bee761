//! The auxiliary watch: moves a quiet shard on when its own stream has nothing to say.
//!
//! From the shard's version N until the first bookmark B or event. A bookmark first, with the shard
//! still at N, means that nothing happened in (N, B]. One runs per shard and one waits at most; one
//! that nobody waits for is not begun. Whatever goes wrong only costs the proof, which is then
//! refused for lack of time.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    api::version::ResourceVersion,
    codec::watch_event::WatchEvent,
    telemetry::metrics::proofs::Asked,
    upstream::short_watch::{self, ShortWatch},
};

use super::Freshness;

/// What it may take beyond its own time.
const OVERTIME: Duration = Duration::from_secs(1);

/// Between auxiliary watches that brought nothing.
const PAUSE: Duration = Duration::from_millis(200);

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
        self.metrics.proofs.asked(Asked::Watch);
        let watch = async {
            let mut watch = ShortWatch::begin(&self.upstream, &self.shard, from).await.ok()?;
            match watch.next().await.ok()?? {
                WatchEvent::Bookmark(bookmark) => Some(bookmark.resource_version),
                _ => None,
            }
        };
        timeout(short_watch::LASTS + OVERTIME, watch).await.ok()?
    }
}
