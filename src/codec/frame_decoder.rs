//! Splits the body of an upstream watch into frames as it arrives.
//!
//! JSON frames end with a line break, protobuf frames begin with their length in four bytes
//! (semantics §5.6). A frame larger than the given bound is an error, after which the decoder
//! gives nothing more.
//!
//! A line that lies in one chunk is a slice of it only if it is at least 16 KiB large and at least
//! half of the chunk; any other frame gets an allocation of exactly its size. What delimits a frame
//! is kept with it, so that it can be sent on as it came. Objects live long, and a
//! slice keeps the whole network buffer behind the chunk alive; copying a few KiB costs less than a
//! tenth of scanning them.

use std::{collections::VecDeque, ops::Range};

use bytes::{Buf, Bytes};
use memchr::memchr;

use super::object::Representation;

/// The smallest frame that may share its chunk's memory, in bytes: what an HTTP/2 DATA frame
/// usually holds, so smaller ones come several to a buffer.
const SHARED_FRAME: usize = 16 * 1024;

/// Bytes of a protobuf frame's length.
const LENGTH_PREFIX: usize = 4;

/// A frame with what delimits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFrame {
    /// As on the wire: a JSON line with its line break, a protobuf message after its length.
    pub bytes: Bytes,
    content: Range<usize>,
}

/// The body could not be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// One event is larger than the bound.
    #[error("a watch event is larger than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The body ended inside an event.
    #[error("the watch ended inside an event, {received} bytes into it")]
    Truncated {
        /// How much of the event had come, in bytes.
        received: usize,
    },
}

/// The state between two chunks of one watch body.
#[derive(Debug)]
pub struct FrameDecoder {
    framing: Framing,
    max_frame: usize,
    /// Chunks not looked at yet; the first may have been consumed in part.
    chunks: VecDeque<Chunk>,
    /// The beginning of a frame that no single chunk holds.
    partial: Vec<u8>,
    failed: Option<FrameError>,
}

#[derive(Debug)]
enum Framing {
    Lines,
    /// With the length of the frame that comes, once it is known.
    LengthPrefixed(Option<usize>),
}

#[derive(Debug)]
struct Chunk {
    rest: Bytes,
    /// Its length when it came.
    length: usize,
}

// === impl FrameDecoder ===

impl FrameDecoder {
    /// A decoder for a watch in `representation`; no frame may exceed `max_frame` bytes.
    pub fn new(representation: Representation, max_frame: usize) -> Self {
        let framing = match representation {
            Representation::Json | Representation::JsonMetadata => Framing::Lines,
            Representation::Protobuf | Representation::ProtobufMetadata => {
                Framing::LengthPrefixed(None)
            }
        };
        Self { framing, max_frame, chunks: VecDeque::new(), partial: Vec::new(), failed: None }
    }

    /// Takes the next chunk of the body. Call [`Self::next_frame`] until it has no more before
    /// pushing again, so that the bound holds for what is buffered.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() && self.failed.is_none() {
            self.chunks.push_back(Chunk { length: chunk.len(), rest: chunk });
        }
    }

    /// The next frame: a JSON line without its line break, or a protobuf message without its
    /// length. `None` until more of the body comes.
    ///
    /// # Errors
    /// When a frame exceeds the bound, now and from then on.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        Ok(self.next_wire_frame()?.map(|frame| frame.content()))
    }

    /// As [`Self::next_frame`], with what delimits it.
    ///
    /// # Errors
    /// When a frame exceeds the bound, now and from then on.
    pub fn next_wire_frame(&mut self) -> Result<Option<WireFrame>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let frame = match self.framing {
            Framing::Lines => self.next_line(),
            Framing::LengthPrefixed(length) => self.next_message(length),
        };
        if let Err(error) = frame {
            self.failed = Some(error);
            self.chunks.clear();
            self.partial = Vec::new();
        }
        frame
    }

    /// To be called at the body's end, after the last frame.
    ///
    /// # Errors
    /// When the body ended inside a frame, or splitting had failed before.
    pub fn finish(&self) -> Result<(), FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let waiting: usize = self.chunks.iter().map(|chunk| chunk.rest.len()).sum();
        match self.partial.len() + waiting {
            0 => Ok(()),
            received => Err(FrameError::Truncated { received }),
        }
    }

    fn next_line(&mut self) -> Result<Option<WireFrame>, FrameError> {
        while let Some(chunk) = self.chunks.front() {
            let line_break = memchr(b'\n', &chunk.rest);
            let available = line_break.unwrap_or(chunk.rest.len());
            if self.partial.len() + available > self.max_frame {
                return Err(FrameError::TooLarge { limit: self.max_frame });
            }
            let with_break = available + usize::from(line_break.is_some());
            if let Some(bytes) = self.take(with_break, line_break.is_some()) {
                return Ok(Some(WireFrame { content: 0..bytes.len() - 1, bytes }));
            }
        }
        Ok(None)
    }

    fn next_message(&mut self, length: Option<usize>) -> Result<Option<WireFrame>, FrameError> {
        let length = match length {
            Some(length) => length,
            None => {
                let Some(prefix) = self.collect(LENGTH_PREFIX) else { return Ok(None) };
                let length = (&prefix[..]).get_u32() as usize;
                if length > self.max_frame {
                    return Err(FrameError::TooLarge { limit: self.max_frame });
                }
                self.framing = Framing::LengthPrefixed(Some(length));
                // Room for what is there: a length alone is no reason to ask for memory.
                let available = self.chunks.front().map_or(0, |chunk| chunk.rest.len());
                self.partial.reserve_exact(LENGTH_PREFIX + length.min(available));
                self.partial.extend_from_slice(&prefix);
                length
            }
        };
        let Some(bytes) = self.collect(LENGTH_PREFIX + length) else { return Ok(None) };
        self.framing = Framing::LengthPrefixed(None);
        Ok(Some(WireFrame { content: LENGTH_PREFIX..bytes.len(), bytes }))
    }

    /// The next `length` bytes of the body, once they are all there.
    fn collect(&mut self, length: usize) -> Option<Bytes> {
        loop {
            let missing = length - self.partial.len();
            let available = self.chunks.front().map_or(0, |chunk| chunk.rest.len());
            if missing <= available {
                return self.take(missing, true);
            }
            if available == 0 {
                return None;
            }
            self.take(available, false);
        }
    }

    /// Takes `count` bytes of the first chunk. They complete the frame, which is then returned, or
    /// are kept until the rest comes.
    fn take(&mut self, count: usize, completes: bool) -> Option<Bytes> {
        let (part, chunk_length) = match self.chunks.front_mut() {
            Some(chunk) => (chunk.rest.split_to(count), chunk.length),
            None => (Bytes::new(), 0),
        };
        if self.chunks.front().is_some_and(|chunk| chunk.rest.is_empty()) {
            self.chunks.pop_front();
        }
        if !completes {
            self.partial.extend_from_slice(&part);
            return None;
        }
        if !self.partial.is_empty() {
            let mut frame = std::mem::take(&mut self.partial);
            frame.extend_from_slice(&part);
            return Some(Bytes::from(frame.into_boxed_slice()));
        }
        if part.len() >= SHARED_FRAME && part.len() * 2 >= chunk_length {
            return Some(part);
        }
        Some(Bytes::copy_from_slice(&part))
    }
}

// === impl WireFrame ===

impl WireFrame {
    /// The frame without what delimits it.
    pub fn content(&self) -> Bytes {
        self.bytes.slice(self.content.clone())
    }
}

#[cfg(test)]
mod tests;
