//! [`Segments`]: one run of bytes made of many shared buffers, written without being copied.
//!
//! It is the data of every response body: a LIST is some head, the pages' item bytes and a tail,
//! handed to the socket as one vectored write. No chunk that it yields is empty, and the common
//! case of one single buffer allocates nothing. It does not know what the bytes mean.
//!
//! Hot path: every byte that leaves the gateway passes through here.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes, BytesMut};

/// A sequence of shared buffers that reads as one (see the module).
///
/// Invariant: `current` is empty only when everything is consumed; `rest` holds no empty buffer;
/// `remaining` is the sum of all lengths.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    current: Bytes,
    rest: VecDeque<Bytes>,
    remaining: usize,
}

// === impl Segments ===

impl Segments {
    /// No bytes; allocates nothing.
    pub const fn new() -> Self {
        Self { current: Bytes::new(), rest: VecDeque::new(), remaining: 0 }
    }

    /// No bytes yet, with room for `segments` buffers.
    pub fn with_capacity(segments: usize) -> Self {
        Self { rest: VecDeque::with_capacity(segments.saturating_sub(1)), ..Self::new() }
    }

    /// Appends a buffer; an empty one leaves no trace.
    pub fn push(&mut self, segment: Bytes) {
        if segment.is_empty() {
            return;
        }
        self.remaining += segment.len();
        if self.current.is_empty() {
            self.current = segment;
        } else {
            self.rest.push_back(segment);
        }
    }

    /// Appends all buffers of another run.
    pub fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
        } else {
            while let Some(segment) = other.pop_segment() {
                self.push(segment);
            }
        }
    }

    /// The number of bytes not yet consumed.
    pub const fn len(&self) -> usize {
        self.remaining
    }

    /// Whether everything is consumed (or nothing was ever pushed).
    pub const fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// The number of buffers not yet consumed.
    pub fn segment_count(&self) -> usize {
        self.rest.len() + usize::from(!self.current.is_empty())
    }

    /// The unconsumed buffers in order, none of them empty.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.current).filter(|first| !first.is_empty()).chain(&self.rest)
    }

    /// Takes the next buffer off the front, `None` at the end.
    pub fn pop_segment(&mut self) -> Option<Bytes> {
        if self.current.is_empty() {
            return None;
        }
        self.remaining -= self.current.len();
        let next = self.rest.pop_front().unwrap_or_default();
        Some(std::mem::replace(&mut self.current, next))
    }

    /// Puts the same bytes in another buffer in the place of the last one.
    pub fn map_last(&mut self, map: impl FnOnce(Bytes) -> Bytes) {
        let last = self.rest.back_mut().unwrap_or(&mut self.current);
        let length = last.len();
        *last = map(std::mem::take(last));
        debug_assert_eq!(last.len(), length, "the same bytes");
    }

    /// The bytes in one buffer of their own, which keeps nothing of the shared ones alive.
    #[must_use]
    pub fn to_own(&self) -> Self {
        let mut own = Vec::with_capacity(self.remaining);
        self.iter().for_each(|segment| own.extend_from_slice(segment));
        Self::from(Bytes::from(own))
    }

    /// Takes the first `length` bytes off, sharing the buffers; all of them if there are fewer.
    #[must_use]
    pub fn split_to(&mut self, length: usize) -> Self {
        let mut front = Self::new();
        while front.remaining < length && !self.is_empty() {
            let wanted = length - front.remaining;
            if wanted < self.current.len() {
                self.remaining -= wanted;
                front.push(self.current.split_to(wanted));
            } else if let Some(segment) = self.pop_segment() {
                front.push(segment);
            }
        }
        front
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        &self.current
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, segment) in into.iter_mut().zip(self.iter()) {
            *slot = IoSlice::new(segment);
            filled += 1;
        }
        filled
    }

    /// # Panics
    ///
    /// When `count` exceeds the remaining bytes, as [`Buf`] asks.
    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the end of the segments");
        while count >= self.current.len() && count > 0 {
            count -= self.current.len();
            self.pop_segment();
        }
        self.current.advance(count);
        self.remaining -= count;
    }

    /// Shares the buffer when the bytes stand in one, copies them once otherwise.
    ///
    /// # Panics
    ///
    /// When `length` exceeds the remaining bytes, as [`Buf`] asks.
    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        assert!(length <= self.remaining, "copied past the end of the segments");
        if length == self.current.len() {
            return self.pop_segment().unwrap_or_default();
        }
        if length < self.current.len() {
            self.remaining -= length;
            return self.current.split_to(length);
        }
        let mut joined = BytesMut::with_capacity(length);
        for segment in self.split_to(length).iter() {
            joined.extend_from_slice(segment);
        }
        joined.freeze()
    }
}

impl From<Bytes> for Segments {
    fn from(segment: Bytes) -> Self {
        Self { remaining: segment.len(), current: segment, rest: VecDeque::new() }
    }
}

impl From<Vec<Bytes>> for Segments {
    /// Keeps the vector's allocation.
    fn from(segments: Vec<Bytes>) -> Self {
        let mut rest = VecDeque::from(segments);
        rest.retain(|segment| !segment.is_empty());
        let remaining = rest.iter().map(Bytes::len).sum();
        Self { current: rest.pop_front().unwrap_or_default(), rest, remaining }
    }
}

impl Extend<Bytes> for Segments {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, segments: I) {
        segments.into_iter().for_each(|segment| self.push(segment));
    }
}

impl FromIterator<Bytes> for Segments {
    fn from_iter<I: IntoIterator<Item = Bytes>>(segments: I) -> Self {
        let mut collected = Self::new();
        collected.extend(segments);
        collected
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(parts: &[&'static [u8]]) -> Segments {
        parts.iter().map(|part| Bytes::from_static(part)).collect()
    }

    #[test]
    fn never_yields_an_empty_chunk() {
        let mut all = segments(&[b"", b"ab", b"", b"c", b""]);
        assert_eq!((all.len(), all.segment_count(), all.chunk()), (3, 2, &b"ab"[..]));
        all.advance(2);
        assert_eq!(all.chunk(), b"c");
        all.advance(1);
        assert!(all.is_empty() && !all.has_remaining());
        assert_eq!(Segments::from(vec![Bytes::new(), Bytes::from_static(b"x")]).segment_count(), 1);
        assert_eq!(Segments::from(Bytes::new()).segment_count(), 0);
    }

    #[test]
    fn fills_as_many_slices_as_there_is_room_for() {
        let all = segments(&[b"ab", b"c", b"def"]);
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(all.chunks_vectored(&mut slices), 2);
        assert_eq!([&*slices[0], &*slices[1]], [&b"ab"[..], b"c"]);
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(all.chunks_vectored(&mut slices), 3);
    }

    #[test]
    fn shares_the_buffer_when_one_chunk_suffices() {
        let buffer = Bytes::from(vec![7; 64]);
        let mut all = Segments::from(vec![buffer.clone(), buffer.clone()]);
        let first = all.copy_to_bytes(10);
        assert_eq!(first.as_ptr(), buffer.as_ptr());
        let rest_of_first = all.copy_to_bytes(54);
        assert_eq!(rest_of_first.as_ptr(), buffer[10..].as_ptr());
        assert_eq!(all.len(), 64);
    }

    #[test]
    #[should_panic(expected = "past the end")]
    fn refuses_to_advance_past_the_end() {
        segments(&[b"ab"]).advance(3);
    }

    proptest! {
        #[test]
        fn reads_as_the_concatenation(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
            steps in prop::collection::vec((0..3u8, 0..20usize), 0..20),
        ) {
            let mut expected: Vec<u8> = parts.concat();
            let mut all: Segments = parts.into_iter().map(Bytes::from).collect();
            for (kind, length) in steps {
                let length = length.min(expected.len());
                let front: Vec<u8> = expected.drain(..length).collect();
                match kind {
                    0 => all.advance(length),
                    1 => prop_assert_eq!(&all.copy_to_bytes(length)[..], &front[..]),
                    _ => prop_assert_eq!(&all.split_to(length).copy_to_bytes(length)[..], &front[..]),
                }
                prop_assert_eq!(all.remaining(), expected.len());
                prop_assert_eq!(all.iter().map(Bytes::len).sum::<usize>(), expected.len());
                prop_assert!(all.iter().all(|segment| !segment.is_empty()));
            }
            prop_assert_eq!(&all.copy_to_bytes(expected.len())[..], &expected[..]);
        }
    }
}
