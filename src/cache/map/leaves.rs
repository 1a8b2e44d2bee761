//! [`Leaves`]: the objects of one page in key order, in small shared groups.
//!
//! A page of 500-byte objects holds more than a hundred of them. Kept as one array, every kept
//! version would cost a copy of all handles (5 KiB); in groups it costs the copy of one group
//! (at most [`LEAF_MAX`] handles of 40 bytes) and of the list of groups.

use std::sync::Arc;

use crate::codec::object::Object;

/// A group larger than this is split. Measured (`docs/decisions/0001`): 16 to 32 handles keep a
/// kept version near 1 KiB per level without making lookups slower.
const LEAF_MAX: usize = 24;

/// Groups are made of this many objects, and merged when two fit into it.
const LEAF_TARGET: usize = 16;

/// Objects sorted by key, no key twice. No group is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaves {
    groups: Vec<Arc<[Object]>>,
}

/// Where an object stands, or would stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    group: usize,
    index: usize,
}

// === impl Leaves ===

impl Leaves {
    /// Groups of objects that are sorted by key already.
    pub(super) fn from_sorted(objects: Vec<Object>) -> Self {
        let groups = objects.len().div_ceil(LEAF_TARGET);
        let mut rest = objects.into_iter();
        let groups = (0..groups).map(|_| rest.by_ref().take(LEAF_TARGET).collect()).collect();
        Self { groups }
    }

    /// `Ok` with the slot of the key, `Err` with the slot where it belongs.
    pub(super) fn find(&self, key: &str) -> Result<Slot, Slot> {
        let group =
            self.groups.partition_point(|group| group[0].key().as_str() <= key).saturating_sub(1);
        let Some(objects) = self.groups.get(group) else {
            return Err(Slot { group: 0, index: 0 });
        };
        objects
            .binary_search_by(|object| object.key().as_str().cmp(key))
            .map(|index| Slot { group, index })
            .map_err(|index| Slot { group, index })
    }

    /// The object in an occupied slot.
    pub(super) fn at(&self, slot: Slot) -> &Object {
        &self.groups[slot.group][slot.index]
    }

    /// Puts an object of the same key into an occupied slot and returns the one that was there.
    pub(super) fn replace(&mut self, slot: Slot, object: Object) -> Object {
        let group = Arc::make_mut(&mut self.groups[slot.group]);
        std::mem::replace(&mut group[slot.index], object)
    }

    /// Puts an object into a slot that [`Self::find`] gave as free.
    pub(super) fn insert(&mut self, slot: Slot, object: Object) {
        let Some(group) = self.groups.get(slot.group) else {
            self.groups.push(Arc::new([object]));
            return;
        };
        let (before, after) = group.split_at(slot.index);
        let mut objects = Vec::with_capacity(group.len() + 1);
        objects.extend_from_slice(before);
        objects.push(object);
        objects.extend_from_slice(after);
        if objects.len() > LEAF_MAX {
            // In key order new objects arrive at the end: leave the full half behind.
            let upper = objects.split_off(LEAF_TARGET.min(objects.len() / 2 + 1));
            self.groups.insert(slot.group + 1, upper.into());
        }
        self.groups[slot.group] = objects.into();
    }

    /// Takes the object out of an occupied slot.
    pub(super) fn remove(&mut self, slot: Slot) -> Object {
        let group = &self.groups[slot.group];
        let removed = group[slot.index].clone();
        let mut objects = Vec::with_capacity(LEAF_TARGET);
        objects.extend_from_slice(&group[..slot.index]);
        objects.extend_from_slice(&group[slot.index + 1..]);
        if let Some(next) = self.groups.get(slot.group + 1)
            && objects.len() + next.len() <= LEAF_TARGET
        {
            objects.extend_from_slice(next);
            self.groups.remove(slot.group + 1);
        }
        if objects.is_empty() {
            self.groups.remove(slot.group);
        } else {
            self.groups[slot.group] = objects.into();
        }
        removed
    }

    /// The first object.
    pub(super) fn first(&self) -> Option<&Object> {
        self.groups.first().map(|group| &group[0])
    }

    /// All objects in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The objects from the `start`-th to before the `end`-th.
    pub(super) fn slice(&self, start: usize, end: usize) -> impl Iterator<Item = &Object> {
        let (mut skipped, mut first) = (0, 0);
        while first < self.groups.len() && skipped + self.groups[first].len() <= start {
            skipped += self.groups[first].len();
            first += 1;
        }
        self.groups[first..]
            .iter()
            .flat_map(|group| group.iter())
            .skip(start - skipped)
            .take(end.saturating_sub(start))
    }

    /// The rest of the group in which the `start`-th object stands; empty past the end.
    pub(super) fn group_from(&self, mut start: usize) -> &[Object] {
        for group in &self.groups {
            if start < group.len() {
                return &group[start..];
            }
            start -= group.len();
        }
        &[]
    }
}

#[cfg(test)]
impl Leaves {
    /// Panics if an invariant is broken.
    pub(super) fn assert_sound(&self) {
        assert!(self.groups.iter().all(|group| (1..=LEAF_MAX).contains(&group.len())));
        assert!(self.iter().is_sorted_by(|left, right| left.key() < right.key()));
    }

    /// The groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Arc<[Object]>> {
        self.groups.iter()
    }

    /// The size of the list of groups.
    pub(super) fn list_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Arc<[Object]>>()
    }
}
