//! One watch cache, shared: a single writer publishes, any number of readers look.
//!
//! Guarantees: what a reader sees as version N was complete on every core's hub before it was
//! published, so a bookmark at N can never overtake an event. Does not talk to upstream: a reflector
//! drives it through [`Shard::fill`], [`Shard::apply`] and [`Shard::advance`].

mod fill;
mod history;
mod past;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use compact_str::CompactString;
use tokio::sync::watch;

use crate::{
    api::{
        resource::{GroupVersionResource, ResourceType},
        version::ResourceVersion,
    },
    cache::{
        audience::AudienceKey,
        joined::JoinedRoom,
        log::{LogBudget, Replay},
        past::PastStates,
        watch_cache::{Snapshot, Violation, WatchCache},
    },
    codec::{
        ResourceCodec, bookmark_template::BookmarkTemplate, object::Representation,
        watch_event::ReceivedEvent,
    },
    sync::{Mutex, Published},
    telemetry::metrics::Metrics,
};

use super::{
    counted::Counted,
    history_room::HistoryRoom,
    hub::{Hub, Message},
    object_room::{FillRoom, ObjectRoom},
    subscription::Subscription,
    turnover::Turnover,
};

/// What a shard holds: one resource in one representation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShardKey {
    /// The resource.
    pub gvr: GroupVersionResource,
    /// The form of its objects.
    pub representation: Representation,
}

/// Tells one opened shard from every other, also from an earlier one of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u32);

/// What can be waited for.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The version shown, `None` while nothing is.
    pub version: Option<ResourceVersion>,
    /// Whether it is known what the type's bookmarks look like.
    pub bookmarks: bool,
    /// The latest complete fill: when its request was sent and the version it found.
    pub filled: Option<Filled>,
    /// Why the shard cannot be filled at present.
    pub failure: Option<CompactString>,
    /// Set when upstream answers as it should, but what it has cannot be kept: nothing is gained by
    /// waiting for a fill, nor by sparing upstream.
    pub unfillable: bool,
    /// How often the contents were dropped: whoever fills the shard must begin anew.
    pub cleared: u64,
    /// Set when the shard will never be filled again.
    pub closed: bool,
}

/// A consistent state taken from upstream, which proves freshness for earlier requests.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// When the request for it was sent.
    pub requested: Instant,
    /// The version it found.
    pub version: ResourceVersion,
}

/// A watch cannot be served from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// Nothing is held yet.
    #[error("the shard is not filled")]
    NotFilled,
    /// The log begins after the version asked for.
    #[error("the log begins later")]
    TooOld,
}

/// One shard, shared behind `Arc`.
pub struct Shard {
    id: ShardId,
    key: ShardKey,
    resource: Arc<ResourceType>,
    fingerprint: u64,
    codec: Arc<ResourceCodec>,
    cache: Mutex<WatchCache>,
    published: Published<Snapshot>,
    progress: watch::Sender<Progress>,
    hubs: Arc<[Arc<Hub>]>,
    /// What the logs of all shards together may take at their beginnings.
    history_room: Arc<HistoryRoom>,
    /// What objects may take; `None` without a limit.
    object_room: Option<Arc<ObjectRoom>>,
    turnover: Arc<Turnover>,
    counted: Option<Counted>,
}

// === impl Shard ===

impl Shard {
    /// An empty shard whose watchers live on `hubs`.
    pub fn new(
        id: ShardId,
        resource: Arc<ResourceType>,
        fingerprint: u64,
        representation: Representation,
        budget: LogBudget,
        hubs: Arc<[Arc<Hub>]>,
    ) -> Self {
        let codec = Arc::new(ResourceCodec::new(&resource, representation));
        Self {
            id,
            key: ShardKey { gvr: resource.gvr.clone(), representation },
            resource,
            fingerprint,
            cache: Mutex::new(WatchCache::new(&codec, budget)),
            codec,
            published: Published::empty(),
            progress: watch::Sender::new(Progress::default()),
            hubs,
            history_room: Arc::new(HistoryRoom::new(u64::MAX)),
            object_room: None,
            turnover: Arc::default(),
            counted: None,
        }
    }

    /// Counts what happens to it.
    #[must_use]
    pub fn counting(self, metrics: &Metrics) -> Self {
        let counted = Some(Counted::new(metrics, &self.key));
        Self { counted, ..self }
    }

    /// What counts, if anything does.
    pub fn counted(&self) -> Option<&Counted> {
        self.counted.as_ref()
    }

    /// Extends its log, and joins batches, only as far as the room that it shares with others allows.
    #[must_use]
    pub fn sharing(self, history_room: Arc<HistoryRoom>, joined_room: Arc<JoinedRoom>) -> Self {
        self.cache.lock().share_room(joined_room);
        Self { history_room, ..self }
    }

    /// Is filled only as far as there is room for objects.
    #[must_use]
    pub fn within(self, object_room: Arc<ObjectRoom>) -> Self {
        Self { object_room: Some(object_room), ..self }
    }

    /// The room for one fill.
    pub fn fill_room(&self) -> FillRoom {
        FillRoom::new(self.object_room.clone(), &self.key.gvr)
    }

    /// Whether anybody but its filler waits for the shard to change.
    pub fn is_awaited(&self) -> bool {
        self.progress.receiver_count() > 1
    }

    /// Its number.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Resource and representation.
    pub fn key(&self) -> &ShardKey {
        &self.key
    }

    /// The type it holds, as known when it was opened.
    pub fn resource(&self) -> &Arc<ResourceType> {
        &self.resource
    }

    /// The fingerprint of the type under which it was opened: under another one its bytes and the
    /// places of its fields may differ.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// How its bytes are read and framed.
    pub fn codec(&self) -> &Arc<ResourceCodec> {
        &self.codec
    }

    /// The state shown to readers, `None` before the first fill.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.published.load_full()
    }

    /// The version shown to readers.
    pub fn resource_version(&self) -> Option<ResourceVersion> {
        self.published.load().as_ref().map(|snapshot| snapshot.resource_version)
    }

    /// What has left the shard, for readers to tell what they alone keep alive.
    pub fn turnover(&self) -> &Arc<Turnover> {
        &self.turnover
    }

    /// What the shard waits to become; see [`Shard::wait_until`].
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Waits until `condition` holds for the progress, at most `patience`; `None` when it doesn't
    /// in time or the shard is closed.
    pub async fn wait_until(
        &self,
        patience: Duration,
        condition: impl Fn(&Progress) -> bool,
    ) -> Option<Progress> {
        let mut receiver = self.progress.subscribe();
        let settled = receiver.wait_for(|progress| progress.closed || condition(progress));
        let progress = tokio::time::timeout(patience, settled).await.ok()?.ok()?.clone();
        condition(&progress).then_some(progress)
    }

    /// Applies a burst and hands it to the cores concerned.
    ///
    /// # Errors
    /// The burst does not continue the cache; what came before the fault is applied.
    pub fn apply(
        &self,
        burst: Vec<impl Into<ReceivedEvent>>,
        now: Instant,
    ) -> Result<usize, Violation> {
        let mut cache = self.cache.lock();
        let before = cache.forgotten_bytes();
        let (published, outcome) = cache.apply(burst, now);
        for (audience, cores, batch) in published.batches {
            for core in cores {
                if let Some(hub) = self.hubs.get(usize::from(core.0)) {
                    hub.send(Message::Batch(self.id, audience, Arc::clone(&batch)));
                }
            }
        }
        self.publish(&cache, |progress| progress.failure = None);
        // Not before: whoever finds the state that was shown must not have it counted as a newer one.
        self.turnover.add_events(published.events, published.weight);
        self.turnover.add(0, cache.forgotten_bytes() - before);
        if let Some(counted) = &self.counted {
            counted.received(published.events);
        }
        outcome.map(|()| published.events)
    }

    /// Moves the version from exactly `from` to `to`; see [`WatchCache::advance`].
    pub fn advance(&self, from: ResourceVersion, to: ResourceVersion) -> bool {
        let mut cache = self.cache.lock();
        let moved = cache.advance(from, to);
        if moved {
            self.publish(&cache, |_| {});
        }
        moved
    }

    /// Remembers what bookmarks look like, from wherever one was seen.
    pub fn learn_template(&self, template: BookmarkTemplate) {
        let mut cache = self.cache.lock();
        cache.learn_template(template);
        self.publish(&cache, |_| {});
    }

    /// A watcher that begins with the whole present state.
    ///
    /// # Errors
    /// [`NotCovered::NotFilled`].
    pub fn subscribe_with_state(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        audience: AudienceKey,
    ) -> Result<(Subscription, Snapshot), NotCovered> {
        let mut cache = self.cache.lock();
        let snapshot = cache.snapshot().ok_or(NotCovered::NotFilled)?;
        let version = snapshot.resource_version;
        Ok((self.join(&mut cache, hub, audience, version), snapshot))
    }

    /// A watcher that begins after `version`, which may lie above the version shown.
    ///
    /// # Errors
    /// [`NotCovered`] when the shard is not filled or its log begins later.
    pub fn subscribe_after(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        audience: AudienceKey,
        version: ResourceVersion,
    ) -> Result<(Subscription, Replay), NotCovered> {
        let mut cache = self.cache.lock();
        let shown = cache.resource_version().ok_or(NotCovered::NotFilled)?;
        let replay = cache.events_since(version).ok_or(NotCovered::TooOld)?;
        Ok((self.join(&mut cache, hub, audience, shown.max(version)), replay))
    }

    /// Events after `version` for a subscription that fell behind its feed, which is moved to the
    /// end; `None` when they are no longer held or continuity is broken.
    pub(super) fn catch_up(
        &self,
        subscription: &Subscription,
        version: ResourceVersion,
    ) -> Option<Replay> {
        let cache = self.cache.lock();
        if cache.generation() != subscription.generation() {
            return None;
        }
        let replay = cache.events_since(version)?;
        subscription.hub().skip_to_end(subscription.ticket());
        Some(replay)
    }

    /// Takes a subscription out; called once, when it is dropped.
    pub(super) fn unsubscribe(&self, subscription: &Subscription) {
        let mut cache = self.cache.lock();
        subscription.hub().detach(subscription.ticket());
        cache.audiences().leave(subscription.ticket().audience, subscription.hub().core());
    }

    /// Figures for metrics and readiness: object count, bytes of objects and log, watchers,
    /// audiences, unindexed audiences.
    pub fn figures(&self) -> Figures {
        let mut cache = self.cache.lock();
        let (object_bytes, log_bytes) = cache.resident_bytes();
        let watchers = cache.audiences().watchers();
        let (audiences, unindexed_audiences) = cache.audiences().len();
        let (objects, deflated_bytes, place_bytes) =
            self.published.load().as_ref().map_or((0, 0, 0), |snapshot| {
                let objects = &snapshot.objects;
                (objects.len(), objects.deflated_bytes(), objects.place_bytes())
            });
        let past_bytes = cache.past().map_or(0, PastStates::bytes);
        let log_events = cache.history_len();
        Figures {
            objects,
            object_bytes: object_bytes + deflated_bytes + place_bytes,
            deflated_bytes,
            place_bytes,
            log_events,
            log_bytes,
            past_bytes,
            watchers,
            audiences,
            unindexed_audiences,
        }
    }

    /// Bytes kept alive by the log, as in [`Shard::figures`].
    pub fn log_bytes(&self) -> u64 {
        self.cache.lock().resident_bytes().1
    }

    fn join(
        self: &Arc<Self>,
        cache: &mut WatchCache,
        hub: &Arc<Hub>,
        audience: AudienceKey,
        version: ResourceVersion,
    ) -> Subscription {
        let audience = cache.audiences().join(audience, hub.core());
        let ticket = hub.attach(self.id, audience, version);
        let generation = cache.generation();
        Subscription::new(Arc::clone(self), Arc::clone(hub), ticket, generation, version)
    }

    fn tell_all(&self, message: &Message) {
        for hub in self.hubs.iter() {
            hub.send(message.clone());
        }
    }

    /// Shows the cache's state. Must follow the messages to the hubs: whoever reads a version here
    /// and then empties a hub's mailbox has received everything up to it.
    fn publish(&self, cache: &WatchCache, change: impl FnOnce(&mut Progress)) {
        let snapshot = cache.snapshot();
        let version = snapshot.as_ref().map(|snapshot| snapshot.resource_version);
        let bookmarks = snapshot.as_ref().is_some_and(|snapshot| snapshot.template.is_some());
        self.published.store(snapshot.map(Arc::new));
        self.progress.send_modify(|progress| {
            progress.version = version;
            progress.bookmarks = bookmarks;
            change(progress);
        });
    }
}

/// What a shard holds and serves at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Objects held.
    pub objects: usize,
    /// Bytes of the objects, pages and indexes, deflated forms and places of values included.
    pub object_bytes: u64,
    /// Bytes of the deflated forms alone.
    pub deflated_bytes: u64,
    /// Bytes of the places alone.
    pub place_bytes: u64,
    /// Events in the log.
    pub log_events: usize,
    /// Bytes kept alive by the log.
    pub log_bytes: u64,
    /// Bytes that older states hold beyond the present one, as counted last.
    pub past_bytes: u64,
    /// Open watches.
    pub watchers: u64,
    /// Distinct audiences among them.
    pub audiences: usize,
    /// Audiences asked about every event.
    pub unindexed_audiences: usize,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("key", &self.key)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.gvr, self.representation.name())
    }
}
