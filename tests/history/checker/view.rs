//! The history as one scope sees it: which events its watchers are due, and what its lists hold at every version.

use std::sync::Arc;

use super::record::{Event, Form, Item, Kind, Version};
use super::scope::Scope;
use super::truth::{Objects, State, Truth};

/// How many events lie between two kept states.
const STRIDE: usize = 64;

/// An event that is due.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) version: Version,
    pub(crate) kind: Kind,
    pub(crate) key: Arc<str>,
    /// The state it shows: the new one, or of DELETED the last one that passed.
    pub(crate) state: Arc<State>,
}

impl Due {
    pub(crate) fn event(&self, form: Form) -> Event {
        let content = self.state.contents[form];
        Event { kind: self.kind, key: self.key.clone(), version: self.version, content }
    }
}

/// A scope's part of the history.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) events: Vec<Due>,
    /// How many objects there are after so many events.
    sizes: Vec<usize>,
    /// The objects after every [`STRIDE`] events.
    kept: Vec<Objects>,
}

impl View {
    /// Derives the events of a scope from the history (semantics §5.3).
    pub(crate) fn new(truth: &Truth, scope: &Scope) -> Self {
        let mut all = truth.initial.clone();
        let mut taken: Objects = all.clone();
        taken.retain(|key, state| scope.takes(key, state));
        let mut view =
            Self { events: Vec::new(), sizes: vec![taken.len()], kept: vec![taken.clone()] };
        for change in &truth.changes {
            let before = match &change.state {
                Some(state) => all.insert(change.key.clone(), state.clone()),
                None => all.remove(&change.key),
            };
            let before = before.filter(|state| scope.takes(&change.key, state));
            let after = change.state.clone().filter(|state| scope.takes(&change.key, state));
            let (kind, state) = match (before, after) {
                (None, None) => continue,
                (None, Some(after)) => (Kind::Added, after),
                (Some(_), Some(after)) => (Kind::Modified, after),
                (Some(before), None) => (Kind::Deleted, before),
            };
            let due = Due { version: change.version, kind, key: change.key.clone(), state };
            apply(&mut taken, &due);
            view.events.push(due);
            view.sizes.push(taken.len());
            if view.events.len().is_multiple_of(STRIDE) {
                view.kept.push(taken.clone());
            }
        }
        view
    }

    /// How many events have a version up to this one: the place of the first after it.
    pub(crate) fn after(&self, version: Version) -> usize {
        self.events.partition_point(|due| due.version <= version)
    }

    /// The place of the event with exactly this version.
    pub(crate) fn place(&self, version: Version) -> Option<usize> {
        self.events.binary_search_by_key(&version, |due| due.version).ok()
    }

    /// How many objects there are after `count` events.
    pub(crate) fn size(&self, count: usize) -> usize {
        self.sizes[count]
    }

    /// The objects after `count` events.
    pub(crate) fn objects(&self, count: usize) -> Objects {
        let mut objects = self.kept[count / STRIDE].clone();
        for due in &self.events[count / STRIDE * STRIDE..count] {
            apply(&mut objects, due);
        }
        objects
    }

    /// The same, as a list shows them.
    pub(crate) fn items(&self, count: usize, form: Form) -> Vec<Item> {
        let item = |(key, state): (Arc<str>, Arc<State>)| Item {
            key,
            version: state.version,
            content: state.contents[form],
        };
        self.objects(count).into_iter().map(item).collect()
    }
}

fn apply(objects: &mut Objects, due: &Due) {
    if due.kind == Kind::Deleted {
        objects.remove(&due.key);
    } else {
        objects.insert(due.key.clone(), due.state.clone());
    }
}
