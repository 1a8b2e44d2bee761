//! Which types upstream serves, and which of them memory may answer for.
//!
//! [`TypeTable`] is one consistent view, replaced as a whole; [`driver`] keeps it true: built-in
//! types come from upstream's discovery documents, custom ones from the CustomResourceDefinitions
//! themselves, and whatever an APIService hands to another server is left out. A type that is not
//! in the table is forwarded.

pub mod custom;
mod deprecation;
pub mod documents;
pub mod driver;

use std::sync::Arc;

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use http::HeaderValue;

use crate::api::resource::{GroupVersionResource, ResourceType};

/// A served type that memory may answer for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedType {
    /// The type.
    pub resource: Arc<ResourceType>,
    /// The `Warning` header that upstream adds to reads of it (semantics §6.4).
    pub warning: Option<HeaderValue>,
    /// Changes when the type's bytes may change: shards opened under another one are void.
    pub fingerprint: u64,
}

/// The cacheable types at one moment.
#[derive(Clone, Debug, Default)]
pub struct TypeTable {
    types: HashMap<GroupVersionResource, ServedType>,
}

/// The present table, shared.
#[derive(Clone, Debug, Default)]
pub struct Types {
    table: Arc<ArcSwap<TypeTable>>,
}

// === impl Types ===

impl Types {
    /// The type if memory may answer for it.
    pub fn get(&self, gvr: &GroupVersionResource) -> Option<ServedType> {
        self.table.load().types.get(gvr).cloned()
    }

    /// The whole table.
    pub fn table(&self) -> Arc<TypeTable> {
        self.table.load_full()
    }

    /// Shows another table; returns the one before.
    pub fn replace(&self, table: TypeTable) -> Arc<TypeTable> {
        self.table.swap(Arc::new(table))
    }
}

// === impl TypeTable ===

impl TypeTable {
    /// A table of these types.
    pub fn new(types: impl IntoIterator<Item = ServedType>) -> Self {
        let types = types.into_iter().map(|served| (served.resource.gvr.clone(), served)).collect();
        Self { types }
    }

    /// The type if it is in the table.
    pub fn get(&self, gvr: &GroupVersionResource) -> Option<&ServedType> {
        self.types.get(gvr)
    }

    /// All types.
    pub fn iter(&self) -> impl Iterator<Item = &ServedType> {
        self.types.values()
    }

    /// Number of types.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether no type is known.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
}
