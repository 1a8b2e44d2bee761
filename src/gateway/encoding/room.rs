//! The memory of bodies that are made for one request, and held until its client has read them.
//!
//! Guarantees: the long ones that [`Room::hold`] gave out take no more than [`MEMORY`] together; a
//! body gives its share back when its last byte is dropped, wherever that is. What is shared with
//! other requests does not come here. Nobody waits for room: who finds none answers in another way.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::codec::segments::Segments;

/// The room of all bodies; cloning shares it.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Room {
    bytes: Arc<Semaphore>,
}

/// A body's part of the room.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// `None` while it is short enough to need none.
    permit: Option<OwnedSemaphorePermit>,
}

/// There is no room for the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bodies made for single requests are longer than {MEMORY} bytes together")]
pub(in crate::gateway) struct Full;

/// Bytes of a body with its share.
struct Held {
    bytes: Bytes,
    _share: Arc<Share>,
}

/// All bodies that are being made or sent.
pub(super) const MEMORY: usize = 256 << 20;

/// Bodies up to this length need no room. So much is held for any connection that is slow.
const SHORT: usize = 64 << 10;

// === impl Room ===

impl Room {
    /// Room that nobody uses yet.
    pub(in crate::gateway) fn new() -> Self {
        Self { bytes: Arc::new(Semaphore::new(MEMORY)) }
    }

    /// Room for a body of about this length that is yet to be made.
    pub(super) fn take(&self, length: usize) -> Result<Share, Full> {
        let mut share = Share::default();
        self.fit(&mut share, length)?;
        Ok(share)
    }

    /// The body that the share was taken for, which keeps as much of the room as it is long.
    pub(super) fn hold(&self, mut share: Share, body: Segments) -> Result<Segments, Full> {
        self.fit(&mut share, body.len())?;
        if share.permit.is_none() {
            return Ok(body);
        }
        let share = Arc::new(share);
        let held = |bytes: &Bytes| Held { bytes: bytes.clone(), _share: Arc::clone(&share) };
        Ok(body.iter().map(|bytes| Bytes::from_owner(held(bytes))).collect())
    }

    /// Makes a share as large as a body of this length needs it.
    pub(super) fn fit(&self, share: &mut Share, length: usize) -> Result<(), Full> {
        if length <= SHORT {
            share.permit = None;
            return Ok(());
        }
        let taken = share.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(length.saturating_sub(taken)).map_err(|_| Full)?;
        let more = Arc::clone(&self.bytes).try_acquire_many_owned(more).map_err(|_| Full)?;
        match &mut share.permit {
            // Dropped, what was split off is free again.
            Some(permit) if taken > length => drop(permit.split(taken - length)),
            Some(permit) => permit.merge(more),
            None => share.permit = Some(more),
        }
        Ok(())
    }
}

// === impl Held ===

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(room: &Room) -> usize {
        room.bytes.available_permits()
    }

    fn body(lengths: &[usize]) -> Segments {
        lengths.iter().map(|length| Bytes::from(vec![7; *length])).collect()
    }

    #[test]
    fn a_body_keeps_as_much_as_it_is_long_until_it_is_gone() {
        let room = Room::new();
        for expected in [1 << 20, SHORT + 1, 3 << 20] {
            let share = room.take(expected).unwrap();
            assert_eq!(free(&room), MEMORY - expected);
            let mut held = room.hold(share, body(&[10, (2 << 20) - 30, 20])).unwrap();
            assert_eq!((held.len(), held.segment_count()), (2 << 20, 3));
            assert_eq!(free(&room), MEMORY - (2 << 20));
            let sent = held.split_to(100);
            drop(held);
            assert_eq!(free(&room), MEMORY - (2 << 20), "somebody has bytes of it");
            drop(sent);
            assert_eq!(free(&room), MEMORY);
        }
    }

    #[test]
    fn short_bodies_need_no_room() {
        let room = Room::new();
        let all = room.take(MEMORY).unwrap();
        assert_eq!(room.take(SHORT + 1).unwrap_err(), Full);
        let share = room.take(SHORT).unwrap();
        let held = room.hold(share, body(&[SHORT])).unwrap();
        assert_eq!(room.hold(Share::default(), body(&[SHORT + 1])).unwrap_err(), Full, "it grew");
        drop((all, held));
        assert_eq!(free(&room), MEMORY);
        let shrunk = room.hold(room.take(1 << 20).unwrap(), body(&[SHORT])).unwrap();
        assert_eq!(free(&room), MEMORY);
        drop(shrunk);
        assert_eq!(room.take(MEMORY + 1).unwrap_err(), Full);
        assert_eq!(free(&room), MEMORY);
    }
}
