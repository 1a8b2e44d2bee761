//! Which types upstream serves, and which of them memory may answer for.
//!
//! [`TypeTable`] is one consistent view, replaced as a whole; [`driver`] keeps it true: built-in
//! types come from upstream's discovery documents, custom ones from the CustomResourceDefinitions
//! themselves, and whatever an APIService hands to another server is left out. A type that is not
//! in the table is forwarded.

pub mod custom;
pub mod documents;
pub mod driver;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use http::HeaderValue;
use tokio::{sync::watch, time::timeout};

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
    known: Arc<watch::Sender<bool>>,
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
        let before = self.table.swap(Arc::new(table));
        self.known.send_replace(true);
        before
    }

    /// Whether a table was ever shown.
    pub fn are_known(&self) -> bool {
        *self.known.borrow()
    }

    /// Waits for the first table, but not longer than `patience`.
    pub async fn wait_until_known(&self, patience: Duration) {
        let mut known = self.known.subscribe();
        // Either way the caller goes on.
        let _in_time = timeout(patience, known.wait_for(|known| *known)).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_types_goes_on_with_the_first_table_or_without() {
        let types = Types::default();
        types.wait_until_known(Duration::from_secs(3)).await;
        assert!(!types.are_known(), "in vain");
        let waiting = tokio::spawn({
            let types = types.clone();
            async move { types.wait_until_known(Duration::from_secs(3600)).await }
        });
        tokio::task::yield_now().await;
        types.replace(TypeTable::default());
        waiting.await.unwrap();
        assert!(types.are_known());
    }
}
