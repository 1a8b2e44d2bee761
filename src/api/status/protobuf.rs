//! A status as Kubernetes protobuf: the `runtime.Unknown` envelope around the message.
//!
//! Like the Go encoder this writes strings and numbers that are not optional even when they are
//! empty (semantics §6.3, golden bytes in §15).

use super::{ListMetadata, Status, StatusCause, StatusDetails};

/// What every Kubernetes protobuf object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The whole object, envelope included.
pub(super) fn to_bytes(status: &Status) -> Vec<u8> {
    let mut type_meta = Vec::new();
    bytes(&mut type_meta, 1, b"v1");
    bytes(&mut type_meta, 2, b"Status");

    let mut out = MAGIC.to_vec();
    bytes(&mut out, 1, &type_meta);
    bytes(&mut out, 2, &message(status));
    // contentEncoding and contentType
    bytes(&mut out, 3, b"");
    bytes(&mut out, 4, b"");
    out
}

fn message(status: &Status) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    bytes(&mut out, 1, &metadata(&status.metadata));
    bytes(&mut out, 2, status.outcome.as_str().as_bytes());
    bytes(&mut out, 3, status.message.as_bytes());
    bytes(&mut out, 4, status.reason.as_bytes());
    if let Some(value) = &status.details {
        bytes(&mut out, 5, &details(value));
    }
    number(&mut out, 6, status.code.into());
    out
}

fn metadata(metadata: &ListMetadata) -> Vec<u8> {
    let mut out = Vec::new();
    // selfLink
    bytes(&mut out, 1, b"");
    bytes(&mut out, 2, metadata.resource_version.as_bytes());
    bytes(&mut out, 3, metadata.continue_token.as_bytes());
    out
}

fn details(details: &StatusDetails) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 1, details.name.as_bytes());
    bytes(&mut out, 2, details.group.as_bytes());
    bytes(&mut out, 3, details.kind.as_bytes());
    for value in &details.causes {
        bytes(&mut out, 4, &cause(value));
    }
    number(&mut out, 5, details.retry_after_seconds.into());
    bytes(&mut out, 6, details.uid.as_bytes());
    out
}

fn cause(cause: &StatusCause) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 1, cause.reason.as_bytes());
    bytes(&mut out, 2, cause.message.as_bytes());
    bytes(&mut out, 3, cause.field.as_bytes());
    out
}

/// A length-delimited field. All field numbers here are below 16, so a tag is one byte.
fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A varint field.
fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
