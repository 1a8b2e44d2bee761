//! Ending an exchange from outside, while it waits for its client.
//!
//! A stream whose client grants no window, or reads nothing, is not polled any more once a frame of its
//! body waits to be sent, so its body can't end it. A [`Cutter`] wakes the task of the exchange and drops it there: an HTTP/2 stream is reset,
//! an HTTP/1.1 connection closed, and what the answer held is let go. An HTTP/2 exchange is over when
//! the last frame of its body was given to the connection, which then holds it until the client takes
//! it: that frame can't be cut off, so it must not hold more than itself (`gateway/body.rs`).
//!
//! The handler finds the cutter of the exchange that it answers by [`Cutter::current`]. Costs an
//! exchange that is never cut two words per poll.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: Cutter;
}

/// Ends one exchange. Clones end the same one.
#[derive(Clone, Debug, Default)]
pub struct Cutter(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    waker: AtomicWaker,
}

pin_project! {
    /// A future that a [`Cutter`] ends; it is then `None`.
    pub(super) struct Cuttable<F> {
        #[pin]
        future: TaskLocalFuture<Cutter, F>,
        cutter: Cutter,
        is_known: bool,
    }
}

// === impl Cutter ===

impl Cutter {
    /// The cutter of the exchange, or HTTP/1.1 connection, whose task this is; `None` elsewhere.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Ends the exchange, soon and on its own thread.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Whether [`Self::cut`] was called.
    pub fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Acquire)
    }
}

/// Makes a future that its own [`Cutter::current`] ends.
pub(super) fn cuttable<F: Future>(future: F) -> Cuttable<F> {
    let cutter = Cutter::default();
    Cuttable { future: CURRENT.scope(cutter.clone(), future), cutter, is_known: false }
}

impl<F: Future> Future for Cuttable<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.is_known {
            // A task's waker stays the same.
            this.cutter.0.waker.register(context.waker());
            *this.is_known = true;
        }
        if this.cutter.is_cut() {
            return Poll::Ready(None);
        }
        this.future.poll(context).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_that_waits_is_dropped() {
        let held = Arc::new(());
        let (send, receive) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn({
            let held = Arc::clone(&held);
            cuttable(async move {
                send.send(Cutter::current().expect("inside of an exchange")).expect("received");
                std::future::pending::<()>().await;
                drop(held);
            })
        });
        let cutter = receive.await.expect("sent");
        assert!(!cutter.is_cut() && Arc::strong_count(&held) == 2);
        cutter.cut();
        assert_eq!(waiting.await.expect("no panic"), None);
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(Cutter::current().is_none());
    }

    #[tokio::test]
    async fn who_is_not_cut_ends_as_ever() {
        assert_eq!(cuttable(async { 7 }).await, Some(7));
    }
}
