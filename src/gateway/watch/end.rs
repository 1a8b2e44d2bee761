//! When a watch ends by itself: its time is over, its permission is withdrawn, or its connection is to
//! finish.
//!
//! Guarantees that whoever asks learns of it and is woken by it. The three are looked at when one of
//! them has something to say only: a watch is asked twice for each event that it delivers, and to look
//! costs locks that all watches of a user share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio_util::sync::CancellationToken;

use crate::identity::grant::Grant;

/// The end of a watch.
pub(super) struct End {
    causes: Pin<Box<dyn Future<Output = ()> + Send>>,
    signal: Arc<Signal>,
}

/// What the causes wake.
#[derive(Debug)]
struct Signal {
    /// Whether the causes are to be looked at.
    rung: AtomicBool,
    watch: AtomicWaker,
}

/// Over how long watches end when the program does.
pub(super) const DRAIN_SPREAD: Duration = Duration::from_secs(3);

// === impl End ===

impl End {
    pub(super) fn new(timeout: Duration, grant: Grant, draining: CancellationToken) -> Self {
        let causes = Box::pin(async move {
            tokio::select! {
                biased;
                () = grant.revoked() => {}
                () = draining_soon(draining) => {}
                () = tokio::time::sleep(timeout) => {}
            }
        });
        // Rung, so that the first look tells the causes whom to wake.
        let signal = Signal { rung: AtomicBool::new(true), watch: AtomicWaker::new() };
        Self { causes, signal: Arc::new(signal) }
    }

    /// Whether it has come; the context's waker is called when it does. Not to be asked again then.
    pub(super) fn has_come(&mut self, context: &Context<'_>) -> bool {
        // Before the look at the flag: a ring in between must wake somebody.
        self.signal.watch.register(context.waker());
        let rung = &self.signal.rung;
        if !rung.load(Ordering::Acquire) || !rung.swap(false, Ordering::AcqRel) {
            return false;
        }
        let waker = Waker::from(Arc::clone(&self.signal));
        self.causes.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End").field("signal", &self.signal).finish_non_exhaustive()
    }
}

// === impl Signal ===

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.watch.wake();
    }
}

/// Some time after the drain began: clients that all come back in one instant are a herd.
async fn draining_soon(draining: CancellationToken) {
    draining.cancelled().await;
    tokio::time::sleep(DRAIN_SPREAD.mul_f64(rand::random())).await;
}
