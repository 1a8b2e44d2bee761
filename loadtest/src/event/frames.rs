//! The frames that events come in: lines of JSON, or Protobuf behind its length.
//!
//! Frames that lie in one chunk are looked at where they are; only what a chunk ends within is
//! copied. An idle watch holds no buffer.

use bytes::{Buf as _, BytesMut};

use super::BadEvent;

/// Longest frame taken; a Kubernetes object has at most some 3 MiB.
pub const LONGEST: usize = 16 << 20;
const LENGTH: usize = 4;

/// What a chunk began and did not end.
#[derive(Debug, Default)]
pub struct Frames {
    begun: BytesMut,
    searched: usize,
    binary: bool,
}

// === impl Frames ===

impl Frames {
    /// Lines, or Protobuf.
    pub fn new(binary: bool) -> Self {
        Self { binary, ..Self::default() }
    }

    /// Takes a chunk in and gives each complete frame to `take`, without line end or length.
    ///
    /// # Errors
    /// When a frame does not end, and those of `take`.
    pub fn push<E: From<BadEvent>>(
        &mut self,
        mut chunk: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.begun.is_empty() {
            while let Some((start, end, next)) = find(chunk, 0, self.binary)? {
                take(&chunk[start..end])?;
                chunk = &chunk[next..];
            }
            if chunk.is_empty() {
                // Gives the memory back.
                self.begun = BytesMut::new();
            } else {
                self.begun.extend_from_slice(chunk);
            }
            self.searched = 0;
            return Ok(());
        }
        if self.begun.len() + chunk.len() > LONGEST + LENGTH {
            return Err(BadEvent::TooLong.into());
        }
        let before = self.begun.len();
        self.begun.extend_from_slice(chunk);
        self.searched = if self.binary { 0 } else { before };
        while let Some((start, end, next)) = find(&self.begun, self.searched, self.binary)? {
            take(&self.begun[start..end])?;
            self.begun.advance(next);
            self.searched = 0;
        }
        if self.begun.is_empty() {
            self.begun = BytesMut::new();
        }
        Ok(())
    }

    /// Whether a frame was begun and not ended.
    pub fn within(&self) -> bool {
        !self.begun.is_empty()
    }
}

/// Where the first frame begins and ends, and where the next one begins.
fn find(
    bytes: &[u8],
    searched: usize,
    binary: bool,
) -> Result<Option<(usize, usize, usize)>, BadEvent> {
    if !binary {
        let end = memchr::memchr(b'\n', &bytes[searched..]).map(|at| searched + at);
        return Ok(end.map(|end| (0, end, end + 1)));
    }
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > LONGEST {
        return Err(BadEvent::TooLong);
    }
    Ok((rest.len() >= length).then_some((LENGTH, LENGTH + length, LENGTH + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(binary: bool, bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
        let mut frames = Frames::new(binary);
        let mut out = Vec::new();
        for chunk in bytes.chunks(size) {
            let taken = frames.push::<BadEvent>(chunk, |frame| {
                out.push(frame.to_vec());
                Ok(())
            });
            taken.unwrap();
        }
        out
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let lines = b"one\n\nthree\nfour";
        let binary = b"\0\0\0\x03one\0\0\0\0\0\0\0\x05three\0\0\0\x05four";
        for size in 1..30 {
            assert_eq!(frames(false, lines, size), [&b"one"[..], b"", b"three"], "{size}");
            assert_eq!(frames(true, binary, size), [&b"one"[..], b"", b"three"], "{size}");
        }
    }

    #[test]
    fn an_endless_frame_is_refused() {
        let mut frames = Frames::new(false);
        let chunk = vec![b'x'; LONGEST / 2 + 10];
        let mut push = |chunk: &[u8]| frames.push::<BadEvent>(chunk, |_| Ok(()));
        push(&chunk).unwrap();
        assert!(matches!(push(&chunk), Err(BadEvent::TooLong)));
        let mut frames = Frames::new(true);
        let pushed = frames.push::<BadEvent>(b"\xff\xff\xff\xff", |_| Ok(()));
        assert!(matches!(pushed, Err(BadEvent::TooLong)));
    }
}
