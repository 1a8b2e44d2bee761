//! One watcher's place in a shard: what it has seen, and where the rest will come from.
//!
//! Dropping a subscription takes it out of the shard and its hub.

use std::{sync::Arc, task::Context};

use crate::{
    api::version::ResourceVersion,
    cache::{
        feed::{Batch, Pull},
        log::Replay,
    },
};

use super::{
    hub::{Hub, Signals, Ticket},
    shard::Shard,
};

/// A watcher's membership in an audience on one core.
#[derive(Debug)]
pub struct Subscription {
    shard: Arc<Shard>,
    hub: Arc<Hub>,
    ticket: Ticket,
    generation: u64,
    seen: ResourceVersion,
}

/// What a subscription has for its watcher.
#[derive(Debug)]
pub enum Next {
    /// Events that happened together.
    Batch(Arc<Batch>),
    /// The watcher was too slow for its feed; these are the events after what it has seen, with what
    /// had left the log before they were taken ([`Turnover::forgotten`](super::turnover::Turnover)).
    Replay(Replay, u64),
    /// All events up to this version have been taken; a bookmark is due.
    Bookmark(ResourceVersion),
    /// Nothing; the waker will be called.
    Idle,
    /// Continuity is broken: the watch must end.
    Ended,
}

// === impl Subscription ===

impl Subscription {
    pub(super) fn new(
        shard: Arc<Shard>,
        hub: Arc<Hub>,
        ticket: Ticket,
        generation: u64,
        seen: ResourceVersion,
    ) -> Self {
        Self { shard, hub, ticket, generation, seen }
    }

    /// The shard watched.
    pub fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    /// Every event up to here was taken, or lies before the watch's start.
    pub fn seen(&self) -> ResourceVersion {
        self.seen
    }

    /// Notes that events up to `version` were delivered from a [`Replay`].
    pub fn mark_seen(&mut self, version: ResourceVersion) {
        self.seen = self.seen.max(version);
    }

    /// Takes what is next; on [`Next::Idle`] the context's waker is kept.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Next {
        let Signals { pull, bookmark, ended } = self.hub.poll(&mut self.ticket, context);
        if ended {
            return Next::Ended;
        }
        match pull {
            Pull::Batch(batch) => {
                if let Some(last) = batch.last() {
                    self.seen = self.seen.max(last);
                }
                Next::Batch(batch)
            }
            Pull::Behind => {
                // Read first: they may be counted as older than they are, never as newer.
                let forgotten = self.shard.turnover().forgotten();
                match self.shard.catch_up(self, self.seen) {
                    Some(replay) => Next::Replay(replay, forgotten),
                    None => Next::Ended,
                }
            }
            Pull::Drained => match bookmark {
                Some(version) => {
                    self.seen = self.seen.max(version);
                    Next::Bookmark(self.seen)
                }
                None => Next::Idle,
            },
        }
    }

    /// Asks for a bookmark at the hub's tick at or after `second` (see [`Hub::now`]).
    pub fn request_bookmark(&self, second: u64) {
        self.hub.request_bookmark(&self.ticket, Arc::clone(&self.shard), second);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The hub of this watcher's core.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shard.unsubscribe(self);
    }
}
