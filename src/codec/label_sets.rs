//! [`LabelSets`]: equal sets of labels are kept once.
//!
//! The pods of a workload carry the same labels, and so do all versions of an object; kept apart they
//! would be the largest part of an object's attributes. A table remembers the sets seen last, one for
//! each place that a hash can have, so it is bounded and no set is looked for at length: what it
//! forgets is only shared less. It grows with the number of different sets, up to [`MOST`] places.

use std::{hash::BuildHasher, sync::Arc};

use foldhash::fast::FixedState;
use parking_lot::Mutex;

use super::object::Labels;

/// Places of the first table; most resources have few sets.
const FIRST: usize = 32;
/// Places at most: 64 KiB, and with five labels each some 2 MB of sets.
const MOST: usize = 4096;

/// The sets seen last (see the module).
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// As many as a power of two; none before the first set.
    places: Vec<Option<Labels>>,
    /// Sets that had to make way since the table grew.
    displaced: usize,
}

// === impl LabelSets ===

impl LabelSets {
    /// The set itself, or an equal one that is there already. Never waits.
    pub(super) fn share(&self, labels: Labels) -> Labels {
        // No memory of its own, so there is nothing to share.
        if labels.is_empty() {
            return labels;
        }
        let Some(mut table) = self.table.try_lock() else { return labels };
        table.share(labels)
    }
}

impl Clone for LabelSets {
    /// An empty one: what was seen is no part of the value.
    fn clone(&self) -> Self {
        Self::default()
    }
}

// === impl Table ===

impl Table {
    fn share(&mut self, labels: Labels) -> Labels {
        if self.places.is_empty() {
            self.places.resize(FIRST, None);
        }
        let place = place_of(&labels, self.places.len());
        match &mut self.places[place] {
            Some(seen) if *seen == labels => return Arc::clone(seen),
            Some(other) => {
                *other = Arc::clone(&labels);
                self.displaced += 1;
            }
            empty @ None => *empty = Some(Arc::clone(&labels)),
        }
        if self.displaced > self.places.len() && self.places.len() < MOST {
            self.grow();
        }
        labels
    }

    fn grow(&mut self) {
        let size = self.places.len() * 2;
        let before = std::mem::replace(&mut self.places, vec![None; size]);
        for labels in before.into_iter().flatten() {
            let place = place_of(&labels, size);
            self.places[place] = Some(labels);
        }
        self.displaced = 0;
    }
}

fn place_of(labels: &Labels, places: usize) -> usize {
    FixedState::default().hash_one(labels) as usize & (places - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(number: usize) -> Labels {
        [("app".into(), format!("app-{number}").into())].into()
    }

    #[test]
    fn equal_sets_are_one() {
        let sets = LabelSets::default();
        let first = sets.share(set(1));
        assert!(Arc::ptr_eq(&first, &sets.share(set(1))));
        assert!(!Arc::ptr_eq(&first, &sets.share(set(2))));
        assert_eq!(sets.share(set(2)), set(2));
        assert!(sets.share(Labels::default()).is_empty());
    }

    #[test]
    fn the_table_grows_with_the_sets_and_is_bounded() {
        let sets = LabelSets::default();
        for _ in 0..8 {
            (0..1000).for_each(|number| assert_eq!(sets.share(set(number)), set(number)));
        }
        let kept: Vec<_> = (0..1000).map(|number| sets.share(set(number))).collect();
        let again =
            (0..1000).filter(|number| Arc::ptr_eq(&kept[*number], &sets.share(set(*number))));
        assert!(again.count() > 700, "most are found again");
        (0..100_000).for_each(|number| drop(sets.share(set(number))));
        assert_eq!(sets.table.lock().places.len(), MOST);
    }
}
