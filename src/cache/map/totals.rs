//! [`Totals`]: what a branch of the map knows about everything below it.
//!
//! They make counting a range, exact list lengths and memory accounting independent of how many
//! objects there are.

use std::iter::Sum;

use compact_str::CompactString;

use crate::codec::{
    item_join::ItemJoin,
    object::{Object, ObjectAttributes},
};

/// Sums over a set of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Objects.
    pub(super) count: usize,
    /// Lengths of their items, each with a separator (`ItemJoin::item_length`).
    pub(super) item_bytes: u64,
    /// Memory held by their bytes, attributes and handles.
    pub(super) resident_bytes: u64,
}

// === impl Totals ===

impl Totals {
    /// The length of the items when they stand joined: one separator fewer than items.
    pub(super) fn joined_bytes(self, join: ItemJoin) -> u64 {
        if self.count == 0 { 0 } else { self.item_bytes - join.separator().len() as u64 }
    }

    /// What is here and not in `other`, which must be a part of it.
    pub(super) fn without(self, other: Self) -> Self {
        Self {
            count: self.count - other.count,
            item_bytes: self.item_bytes - other.item_bytes,
            resident_bytes: self.resident_bytes - other.resident_bytes,
        }
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.item_bytes += other.item_bytes;
        self.resident_bytes += other.resident_bytes;
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

/// The memory of an object apart from its core: the handle and the attributes behind it.
pub(super) fn attribute_bytes(object: &Object) -> u64 {
    let attributes = &object.attributes;
    let labels: usize = attributes.labels.iter().map(|(key, value)| heap(key) + heap(value)).sum();
    let fields: usize = attributes.fields.iter().map(heap).sum();
    let spilled_fields =
        if attributes.fields.spilled() { size_of_val(&attributes.fields[..]) } else { 0 };
    let handle = size_of::<Object>() + size_of::<ObjectAttributes>() + 2 * size_of::<usize>();
    let key = attributes.key.as_str().len();
    let key = if key > size_of::<CompactString>() { key } else { 0 };
    (handle + key + size_of_val(&attributes.labels[..]) + labels + fields + spilled_fields) as u64
}

/// What a string holds outside of itself.
fn heap(text: &CompactString) -> usize {
    if text.is_heap_allocated() { text.len() } else { 0 }
}
