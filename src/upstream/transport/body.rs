//! Bodies on the way to and from the store; nothing is collected, trailers pass.
//!
//! [`RequestBody`] and [`UpstreamBody`] are what callers see. [`SentBody`] is what the HTTP library
//! gets: it leaves the caller's body where the sender can take it back until its first frame has
//! left, which is what makes a replay safe.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

use crate::upstream::{
    error::UpstreamError,
    pool::{Kept, StreamPermit},
};

/// Any failure of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Streaming = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// The body of a request to the store.
pub struct RequestBody(Content);

enum Content {
    Empty,
    Full(Bytes),
    Streaming(Streaming),
}

/// The body of an answer of the store. Dropping it before its end cancels the request upstream.
pub enum UpstreamBody {
    /// From the network.
    Http(HttpBody),
    /// From this process.
    Local(Streaming),
}

/// A body that arrives from the network, with what it holds of the connection until it has.
pub struct HttpBody {
    incoming: Incoming,
    host: Arc<str>,
    held: Option<Held>,
}

/// What a running answer holds; dropped, it is free for the next request.
#[expect(dead_code, reason = "held for their drop")]
pub(super) enum Held {
    /// A whole HTTP/1.1 connection.
    Connection(Kept),
    /// One stream of an HTTP/2 connection.
    Stream(StreamPermit),
}

/// A request's body between its owner and the connection: whoever takes it has it.
pub(super) struct BodySlot {
    body: Mutex<Option<RequestBody>>,
    hint: SizeHint,
    end: bool,
}

/// What a connection sends.
pub struct SentBody(Sending);

enum Sending {
    /// Not a byte has left; the body can still be taken back.
    Reclaimable(Arc<BodySlot>),
    Leaving(RequestBody),
}

/// The connection was told to send a body that its owner had taken back.
#[derive(Debug, thiserror::Error)]
#[error("the request's body was taken back")]
struct TakenBack;

// === impl RequestBody ===

impl RequestBody {
    /// No body.
    pub const fn empty() -> Self {
        Self(Content::Empty)
    }

    /// A body that is all there.
    pub fn full(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Content::Empty } else { Content::Full(bytes) })
    }

    /// A body that arrives on a connection.
    pub fn incoming(incoming: Incoming) -> Self {
        Self::streaming(incoming)
    }

    /// A body that comes frame by frame.
    pub fn streaming<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self(Content::Streaming(Box::pin(http_body_util::BodyExt::map_err(body, Into::into))))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Content::Empty => Poll::Ready(None),
            Content::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Streaming(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Empty => true,
            Content::Full(_) => false,
            Content::Streaming(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Empty => SizeHint::with_exact(0),
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Streaming(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

// === impl UpstreamBody ===

impl UpstreamBody {
    /// A body made in this process.
    pub fn local<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Local(Box::pin(http_body_util::BodyExt::map_err(body, Into::into)))
    }

    /// A body that is all there.
    pub fn full(bytes: Bytes) -> Self {
        Self::Local(Box::pin(RequestBody::full(bytes)))
    }

    pub(super) const fn http(incoming: Incoming, host: Arc<str>, held: Option<Held>) -> Self {
        Self::Http(HttpBody { incoming, host, held })
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Http(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Local(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http(body) => body.is_end_stream(),
            Self::Local(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http(body) => body.size_hint(),
            Self::Local(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

// === impl HttpBody ===

impl Body for HttpBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            // The stream is over: its place is free before the body itself is dropped.
            self.held = None;
        }
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| UpstreamError::AnswerBroken {
                host: Arc::clone(&self.host),
                cause: Arc::new(error),
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

// === impl BodySlot ===

impl BodySlot {
    pub(super) fn new(body: RequestBody) -> Arc<Self> {
        let (hint, end) = (body.size_hint(), body.is_end_stream());
        Arc::new(Self { body: Mutex::new(Some(body)), hint, end })
    }

    /// A body for one attempt.
    pub(super) fn sent(self: &Arc<Self>) -> SentBody {
        SentBody(if self.end {
            Sending::Leaving(RequestBody::empty())
        } else {
            Sending::Reclaimable(Arc::clone(self))
        })
    }

    /// Moves a body of which nothing has left into a slot of its own, out of reach of earlier
    /// attempts; `None` when some of it has left.
    pub(super) fn reclaim(&self) -> Option<Arc<Self>> {
        self.body.lock().take().map(Self::new)
    }
}

// === impl SentBody ===

impl Body for SentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let slot = match &mut self.0 {
            Sending::Leaving(body) => return Pin::new(body).poll_frame(cx),
            Sending::Reclaimable(slot) => Arc::clone(slot),
        };
        let mut place = slot.body.lock();
        let Some(body) = place.as_mut() else {
            return Poll::Ready(Some(Err(TakenBack.into())));
        };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if let Some(body) = place.take() {
            self.0 = Sending::Leaving(body);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Sending::Leaving(body) => body.is_end_stream(),
            Sending::Reclaimable(slot) => slot.end,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Sending::Leaving(body) => body.size_hint(),
            Sending::Reclaimable(slot) => slot.hint,
        }
    }
}
