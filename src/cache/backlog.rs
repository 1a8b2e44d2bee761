//! Events that happened before a log's start, put together and proven.
//!
//! An upstream watch from an earlier version brings them in order. What it does not bring is where
//! they end, and what the objects were before. Guarantees of [`Backlog::assemble`]:
//!
//! - complete: upstream's stream, which is in order, has passed the log's start (an event or a
//!   bookmark at or above it was seen). Silence proves nothing, and neither does an equal state: an
//!   object may have come and gone;
//! - exact: every event knows the object before it, from an earlier event, or from the state at the
//!   version that the backlog begins with. That state is only needed when an object's first event
//!   is not its creation ([`Backlog::needs_state`]);
//! - consistent: replayed, the events give the very objects and versions that the log begins with.
//!
//! Knows nothing of requests: `upstream::history` asks and hands over.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use crate::{
    api::{object_key::ObjectKey, version::ResourceVersion},
    codec::{
        object::Object,
        watch_event::{EventKind, UpstreamStatus, WatchEvent},
    },
};

use super::{
    beginning::Versions,
    event::{Change, Event},
};

/// Events between two versions, while they are being collected.
#[derive(Debug)]
pub struct Backlog {
    start: ResourceVersion,
    until: ResourceVersion,
    last: ResourceVersion,
    complete: bool,
    events: VecDeque<(EventKind, Object)>,
    weight: u64,
    room: u64,
    /// Objects at `start`, when they were asked for.
    state: Option<HashMap<ObjectKey, Before>>,
    /// Keys whose object at `start` some event needs.
    wanted: HashSet<ObjectKey>,
}

/// An object at the backlog's start.
#[derive(Debug)]
enum Before {
    /// No event is about it.
    Untouched(ResourceVersion),
    /// Its first event needs it.
    Wanted(Object),
}

/// What the stream has brought so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// More is to come.
    Short,
    /// All events are here.
    Complete,
}

/// The events are of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Upstream ended the stream with a Status.
    #[error("upstream: {}", .0.message)]
    Refused(UpstreamStatus),
    /// Not newer than the event before, or than the version asked for.
    #[error("an event at {0} out of order")]
    OutOfOrder(ResourceVersion),
    /// The stream has not passed the log's start.
    #[error("the stream did not reach the log")]
    Incomplete,
    /// An object's history does not begin or end as the shard's state says.
    #[error("the events do not lead to the state that the log begins with: {0:?}")]
    Inconsistent(ObjectKey),
}

// === impl Backlog ===

impl Backlog {
    /// None yet of the events after `start`, up to and including `until`; they may take `room` bytes.
    /// Where that is too little the oldest go, and the start rises.
    pub fn new(start: ResourceVersion, until: ResourceVersion, room: u64) -> Self {
        Self {
            start,
            until,
            last: start,
            complete: start >= until,
            events: VecDeque::new(),
            weight: 0,
            room,
            state: None,
            wanted: HashSet::new(),
        }
    }

    /// The version after which every event is here, once it is complete.
    pub fn start(&self) -> ResourceVersion {
        self.start
    }

    /// Takes the stream's next event.
    ///
    /// # Errors
    /// [`Unusable::Refused`] and [`Unusable::OutOfOrder`].
    pub fn push(&mut self, event: WatchEvent) -> Result<Reach, Unusable> {
        let (kind, object) = match event {
            WatchEvent::Added(object) => (EventKind::Added, object),
            WatchEvent::Modified(object) => (EventKind::Modified, object),
            WatchEvent::Deleted(object) => (EventKind::Deleted, object),
            WatchEvent::Bookmark(bookmark) => {
                self.complete |= bookmark.resource_version >= self.until;
                return Ok(self.reach());
            }
            WatchEvent::Error(status) => return Err(Unusable::Refused(status)),
        };
        let version = object.resource_version();
        if version <= self.last {
            return Err(Unusable::OutOfOrder(version));
        }
        self.last = version;
        self.complete |= version >= self.until;
        if version <= self.until {
            self.weight += weight(&object);
            self.events.push_back((kind, object));
        }
        while self.weight > self.room
            && let Some((_, oldest)) = self.events.front()
        {
            self.begin_at(oldest.resource_version());
        }
        Ok(self.reach())
    }

    /// Forgets what happened up to `version`, and any state of an earlier one.
    pub fn begin_at(&mut self, version: ResourceVersion) {
        while let Some((_, oldest)) =
            self.events.pop_front_if(|(_, oldest)| oldest.resource_version() <= version)
        {
            self.weight -= weight(&oldest);
        }
        self.start = self.start.max(version);
        self.state = None;
    }

    /// Whether some event needs an object as it was at the start. The state is then to be handed over
    /// by [`Backlog::add_state`].
    pub fn needs_state(&mut self) -> bool {
        let mut seen = HashSet::new();
        self.wanted.clear();
        for (kind, object) in &self.events {
            if seen.insert(object.key()) && *kind != EventKind::Added {
                self.wanted.insert(object.key().clone());
            }
        }
        !self.wanted.is_empty()
    }

    /// Takes objects of the state at exactly the start. Only what events need is kept.
    pub fn add_state(&mut self, page: Vec<Object>) {
        let state = self.state.get_or_insert_default();
        for object in page {
            let key = object.key().clone();
            let before = if self.wanted.contains(&key) {
                // Its bytes are part of a whole page's.
                let core = Bytes::copy_from_slice(&object.core);
                Before::Wanted(Object { core, ..object })
            } else {
                Before::Untouched(object.resource_version())
            };
            state.insert(key, before);
        }
    }

    /// The events for a log that begins with `then`, oldest first.
    ///
    /// # Errors
    /// [`Unusable::Incomplete`] and [`Unusable::Inconsistent`].
    pub fn assemble(self, then: &Versions) -> Result<Vec<Arc<Event>>, Unusable> {
        if !self.complete {
            return Err(Unusable::Incomplete);
        }
        let mut present: HashMap<ObjectKey, Option<Object>> = HashMap::new();
        let mut events = Vec::with_capacity(self.events.len());
        let mut state = self.state;
        for (kind, object) in self.events {
            let key = object.key().clone();
            let before = match present.get(&key) {
                Some(known) => known.clone(),
                None => match state.as_mut().and_then(|state| state.remove(&key)) {
                    Some(Before::Wanted(object)) => Some(object),
                    // Its first event says that it did not exist.
                    Some(Before::Untouched(_)) => return Err(Unusable::Inconsistent(key)),
                    None => None,
                },
            };
            let after = (kind != EventKind::Deleted).then(|| object.clone());
            let change = match (kind, before) {
                (EventKind::Added, None) => Change::Set { object, previous: None },
                (EventKind::Modified, previous @ Some(_)) => Change::Set { object, previous },
                (EventKind::Deleted, Some(previous)) => Change::Deleted { object, previous },
                _ => return Err(Unusable::Inconsistent(key)),
            };
            present.insert(key, after);
            events.push(Arc::new(Event::new(change)));
        }
        agree(&present, state.as_ref(), self.start, then)?;
        Ok(events)
    }

    fn reach(&self) -> Reach {
        if self.complete { Reach::Complete } else { Reach::Short }
    }
}

/// Whether the replayed objects, and those that no event touched, are what the log begins with.
fn agree(
    present: &HashMap<ObjectKey, Option<Object>>,
    untouched: Option<&HashMap<ObjectKey, Before>>,
    start: ResourceVersion,
    then: &Versions,
) -> Result<(), Unusable> {
    let mut expected = present.values().flatten().count() + untouched.map_or(0, HashMap::len);
    for (key, version) in then.iter() {
        let agrees = match (present.get(key), untouched) {
            (Some(object), _) => {
                object.as_ref().is_some_and(|object| object.resource_version() == version)
            }
            (None, Some(state)) => state.get(key).is_some_and(|before| before.version() == version),
            // Without the whole state at the start, that it is no newer is all that can be said.
            (None, None) => {
                expected += 1;
                version <= start
            }
        };
        if !agrees {
            return Err(Unusable::Inconsistent(key.clone()));
        }
        expected -= 1;
    }
    if expected == 0 {
        return Ok(());
    }
    let replayed = present.iter().filter_map(|(key, object)| object.as_ref().map(|_| key));
    let surplus = replayed.chain(untouched.into_iter().flat_map(HashMap::keys));
    match surplus.into_iter().find(|key| then.get(key).is_none()) {
        Some(key) => Err(Unusable::Inconsistent(key.clone())),
        None => Ok(()),
    }
}

// === impl Before ===

impl Before {
    fn version(&self) -> ResourceVersion {
        match self {
            Self::Untouched(version) => *version,
            Self::Wanted(object) => object.resource_version(),
        }
    }
}

/// What the event will weigh in a log at most, as long as the object before it is not twice as large:
/// it keeps that, too.
fn weight(object: &Object) -> u64 {
    let handles = size_of::<Event>() + 3 * size_of::<usize>();
    object.core.len() as u64 * 3 + object.bytes_beside_core() * 2 + handles as u64
}

#[cfg(test)]
mod tests;
