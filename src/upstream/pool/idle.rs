//! [`IdleConnections`]: the HTTP/1.1 connections of a pool that wait for a request.
//!
//! Guarantees: none is given out that is known to be closed, or not through with its last answer,
//! or idle for so long that its server may be closing it, as long as another can be opened. It
//! does not open any.

use std::time::Duration;

use hyper::client::conn::http1;
use tokio::time::Instant;

use super::{Choice, Home};
use crate::upstream::transport::body::SentBody;

/// How long a connection may wait for a request. HTTP/1.1 has no way to say that a connection is about
/// to be closed: a request that meets the end on its way may have been acted on or not, and only a
/// safe one can be sent again. kube-apiserver ends what was idle for 90 s, and what stands
/// before it may end it after 60 s.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// The connections (see the module), the one used last at the end.
#[derive(Default)]
pub(super) struct IdleConnections(Vec<Idle>);

/// One of them.
pub(super) struct Idle {
    pub(super) home: Home,
    pub(super) sender: http1::SendRequest<SentBody>,
    since: Instant,
}

// === impl IdleConnections ===

impl IdleConnections {
    /// Keeps a connection from now on.
    pub(super) fn keep(&mut self, sender: http1::SendRequest<SentBody>, home: Home) {
        self.0.push(Idle { home, sender, since: Instant::now() });
    }

    /// The connection used last that is ready; those found closed on the way are forgotten. One that
    /// has waited for too long is taken only by who may have any, since nothing else is left then.
    pub(super) fn take(&mut self, choice: Choice, now: Instant) -> Option<Idle> {
        for index in (0..self.0.len()).rev() {
            let idle = &self.0[index];
            if idle.sender.is_closed() {
                self.0.remove(index);
            } else if choice.allows(idle.home) && idle.sender.is_ready() {
                match choice {
                    // The others have waited for longer.
                    Choice::Of(_) if idle.has_expired(now) => return None,
                    _ => return Some(self.0.remove(index)),
                }
            }
        }
        None
    }

    /// Closes those that have waited for too long.
    pub(super) fn close_expired(&mut self, now: Instant) {
        self.0.retain(|idle| !idle.sender.is_closed() && !idle.has_expired(now));
    }

    /// Closes all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

// === impl Idle ===

impl Idle {
    fn has_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= IDLE_LIMIT
    }
}
