//! Watch events as far as a watcher looks into them, and the lines that they come in.
//!
//! Reads only the type, the resource version and our own annotation, borrowed from the line: the
//! load generator must spend less on an event than the server does.

use std::borrow::Cow;

use bytes::{Buf as _, BytesMut};
use serde::Deserialize;

use crate::{
    history::Seen,
    plan::{Operation, Write},
};

/// Longest line taken; a Kubernetes object has at most some 3 MiB.
const LONGEST_LINE: usize = 16 << 20;

/// One line of a watch.
#[derive(Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Everything up to this resource version has been sent.
    Bookmark(u64),
    /// The server ends the watch, with this code and message.
    Error(u16, String),
    /// Of an object of another run, or of nobody's, at this resource version.
    Foreign(u64),
    /// Of this run.
    Ours(Seen),
}

/// A line that is no event.
#[derive(Debug, thiserror::Error)]
pub enum BadEvent {
    /// Not JSON of the expected shape.
    #[error("a line of the watch is no event: {0}")]
    Json(#[from] serde_json::Error),
    /// The resource version is missing, or is not a number.
    #[error("an event without a usable resourceVersion: {0:?}")]
    Revision(String),
    /// An unknown type.
    #[error("an event of type {0:?}")]
    Type(String),
    /// Endless.
    #[error("a line of more than {LONGEST_LINE} bytes")]
    TooLong,
}

/// Bytes as they come, lines as they are complete.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: BytesMut,
    searched: usize,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(default)]
    code: u16,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(borrow, default)]
    annotations: Annotations<'a>,
}

#[derive(Default, Deserialize)]
struct Annotations<'a> {
    // The text of scratch::MARK_ANNOTATION, which an attribute cannot name.
    #[serde(borrow, default, rename = "watchgate-loadtest/write")]
    mark: Option<Cow<'a, str>>,
}

// === impl WatchEvent ===

impl WatchEvent {
    /// Reads a line as an event of this run or not.
    ///
    /// # Errors
    /// When it is no event.
    pub fn parse(run: &str, line: &[u8]) -> Result<Self, BadEvent> {
        let Event { kind, object } = serde_json::from_slice(line)?;
        let operation = match &*kind {
            "ADDED" => Some(Operation::Create),
            "MODIFIED" => Some(Operation::Update),
            "DELETED" => Some(Operation::Delete),
            "BOOKMARK" => None,
            "ERROR" => return Ok(Self::Error(object.code, object.message.into_owned())),
            _ => return Err(BadEvent::Type(kind.into_owned())),
        };
        let text = object.metadata.resource_version;
        let Ok(revision) = text.parse() else {
            return Err(BadEvent::Revision(text.into_owned()));
        };
        let Some(operation) = operation else { return Ok(Self::Bookmark(revision)) };
        let mark = object.metadata.annotations.mark;
        Ok(match mark.and_then(|mark| Write::from_mark(run, &mark)) {
            Some(mark) => Self::Ours(Seen { mark, operation, revision }),
            None => Self::Foreign(revision),
        })
    }
}

// === impl Lines ===

impl Lines {
    /// Takes bytes in.
    ///
    /// # Errors
    /// When a line does not end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BadEvent> {
        if self.buffer.len() + bytes.len() > 2 * LONGEST_LINE {
            return Err(BadEvent::TooLong);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next complete line without its end.
    pub fn next_line(&mut self) -> Option<BytesMut> {
        let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + found);
        self.buffer.advance(1);
        self.searched = 0;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_events_of_this_run_and_tells_others_apart() {
        let event = |kind: &str, mark: &str| {
            format!(
                r#"{{"type":"{kind}","object":{{"kind":"ConfigMap","metadata":{{"name":"x",
                "resourceVersion":"12","annotations":{{"a":"b","{}":"{mark}"}}}},"data":{{}}}}}}"#,
                crate::scratch::MARK_ANNOTATION
            )
        };
        let parse = |line: &str| WatchEvent::parse("run", line.as_bytes());
        let mark = Write { writer: 1, sequence: 5 };
        let seen = Seen { mark, operation: Operation::Delete, revision: 12 };
        assert_eq!(parse(&event("DELETED", "run/1/5")).unwrap(), WatchEvent::Ours(seen));
        assert_eq!(parse(&event("ADDED", "other/1/5")).unwrap(), WatchEvent::Foreign(12));
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"99"}}}"#;
        assert_eq!(parse(bookmark).unwrap(), WatchEvent::Bookmark(99));
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","metadata":{},"message":"too old",
            "code":410}}"#;
        assert_eq!(parse(gone).unwrap(), WatchEvent::Error(410, "too old".to_owned()));
        assert!(matches!(parse(&event("MOVED", "")), Err(BadEvent::Type(_))));
        let unversioned = r#"{"type":"ADDED","object":{"metadata":{}}}"#;
        assert!(matches!(parse(unversioned), Err(BadEvent::Revision(_))));
        assert!(matches!(parse("{"), Err(BadEvent::Json(_))));
    }

    #[test]
    fn lines_come_out_whole_however_they_arrive() {
        for size in 1..12 {
            let mut lines = Lines::default();
            let mut out = Vec::new();
            for chunk in b"one\n\nthree\nfour".chunks(size) {
                lines.push(chunk).unwrap();
                out.extend(std::iter::from_fn(|| lines.next_line()));
            }
            assert_eq!(out, [&b"one"[..], b"", b"three"], "{size}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; LONGEST_LINE];
        lines.push(&chunk).unwrap();
        lines.push(&chunk).unwrap();
        assert!(matches!(lines.push(b"x"), Err(BadEvent::TooLong)));
    }
}
