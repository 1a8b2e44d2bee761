//! Watch events as far as a watcher looks into them.
//!
//! Reads only the type, the resource version and our own annotation, in place: the load generator
//! must spend less on an event than the server does. So what follows an object's metadata is looked
//! into in one of [`WHOLE_EVERY`] JSON events only, which are read to their end and compared.

pub mod frames;
pub mod json;
pub mod list;
pub mod protobuf;

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    plan::{Operation, Write},
    scenario::workload::Representation,
};

/// The annotation whose value is the write's mark.
pub const MARK_ANNOTATION: &str = "watchgate-loadtest/write";
/// The annotation of the bookmark after the initial state.
pub const INITIAL_END_ANNOTATION: &str = "k8s.io/initial-events-end";
/// One of so many JSON events is read whole.
pub const WHOLE_EVERY: u64 = 64;

/// One event of a watch.
#[derive(Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Everything up to this resource version has been sent.
    Bookmark {
        /// The resource version.
        revision: u64,
        /// Whether it ends the initial state.
        initial_end: bool,
    },
    /// The server ends the watch, with this code and message.
    Error(u16, String),
    /// Of an object of another run, or of nobody's, at this resource version.
    Foreign(Operation, u64),
    /// Of this run.
    Ours(Seen),
}

/// What one event says, as far as the check needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The write that the object carries: for a deletion, the one before it.
    pub mark: Write,
    /// The event's type, as the operation it stands for.
    pub operation: Operation,
    /// The object's resource version.
    pub revision: u64,
}

/// A frame that is no event.
#[derive(Debug, thiserror::Error)]
pub enum BadEvent {
    /// Not of the expected shape.
    #[error("a frame of the watch is no event: {0}")]
    Shape(&'static str),
    /// Not JSON.
    #[error("a line of the watch is no event: {0}")]
    Json(#[from] serde_json::Error),
    /// The resource version is missing, or is not a number.
    #[error("an event without a usable resourceVersion: {0:?}")]
    Revision(String),
    /// An unknown type.
    #[error("an event of type {0:?}")]
    Type(String),
    /// Endless.
    #[error("a frame of more than {} bytes", frames::LONGEST)]
    TooLong,
}

/// What a scan of an event or object found, borrowed from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// `type`; empty for an object.
    pub kind: &'a str,
    /// `metadata.resourceVersion`.
    pub revision: &'a str,
    /// The annotation [`MARK_ANNOTATION`].
    pub mark: Option<&'a str>,
    /// Whether it has the annotation [`INITIAL_END_ANNOTATION`].
    pub initial_end: bool,
}

#[derive(Deserialize)]
struct Ended<'a> {
    #[serde(borrow)]
    object: Status<'a>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(default)]
    code: u16,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

// === impl WatchEvent ===

impl WatchEvent {
    /// Reads a frame as an event of this run or not.
    ///
    /// # Errors
    /// When it is no event.
    pub fn read(run: &str, frame: &[u8], binary: bool) -> Result<Self, BadEvent> {
        let scanned = if binary { protobuf::event(frame)? } else { json::event(frame)? };
        let operation = match scanned.kind {
            "ADDED" => Some(Operation::Create),
            "MODIFIED" => Some(Operation::Update),
            "DELETED" => Some(Operation::Delete),
            "BOOKMARK" => None,
            "ERROR" if binary => {
                let (code, message) = protobuf::status(frame)?;
                return Ok(Self::Error(code, message));
            }
            "ERROR" => {
                let Ended { object } = serde_json::from_slice(frame)?;
                return Ok(Self::Error(object.code, object.message.into_owned()));
            }
            other => return Err(BadEvent::Type(other.to_owned())),
        };
        let Ok(revision) = scanned.revision.parse() else {
            return Err(BadEvent::Revision(scanned.revision.to_owned()));
        };
        let Some(operation) = operation else {
            return Ok(Self::Bookmark { revision, initial_end: scanned.initial_end });
        };
        Ok(match scanned.mark.and_then(|mark| Write::from_mark(run, mark)) {
            Some(mark) => Self::Ours(Seen { mark, operation, revision }),
            None => Self::Foreign(operation, revision),
        })
    }

    /// Reads the whole of a JSON frame, which tells one that is cut or mixed up behind what
    /// [`WatchEvent::read`] looks into.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn read_whole(frame: &[u8]) -> Result<(), BadEvent> {
        serde_json::from_slice::<serde::de::IgnoredAny>(frame)?;
        Ok(())
    }
}

// === impl Representation ===

impl Representation {
    /// Whether frames are Protobuf.
    pub const fn binary(self) -> bool {
        matches!(self, Self::Protobuf | Self::MetadataProtobuf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, mark: &str) -> String {
        format!(
            r#"{{"type":"{kind}","object":{{"kind":"ConfigMap","metadata":{{"name":"x",
            "resourceVersion":"12","annotations":{{"a":"b\"}}","{MARK_ANNOTATION}":"{mark}"}},
            "managedFields":[{{"f:{MARK_ANNOTATION}":{{}}}}]}},"data":{{}}}}}}"#
        )
    }

    #[test]
    fn reads_events_of_this_run_and_tells_others_apart() {
        let read = |line: &str| WatchEvent::read("run", line.as_bytes(), false);
        let mark = Write { slot: 1, generation: 5 };
        let seen = Seen { mark, operation: Operation::Delete, revision: 12 };
        assert_eq!(read(&event("DELETED", "run/1/5")).unwrap(), WatchEvent::Ours(seen));
        let foreign = WatchEvent::Foreign(Operation::Create, 12);
        assert_eq!(read(&event("ADDED", "other/1/5")).unwrap(), foreign);
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"99"}}}"#;
        let plain = WatchEvent::Bookmark { revision: 99, initial_end: false };
        assert_eq!(read(bookmark).unwrap(), plain);
        let initial = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"99",
            "annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        assert_eq!(
            read(initial).unwrap(),
            WatchEvent::Bookmark { revision: 99, initial_end: true }
        );
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","metadata":{},"message":"too old",
            "code":410}}"#;
        assert_eq!(read(gone).unwrap(), WatchEvent::Error(410, "too old".to_owned()));
        assert!(matches!(read(&event("MOVED", "")), Err(BadEvent::Type(_))));
        let unversioned = r#"{"type":"ADDED","object":{"metadata":{}}}"#;
        assert!(matches!(read(unversioned), Err(BadEvent::Revision(_))));
        assert!(matches!(read("{"), Err(BadEvent::Shape(_))));
    }

    #[test]
    fn a_cut_event_is_seen_when_read_whole() {
        let whole = event("ADDED", "run/1/5");
        assert!(WatchEvent::read_whole(whole.as_bytes()).is_ok());
        assert!(WatchEvent::read_whole(&whole.as_bytes()[..whole.len() - 3]).is_err());
    }
}
