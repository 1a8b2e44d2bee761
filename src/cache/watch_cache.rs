//! The watch cache of one shard: objects, log and audiences, moved by what upstream reports.
//!
//! One writer calls [`WatchCache::fill`], [`WatchCache::apply`] and [`WatchCache::advance`]; what
//! readers and watchers must learn comes back as a value. Guarantees:
//!
//! - I1 the version shown never goes down, except through [`WatchCache::clear`];
//! - I2 every event is applied once, in version order, or the stream is refused ([`Violation`]);
//! - I3 a [`Snapshot`] at version N holds exactly the objects that the applied events up to N left;
//! - I4 whoever subscribes at N is handed every later event that concerns it, or told that it can't.
//!
//! No clock, no IO, no locks: time is an argument, the owner holds the lock.

mod fill;

use std::{sync::Arc, time::Instant};

use hashbrown::HashMap;

use crate::{
    api::version::ResourceVersion,
    codec::{
        ResourceCodec,
        bookmark_template::BookmarkTemplate,
        watch_event::{EventKind, Form, ReceivedEvent, WatchEvent},
    },
};

use super::{
    audience::{AudienceId, AudienceKey, AudienceTable, CoreId},
    beginning::Beginning,
    event::{Change, Event},
    feed::Batch,
    joined::JoinedRoom,
    log::{Log, LogBudget, Replay},
    map::OrderedMap,
    past::{Past, PastStates},
};

pub use self::fill::{Arrival, Discarded, Fill};

/// Objects, log and audiences of one shard.
#[derive(Debug)]
pub struct WatchCache {
    contents: Option<Contents>,
    audiences: AudienceTable,
    template: Option<Arc<BookmarkTemplate>>,
    /// The version that no fill may be below: what fills and the stream have brought, and what was
    /// shown when a fill was asked for. Later ones of [`WatchCache::advance`] came another way and may
    /// have overtaken a fill that was under way.
    highest: Option<ResourceVersion>,
    generation: u64,
    budget: LogBudget,
    /// For batches on their way to watchers.
    joined_room: Arc<JoinedRoom>,
    /// The form of upstream's frames.
    held_form: Form,
}

/// The state at one version; cheap to clone, never changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Objects by key.
    pub objects: OrderedMap,
    /// The version this is the state at.
    pub resource_version: ResourceVersion,
    /// Rises when continuity is broken: watches begun under another generation have ended.
    pub generation: u64,
    /// What bookmarks of this type look like; `None` until upstream has sent one.
    pub template: Option<Arc<BookmarkTemplate>>,
}

/// What an applied burst has for watchers.
#[derive(Debug, Default)]
pub struct Published {
    /// One batch per concerned audience, with the cores to hand it to.
    pub batches: Vec<(AudienceId, Vec<CoreId>, Arc<Batch>)>,
    /// Events applied.
    pub events: usize,
    /// What they weigh together.
    pub weight: u64,
}

/// A stream that does not continue what the cache holds; the shard must be filled anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An event arrived before the first fill.
    #[error("an event arrived before the cache was filled")]
    NotFilled,
    /// An event is not newer than what was applied.
    #[error("event at {event} after version {applied} was applied")]
    OutOfOrder {
        /// The event's version.
        event: ResourceVersion,
        /// The cache's version.
        applied: ResourceVersion,
    },
    /// A deletion of an object that the cache does not hold.
    #[error("deletion at {event} of an object that is not in the cache")]
    UnknownObject {
        /// The event's version.
        event: ResourceVersion,
    },
    /// A consistent answer is older than what was shown: the store was restored from the past.
    #[error("upstream is at {found}, but {shown} was already seen: the store went back")]
    WentBack {
        /// The version of the answer.
        found: ResourceVersion,
        /// The highest version seen before.
        shown: ResourceVersion,
    },
    /// A consistent answer does not follow from what was shown: the store was restored from the past
    /// and has had another history since.
    #[error(
        "upstream's objects at {found} do not follow from those at {shown}: the store went back"
    )]
    Rewritten {
        /// The version of the answer.
        found: ResourceVersion,
        /// The version shown.
        shown: ResourceVersion,
    },
}

// === impl Violation ===

impl Violation {
    /// Whether it says that the store was restored from the past.
    pub const fn is_a_restore(&self) -> bool {
        matches!(self, Self::WentBack { .. } | Self::Rewritten { .. })
    }
}

#[derive(Debug)]
struct Contents {
    objects: OrderedMap,
    resource_version: ResourceVersion,
    log: Log,
    /// Rests on the log, and goes with it.
    past: PastStates,
}

// === impl WatchCache ===

impl WatchCache {
    /// An empty cache.
    pub fn new(codec: &ResourceCodec, budget: LogBudget) -> Self {
        let template = codec.synthesise_bookmark_template().map(Arc::new);
        Self {
            contents: None,
            audiences: AudienceTable::default(),
            template,
            highest: None,
            generation: 0,
            budget,
            joined_room: Arc::default(),
            held_form: codec.held_form(),
        }
    }

    /// Joins batches in this room, which other caches may use, too.
    pub fn share_room(&mut self, room: Arc<JoinedRoom>) {
        self.joined_room = room;
    }

    /// Applies a burst of upstream events in their order. `now` is when they were received.
    ///
    /// # Errors
    /// The burst's first event that does not continue the cache; those before it are applied and
    /// published in the error's company, so that no watcher misses them.
    pub fn apply(
        &mut self,
        burst: impl IntoIterator<Item = impl Into<ReceivedEvent>>,
        now: Instant,
    ) -> (Published, Result<(), Violation>) {
        let mut concerns = Concerns::default();
        let mut published = Published::default();
        let outcome = burst
            .into_iter()
            .try_for_each(|event| self.apply_one(event.into(), now, &mut published, &mut concerns));
        self.collect(concerns, now, &mut published);
        (published, outcome)
    }

    /// Moves the version from exactly `from` to `to`: proof from elsewhere says that nothing
    /// happened in between (semantics §16 b). Returns whether the cache was still at `from`.
    pub fn advance(&mut self, from: ResourceVersion, to: ResourceVersion) -> bool {
        match &mut self.contents {
            Some(contents) if contents.resource_version == from && to >= from => {
                contents.resource_version = to;
                true
            }
            _ => false,
        }
    }

    /// Remembers what upstream's bookmarks of this type look like.
    pub fn learn_template(&mut self, template: BookmarkTemplate) {
        if self.template.is_none() {
            self.template = Some(Arc::new(template));
        }
    }

    /// Events that the log holds.
    pub fn history_len(&self) -> usize {
        self.contents.as_ref().map_or(0, |contents| contents.log.len())
    }

    /// The present state, `None` before the first fill.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.contents.as_ref().map(|contents| Snapshot {
            objects: contents.objects.clone(),
            resource_version: contents.resource_version,
            generation: self.generation,
            template: self.template.clone(),
        })
    }

    /// Events after `version`; `None` when the log does not reach back to it.
    pub fn events_since(&self, version: ResourceVersion) -> Option<Replay> {
        self.contents.as_ref()?.log.since(version)
    }

    /// The state at exactly `version`, or how to come by it.
    pub fn state_at(&mut self, version: ResourceVersion) -> Past {
        match (self.snapshot(), &mut self.contents) {
            (Some(present), Some(contents)) => contents.past.find(version, &present, &contents.log),
            _ => Past::Ahead,
        }
    }

    /// Keeps a state of this generation for the pages to come, until history begins anew. Gives back
    /// what has to make room; a state of another generation is not kept.
    pub fn keep(&mut self, state: Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        let is_ours = state.generation == self.generation;
        self.contents.as_mut().filter(|_| is_ours)?.past.keep(state)
    }

    /// What is kept of the past, `None` while nothing is held at all.
    pub fn past(&self) -> Option<&PastStates> {
        self.contents.as_ref().map(|contents| &contents.past)
    }

    /// Lets the past age; gives back the kept states that grew too old.
    pub fn tend_past(&mut self, now: Instant) -> Vec<Arc<Snapshot>> {
        let Some(contents) = &mut self.contents else { return Vec::new() };
        contents.past.tend(contents.resource_version, now)
    }

    /// Drops kept states; the others hold `bytes`.
    pub fn drop_kept(&mut self, dropped: &[Arc<Snapshot>], bytes: u64) {
        if let Some(contents) = &mut self.contents {
            contents.past.drop_kept(dropped, bytes);
        }
    }

    /// Where the log begins, and all that tells the state there; `None` before the first fill.
    pub fn beginning(&self) -> Option<Beginning> {
        let contents = self.contents.as_ref()?;
        let version = contents.log.start();
        Some(Beginning {
            version,
            generation: self.generation,
            room: contents.log.room(),
            objects: contents.objects.clone(),
            replay: contents.log.since(version)?,
        })
    }

    /// Extends the log backwards: `events` are all that happened after `start` and up to `beginning`,
    /// as [`Backlog::assemble`](super::backlog::Backlog::assemble) makes them. Returns whether they
    /// were taken: the log must begin there still, and have room.
    pub fn extend_back(
        &mut self,
        beginning: &Beginning,
        start: ResourceVersion,
        events: &[Arc<Event>],
        now: Instant,
    ) -> bool {
        let generation = self.generation;
        self.contents.as_mut().is_some_and(|contents| {
            generation == beginning.generation
                && contents.log.start() == beginning.version
                && contents.log.prepend(start, events, now)
        })
    }

    /// Changes how many bytes the log may keep, also of states still to be filled.
    pub fn limit_log(&mut self, bytes: u64, now: Instant) {
        self.budget.bytes = bytes;
        if let Some(contents) = &mut self.contents {
            contents.log.limit(bytes, now);
        }
    }

    /// The version after which all events are held.
    pub fn log_start(&self) -> Option<ResourceVersion> {
        self.contents.as_ref().map(|contents| contents.log.start())
    }

    /// The version shown to readers.
    pub fn resource_version(&self) -> Option<ResourceVersion> {
        self.contents.as_ref().map(|contents| contents.resource_version)
    }

    /// Rises whenever watches must end.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Bytes held by objects and by the log.
    pub fn resident_bytes(&self) -> (u64, u64) {
        self.contents
            .as_ref()
            .map_or((0, 0), |contents| (contents.objects.resident_bytes(), contents.log.weight()))
    }

    /// Bytes that the log has let go since it began.
    pub fn forgotten_bytes(&self) -> u64 {
        self.contents.as_ref().map_or(0, |contents| contents.log.forgotten())
    }

    /// The audiences, to join and leave.
    pub fn audiences(&mut self) -> &mut AudienceTable {
        &mut self.audiences
    }

    fn apply_one(
        &mut self,
        received: ReceivedEvent,
        now: Instant,
        published: &mut Published,
        concerns: &mut Concerns,
    ) -> Result<(), Violation> {
        let contents = self.contents.as_mut().ok_or(Violation::NotFilled)?;
        let (object, kind) = match received.event {
            WatchEvent::Added(object) => (object, EventKind::Added),
            WatchEvent::Modified(object) => (object, EventKind::Modified),
            WatchEvent::Deleted(object) => (object, EventKind::Deleted),
            WatchEvent::Bookmark(bookmark) => {
                contents.resource_version =
                    contents.resource_version.max(bookmark.resource_version);
                self.highest = self.highest.max(Some(bookmark.resource_version));
                self.learn_template(bookmark.template);
                return Ok(());
            }
            // The stream's owner acts on it; it changes no object.
            WatchEvent::Error(_) => return Ok(()),
        };
        let version = object.resource_version();
        if version <= contents.resource_version {
            let applied = contents.resource_version;
            return Err(Violation::OutOfOrder { event: version, applied });
        }
        let change = if kind == EventKind::Deleted {
            let previous = contents
                .objects
                .remove(object.key().as_str())
                .ok_or(Violation::UnknownObject { event: version })?;
            Change::Deleted { object, previous: contents.log.share(previous) }
        } else {
            let previous = contents.objects.insert(object.clone());
            Change::Set { object, previous: previous.map(|previous| contents.log.share(previous)) }
        };
        contents.resource_version = version;
        self.highest = Some(version);
        let mut event = Event::new(change).counted(contents.log.frames_made());
        if let Some(frame) = received.frame {
            event = event.framed(kind, self.held_form, frame);
        }
        let event = Arc::new(event);
        for concern in self.audiences.concerned(&event) {
            concerns.add(concern.audience, Arc::clone(&event), concern.kind);
        }
        published.weight += event.weight();
        contents.log.push(event, now);
        published.events += 1;
        Ok(())
    }

    fn collect(&self, concerns: Concerns, now: Instant, published: &mut Published) {
        for (audience, events) in concerns.by_audience {
            let Some(form) = self.audiences.key(audience).map(|key: &AudienceKey| key.form) else {
                continue;
            };
            let cores = self.audiences.cores(audience).collect();
            let batch = Batch::new(events, form, &self.joined_room).received_at(now);
            published.batches.push((audience, cores, Arc::new(batch)));
        }
    }
}

// === impl Concerns ===

/// Events of one burst by audience.
#[derive(Debug, Default)]
struct Concerns {
    by_audience: HashMap<AudienceId, Vec<(Arc<Event>, EventKind)>>,
}

impl Concerns {
    fn add(&mut self, audience: AudienceId, event: Arc<Event>, kind: EventKind) {
        self.by_audience.entry(audience).or_default().push((event, kind));
    }
}

#[cfg(test)]
mod tests;
