//! [`Opener`]: opens one connection of a pool, for its own request and for those that wait for it.
//!
//! Guarantees: who waits learns of the outcome, or that there is none because the opener was
//! dropped. It does not decide that a connection is needed.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};

use super::{
    Home, Pool, Shared,
    lease::{Keeper, Lease},
};
use crate::upstream::{connection::Established, error::UpstreamError};

/// An HTTP/2 connection being opened, and how many requests count on it.
pub(super) struct Opening {
    pub(super) number: u64,
    pub(super) home: Home,
    pub(super) expected: usize,
    pub(super) outcome: watch::Receiver<Option<Result<(), UpstreamError>>>,
}

/// The right and duty to open one connection. Dropped without an outcome, it sends those who wait
/// back to choose again.
pub(super) struct Opener {
    pub(super) pool: Arc<Pool>,
    pub(super) number: u64,
    pub(super) home: Home,
    pub(super) generation: u64,
    pub(super) outcome: Option<watch::Sender<Option<Result<(), UpstreamError>>>>,
}

// === impl Opener ===

impl Opener {
    /// Opens it, and tells those who wait what came of it.
    pub(super) async fn open(self, permit: OwnedSemaphorePermit) -> Result<Lease, UpstreamError> {
        let opened = self.pool.connector.open(permit).await;
        let outcome = match &opened {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        };
        let lease = opened.map(|established| self.enter(established));
        if lease.is_ok() {
            self.pool.opened.send_modify(|opened| *opened += 1);
        }
        if let Some(sender) = &self.outcome {
            sender.send_replace(Some(outcome));
        }
        lease
    }

    fn enter(&self, established: Established) -> Lease {
        let mut state = self.pool.state.lock();
        let current = state.generation == self.generation;
        match established {
            Established::Http1(sender) => {
                state.http2 = false;
                let (home, generation) = (self.home, self.generation);
                let keeper = Keeper { pool: Arc::downgrade(&self.pool), home, generation };
                Lease::Http1 { sender, reused: false, keeper }
            }
            Established::Http2(sender, allowed) => {
                state.http2 = true;
                let idle_since = Instant::now();
                let (number, home) = (self.number, self.home);
                let mut shared = Shared { number, home, sender, allowed, streams: 0, idle_since };
                let lease = shared.lease(&self.pool, false);
                if current {
                    state.shared.push(shared);
                }
                lease
            }
        }
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.pool.state.lock().openings.retain(|opening| opening.number != self.number);
    }
}
