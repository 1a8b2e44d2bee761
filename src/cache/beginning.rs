//! The state that a log begins with, as it can be told from the present one.
//!
//! Guarantees: the versions are those of the objects at the log's start, exactly: the present state
//! with every later event undone. Holds handles, not copies; the undoing is left to whoever wants to
//! know, outside of any lock.

use hashbrown::HashMap;

use crate::{
    api::{object_key::ObjectKey, version::ResourceVersion},
    codec::object::Object,
};

use super::{log::Replay, map::OrderedMap};

/// Where a log begins, with all that tells the state there.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The log's start.
    pub version: ResourceVersion,
    /// The generation of the contents that the log belongs to.
    pub generation: u64,
    /// Bytes that earlier events may take.
    pub room: u64,
    /// The present objects.
    pub(super) objects: OrderedMap,
    /// Every event since the start.
    pub(super) replay: Replay,
}

/// Keys and versions of all objects at one version.
#[derive(Debug)]
pub struct Versions {
    objects: OrderedMap,
    /// Objects that differ from the present ones: their versions then, `None` where there was none.
    differing: HashMap<ObjectKey, Option<ResourceVersion>>,
}

// === impl Beginning ===

impl Beginning {
    /// The objects' versions at the log's start.
    pub fn versions(&self) -> Versions {
        self.versions_at(self.version)
    }

    /// The objects' versions at `version`, which must not lie below the log's start.
    pub fn versions_at(&self, version: ResourceVersion) -> Versions {
        let mut differing = HashMap::new();
        let later = self.replay.clone().filter(|event| event.resource_version() > version);
        for event in later {
            let (current, previous) = event.states();
            // The first event after it knows what was there at it.
            if let Some(object) = current.or(previous) {
                differing
                    .entry(object.key().clone())
                    .or_insert_with(|| previous.map(Object::resource_version));
            }
        }
        Versions { objects: self.objects.clone(), differing }
    }
}

// === impl Versions ===

impl Versions {
    /// Every object's key and version, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, ResourceVersion)> {
        let unchanged = self
            .objects
            .range(..)
            .map(|object| (object.key(), object.resource_version()))
            .filter(|(key, _)| !self.differing.contains_key(*key));
        let changed =
            self.differing.iter().filter_map(|(key, version)| version.map(|found| (key, found)));
        unchanged.chain(changed)
    }

    /// The version that an object had, `None` if there was none.
    pub fn get(&self, key: &ObjectKey) -> Option<ResourceVersion> {
        match self.differing.get(key) {
            Some(version) => *version,
            None => self.objects.get(key.as_str()).map(Object::resource_version),
        }
    }
}
