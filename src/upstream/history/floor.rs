//! How far back upstream's own watches reach.
//!
//! kube-apiserver keeps the latest events of every resource and refuses watches from before them with
//! `too old resource version: N (FLOOR)`. A floor only rises, so once one was seen, older watches can
//! be refused in upstream's words without asking. It says something about one store: when that went
//! back, every floor is forgotten.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{
    api::{resource::GroupVersionResource, version::ResourceVersion},
    shards::shard::Shard,
};

/// The floors of all resources; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Floors(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// How often all were forgotten: what was asked before then is not learned.
    forgotten: u64,
    by_resource: HashMap<GroupVersionResource, Floor>,
}

#[derive(Clone, Copy, Debug)]
struct Floor {
    version: ResourceVersion,
    /// Of the type it was learned for: another one has a history of its own.
    fingerprint: u64,
}

/// When something was asked; see [`Floors::learn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

// === impl Floors ===

impl Floors {
    /// The least version that upstream served watches from when it last refused one.
    pub fn of(&self, shard: &Shard) -> Option<ResourceVersion> {
        self.get(&shard.key().gvr, shard.fingerprint())
    }

    /// Forgets all: another store stands behind upstream.
    pub fn forget(&self) {
        let mut known = self.0.lock();
        known.forgotten += 1;
        known.by_resource.clear();
    }

    /// To be taken before upstream is asked.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.0.lock().forgotten)
    }

    /// Notes what upstream said to a question that was asked in `epoch`.
    pub fn learn(&self, epoch: Epoch, shard: &Shard, version: ResourceVersion) {
        self.set(
            epoch,
            shard.key().gvr.clone(),
            Floor { version, fingerprint: shard.fingerprint() },
        );
    }

    fn get(&self, gvr: &GroupVersionResource, fingerprint: u64) -> Option<ResourceVersion> {
        let known = self.0.lock();
        let floor = known.by_resource.get(gvr)?;
        (floor.fingerprint == fingerprint).then_some(floor.version)
    }

    fn set(&self, epoch: Epoch, gvr: GroupVersionResource, learned: Floor) {
        let mut known = self.0.lock();
        if epoch != Epoch(known.forgotten) {
            return;
        }
        let floor = known.by_resource.entry(gvr).or_insert(learned);
        // Answers of several API servers, or of one, may overtake each other.
        let rises = floor.version < learned.version || floor.fingerprint != learned.fingerprint;
        if rises {
            *floor = learned;
        }
    }
}

/// The floor in the message with which kube-apiserver refuses a watch from before it.
pub(super) fn floor_in(message: &str) -> Option<ResourceVersion> {
    let rest = message.strip_prefix("too old resource version: ")?;
    let (asked, floor) = rest.strip_suffix(')')?.split_once(" (")?;
    let (asked, floor): (ResourceVersion, ResourceVersion) =
        (asked.parse().ok()?, floor.parse().ok()?);
    (asked < floor).then_some(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64) -> ResourceVersion {
        ResourceVersion::new(number).unwrap()
    }

    #[test]
    fn reads_the_floor_and_nothing_else() {
        assert_eq!(floor_in("too old resource version: 5 (1234)"), Some(version(1234)));
        for other in [
            "",
            "too old resource version: 5",
            "too old resource version: 5 ()",
            "too old resource version: 1234 (5)",
            "too old resource version: 5 (1234) ",
            "The resourceVersion for the provided watch is too old.",
        ] {
            assert_eq!(floor_in(other), None, "{other:?}");
        }
    }

    #[test]
    fn floors_rise_until_they_are_forgotten() {
        let floors = Floors::default();
        let gvr = GroupVersionResource::new("", "v1", "pods");
        let learn = |epoch, number, fingerprint| {
            floors.set(epoch, gvr.clone(), Floor { version: version(number), fingerprint });
            floors.get(&gvr, fingerprint).map(ResourceVersion::get)
        };
        let epoch = floors.epoch();
        assert_eq!(learn(epoch, 10, 1), Some(10));
        assert_eq!(learn(epoch, 8, 1), Some(10), "an answer that was overtaken");
        assert_eq!(learn(epoch, 12, 1), Some(12));
        assert_eq!(floors.get(&gvr, 2), None, "another type");
        assert_eq!(learn(epoch, 5, 2), Some(5));
        floors.forget();
        assert_eq!(learn(epoch, 13, 2), None, "asked of the store that is gone");
        assert_eq!(learn(floors.epoch(), 3, 2), Some(3));
    }
}
