//! A client's body on its way upstream, and the gate that it passes.
//!
//! Guarantees: a client that waits for `100 Continue` gets it only once upstream wants the body (or
//! says nothing for a second); a body still arriving when the answer is complete is not sent on,
//! but read away for a moment, because closing a socket with unread bytes resets it and can take
//! the answer with it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Sleep;

use crate::upstream::BoxError;

/// How long upstream may say nothing to `Expect: 100-continue` before the body is sent all the
/// same (RFC 9110 §10.1.1); as Go's client does.
const CONTINUE_LIMIT: Duration = Duration::from_secs(1);
/// How long, and how much of, a body that nobody wants is read away; Go's server waits as long.
const LINGER_LIMIT: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 32 << 20;

const OPEN: u8 = 0;
/// Held until upstream says 100.
const AWAITED: u8 = 1;
/// Upstream answered instead of saying 100: held for good.
const UNWANTED: u8 = 2;
/// The exchange is over, after the body began to be read.
const CANCELLED: u8 = 3;
/// The body has been read to its end.
const FINISHED: u8 = 4;
/// The exchange is over, and the client was never told to send the body.
const NEVER_ASKED: u8 = 5;

/// Whether a client's body may be read; shared with the answer that decides it.
pub(super) struct Gate {
    state: AtomicU8,
    reader: AtomicWaker,
}

/// A client's body behind its gate.
pub(super) struct ClientBody<B: Body<Data = Bytes> + Send + Unpin + 'static> {
    body: Option<B>,
    gate: Arc<Gate>,
    patience: Option<Pin<Box<Sleep>>>,
}

/// The answer is complete, or nobody waits for it any more.
#[derive(Debug, thiserror::Error)]
#[error("the exchange ended before the request's body did")]
struct ExchangeOver;

// === impl Gate ===

impl Gate {
    pub(super) fn new(awaits_continue: bool) -> Arc<Self> {
        let state = AtomicU8::new(if awaits_continue { AWAITED } else { OPEN });
        Arc::new(Self { state, reader: AtomicWaker::new() })
    }

    /// Upstream wants the body.
    pub(super) fn open(&self) {
        self.turn(AWAITED, OPEN);
    }

    /// Upstream's final answer has begun.
    pub(super) fn answered(&self) {
        self.turn(AWAITED, UNWANTED);
    }

    /// The exchange is over: what has not been sent stays unsent.
    pub(super) fn cancel(&self) {
        self.turn(OPEN, CANCELLED);
        self.turn(AWAITED, NEVER_ASKED);
        self.turn(UNWANTED, NEVER_ASKED);
    }

    fn turn(&self, from: u8, to: u8) {
        let turned = self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        if turned.is_ok() {
            self.reader.wake();
        }
    }
}

// === impl ClientBody ===

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> ClientBody<B> {
    pub(super) fn new(body: B, gate: Arc<Gate>) -> Self {
        Self { body: Some(body), gate, patience: None }
    }
}

impl<B> Body for ClientBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        this.gate.reader.register(cx.waker());
        match this.gate.state.load(Ordering::Acquire) {
            AWAITED => {
                let patience = this
                    .patience
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(CONTINUE_LIMIT)));
                ready!(patience.as_mut().poll(cx));
                this.gate.open();
            }
            UNWANTED => return Poll::Pending,
            CANCELLED | NEVER_ASKED => return Poll::Ready(Some(Err(ExchangeOver.into()))),
            _ => {}
        }
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        let ended = this.body.as_ref().is_none_or(Body::is_end_stream);
        if ended || !matches!(frame, Some(Ok(_))) {
            this.gate.state.store(FINISHED, Ordering::Release);
            this.body = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Drop for ClientBody<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        // Reading a body that was never asked for would ask for it.
        let state = self.gate.state.load(Ordering::Acquire);
        if matches!(state, OPEN | CANCELLED)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(read_away(body));
        }
    }
}

async fn read_away<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let drained = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    if tokio::time::timeout(LINGER_LIMIT, drained).await.is_err() {
        tracing::trace!("a request's unwanted body was cut off");
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Tells each time that it is read; never ends.
    struct Telling(mpsc::UnboundedSender<()>);

    impl Body for Telling {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            match self.0.send(()) {
                Ok(()) => Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; 1 << 20]))))),
                Err(closed) => Poll::Ready(Some(Err(closed.into()))),
            }
        }
    }

    fn telling(awaits: bool) -> (ClientBody<Telling>, Arc<Gate>, mpsc::UnboundedReceiver<()>) {
        let (tell, told) = mpsc::unbounded_channel();
        let gate = Gate::new(awaits);
        (ClientBody::new(Telling(tell), Arc::clone(&gate)), gate, told)
    }

    /// How often the body was read until it was dropped.
    async fn reads(mut told: mpsc::UnboundedReceiver<()>) -> usize {
        let mut reads = 0;
        while told.recv().await.is_some() {
            reads += 1;
        }
        reads
    }

    #[tokio::test]
    async fn an_unwanted_rest_is_read_away_within_bounds() {
        let (mut body, gate, told) = telling(false);
        assert!(body.frame().await.unwrap().is_ok());
        gate.answered();
        gate.cancel();
        assert!(body.frame().await.unwrap().is_err(), "nothing more goes upstream");
        drop(body);
        assert_eq!(reads(told).await, 1 + (LINGER_BYTES >> 20) + 1);
    }

    #[tokio::test]
    async fn a_body_that_was_never_asked_for_is_not_read() {
        for finish in [Gate::answered, Gate::cancel] {
            let (body, gate, told) = telling(true);
            finish(&gate);
            drop(body);
            assert_eq!(reads(told).await, 0);
        }
    }

    #[tokio::test]
    async fn a_held_body_goes_on_when_the_gate_opens_and_stays_when_it_was_answered() {
        let (mut body, gate, told) = telling(true);
        tokio::join!(async { assert!(body.frame().await.unwrap().is_ok()) }, async { gate.open() });
        drop((body, gate, told));
        let (mut body, gate, _told) = telling(true);
        gate.answered();
        let held = tokio::time::timeout(CONTINUE_LIMIT + Duration::from_millis(100), body.frame());
        assert!(held.await.is_err());
    }
}
