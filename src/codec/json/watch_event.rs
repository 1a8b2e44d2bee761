//! One line of a JSON watch stream.

use serde::Deserialize;

use super::{
    bookmark::scan_bookmark,
    object::{ObjectShape, scan_core},
    scanner::Scanner,
    text,
};
use crate::codec::{
    decode_error::DecodeError,
    scanned::{EventType, ScannedEvent},
    watch_event::UpstreamStatus,
};

/// The part of a `Status` that is passed on.
#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusMembers {
    kind: String,
    code: i32,
    reason: String,
    message: String,
}

/// Reads one line. `object_prefix` is what an object of the resource begins with.
pub(in crate::codec) fn scan_watch_event(
    frame: &[u8],
    object_prefix: &str,
    shape: &ObjectShape,
) -> Result<ScannedEvent, DecodeError> {
    let mut scanner = Scanner::new(text(frame)?, 0);
    if !scanner.take(r#"{"type":"#) {
        return Err(scanner.expected("a watch event"));
    }
    let name = scanner.string()?;
    let event_type = EventType::parse(name.plain().unwrap_or_default(), name.at())?;
    if !scanner.take(r#","object":"#) {
        return Err(scanner.expected("the event's object"));
    }
    if event_type != EventType::Error && !scanner.take(object_prefix) {
        return Err(DecodeError::WrongType { at: scanner.position() });
    }
    let event = match event_type {
        EventType::Object(kind) => {
            let (attributes, core) = scan_core(&mut scanner, shape)?;
            ScannedEvent::Object(kind, attributes, core)
        }
        EventType::Bookmark => ScannedEvent::Bookmark(scan_bookmark(&mut scanner, frame, shape)?),
        EventType::Error => {
            let span = scanner.skip_value()?;
            ScannedEvent::Error(parse_status(&frame[span.clone()], span.start)?)
        }
    };
    if !scanner.take("}") {
        return Err(scanner.expected("the event's end"));
    }
    scanner.finish()?;
    Ok(event)
}

fn parse_status(json: &[u8], at: usize) -> Result<UpstreamStatus, DecodeError> {
    let expected = DecodeError::Expected { expected: "a Status", at };
    let status: StatusMembers = serde_json::from_slice(json).map_err(|_| expected.clone())?;
    if status.kind != "Status" {
        return Err(expected);
    }
    Ok(UpstreamStatus { code: status.code, reason: status.reason, message: status.message })
}
