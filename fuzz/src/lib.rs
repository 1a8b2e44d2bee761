//! The bodies of the fuzz targets: bytes in, a panic when a property does not hold.
//!
//! cargo-fuzz runs them from `fuzz_targets`; `tests/fuzzing` runs them on stable Rust over the
//! committed corpus and its mutations. They use the crate as anyone would, through what it exports.

mod objects;
mod requests;
mod streams;

pub use self::{
    objects::{json_event, json_list, protobuf_event, protobuf_list},
    requests::{accept, continue_token, field_selector, label_selector, options, path},
    streams::{frames, gzip_join},
};

/// Reads an input and checks what must hold of it.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus directory.
pub const TARGETS: [(&str, Target); 12] = [
    ("path", path),
    ("options", options),
    ("label_selector", label_selector),
    ("field_selector", field_selector),
    ("continue_token", continue_token),
    ("accept", accept),
    ("json_event", json_event),
    ("json_list", json_list),
    ("protobuf_event", protobuf_event),
    ("protobuf_list", protobuf_list),
    ("frames", frames),
    ("gzip_join", gzip_join),
];
