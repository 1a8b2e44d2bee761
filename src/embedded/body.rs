//! The body of an answer: bytes at hand, or the stream of a watch.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};

type Frames = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The body of an answer of the embedded store. It never fails; a watch ends when its time is up,
/// when its resource is no longer served, or when its reader fell too far behind.
pub struct EmbeddedBody(Content);

enum Content {
    Whole(Option<Bytes>),
    Stream(Frames),
}

// === impl EmbeddedBody ===

impl EmbeddedBody {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Content::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    pub(super) fn stream(frames: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Content::Stream(Box::pin(frames)))
    }
}

impl std::fmt::Debug for EmbeddedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Content::Whole(_) => "EmbeddedBody(whole)",
            Content::Stream(_) => "EmbeddedBody(stream)",
        })
    }
}

impl Body for EmbeddedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Content::Whole(bytes) => bytes.take(),
            Content::Stream(frames) => match frames.as_mut().poll_next(context) {
                Poll::Ready(bytes) => bytes,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Stream(_) => SizeHint::default(),
        }
    }
}
