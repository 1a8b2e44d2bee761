//! Learning what a type's bookmarks look like where upstream has no streaming lists.
//!
//! A streaming list ends with a bookmark, and that is the shard's template. Filled in pages, a shard
//! would have to wait for its stream's first bookmark, about a minute. A short watch from just before a
//! consistent list's version brings one within two seconds (semantics §5.4), unless the last write to the
//! whole store was of this very type; then it is tried again.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::{
    api::version::ResourceVersion,
    codec::{bookmark_template::BookmarkTemplate, watch_event::WatchEvent},
    shards::shard::Shard,
    upstream::{
        Upstream,
        probe::probe,
        short_watch::{self, ShortWatch},
    },
};

/// What a watch may take beyond its own time.
const OVERTIME: Duration = Duration::from_secs(1);

/// How often a bookmark is asked for, and the time between.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// A bookmark of the shard's type; `None` if upstream gave none. What went wrong only costs the wait
/// for the stream's first bookmark.
pub(super) async fn learn(
    shard: &Shard,
    upstream: &Upstream,
    listed: ResourceVersion,
) -> Option<BookmarkTemplate> {
    let mut listed = Some(listed);
    for _ in 0..ATTEMPTS {
        let watch = async { first_bookmark(shard, upstream, listed?).await };
        let template = timeout(short_watch::LASTS + OVERTIME, watch).await;
        if let Ok(Some(template)) = template {
            return Some(template);
        }
        sleep(PAUSE).await;
        // The stream may have brought one meanwhile.
        if shard.snapshot().is_none_or(|snapshot| snapshot.template.is_some()) {
            return None;
        }
        let probed = probe(upstream, &shard.key().gvr, usize::MAX).await;
        listed = probed.ok().map(|probed| probed.version);
    }
    None
}

/// The first bookmark of a watch from just before `listed`, which upstream's cache has reached. None
/// comes when the last change of the type itself is at that version.
async fn first_bookmark(
    shard: &Shard,
    upstream: &Upstream,
    listed: ResourceVersion,
) -> Option<BookmarkTemplate> {
    let before = listed.get().checked_sub(1).and_then(ResourceVersion::new)?;
    let mut watch = ShortWatch::begin(upstream, shard, before).await.ok()?;
    loop {
        match watch.next().await.ok()?? {
            WatchEvent::Bookmark(bookmark) => return Some(bookmark.template),
            WatchEvent::Error(_) => return None,
            WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => {}
        }
    }
}
