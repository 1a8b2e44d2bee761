//! One object as the gateway holds it: what selection needs, and the bytes the API server wrote.
//!
//! The bytes are the object's **core**, the part that every form of the object shares:
//!
//! | representation | core | a single object is | a list item is |
//! |---|---|---|---|
//! | JSON, built-in | all after `{"kind":"K","apiVersion":"V",` | that prefix + core | `{` + core |
//! | JSON, custom | all after the first `{` | `{` + core | `{` + core |
//! | protobuf | the `raw` of the `runtime.Unknown` envelope | envelope around core | tag, length, core |
//!
//! An object is never re-encoded: unknown fields, number spellings and key order survive.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use compact_str::CompactString;

use super::item_join::ItemJoin;
use crate::api::{negotiate::MediaType, object_key::ObjectKey, version::ResourceVersion};

/// What an object is selected and addressed by, taken from its bytes once, on arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAttributes {
    /// `namespace/name` or `name`.
    pub key: ObjectKey,
    /// The object's own resource version.
    pub resource_version: ResourceVersion,
    /// Labels, sorted by key.
    pub labels: Labels,
    /// Values of the type's selectable fields other than `metadata.name` and
    /// `metadata.namespace`, in the order of its `FieldSchema`.
    pub fields: Box<[CompactString]>,
    /// Where `metadata` stands in the core: for JSON the value (`{…}`), for protobuf the bytes of
    /// the ObjectMeta message without its tag and length.
    pub metadata: Range<u32>,
    /// Where the digits of `metadata.resourceVersion` stand in the core.
    pub resource_version_span: Range<u32>,
}

/// An object's labels, sorted by key, no key twice. Objects with the same labels share them where
/// that can be noticed cheaply, see `LabelSets`.
pub type Labels = Arc<[(CompactString, CompactString)]>;

/// One object: shared attributes, shared bytes. Cloning costs two reference counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is found and selected by.
    pub attributes: Arc<ObjectAttributes>,
    /// Its bytes (see the module's table).
    pub core: Bytes,
}

/// In which form a shard holds its objects, fixed by the upstream watch that fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Representation {
    /// JSON as the API server writes it.
    Json,
    /// JSON, `PartialObjectMetadata` of types whose metadata can't be cut out of full objects.
    JsonMetadata,
    /// Kubernetes protobuf, full objects (built-in types only).
    Protobuf,
    /// Kubernetes protobuf, `PartialObjectMetadata` of any type.
    ProtobufMetadata,
}

// === impl Object ===

impl Object {
    /// The object's key.
    pub fn key(&self) -> &ObjectKey {
        &self.attributes.key
    }

    /// The object's own resource version.
    pub fn resource_version(&self) -> ResourceVersion {
        self.attributes.resource_version
    }

    /// About the memory of it beside its core: the handle, the attributes behind it, and what
    /// allocations cost. Labels that several objects share are counted with each: an upper bound.
    pub fn bytes_beside_core(&self) -> u64 {
        let ObjectAttributes { key, labels, fields, .. } = &*self.attributes;
        let labels: usize = labels.iter().map(|(key, value)| heap(key) + heap(value)).sum();
        let fields: usize = fields.iter().map(heap).sum();
        let key = key.as_str().len();
        let key = if key > size_of::<CompactString>() { key } else { 0 };
        let handle = size_of::<Self>() + size_of::<ObjectAttributes>() + 2 * size_of::<usize>();
        let lists =
            size_of_val(&self.attributes.labels[..]) + size_of_val(&self.attributes.fields[..]);
        (handle + key + lists + labels + fields) as u64
    }

    /// The bytes of `metadata` inside the core.
    pub fn metadata(&self) -> Bytes {
        let span = &self.attributes.metadata;
        self.core.slice(span.start as usize..span.end as usize)
    }
}

/// What a string holds outside of itself.
fn heap(text: &CompactString) -> usize {
    if text.is_heap_allocated() { text.len() } else { 0 }
}

// === impl ObjectAttributes ===

impl ObjectAttributes {
    /// The value of a label, `None` when the object does not carry it.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels
            .binary_search_by(|(candidate, _)| candidate.as_str().cmp(key))
            .ok()
            .map(|index| self.labels[index].1.as_str())
    }
}

// === impl Representation ===

impl Representation {
    /// The media type that its bytes are served as.
    pub const fn media_type(self) -> MediaType {
        match self {
            Self::Json | Self::JsonMetadata => MediaType::Json,
            Self::Protobuf | Self::ProtobufMetadata => MediaType::Protobuf,
        }
    }

    /// How the items of its lists are joined.
    pub const fn item_join(self) -> ItemJoin {
        match self.media_type() {
            MediaType::Protobuf => ItemJoin::Protobuf,
            _ => ItemJoin::Json,
        }
    }

    /// The name used in logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonMetadata => "json-metadata",
            Self::Protobuf => "protobuf",
            Self::ProtobufMetadata => "protobuf-metadata",
        }
    }
}
