//! One frame of a protobuf watch stream: a `WatchEvent` around an enveloped object.

use std::ops::Range;

use super::{
    bookmark::scan_bookmark,
    envelope::Envelope,
    object::{MessageShape, scan_core},
    wire::{self, MessageReader},
};
use crate::codec::{
    decode_error::DecodeError,
    scanned::{EventType, ScannedEvent},
    watch_event::UpstreamStatus,
};

/// Reads one frame without its length prefix.
pub(in crate::codec) fn scan_watch_event(
    frame: &[u8],
    envelope: &Envelope,
    shape: &MessageShape,
) -> Result<ScannedEvent, DecodeError> {
    let (mut event_type, mut object) = (None, None);
    let mut fields = MessageReader::new(frame, 0..frame.len());
    while let Some(field) = fields.next()? {
        let repeated = match field.number {
            1 => event_type.replace(EventType::parse(field.text(frame)?, field.at)?).is_some(),
            2 => object.replace(raw_extension(frame, field.bytes()?)?).is_some(),
            _ => false,
        };
        if repeated {
            return Err(DecodeError::Repeated { field: "type or object", at: field.at });
        }
    }
    let missing = |field| DecodeError::Missing { field, at: frame.len() };
    let event_type = event_type.ok_or_else(|| missing("the event's type"))?;
    let object = object.ok_or_else(|| missing("the event's object"))?;
    Ok(match event_type {
        EventType::Object(kind) => {
            let core = envelope.open(frame, object)?;
            ScannedEvent::Object(kind, scan_core(frame, &core, shape)?, core)
        }
        EventType::Bookmark => {
            let core = envelope.open(frame, object)?;
            ScannedEvent::Bookmark(scan_bookmark(frame, core)?)
        }
        EventType::Error => {
            let status = Envelope::new("Status", "v1").open(frame, object)?;
            ScannedEvent::Error(read_status(frame, status)?)
        }
    })
}

/// Length of a whole frame, its prefix included.
pub(in crate::codec) fn frame_length(event_type: &str, object_length: usize) -> usize {
    4 + event_length(event_type, object_length)
}

/// Writes the length prefix and all that stands before an enveloped object of `object_length`
/// bytes. Nothing follows the object.
pub(in crate::codec) fn append_head(buffer: &mut Vec<u8>, event_type: &str, object_length: usize) {
    // A frame is made of one object that came in a frame, so its length fits; were it ever not so,
    // a saturated prefix makes the reader wait for the rest and give up, never misread.
    let length = u32::try_from(event_length(event_type, object_length)).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&length.to_be_bytes());
    wire::append_bytes(buffer, 1, event_type.as_bytes());
    wire::append_bytes_header(buffer, 2, wire::bytes_field_length(object_length));
    wire::append_bytes_header(buffer, 1, object_length);
}

fn event_length(event_type: &str, object_length: usize) -> usize {
    wire::bytes_field_length(event_type.len())
        + wire::bytes_field_length(wire::bytes_field_length(object_length))
}

fn raw_extension(frame: &[u8], span: Range<usize>) -> Result<Range<usize>, DecodeError> {
    let mut raw = None;
    let mut fields = MessageReader::new(frame, span.clone());
    while let Some(field) = fields.next()? {
        if field.number == 1 && raw.replace(field.bytes()?).is_some() {
            return Err(DecodeError::Repeated { field: "the raw object", at: field.at });
        }
    }
    raw.ok_or(DecodeError::Missing { field: "the raw object", at: span.end })
}

fn read_status(frame: &[u8], span: Range<usize>) -> Result<UpstreamStatus, DecodeError> {
    let mut status = UpstreamStatus::default();
    let mut fields = MessageReader::new(frame, span);
    while let Some(field) = fields.next()? {
        match field.number {
            3 => field.text(frame)?.clone_into(&mut status.message),
            4 => field.text(frame)?.clone_into(&mut status.reason),
            6 => {
                let expected = DecodeError::Expected { expected: "a status code", at: field.at };
                let code = i32::try_from(field.number()?.cast_signed());
                status.code = code.map_err(|_| expected)?;
            }
            _ => {}
        }
    }
    Ok(status)
}
