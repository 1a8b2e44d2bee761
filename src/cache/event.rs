//! One change of one object, as the upstream stream reported it, and how a selection sees it.
//!
//! An event is immutable once logged and shared by every reader behind `Arc`. Its frames, the bytes
//! that go to watchers, are made once per form and event type, by whoever needs one first.
//!
//! Hot path: [`Event::seen_through`] runs once per event and audience, [`Event::frame`] once per
//! delivery.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::{
    api::version::ResourceVersion,
    codec::{
        ResourceCodec,
        object::Object,
        watch_event::{EventKind, Form},
    },
};

use super::audience::AudienceKey;

/// What happened to the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Created or updated; `previous` is what it replaced.
    Set {
        /// The object after the change.
        object: Object,
        /// The object before it, `None` when it was created.
        previous: Option<Object>,
    },
    /// Removed.
    Deleted {
        /// The last content, with `metadata.resourceVersion` set to the deletion's.
        object: Object,
        /// The object as it was before the deletion.
        previous: Object,
    },
}

/// A change with its place in the resource's order.
#[derive(Debug)]
pub struct Event {
    resource_version: ResourceVersion,
    change: Change,
    frames: [OnceLock<Bytes>; FRAMES],
}

/// Three event types in two forms.
const FRAMES: usize = 6;

// === impl Event ===

impl Event {
    /// An event at the version of the object that caused it.
    pub fn new(change: Change) -> Self {
        let resource_version = match &change {
            Change::Set { object, .. } | Change::Deleted { object, .. } => {
                object.resource_version()
            }
        };
        Self { resource_version, change, frames: Default::default() }
    }

    /// The version at which it happened; for a deletion, the deletion's.
    pub fn resource_version(&self) -> ResourceVersion {
        self.resource_version
    }

    /// What happened.
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// The object states that decide who is concerned: new and previous.
    pub fn states(&self) -> (Option<&Object>, Option<&Object>) {
        match &self.change {
            Change::Set { object, previous } => (Some(object), previous.as_ref()),
            Change::Deleted { previous, .. } => (None, Some(previous)),
        }
    }

    /// The event type that a watcher with this scope and selection gets, `None` when the event does
    /// not concern it (semantics §5.3).
    pub fn seen_through(&self, audience: &AudienceKey) -> Option<EventKind> {
        let (current, previous) = self.states();
        let matches =
            |object: Option<&Object>| object.is_some_and(|object| audience.admits(object));
        match (matches(current), matches(previous)) {
            (true, false) => Some(EventKind::Added),
            (true, true) => Some(EventKind::Modified),
            (false, true) => Some(EventKind::Deleted),
            (false, false) => None,
        }
    }

    /// The bytes of this event as `kind` in `form`, framed on first use.
    ///
    /// `kind` must come from [`Event::seen_through`]: a creation has no previous object to report
    /// as deleted; asked for one, the frame is that of the new object.
    pub fn frame(&self, kind: EventKind, form: Form, codec: &ResourceCodec) -> &Bytes {
        let slot = kind as usize * 2 + usize::from(form == Form::Metadata);
        self.frames[slot].get_or_init(|| match (&self.change, kind) {
            (Change::Deleted { object, .. }, _) => {
                codec.frame_event(EventKind::Deleted, object, form)
            }
            (Change::Set { previous: Some(previous), .. }, EventKind::Deleted) => {
                codec.frame_departure(previous, self.resource_version, form)
            }
            (Change::Set { object, .. }, kind) => codec.frame_event(kind, object, form),
        })
    }

    /// Bytes this event keeps alive: its objects' cores, shared with nothing in the worst case, and
    /// the one frame that nearly every event is sent in.
    pub fn weight(&self) -> u64 {
        let (now, before) = match &self.change {
            Change::Set { object, previous } => {
                (object.core.len(), previous.as_ref().map_or(0, |object| object.core.len()))
            }
            Change::Deleted { object, previous } => (object.core.len(), previous.core.len()),
        };
        (now * 2 + before + size_of::<Self>()) as u64
    }
}

#[cfg(test)]
mod tests;
