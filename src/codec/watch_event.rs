//! What a watch stream and a list page of the upstream say, as values.
//!
//! Plain data between the codec and the watch cache; the bytes of objects stay as they came.

use bytes::Bytes;

use super::{bookmark_template::BookmarkTemplate, object::Object};
use crate::api::version::ResourceVersion;

/// One event of an upstream watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The object came to be, or is part of the initial state.
    Added(Object),
    /// The object changed.
    Modified(Object),
    /// The object went; its resource version is that of the deletion (semantics §5.3).
    Deleted(Object),
    /// Progress without an object.
    Bookmark(Bookmark),
    /// The stream failed; nothing follows.
    Error(UpstreamStatus),
}

/// An event with the frame that it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// What it says.
    pub event: WatchEvent,
    /// Its frame, if these are the very bytes that watchers get for it as well.
    pub frame: Option<Bytes>,
}

/// Progress of an upstream watch (semantics §5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// Every event up to this version has been sent.
    pub resource_version: ResourceVersion,
    /// Whether it ends the initial state of a streaming list.
    pub initial_events_end: bool,
    /// The bookmark's own bytes, able to carry other versions.
    pub template: BookmarkTemplate,
}

/// The `Status` of an ERROR event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// HTTP status code, 0 when the upstream gave none.
    pub code: i32,
    /// Machine-readable reason such as `Expired`, possibly empty.
    pub reason: String,
    /// Text for people, possibly empty.
    pub message: String,
}

/// The events that carry an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `ADDED`
    Added,
    /// `MODIFIED`
    Modified,
    /// `DELETED`
    Deleted,
}

/// How much of an object a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The object as its resource serves it.
    Full,
    /// `PartialObjectMetadata`, `meta.k8s.io/v1`.
    Metadata,
}

/// One page of an upstream list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// The version that the whole list shows.
    pub resource_version: ResourceVersion,
    /// Asks for the next page; `None` on the last one.
    pub continue_token: Option<String>,
    /// The objects in the order of the page. Their cores share the page's body: keeping one keeps
    /// the whole body in memory, so a holder copies them into storage of its own.
    pub objects: Vec<Object>,
}

/// The metadata of a list to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListMetadata<'a> {
    /// The version that the list shows.
    pub resource_version: ResourceVersion,
    /// The continue token, `None` on the last page.
    pub continue_token: Option<&'a str>,
    /// How many objects are left after this page, where that is told (semantics trap 17).
    pub remaining_item_count: Option<u64>,
}

// === impl ReceivedEvent ===

impl From<WatchEvent> for ReceivedEvent {
    fn from(event: WatchEvent) -> Self {
        Self { event, frame: None }
    }
}

// === impl EventKind ===

impl EventKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}
