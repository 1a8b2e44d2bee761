//! The body of every response: one enum, so that no response is boxed behind a trait.
//!
//! Frames are never empty and at most as long as the connection can put into one TLS record.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    codec::segments::Segments,
    net::handler::BoxError,
    shards::readers::{Holding, Reader},
};

use super::{content::Content, enrolment::Enrolment, gathered::Gathered, watch::WatchBody};

/// What a response carries.
#[derive(Debug)]
pub enum ResponseBody {
    /// Bytes from memory, all there: an object, a list, a Status.
    Whole(WholeBody),
    /// A watch served from memory.
    Watch(Box<WatchBody>),
    /// What upstream sends, as it comes.
    Forward(Box<Gathered>),
}

/// Shared bytes, handed out in frames that are made one at a time.
#[derive(Debug)]
pub struct WholeBody {
    rest: Content,
    max_frame: usize,
    /// Whether its length is told beforehand; a stream's is not, even when all of it is there.
    sized: bool,
    /// While it is worth to watch how it goes.
    reader: Option<Reader>,
    /// Whether its bytes are a shard's own.
    is_shared: bool,
    /// Whether its last frame is copied, since by sharing it would keep a long body alive.
    copies_last: bool,
}

/// The end of the last frame of an enrolled body. That it was handed over does not say that it is
/// written, nor what was handed over before: the connection may hold as much as it likes.
struct LastBytes {
    bytes: Bytes,
    _reader: Reader,
}

/// Bodies longer than this are enrolled: a frame of HTTP/2.
const ENROLLED_ABOVE: usize = 16 << 10;

// === impl ResponseBody ===

impl ResponseBody {
    /// Bytes of which frames of at most `max_frame` are made.
    pub fn whole(bytes: impl Into<Content>, max_frame: usize) -> Self {
        Self::Whole(WholeBody::new(bytes.into(), max_frame, true))
    }

    /// A watch of which all is known already: what it says, and that it ends then.
    pub fn stream(bytes: Segments, max_frame: usize) -> Self {
        Self::Whole(WholeBody::new(bytes.into(), max_frame, false))
    }

    /// The same, whose bytes are a shard's own if `is_shared`.
    pub(super) fn shared(mut self, is_shared: bool) -> Self {
        if let Self::Whole(body) = &mut self {
            body.is_shared = is_shared;
        }
        self
    }

    /// Whether its bytes are a shard's own.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_shared)
    }

    /// Has a long body from memory counted, and its client cut off if it does not take it. Says what
    /// such a body of that length keeps alive.
    pub(super) fn enrolled(
        mut self,
        enrolment: Option<&Enrolment>,
        holding: impl FnOnce(u64) -> Holding,
    ) -> Self {
        if let Self::Whole(body) = &mut self
            && body.rest.len() > ENROLLED_ABOVE
        {
            let holding = holding(body.rest.len() as u64);
            // Once the last frame is HTTP/2's, only the end of the connection could take it away.
            let is_alone = matches!(holding, Holding::Alone(_));
            body.copies_last = is_alone && body.rest.len() > body.max_frame;
            body.reader = enrolment.map(|enrolment| enrolment.enrol(holding));
        }
        self
    }

    /// A short text.
    pub fn text(bytes: impl Into<Bytes>) -> Self {
        Self::whole(Segments::from(bytes.into()), usize::MAX)
    }
}

impl Body for ResponseBody {
    type Data = Segments;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Segments>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.next_frame().map(|data| Ok(Frame::data(data)))),
            Self::Watch(body) => {
                body.poll_data(context).map(|data| data.map(|data| Ok(Frame::data(data))))
            }
            Self::Forward(body) => Pin::new(body.as_mut()).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.rest.is_empty(),
            Self::Watch(_) => false,
            Self::Forward(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) if body.sized => SizeHint::with_exact(body.rest.len() as u64),
            Self::Whole(_) => SizeHint::default(),
            Self::Watch(_) => SizeHint::default(),
            Self::Forward(body) => body.size_hint(),
        }
    }
}

// === impl WholeBody ===

impl WholeBody {
    const fn new(rest: Content, max_frame: usize, sized: bool) -> Self {
        Self { rest, max_frame, sized, reader: None, is_shared: false, copies_last: false }
    }

    fn next_frame(&mut self) -> Option<Segments> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some(reader) = &self.reader {
            reader.moved();
        }
        if self.rest.len() <= self.max_frame {
            let last = self.rest.split_to(usize::MAX);
            return Some(self.last_frame(last));
        }
        Some(self.rest.split_to(self.max_frame))
    }

    fn last_frame(&mut self, mut frame: Segments) -> Segments {
        if self.copies_last {
            frame = frame.to_own();
        }
        if let Some(reader) = self.reader.take() {
            frame.map_last(|bytes| Bytes::from_owner(LastBytes { bytes, _reader: reader }));
        }
        frame
    }
}

// === impl LastBytes ===

impl AsRef<[u8]> for LastBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
