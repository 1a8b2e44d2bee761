//! [`Lease`]: a place on a connection for one request, and how it is given back.
//!
//! Guarantees: dropped for whatever reason, a stream goes back into its connection's budget, and an
//! HTTP/1.1 connection to the pool, which gives it out again only if it is through with its answer.

use std::sync::Weak;

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;

use super::{Home, Pool};
use crate::upstream::transport::body::SentBody;

/// A connection, or a share of one, for one request.
pub(in crate::upstream) enum Lease {
    Http1 { sender: http1::SendRequest<SentBody>, reused: bool, keeper: Keeper },
    Http2 { sender: http2::SendRequest<SentBody>, reused: bool, permit: StreamPermit },
}

/// Where an HTTP/1.1 connection goes when its request is through.
pub(in crate::upstream) struct Keeper {
    pub(super) pool: Weak<Pool>,
    pub(super) home: Home,
    pub(super) generation: u64,
}

/// An HTTP/1.1 connection whose answer is being read; kept for the next request on drop.
pub(in crate::upstream) struct Kept {
    sender: Option<http1::SendRequest<SentBody>>,
    keeper: Keeper,
}

/// One stream of a connection's budget; given back on drop.
pub(in crate::upstream) struct StreamPermit {
    pub(super) pool: Weak<Pool>,
    pub(super) connection: u64,
}

// === impl Keeper ===

impl Keeper {
    /// Keeps the connection from when its answer has been read.
    pub(in crate::upstream) const fn after(self, sender: http1::SendRequest<SentBody>) -> Kept {
        Kept { sender: Some(sender), keeper: self }
    }
}

// === impl Kept ===

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take()
            && let Some(pool) = self.keeper.pool.upgrade()
        {
            pool.keep(sender, self.keeper.home, self.keeper.generation);
        }
    }
}

// === impl StreamPermit ===

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut state = pool.state.lock();
        let mut shared = state.shared.iter_mut();
        if let Some(connection) = shared.find(|shared| shared.number == self.connection) {
            connection.streams = connection.streams.saturating_sub(1);
            connection.idle_since = Instant::now();
        }
    }
}
