//! [`Rebuild`]: an older state from a newer one and the events between them.

use hashbrown::HashSet;

use crate::{
    api::version::ResourceVersion,
    cache::{event::Change, log::Replay, watch_cache::Snapshot},
};

/// The making of one state. It shares its parts with the shard and needs no lock.
#[derive(Clone, Debug)]
pub struct Rebuild {
    base: Snapshot,
    /// Every event after the wanted version, maybe also some after the base.
    events: Replay,
    version: ResourceVersion,
}

// === impl Rebuild ===

impl Rebuild {
    /// From `base`, which is not older than `version`, and every event after `version`.
    pub(super) fn new(base: Snapshot, events: Replay, version: ResourceVersion) -> Self {
        Self { base, events, version }
    }

    /// The version of the state.
    pub fn version(&self) -> ResourceVersion {
        self.version
    }

    /// The newer state that it is made from.
    pub fn base(&self) -> &Snapshot {
        &self.base
    }

    /// The state, if nothing happened in between.
    pub(super) fn unchanged(&self) -> Option<Snapshot> {
        let first = self.events.clone().next();
        let unchanged =
            first.is_none_or(|event| event.resource_version() > self.base.resource_version);
        unchanged.then(|| Snapshot { resource_version: self.version, ..self.base.clone() })
    }

    /// Makes the state. Of each key only the first event counts: what it replaced is what stood
    /// there, so a busy object costs one change of the map and not one per event.
    pub fn run(self) -> Snapshot {
        let Self { base, events, version } = self;
        let events: Vec<_> =
            events.take_while(|event| event.resource_version() <= base.resource_version).collect();
        let mut objects = base.objects;
        let mut restored = HashSet::new();
        for event in &events {
            let (object, previous) = match event.change() {
                Change::Set { object, previous } => (object, previous.as_ref()),
                Change::Deleted { object, previous } => (object, Some(previous)),
            };
            if !restored.insert(object.key().as_str()) {
                continue;
            }
            match previous {
                Some(previous) => drop(objects.insert(previous.clone())),
                None => drop(objects.remove(object.key().as_str())),
            }
        }
        Snapshot { objects, resource_version: version, ..base }
    }
}
