//! The memory of joined batches: one run of bytes for all watchers of an audience.
//!
//! A joined batch is a copy of frames that their events have, too, and there is one for every audience:
//! who watches with many selectors that mean the same, and does not read, could have any number of them
//! held. Guarantees that all that are held by anybody, in feeds or on their way out, take no more than
//! the room has. Nobody waits for room: without it watchers send the frames one by one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// The room of all joined batches.
#[derive(Debug)]
pub struct JoinedRoom {
    left: AtomicUsize,
}

/// Joined frames with the room that they take.
struct Joined {
    bytes: Vec<u8>,
    room: Arc<JoinedRoom>,
}

/// Joined batches that are held at the same time. A burst that everybody reads is held for
/// milliseconds, and upstream's bursts are mostly some tens of kilobytes.
const MEMORY: usize = 64 << 20;

// === impl JoinedRoom ===

impl JoinedRoom {
    /// Room for so many bytes.
    pub const fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes) }
    }

    /// Joins the frames; `None` when there is no room for that now.
    pub(super) fn join<'a>(
        self: &Arc<Self>,
        frames: impl Iterator<Item = &'a Bytes> + Clone,
    ) -> Option<Bytes> {
        let length = frames.clone().map(Bytes::len).sum();
        let take = |left: usize| left.checked_sub(length);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        let mut bytes = Vec::with_capacity(length);
        frames.for_each(|frame| bytes.extend_from_slice(frame));
        Some(Bytes::from_owner(Joined { bytes, room: Arc::clone(self) }))
    }

    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}

impl Default for JoinedRoom {
    fn default() -> Self {
        Self::new(MEMORY)
    }
}

// === impl Joined ===

impl AsRef<[u8]> for Joined {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_by_anybody_takes_room_and_no_more_than_there_is() {
        let room = Arc::new(JoinedRoom::new(10));
        let frames = ["abc", "de"].map(Bytes::from);
        let joined = room.join(frames.iter()).unwrap();
        assert_eq!((&joined[..], room.left()), (&b"abcde"[..], 5));
        let sent = joined.slice(4..);
        drop(joined);
        assert_eq!(room.left(), 5, "somebody has a byte of it");
        let other = room.join(frames.iter()).unwrap();
        assert_eq!(room.join(frames.iter()), None);
        drop(sent);
        assert_eq!(room.join(frames.iter()).as_deref(), Some(&b"abcde"[..]));
        drop(other);
        assert_eq!(room.left(), 10);
    }
}
