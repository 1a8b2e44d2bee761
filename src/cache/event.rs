//! One change of one object, as the upstream stream reported it, and how a selection sees it.
//!
//! An event is immutable once logged and shared by every reader behind `Arc`. Its frames, the bytes
//! that go to watchers, are made once per form and event type, by whoever needs one first. The one
//! that nearly every watcher gets is upstream's own: its bytes are those that the object lies in.
//!
//! Hot path: [`Event::seen_through`] runs once per event and audience, [`Event::frame`] once per
//! delivery.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

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
    /// Bytes of the frame that came from upstream, 0 without one.
    received: usize,
    /// Counts the bytes of frames that are made.
    made: Option<Arc<AtomicU64>>,
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
        let frames = Default::default();
        Self { resource_version, change, frames, received: 0, made: None }
    }

    /// The event with the frame that it came in, whose bytes are those that watchers get for an event
    /// of this type and form. It should hold the object's core.
    #[must_use]
    pub fn framed(mut self, kind: EventKind, form: Form, frame: Bytes) -> Self {
        self.received = frame.len();
        self.frames[slot(kind, form)] = OnceLock::from(frame);
        self
    }

    /// The event, adding to `made` the bytes of every frame that is made of it.
    #[must_use]
    pub fn counted(mut self, made: &Arc<AtomicU64>) -> Self {
        self.made = Some(Arc::clone(made));
        self
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
        self.frames[slot(kind, form)].get_or_init(|| {
            let frame = match (&self.change, kind) {
                (Change::Deleted { object, .. }, _) => {
                    codec.frame_event(EventKind::Deleted, object, form)
                }
                (Change::Set { previous: Some(previous), .. }, EventKind::Deleted) => {
                    codec.frame_departure(previous, self.resource_version, form)
                }
                (Change::Set { object, .. }, kind) => codec.frame_event(kind, object, form),
            };
            if let Some(made) = &self.made {
                made.fetch_add(frame.len() as u64, Ordering::Relaxed);
            }
            frame
        })
    }

    /// The object that it left or, of a deletion, its last content.
    pub fn object(&self) -> &Object {
        let (Change::Set { object, .. } | Change::Deleted { object, .. }) = &self.change;
        object
    }

    /// The object before it, `None` before a creation.
    pub fn previous(&self) -> Option<&Object> {
        match &self.change {
            Change::Set { previous, .. } => previous.as_ref(),
            Change::Deleted { previous, .. } => Some(previous),
        }
    }

    /// Bytes this event keeps alive if it shares them with nothing, without the frames that were made.
    pub fn weight(&self) -> u64 {
        let core = self.object().core.len();
        let delimiters = self.received.saturating_sub(core);
        let before = self.previous().map_or(0, object_bytes);
        // Its own counts and the handle in the log.
        let shared = 3 * size_of::<usize>();
        object_bytes(self.object()) + before + (delimiters + size_of::<Self>() + shared) as u64
    }
}

/// Bytes of an object that is kept for itself.
pub(super) fn object_bytes(object: &Object) -> u64 {
    object.core.len() as u64 + object.bytes_beside_core()
}

const fn slot(kind: EventKind, form: Form) -> usize {
    kind as usize * 2 + matches!(form, Form::Metadata) as usize
}

#[cfg(test)]
mod tests;
