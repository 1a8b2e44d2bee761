//! The recent changes of one resource, bounded in number, in revision order.
//!
//! A watch may start at any revision from [`History::floor`] on. The history is memory only: after
//! a restart it is empty and its floor is the revision the store was opened at.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::stored::StoredObject;
use crate::api::object_key::ObjectKey;

/// The objects of one resource.
pub(super) type Objects = BTreeMap<ObjectKey, Arc<StoredObject>>;

/// How many changes are kept for each resource.
const CAPACITY: usize = 8192;

/// One change of one object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// The revision that made it.
    pub(super) revision: u64,
    /// The changed object.
    pub(super) key: ObjectKey,
    /// What it was; `None` when it was created.
    pub(super) before: Option<Arc<StoredObject>>,
    /// What it is; `None` when it was deleted.
    pub(super) after: Option<Arc<StoredObject>>,
}

/// The recent changes of one resource.
#[derive(Debug)]
pub(super) struct History {
    changes: VecDeque<Change>,
    floor: u64,
}

// === impl History ===

impl History {
    /// An empty history: everything after `revision` will be in it.
    pub(super) const fn starting_at(revision: u64) -> Self {
        Self { changes: VecDeque::new(), floor: revision }
    }

    /// The oldest revision from which every later change is known.
    pub(super) const fn floor(&self) -> u64 {
        self.floor
    }

    /// Adds the newest change, dropping the oldest beyond capacity.
    pub(super) fn push(&mut self, change: Change) {
        if self.changes.len() == CAPACITY
            && let Some(dropped) = self.changes.pop_front()
        {
            self.floor = dropped.revision;
        }
        self.changes.push_back(change);
    }

    /// The changes after `revision`, oldest first; `None` when some of them are forgotten.
    pub(super) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        if revision < self.floor {
            return None;
        }
        let start = self.changes.partition_point(|change| change.revision <= revision);
        Some(self.changes.range(start..))
    }

    /// The state at `revision`, made from the present one by undoing what came after it.
    pub(super) fn rewind(&self, present: &Objects, revision: u64) -> Option<Objects> {
        if revision < self.floor {
            return None;
        }
        let mut objects = present.clone();
        for change in self.changes.iter().rev().take_while(|change| change.revision > revision) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        Some(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: u64) -> Change {
        Change { revision, key: ObjectKey::new("", "x"), before: None, after: None }
    }

    #[test]
    fn forgets_the_oldest_and_says_so() {
        let mut history = History::starting_at(1);
        for revision in 2..=CAPACITY as u64 + 2 {
            history.push(change(revision));
        }
        assert_eq!(history.floor(), 2);
        assert!(history.since(1).is_none());
        assert_eq!(history.since(2).unwrap().next().unwrap().revision, 3);
        assert_eq!(history.since(CAPACITY as u64 + 2).unwrap().count(), 0);
    }

    #[test]
    fn rewinds_to_an_earlier_revision() {
        let mut history = History::starting_at(4);
        history.push(change(6));
        assert!(history.rewind(&Objects::new(), 3).is_none());
        assert_eq!(history.rewind(&Objects::new(), 5).unwrap().len(), 0);
    }
}
