//! [`Places`]: where below one node of the map the values of a column stand.
//!
//! Made on first use by whoever searches, from the node's objects or from the places of its
//! children; gone with the node's next change. A version never changes, so what was made for it
//! stays true: there is no index beside the map that could disagree with it. A node keeps the
//! places of few columns, the last ones made, so that clients who search by many different labels
//! cost time and not memory: eight bytes an object and level for each.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use smallvec::SmallVec;

use super::{
    column::{self, Column},
    derived::{Derived, PlaceBytes},
};

/// The columns that a node keeps the places of.
const COLUMNS: usize = 8;

/// The bits of an entry that hold the place: a node has fewer objects or children than they count.
const PLACE_BITS: u32 = 16;

/// The places of one column's values in one node.
#[derive(Debug)]
pub(super) struct Places {
    column: Column,
    /// A value's hash and a place where it stands, sorted, none twice. A place is the position of an
    /// object in a page, of a child in a branch.
    entries: Box<[u64]>,
    /// Counts what they take.
    _bytes: PlaceBytes,
}

/// Those that a node has by now. A copy has none.
#[derive(Debug, Default)]
pub(super) struct PlacesByColumn {
    known: ArcSwapOption<SmallVec<[Arc<Places>; 1]>>,
}

// === impl Places ===

impl Places {
    /// Of the values of a page's objects, in their order.
    pub(super) fn of_objects<'a>(
        column: &Column,
        values: impl Iterator<Item = Option<&'a str>>,
        derived: &Arc<Derived>,
    ) -> Self {
        let entries = values
            .enumerate()
            .filter_map(|(place, value)| Some(entry(column::hash(value?), place)))
            .collect();
        Self::sorted(column, entries, derived)
    }

    /// Of what stands below a branch's children, in their order.
    pub(super) fn of_children(
        column: &Column,
        children: impl Iterator<Item = Arc<Self>>,
        derived: &Arc<Derived>,
    ) -> Self {
        let mut entries = Vec::new();
        for (place, child) in children.enumerate() {
            // Equal hashes of a child come out as equal entries next to each other.
            let mut last = None;
            entries.extend(child.entries.iter().filter_map(|below| {
                let entry = entry(below >> PLACE_BITS, place);
                (last.replace(entry) != Some(entry)).then_some(entry)
            }));
        }
        Self::sorted(column, entries, derived)
    }

    fn sorted(column: &Column, mut entries: Vec<u64>, derived: &Arc<Derived>) -> Self {
        // Stable, as that finds the sorted stretches that children are.
        entries.sort();
        let bytes = derived.count_places(size_of::<Self>() + size_of_val(&entries[..]));
        Self { column: column.clone(), entries: entries.into(), _bytes: bytes }
    }

    /// Where a value with this hash may stand, in order; nowhere else does one stand.
    pub(super) fn of(&self, hash: u64) -> impl Iterator<Item = usize> {
        let first = self.entries.partition_point(|entry| entry >> PLACE_BITS < hash);
        self.entries[first..]
            .iter()
            .take_while(move |entry| *entry >> PLACE_BITS == hash)
            .map(|entry| (entry & ((1 << PLACE_BITS) - 1)) as usize)
    }

    /// The number of entries: what it costs to make them.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }
}

const fn entry(hash: u64, place: usize) -> u64 {
    hash << PLACE_BITS | place as u64
}

// === impl PlacesByColumn ===

impl PlacesByColumn {
    /// The places of a column if somebody made them.
    pub(super) fn get(&self, column: &Column) -> Option<Arc<Places>> {
        let known = self.known.load();
        known.as_ref()?.iter().find(|places| places.column == *column).cloned()
    }

    /// Keeps what was made, in the place of the oldest if there are many. Of two that are kept at
    /// the same moment one may be lost, and is made again.
    pub(super) fn keep(&self, made: &Arc<Places>) {
        let before = self.known.load();
        let others = before.iter().flat_map(|known| known.iter());
        let others = others.filter(|places| places.column != made.column).take(COLUMNS - 1);
        let known = std::iter::once(made).chain(others).cloned().collect();
        self.known.store(Some(Arc::new(known)));
    }

    /// Drops all of them: what they tell of is about to change.
    pub(super) fn release(&mut self) {
        self.known.store(None);
    }
}

impl Clone for PlacesByColumn {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(number: usize) -> Column {
        Column::Field(number)
    }

    fn of_values(column: &Column, values: &[Option<&str>]) -> Arc<Places> {
        Arc::new(Places::of_objects(column, values.iter().copied(), &Arc::default()))
    }

    fn places(places: &Places, value: &str) -> Vec<usize> {
        places.of(column::hash(value)).collect()
    }

    #[test]
    fn values_are_found_where_they_stand_and_nowhere_else() {
        let one = of_values(&column(0), &[Some("a"), None, Some("b"), Some("a"), Some("")]);
        assert_eq!(places(&one, "a"), [0, 3]);
        assert_eq!((places(&one, "b"), places(&one, "")), (vec![2], vec![4]));
        assert!(places(&one, "c").is_empty());
        let other = of_values(&column(0), &[Some("b"), Some("c")]);
        let none = of_values(&column(0), &[None]);
        let branch =
            Places::of_children(&column(0), [one, none, other].into_iter(), &Arc::default());
        assert_eq!((places(&branch, "a"), places(&branch, "b")), (vec![0], vec![0, 2]));
        assert_eq!((places(&branch, "c"), branch.len()), (vec![2], 5));
    }

    #[test]
    fn a_node_keeps_the_places_of_few_columns() {
        let mut node = PlacesByColumn::default();
        assert!(node.get(&column(0)).is_none());
        for number in 0..=COLUMNS {
            node.keep(&of_values(&column(number), &[Some("a")]));
        }
        assert!(node.get(&column(0)).is_none(), "the oldest");
        for number in 1..=COLUMNS {
            assert!(node.get(&column(number)).is_some(), "{number}");
        }
        node.keep(&of_values(&column(1), &[Some("a"), Some("b")]));
        assert_eq!(node.get(&column(1)).unwrap().len(), 2);
        assert!(node.get(&column(COLUMNS)).is_some(), "nothing was pushed out");
        assert!(node.clone().get(&column(1)).is_none());
        node.release();
        assert!(node.get(&column(1)).is_none());
    }
}
