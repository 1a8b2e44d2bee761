//! One write in the making: reads see what it already changed, nobody else does.
//!
//! Every put or removal takes the next revision, as etcd gives one to each of its transactions.

use std::{collections::HashMap, sync::Arc};

use compact_str::CompactString;

use super::{
    definition::{Definition, Fields},
    history::Change,
    store::{Commit, State},
    stored::{StoredObject, metadata_text},
};
use crate::api::object_key::ObjectKey;

type Slot = (CompactString, ObjectKey);

/// Uncommitted changes over a state.
pub(super) struct Transaction<'s> {
    state: &'s State,
    commit: Commit,
    revision: u64,
    changes: Vec<(CompactString, Change)>,
    overlay: HashMap<Slot, Option<Arc<StoredObject>>>,
}

// === impl Transaction ===

impl<'s> Transaction<'s> {
    /// Nothing changed yet.
    pub(super) fn new(state: &'s State, commit: Commit) -> Self {
        let revision = state.revision;
        Self { state, commit, revision, changes: Vec::new(), overlay: HashMap::new() }
    }

    /// What was committed before.
    pub(super) const fn committed(&self) -> &'s State {
        self.state
    }

    /// One object as this transaction sees it.
    pub(super) fn object(
        &self,
        definition: &Definition,
        key: &ObjectKey,
    ) -> Option<Arc<StoredObject>> {
        self.object_in(&definition.store, key)
    }

    /// The same by the name of the store.
    pub(super) fn object_in(
        &self,
        store: &CompactString,
        key: &ObjectKey,
    ) -> Option<Arc<StoredObject>> {
        match self.overlay.get(&(store.clone(), key.clone())) {
            Some(changed) => changed.clone(),
            None => self.state.object(store, key.as_str()).cloned(),
        }
    }

    /// All objects that this transaction sees and `wanted` accepts, with their definition.
    pub(super) fn select(
        &self,
        wanted: impl Fn(&CompactString, &StoredObject) -> bool,
    ) -> Vec<(Arc<Definition>, Arc<StoredObject>)> {
        let committed = self.state.objects().filter(|(store, object)| {
            !self.overlay.contains_key(&((*store).clone(), object.key.clone()))
        });
        let changed = self
            .overlay
            .iter()
            .filter_map(|((store, _), object)| object.as_ref().map(|object| (store, object)));
        let mut found: Vec<_> = committed
            .chain(changed)
            .filter(|(store, object)| wanted(store, object))
            .filter_map(|(store, object)| {
                let definition = self.state.registry.of_store(store)?;
                Some((Arc::clone(definition), Arc::clone(object)))
            })
            .collect();
        found.sort_by(|(a, x), (b, y)| a.store.cmp(&b.store).then_with(|| x.key.cmp(&y.key)));
        found
    }

    /// Whether this transaction sees any object that `wanted` accepts.
    pub(super) fn any(&self, wanted: impl Fn(&CompactString, &StoredObject) -> bool) -> bool {
        let committed = self.state.objects().any(|(store, object)| {
            wanted(store, object)
                && !self.overlay.contains_key(&(store.clone(), object.key.clone()))
        });
        committed
            || self.overlay.iter().any(|((store, _), object)| {
                object.as_ref().is_some_and(|object| wanted(store, object))
            })
    }

    /// Creates or replaces an object.
    pub(super) fn put(&mut self, definition: &Definition, fields: Fields) -> Arc<StoredObject> {
        self.revision += 1;
        let revision = match self.commit {
            Commit::Keep => self.revision,
            // Nothing is written: the object shows the revision it has, or none.
            Commit::DryRun => metadata_text(&fields, "resourceVersion").parse().unwrap_or(0),
        };
        let object = Arc::new(StoredObject::new(definition, revision, fields));
        self.record(definition, object.key.clone(), Some(Arc::clone(&object)));
        object
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, definition: &Definition, key: &ObjectKey) {
        self.revision += 1;
        self.record(definition, key.clone(), None);
    }

    /// The changes, in order.
    pub(super) fn into_changes(self) -> Vec<(CompactString, Change)> {
        self.changes
    }

    fn record(
        &mut self,
        definition: &Definition,
        key: ObjectKey,
        after: Option<Arc<StoredObject>>,
    ) {
        let before = self.object(definition, &key);
        self.overlay.insert((definition.store.clone(), key.clone()), after.clone());
        let change = Change { revision: self.revision, key, before, after };
        self.changes.push((definition.store.clone(), change));
    }
}
