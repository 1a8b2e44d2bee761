//! The body of a forwarded answer, its frames gathered to what is worth a write.
//!
//! Upstream's frames are small: kube-apiserver writes a list item by item, and each frame would be a
//! record and a system call of its own. What is there already goes out together, and nothing ever
//! waits for what is not: the task that reads from upstream is on the same thread, so letting it run
//! once tells whether there is more (a LIST of 10.5 MB: 31 CPU-ms without, 17 with). No byte is copied. Guarantees the order of frames, none of them
//! empty or longer than the connection can put into one record, and at most `HOLD` bytes held
//! beyond one frame of upstream's.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::{codec::segments::Segments, net::handler::BoxError};

use super::forward::ForwardBody;

/// Bytes that are worth a write: two TLS records.
const HOLD: usize = 32 * 1024;

/// A forwarded body that is sent in larger frames than it arrives in.
#[derive(Debug)]
pub struct Gathered<B = ForwardBody> {
    body: B,
    held: Segments,
    most: usize,
    /// Ends when every task that was ready before it has run, upstream's among them.
    turn: Option<JoinHandle<()>>,
    after: After,
}

/// What follows the bytes held.
#[derive(Debug)]
enum After {
    More,
    Trailers(HeaderMap),
    Broken(BoxError),
    Nothing,
}

// === impl Gathered ===

impl<B: Body<Data = Bytes, Error = BoxError> + Unpin> Gathered<B> {
    /// A body that sends frames of at most `max_frame` bytes.
    pub fn new(body: B, max_frame: usize) -> Self {
        let most = max_frame.min(HOLD);
        Self { body, held: Segments::new(), most, turn: None, after: After::More }
    }

    /// The same, with what has arrived already: it can leave in one write with the answer's head.
    pub async fn begun(mut self) -> Self {
        poll_fn(|cx| self.poll_gather(cx)).await;
        self
    }

    /// Takes what there is; ready when nothing more is there now, or enough.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.held.len() < self.most && matches!(self.after, After::More) {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => self.take(frame),
                // A waker of its own would not do: hyper may ask twice before anybody else runs.
                Poll::Pending => {
                    let turn = self.turn.get_or_insert_with(|| tokio::spawn(async {}));
                    // An empty task ends, or goes down with the runtime.
                    let _ended = ready!(Pin::new(turn).poll(cx));
                    self.turn = None;
                    return Poll::Ready(());
                }
            }
            self.turn = None;
        }
        Poll::Ready(())
    }

    fn take(&mut self, frame: Option<Result<Frame<Bytes>, BoxError>>) {
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => self.held.push(data),
            Some(Ok(Err(frame))) => self.after = trailers(frame),
            Some(Err(error)) => self.after = After::Broken(error),
            None => self.after = After::Nothing,
        }
        if matches!(self.after, After::More) && self.body.is_end_stream() {
            self.after = After::Nothing;
        }
    }

    /// Waits for the first bytes, or the end, if there are none yet.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.held.is_empty() && matches!(self.after, After::More) {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            self.take(frame);
        }
        Poll::Ready(())
    }
}

/// A frame that is neither data nor trailers does not exist in HTTP; it would be passed over.
fn trailers(frame: Frame<Bytes>) -> After {
    frame.into_trailers().map_or(After::More, After::Trailers)
}

impl<B: Body<Data = Bytes, Error = BoxError> + Unpin> Body for Gathered<B> {
    type Data = Segments;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Segments>, BoxError>>> {
        let this = &mut *self;
        ready!(this.poll_first(cx));
        ready!(this.poll_gather(cx));
        if !this.held.is_empty() {
            let data = if this.held.len() <= this.most {
                std::mem::take(&mut this.held)
            } else {
                this.held.split_to(this.most)
            };
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Poll::Ready(match std::mem::replace(&mut this.after, After::Nothing) {
            After::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            After::Broken(error) => Some(Err(error)),
            After::More | After::Nothing => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty()
            && match self.after {
                After::More => self.body.is_end_stream(),
                After::Trailers(_) | After::Broken(_) => false,
                After::Nothing => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, held) = (self.body.size_hint(), self.held.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    type Received = Result<Frame<Bytes>, BoxError>;

    fn channel() -> (mpsc::Sender<Received>, impl Body<Data = Bytes, Error = BoxError> + Unpin) {
        let (sender, mut receiver) = mpsc::channel(1);
        (sender, StreamBody::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))))
    }

    fn data(bytes: &'static [u8]) -> Received {
        Ok(Frame::data(Bytes::from_static(bytes)))
    }

    async fn next<B: Body<Data = Bytes, Error = BoxError> + Unpin>(
        body: &mut Gathered<B>,
    ) -> Vec<u8> {
        let mut frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let mut all = Vec::new();
        while let Some(segment) = frame.pop_segment() {
            all.extend_from_slice(&segment);
        }
        all
    }

    #[tokio::test]
    async fn what_is_there_goes_together_and_waits_for_nothing() {
        let (sender, body) = channel();
        let mut body = Gathered::new(body, usize::MAX);
        let sending = tokio::spawn(async move {
            for part in [b"a", b"b", b"c"] {
                sender.send(data(part)).await.unwrap();
            }
            sender
        });
        assert_eq!(next(&mut body).await, b"abc");
        let sender = sending.await.unwrap();
        sender.send(data(b"d")).await.unwrap();
        let soon = tokio::time::timeout(Duration::from_secs(5), next(&mut body));
        assert_eq!(soon.await.unwrap(), b"d", "the stream goes on, but this is there");
    }

    #[tokio::test]
    async fn frames_are_bounded_and_never_empty() {
        let (sender, body) = channel();
        tokio::spawn(async move {
            for part in [&b""[..], &[7; 25], b"", &[8; 3]] {
                sender.send(Ok(Frame::data(Bytes::copy_from_slice(part)))).await.unwrap();
            }
        });
        let mut body = Gathered::new(body, 10).begun().await;
        let mut lengths = Vec::new();
        while let Some(frame) = body.frame().await {
            lengths.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!(lengths, [10, 10, 8]);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn trailers_and_failures_come_after_the_bytes_before_them() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "x".parse().unwrap())]);
        for last in [Ok(Frame::trailers(trailers)), Err(BoxError::from("broke off"))] {
            let fails = last.is_err();
            let (sender, body) = channel();
            tokio::spawn(async move {
                sender.send(data(b"bytes")).await.unwrap();
                sender.send(last).await.unwrap();
            });
            let mut body = Gathered::new(body, usize::MAX).begun().await;
            assert!(!body.is_end_stream());
            assert_eq!(body.size_hint().lower(), 5);
            assert_eq!(next(&mut body).await, b"bytes");
            let last = body.frame().await.unwrap();
            assert_eq!(last.is_err(), fails);
            assert!(last.map_or(true, |frame| frame.is_trailers()));
            assert!(body.frame().await.is_none());
        }
    }
}
