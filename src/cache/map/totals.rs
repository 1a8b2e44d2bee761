//! [`Totals`]: what a branch of the map knows about everything below it.
//!
//! They make counting a range, exact list lengths and memory accounting independent of how many
//! objects there are.

use std::iter::Sum;

use crate::codec::item_join::ItemJoin;

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
