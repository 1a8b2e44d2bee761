//! The bodies of the limit server: bytes in parts of one TLS record, or events as they appear.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{TLS_DATA_FRAME, events::Cursor};

/// What is sent.
pub(super) enum Body {
    /// All of it is there.
    Whole(Bytes),
    /// A watch, which never ends.
    Events(Rc<Cursor>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => {
                let part = bytes.split_to(bytes.len().min(TLS_DATA_FRAME));
                Poll::Ready(Some(Ok(Frame::data(part))))
            }
            Self::Events(cursor) => cursor.poll(cx).map(|events| Some(Ok(Frame::data(events)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
