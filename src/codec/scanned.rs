//! What both formats' scanners hand to the codec: meaning, with spans where slices go.
//!
//! The scanners borrow their bytes; the codec, which owns them, cuts the cores out.

use std::ops::Range;

use super::{
    decode_error::DecodeError,
    object::ObjectAttributes,
    watch_event::{Bookmark, EventKind, UpstreamStatus},
};
use crate::api::version::ResourceVersion;

/// A watch event whose object still stands in its frame.
#[derive(Debug)]
pub(super) enum ScannedEvent {
    /// An object's event: its attributes, and where its core stands.
    Object(EventKind, ObjectAttributes, Range<usize>),
    /// Progress.
    Bookmark(Bookmark),
    /// The stream's end.
    Error(UpstreamStatus),
}

/// A list page whose objects still stand in its body.
#[derive(Debug)]
pub(super) struct ScannedList {
    pub(super) resource_version: ResourceVersion,
    pub(super) continue_token: Option<String>,
    /// Each object's attributes, and where its core stands.
    pub(super) objects: Vec<(ObjectAttributes, Range<usize>)>,
}

/// The types a watch event can have on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventType {
    Object(EventKind),
    Bookmark,
    Error,
}

// === impl EventType ===

impl EventType {
    pub(super) fn parse(name: &str, at: usize) -> Result<Self, DecodeError> {
        Ok(match name {
            "ADDED" => Self::Object(EventKind::Added),
            "MODIFIED" => Self::Object(EventKind::Modified),
            "DELETED" => Self::Object(EventKind::Deleted),
            "BOOKMARK" => Self::Bookmark,
            "ERROR" => Self::Error,
            _ => return Err(DecodeError::Expected { expected: "a type of watch event", at }),
        })
    }
}
