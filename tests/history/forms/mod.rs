//! Frames and lists in each form, down to what the checker compares.

mod json;
mod protobuf;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::checker::record::{Digest, Item, Version};
use crate::form::Form;

impl Form {
    /// Reads a frame of a watch.
    pub(crate) fn frame(self, bytes: &[u8]) -> Result<Frame> {
        match self.is_protobuf() {
            true => protobuf::frame(bytes),
            false => {
                json::frame(bytes).with_context(|| String::from_utf8_lossy(bytes).into_owned())
            }
        }
    }

    /// Reads a page of a list.
    pub(crate) fn page(self, bytes: &[u8]) -> Result<Page> {
        match self.is_protobuf() {
            true => protobuf::page(bytes),
            false => json::page(bytes),
        }
    }
}

/// A frame of a watch.
pub(crate) enum Frame {
    /// ADDED, MODIFIED, DELETED or BOOKMARK, as it says.
    Object { kind: String, object: Object },
    /// ERROR, with its code.
    Error(u16),
}

/// An object as far as the checker is concerned. Labels and fields only of JSON.
#[derive(Debug, Default)]
pub(crate) struct Object {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) initial_end: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) content: Digest,
}

/// A page of a list.
pub(crate) struct Page {
    pub(crate) version: Version,
    /// Empty at the end.
    pub(crate) rest: String,
    pub(crate) objects: Vec<Object>,
}

impl Object {
    pub(crate) fn item(&self, keys: &mut Keys) -> Item {
        let key = keys.of(&self.namespace, &self.name);
        Item { key, version: self.version, content: self.content }
    }
}

/// The keys of a recording, each once.
#[derive(Default)]
pub(crate) struct Keys(HashMap<String, Arc<str>>);

impl Keys {
    pub(crate) fn of(&mut self, namespace: &str, name: &str) -> Arc<str> {
        let key = format!("{namespace}/{name}");
        self.0.entry(key).or_insert_with_key(|key| key.as_str().into()).clone()
    }
}

/// The digest of parts.
fn digest(parts: &[&[u8]]) -> Digest {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}
