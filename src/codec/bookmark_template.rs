//! A bookmark's bytes with gaps for what changes: the version, and the end of the initial state.
//!
//! The object of a bookmark is the zero value of its type, and zero values of built-in types are
//! not all alike (semantics §5.4), so one bookmark of the upstream's is kept and re-issued. Its
//! metadata is kept twice, without and with the annotation that ends the initial events, whichever
//! of the two was captured.

use std::sync::Arc;

use super::{item_join::ItemJoin, protobuf::wire};
use crate::api::version::ResourceVersion;

/// The annotation that marks the end of the initial events of a streaming list.
pub(super) const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Its value.
pub(super) const INITIAL_EVENTS_END_VALUE: &str = "true";

/// What 1.33 writes beside it: an empty list in the encoding of that one stream. It goes with the mark,
/// and is in no template.
pub(super) const INITIAL_LIST: &str = "kubernetes.io/initial-events-list-blueprint";

/// A bookmark of one resource in one representation. Cloning costs a reference count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookmarkTemplate {
    parts: Arc<TemplateParts>,
}

/// The pieces of a bookmark's core.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TemplateParts {
    /// JSON: the core before the value of `metadata`. Protobuf: nothing.
    pub(super) before: Vec<u8>,
    /// Metadata without the annotation.
    pub(super) plain: MetadataParts,
    /// Metadata with the annotation.
    pub(super) marked: MetadataParts,
    /// The core after the value of `metadata`.
    pub(super) after: Vec<u8>,
}

/// The value of `metadata` around that of `resourceVersion`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MetadataParts {
    /// JSON: from `{` up to the opening quote. Protobuf: up to the field's tag.
    pub(super) head: Vec<u8>,
    /// JSON: from the closing quote to `}`. Protobuf: the fields after it.
    pub(super) tail: Vec<u8>,
}

// === impl BookmarkTemplate ===

impl BookmarkTemplate {
    pub(super) fn new(parts: TemplateParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// The core of a bookmark at `version`, with the annotation or without.
    pub(super) fn core(&self, join: ItemJoin, version: ResourceVersion, marked: bool) -> Vec<u8> {
        let TemplateParts { before, plain, marked: with_mark, after } = &*self.parts;
        let metadata = if marked { with_mark } else { plain };
        let digits = version.to_string();
        let mut core = Vec::with_capacity(
            before.len() + metadata.head.len() + metadata.tail.len() + after.len() + 32,
        );
        core.extend_from_slice(before);
        if join == ItemJoin::Protobuf {
            // The digits are at most 20 bytes, so their length is one byte.
            let length = metadata.head.len() + 1 + digits.len() + metadata.tail.len();
            core.push(wire::tag_of_bytes(1));
            wire::append_varint(&mut core, length as u64);
            core.extend_from_slice(&metadata.head);
            wire::append_varint(&mut core, digits.len() as u64);
        } else {
            core.extend_from_slice(&metadata.head);
        }
        core.extend_from_slice(digits.as_bytes());
        core.extend_from_slice(&metadata.tail);
        core.extend_from_slice(after);
        core
    }
}
