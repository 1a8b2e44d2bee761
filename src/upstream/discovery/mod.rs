//! Which types upstream serves, and which of them memory may answer for.
//!
//! [`TypeTable`] is one consistent view, replaced as a whole; [`driver`] keeps it true: built-in
//! types come from upstream's discovery documents, custom ones from the CustomResourceDefinitions
//! themselves, and whatever an APIService hands to another server is left out. A type that is not
//! in the table is forwarded. With it come the rules of upstream's release; where that is not known,
//! the table stays empty.

pub mod custom;
mod deprecation;
pub mod documents;
pub mod driver;
mod release;

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use hashbrown::HashMap;
use http::HeaderValue;
use tokio::{sync::watch, time::timeout};

use crate::api::{
    release::ReadRules,
    resource::{GroupVersionResource, ResourceType},
};

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

/// The cacheable types at one moment, and the rules for reads of them.
#[derive(Clone, Debug, Default)]
pub struct TypeTable {
    types: HashMap<GroupVersionResource, ServedType>,
    knowledge: Knowledge,
}

/// What is known of upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Knowledge {
    /// Nothing yet.
    #[default]
    Nothing,
    /// Its release has no rules, so nothing is served.
    UnknownRelease,
    /// Its release.
    Rules(ReadRules),
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

    /// The whole table for a moment, at less cost than [`Types::table`]: not to be kept.
    pub fn glance(&self) -> Guard<Arc<TypeTable>> {
        self.table.load()
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
        // Asked for every request: the table is read without a lock, `known` is not.
        self.table.load().is_read()
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
    /// A table of these types, under the rules of the newest release.
    pub fn new(types: impl IntoIterator<Item = ServedType>) -> Self {
        let types = types.into_iter().map(|served| (served.resource.gvr.clone(), served)).collect();
        Self { types, knowledge: Knowledge::Rules(ReadRules::default()) }
    }

    /// The same types under other rules.
    #[must_use]
    pub fn under(self, rules: ReadRules) -> Self {
        Self { knowledge: Knowledge::Rules(rules), ..self }
    }

    /// The table of an upstream whose release is not known.
    pub fn of_unknown_release() -> Self {
        Self { types: HashMap::new(), knowledge: Knowledge::UnknownRelease }
    }

    /// Whether upstream has been read at all.
    pub fn is_read(&self) -> bool {
        self.knowledge != Knowledge::Nothing
    }

    /// Whether nothing is served because upstream's release is not known.
    pub fn is_of_unknown_release(&self) -> bool {
        self.knowledge == Knowledge::UnknownRelease
    }

    /// The rules for reads; of no use where there are no types.
    pub fn rules(&self) -> ReadRules {
        match self.knowledge {
            Knowledge::Rules(rules) => rules,
            Knowledge::Nothing | Knowledge::UnknownRelease => ReadRules::default(),
        }
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
        types.replace(TypeTable::of_unknown_release());
        waiting.await.unwrap();
        assert!(types.are_known());
    }
}
