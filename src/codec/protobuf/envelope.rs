//! `runtime.Unknown` behind the magic `k8s\0`: how every single object travels in protobuf.
//!
//! The API server writes the type, the raw object, and the two trailing strings even though they
//! are empty (semantics §5.6).

use std::ops::Range;

use super::wire::{self, MessageReader};
use crate::codec::decode_error::DecodeError;

/// What every enveloped object begins with.
pub(in crate::codec) const MAGIC: &[u8] = b"k8s\0";

/// `raw`: the object itself.
pub(in crate::codec) const RAW: u32 = 2;

/// Empty contentEncoding and contentType.
const TRAILER: &[u8] = &[0x1a, 0x00, 0x22, 0x00];

/// What an envelope of one type begins with.
#[derive(Clone, Debug)]
pub(in crate::codec) struct Envelope {
    /// Magic and `TypeMeta`, up to the tag of `raw`.
    head: Vec<u8>,
    kind: String,
    api_version: String,
}

// === impl Envelope ===

impl Envelope {
    pub(in crate::codec) fn new(kind: &str, api_version: &str) -> Self {
        let mut type_meta = Vec::new();
        wire::append_bytes(&mut type_meta, 1, api_version.as_bytes());
        wire::append_bytes(&mut type_meta, 2, kind.as_bytes());
        let mut head = MAGIC.to_vec();
        wire::append_bytes(&mut head, 1, &type_meta);
        Self { head, kind: kind.to_owned(), api_version: api_version.to_owned() }
    }

    /// Length of an enveloped object of `raw_length` bytes.
    pub(in crate::codec) fn length(&self, raw_length: usize) -> usize {
        self.head.len() + wire::bytes_field_length(raw_length) + TRAILER.len()
    }

    /// Writes all that stands before `raw_length` bytes of object.
    pub(in crate::codec) fn append_head(&self, buffer: &mut Vec<u8>, raw_length: usize) {
        buffer.extend_from_slice(&self.head);
        wire::append_bytes_header(buffer, 2, raw_length);
    }

    /// Writes all that stands after the object.
    pub(in crate::codec) fn append_tail(buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(TRAILER);
    }

    /// Where the object stands in the envelope at `span`, if it is of this type.
    pub(in crate::codec) fn open(
        &self,
        frame: &[u8],
        span: Range<usize>,
    ) -> Result<Range<usize>, DecodeError> {
        if !frame[span.clone()].starts_with(MAGIC) {
            return Err(DecodeError::Expected {
                expected: "a Kubernetes envelope",
                at: span.start,
            });
        }
        let (mut type_meta, mut raw) = (None, None);
        let mut fields = MessageReader::new(frame, span.start + MAGIC.len()..span.end);
        while let Some(field) = fields.next()? {
            let seen = match field.number {
                1 => type_meta.replace(field.bytes()?),
                2 => raw.replace(field.bytes()?),
                3 | 4 if !field.bytes()?.is_empty() => {
                    let expected = "an object that is not encoded further";
                    return Err(DecodeError::Expected { expected, at: field.at });
                }
                _ => None,
            };
            if seen.is_some() {
                return Err(DecodeError::Repeated { field: "type or raw object", at: field.at });
            }
        }
        let missing = |field| DecodeError::Missing { field, at: span.end };
        let type_meta = type_meta.ok_or_else(|| missing("the object's type"))?;
        let (mut kind, mut api_version) = ("", "");
        let mut fields = MessageReader::new(frame, type_meta.clone());
        while let Some(field) = fields.next()? {
            match field.number {
                1 => api_version = field.text(frame)?,
                2 => kind = field.text(frame)?,
                _ => {}
            }
        }
        if kind != self.kind || api_version != self.api_version {
            return Err(DecodeError::WrongType { at: type_meta.start });
        }
        raw.ok_or_else(|| missing("the raw object"))
    }
}
