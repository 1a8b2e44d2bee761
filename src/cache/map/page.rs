//! [`Page`]: neighbouring objects whose bytes stand joined in one buffer, with an overlay.
//!
//! Unchanged objects are slices of the page's buffer, in which their items stand as a list needs
//! them; a changed or new object keeps the buffer it came in (the **overlay**). A change therefore
//! copies no bytes, and a LIST still consists of few long segments. When too much of the buffer is
//! dead, small objects are written anew and large ones taken apart. `docs/decisions/0001-pages-with-overlay.md` has the measurements behind the constants.
//!
//! A page also carries its items as one DEFLATE block, made on first use and dropped by the next
//! change. It knows nothing of other pages.

#[cfg(test)]
mod soundness;

use std::sync::Arc;

use bytes::Bytes;

use super::{
    deflated::Deflated, derived::Derived, leaves::Leaves, places::PlacesByColumn, totals::Totals,
};
use crate::codec::{item_join::ItemJoin, object::Object};

/// The item bytes of a freshly built page. 64 KiB blocks of pods deflate to 1.13 × the size of one
/// stream in 70 µs a block; 32 KiB: 1.32 ×, 35 µs; 128 KiB: 1.07 ×, 137 µs. A little less than 64 KiB,
/// so that a page that grows by an annotation still fits what allocators give for it.
pub(super) const PAGE_TARGET_BYTES: u64 = 60 * 1024;

/// A page with more item bytes, or more objects, is split (a single object never is).
pub(super) const PAGE_MAX_BYTES: u64 = 96 * 1024;
/// See [`PAGE_MAX_BYTES`].
pub(super) const PAGE_MAX_OBJECTS: usize = 512;

/// A page with fewer item bytes is merged with a neighbour if the result is not too large.
const PAGE_MIN_BYTES: u64 = 16 * 1024;

/// A page of small objects is put in order when the dead bytes of its buffer are more than one part in
/// so many of what it holds.
const DEAD_PART: u64 = 5;
/// The same of large ones, for which that is done once.
const DEAD_PART_OF_LARGE: u64 = 8;

/// Below this mean size objects are kept joined, since their segments are too short to be written one
/// by one: after 30,000 scattered changes a LIST of 100,000 objects of 500 bytes costs 8.5 ms if pages are left
/// as they are, and 4.5 ms if a page is rewritten when a quarter of its objects changed.
const SMALL_OBJECT_BYTES: u64 = 2 * 1024;

/// Objects next to each other (see the module).
#[derive(Clone, Debug)]
pub(super) struct Page {
    objects: Leaves,
    /// The items of the last rewrite, joined. Empty in a page that was never written.
    buffer: Bytes,
    /// All objects; `resident_bytes` is the sum of the attributes only.
    sums: Totals,
    /// Of those, the objects that are not slices of `buffer`.
    overlay: Overlay,
    deflated: Deflated,
    /// The map's count of what readers made.
    derived: Arc<Derived>,
    /// Which objects have which values.
    places: PlacesByColumn,
}

/// How much of a page stands outside of its buffer.
#[derive(Clone, Copy, Debug, Default)]
struct Overlay {
    count: usize,
    item_bytes: u64,
}

// === impl Page ===

impl Page {
    /// Writes one page of the map with this count, from objects that are sorted by key.
    pub(super) fn write(join: ItemJoin, derived: &Arc<Derived>, mut objects: Vec<Object>) -> Self {
        let mut sums = Totals::default();
        for object in &objects {
            sums += totals_of(join, object);
        }
        let mut buffer = Vec::with_capacity(sums.joined_bytes(join) as usize);
        let spans: Vec<_> = (objects.iter().enumerate())
            .map(|(index, object)| join.append(&mut buffer, index == 0, &object.core))
            .collect();
        let buffer = Bytes::from(buffer);
        for (object, span) in objects.iter_mut().zip(spans) {
            object.core = buffer.slice(span);
        }
        Self {
            objects: Leaves::from_sorted(objects),
            buffer,
            sums,
            overlay: Overlay::default(),
            deflated: Deflated::default(),
            derived: Arc::clone(derived),
            places: PlacesByColumn::default(),
        }
    }

    /// The page for changing: itself if no other version holds it, else a copy without the bytes.
    pub(super) fn writable(self: &mut Arc<Self>) -> &mut Self {
        if Arc::get_mut(self).is_none() {
            self.deflated.release();
        }
        Arc::make_mut(self)
    }

    /// Sums of what the page holds.
    pub(super) fn totals(&self) -> Totals {
        let bytes = self.buffer.len() as u64 + self.overlay.item_bytes;
        Totals { resident_bytes: self.sums.resident_bytes + bytes, ..self.sums }
    }

    /// The objects in key order.
    pub(super) const fn objects(&self) -> &Leaves {
        &self.objects
    }

    /// The object with this key.
    pub(super) fn get(&self, key: &str) -> Option<&Object> {
        self.objects.find(key).ok().map(|slot| self.objects.at(slot))
    }

    /// Inserts or replaces; returns the previous object (which holds no part of the buffer).
    pub(super) fn insert(&mut self, join: ItemJoin, object: Object) -> Option<Object> {
        self.deflated.release();
        self.places.release();
        // Only what `write` placed may lie in the buffer: the walk over segments relies on it.
        let object = self.apart_from_buffer(object);
        self.count_overlay(join, &object);
        self.sums += totals_of(join, &object);
        let previous = match self.objects.find(object.key().as_str()) {
            Ok(slot) => Some(self.objects.replace(slot, object)),
            Err(slot) => {
                self.objects.insert(slot, object);
                None
            }
        };
        let previous = previous.map(|previous| self.forget(join, previous));
        self.put_in_order(join);
        previous
    }

    /// Takes an object out; it holds no part of the buffer.
    pub(super) fn remove(&mut self, join: ItemJoin, key: &str) -> Option<Object> {
        let slot = self.objects.find(key).ok()?;
        self.deflated.release();
        self.places.release();
        let removed = self.objects.remove(slot);
        let removed = self.forget(join, removed);
        self.put_in_order(join);
        Some(removed)
    }

    /// Where a core stands in the buffer; `None` for one of the overlay.
    pub(super) fn position(&self, core: &Bytes) -> Option<usize> {
        let position = (core.as_ptr() as usize).checked_sub(self.buffer.as_ptr() as usize)?;
        (!core.is_empty() && position < self.buffer.len()).then_some(position)
    }

    /// The buffer that [`Self::position`] refers to.
    pub(super) const fn buffer(&self) -> &Bytes {
        &self.buffer
    }

    /// Whether the buffer is the items joined: nothing was changed since they were written.
    pub(super) fn is_as_written(&self, join: ItemJoin) -> bool {
        self.overlay.count == 0 && self.buffer.len() as u64 == self.sums.joined_bytes(join)
    }

    /// Where the page's items are kept deflated.
    pub(super) const fn deflated(&self) -> &Deflated {
        &self.deflated
    }

    /// The count of what readers made of the map.
    pub(super) const fn derived(&self) -> &Arc<Derived> {
        &self.derived
    }

    /// Where it is kept which objects have which values.
    pub(super) const fn places(&self) -> &PlacesByColumn {
        &self.places
    }

    /// Whether the page must be split.
    pub(super) fn is_overfull(&self) -> bool {
        let Totals { count, item_bytes, .. } = self.sums;
        count > 1 && (item_bytes > PAGE_MAX_BYTES || count > PAGE_MAX_OBJECTS)
    }

    /// Whether a merge with a neighbour is worth trying.
    pub(super) fn is_underfull(&self) -> bool {
        self.sums.item_bytes < PAGE_MIN_BYTES && self.sums.count < PAGE_MAX_OBJECTS / 4
    }

    /// Writes the page as two, about equally long; neither is empty if there are two objects.
    pub(super) fn split(&self, join: ItemJoin) -> (Self, Self) {
        let mut lower: Vec<Object> = self.objects.iter().cloned().collect();
        let mut bytes = 0;
        let middle = lower.iter().position(|object| {
            bytes += join.item_length(object.core.len()) as u64;
            bytes > self.sums.item_bytes / 2
        });
        let upper = lower.split_off(middle.unwrap_or(0).max(1));
        let write = |objects| Self::write(join, &self.derived, objects);
        (write(lower), write(upper))
    }

    /// Writes two neighbours as one, or `None` if that would be too large.
    pub(super) fn merge(join: ItemJoin, lower: &Self, upper: &Self) -> Option<Self> {
        let item_bytes = lower.sums.item_bytes + upper.sums.item_bytes;
        let count = lower.sums.count + upper.sums.count;
        (item_bytes <= PAGE_TARGET_BYTES && count <= PAGE_MAX_OBJECTS / 2).then(|| {
            lower.deflated.release();
            upper.deflated.release();
            let objects = lower.objects.iter().chain(upper.objects.iter()).cloned();
            Self::write(join, &lower.derived, objects.collect())
        })
    }

    /// Puts the page in order when too much of it is dead or scattered. Small objects are written
    /// anew, preceded by changes in proportion to the page's size, so that the cost per change is a
    /// constant. Large ones are taken apart instead, once: their bytes are shared with the log that
    /// way, nothing is dead ever after, and a list writes them one by one at hardly more cost.
    fn put_in_order(&mut self, join: ItemJoin) {
        let Totals { count, item_bytes, .. } = self.sums;
        let written = item_bytes - self.overlay.item_bytes;
        if self.overlay.count == count {
            // Nothing refers to the buffer any more.
            self.buffer = Bytes::new();
        }
        let dead = (self.buffer.len() as u64).saturating_sub(written);
        if item_bytes >= SMALL_OBJECT_BYTES * count as u64 {
            if dead * DEAD_PART_OF_LARGE > item_bytes {
                self.take_apart();
            }
        } else if dead * DEAD_PART > item_bytes || (count > 1 && 4 * self.overlay.count > count) {
            *self = Self::write(join, &self.derived, self.objects.iter().cloned().collect());
        }
    }

    /// Gives every object bytes of its own, in place of the buffer.
    fn take_apart(&mut self) {
        let objects = self.objects.iter().map(|object| self.apart_from_buffer(object.clone()));
        self.objects = Leaves::from_sorted(objects.collect());
        self.buffer = Bytes::new();
        self.overlay = Overlay { count: self.sums.count, item_bytes: self.sums.item_bytes };
    }

    /// Counts an object that comes in as part of the overlay.
    fn count_overlay(&mut self, join: ItemJoin, object: &Object) {
        self.overlay.count += 1;
        self.overlay.item_bytes += join.item_length(object.core.len()) as u64;
    }

    /// Takes an object that left the page out of the sums.
    fn forget(&mut self, join: ItemJoin, object: Object) -> Object {
        let totals = totals_of(join, &object);
        self.sums = self.sums.without(totals);
        if self.position(&object.core).is_none() {
            self.overlay.count -= 1;
            self.overlay.item_bytes -= totals.item_bytes;
        }
        self.apart_from_buffer(object)
    }

    /// The object with a copy of its core if that is a slice of the buffer: kept for minutes, the
    /// slice would hold on to the whole page.
    fn apart_from_buffer(&self, mut object: Object) -> Object {
        if self.position(&object.core).is_some() {
            object.core = Bytes::copy_from_slice(&object.core);
        }
        object
    }
}

/// One object's share of [`Page::sums`].
fn totals_of(join: ItemJoin, object: &Object) -> Totals {
    Totals {
        count: 1,
        item_bytes: join.item_length(object.core.len()) as u64,
        resident_bytes: object.bytes_beside_core(),
    }
}
