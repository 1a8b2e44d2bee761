//! A status as JSON, in the order of the Go struct and without its empty parts (semantics §6.3).

use super::{ListMetadata, Status, StatusCause, StatusDetails};
use crate::api::go_json::write_string;

/// Appends the compact object.
pub(super) fn write(out: &mut Vec<u8>, status: &Status) {
    out.push(b'{');
    let mut object = Members { out, is_first: true };
    object.text("kind", "Status");
    object.text("apiVersion", "v1");
    metadata(object.key("metadata"), &status.metadata);
    object.text("status", status.outcome.as_str());
    object.text("message", &status.message);
    object.text("reason", &status.reason);
    if let Some(value) = &status.details {
        details(object.key("details"), value);
    }
    object.number("code", status.code.into());
    out.push(b'}');
}

fn metadata(out: &mut Vec<u8>, metadata: &ListMetadata) {
    out.push(b'{');
    let mut object = Members { out, is_first: true };
    object.text("resourceVersion", &metadata.resource_version);
    object.text("continue", &metadata.continue_token);
    out.push(b'}');
}

fn details(out: &mut Vec<u8>, details: &StatusDetails) {
    out.push(b'{');
    let mut object = Members { out, is_first: true };
    object.text("name", &details.name);
    object.text("group", &details.group);
    object.text("kind", &details.kind);
    object.text("uid", &details.uid);
    if !details.causes.is_empty() {
        let out = object.key("causes");
        out.push(b'[');
        for (index, value) in details.causes.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            cause(out, value);
        }
        out.push(b']');
    }
    object.number("retryAfterSeconds", details.retry_after_seconds);
    out.push(b'}');
}

fn cause(out: &mut Vec<u8>, cause: &StatusCause) {
    out.push(b'{');
    let mut object = Members { out, is_first: true };
    object.text("reason", &cause.reason);
    object.text("message", &cause.message);
    object.text("field", &cause.field);
    out.push(b'}');
}

/// Writes the members of one object, leaving out empty ones.
struct Members<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

// === impl Members ===

impl Members<'_> {
    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        write_string(self.out, name);
        self.out.push(b':');
        self.out
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            write_string(self.key(name), value);
        }
    }

    fn number(&mut self, name: &str, value: u32) {
        if value != 0 {
            self.key(name).extend_from_slice(value.to_string().as_bytes());
        }
    }
}
