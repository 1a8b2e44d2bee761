//! [`Derived`]: the memory of what readers make of a map and others find there: deflated pages, and
//! places of values.
//!
//! It is made at any time and by anybody, of versions that are not to change: no branch could know of
//! it as it knows its totals. So there is one count for all versions that came from each other, to
//! which whatever is made belongs until nobody has it any more. To ask it costs nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;

use crate::codec::gzip::DeflatedBlock;

/// Bytes by what they are for (see the module).
#[derive(Debug, Default)]
pub(super) struct Derived {
    deflated: AtomicU64,
    places: AtomicU64,
}

/// Bytes that count until they are dropped.
#[derive(Debug)]
pub(super) struct PlaceBytes {
    bytes: u64,
    derived: Arc<Derived>,
}

/// A block's bytes, counted.
struct BlockBytes {
    bytes: Bytes,
    derived: Arc<Derived>,
}

// === impl Derived ===

impl Derived {
    /// Bytes of deflated pages.
    pub(super) fn deflated(&self) -> u64 {
        self.deflated.load(Ordering::Relaxed)
    }

    /// Bytes of places.
    pub(super) fn places(&self) -> u64 {
        self.places.load(Ordering::Relaxed)
    }

    /// The block, counted for as long as anybody has its bytes.
    pub(super) fn count_block(self: &Arc<Self>, block: DeflatedBlock) -> DeflatedBlock {
        self.deflated.fetch_add(block.bytes.len() as u64, Ordering::Relaxed);
        let bytes = BlockBytes { bytes: block.bytes, derived: Arc::clone(self) };
        DeflatedBlock { bytes: Bytes::from_owner(bytes), ..block }
    }

    /// Counts so many bytes of places.
    pub(super) fn count_places(self: &Arc<Self>, bytes: usize) -> PlaceBytes {
        let bytes = bytes as u64;
        self.places.fetch_add(bytes, Ordering::Relaxed);
        PlaceBytes { bytes, derived: Arc::clone(self) }
    }
}

// === impl PlaceBytes ===

impl Drop for PlaceBytes {
    fn drop(&mut self) {
        self.derived.places.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

// === impl BlockBytes ===

impl AsRef<[u8]> for BlockBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for BlockBytes {
    fn drop(&mut self) {
        self.derived.deflated.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}
