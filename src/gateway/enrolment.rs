//! The answers of one exchange, enrolled among the readers that memory waits for.
//!
//! An answer that its client does not take keeps alive what it was made of. It is enrolled with
//! what that is, so that it can be cut off (`shards::readers`).

use std::sync::Arc;

use crate::{
    api::version::ResourceVersion,
    cache::watch_cache::Snapshot,
    net::cutter::Cutter,
    shards::{
        readers::{Holding, Reader, Readers},
        shard::Shard,
    },
};

/// Enrols what one exchange still has to send.
#[derive(Clone, Debug)]
pub struct Enrolment {
    readers: Arc<Readers>,
    cutter: Cutter,
}

// === impl Enrolment ===

impl Enrolment {
    /// For what this cutter ends.
    pub(super) const fn new(readers: Arc<Readers>, cutter: Cutter) -> Self {
        Self { readers, cutter }
    }

    /// For the exchange that the calling task answers; `None` where nothing could end it.
    pub(super) fn of_this_exchange(readers: &Arc<Readers>) -> Option<Self> {
        Some(Self::new(Arc::clone(readers), Cutter::current()?))
    }

    /// A reader that keeps this alive.
    pub(super) fn enrol(&self, holding: Holding) -> Reader {
        let cutter = self.cutter.clone();
        self.readers.enrol(holding, move || cutter.cut())
    }
}

/// The moment at which an answer from a shard was begun.
#[derive(Debug)]
pub(super) struct Begun {
    replaced: u64,
    shown: Option<ResourceVersion>,
}

// === impl Begun ===

impl Begun {
    /// Now; to be called before the state is taken, which may then be counted as older than it is.
    pub(super) fn now(shard: &Shard) -> Self {
        Self { replaced: shard.turnover().replaced(), shown: shard.resource_version() }
    }

    /// What `part` bytes of a state keep alive.
    pub(super) fn state(&self, shard: &Shard, state: &Snapshot, part: u64) -> Holding {
        // How long ago an older state was the present one is not known.
        let is_past = self.shown.is_some_and(|shown| state.resource_version < shown);
        Holding::State {
            turnover: Arc::clone(shard.turnover()),
            since: if is_past { 0 } else { self.replaced },
            part,
            whole: state.objects.resident_bytes(),
        }
    }
}
