//! Fills as the metrics count them: what each made of the shard, and why a shard that could be read
//! from is filled anew. A loss counts once, however many attempts its fill takes. Decides nothing.

use crate::{cache::watch_cache::Fill, shards::shard::Shard};

/// Why a shard is filled anew; the words stand in metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cause {
    /// Upstream answered 410 to a resumed watch.
    Expired,
    /// The stream brought an ERROR of 410, or what can't be read.
    #[default]
    Broken,
    /// The stream of a custom type ended before its time.
    Ended,
    /// The stream brought what can't follow on what is held.
    Violation,
    /// A resumed stream did not get where a probe had been.
    Stalled,
    /// The store is another one, or the shard was emptied for that.
    Cleared,
    /// Upstream refused to go on for too long.
    Withdrawn,
}

/// Counts losses and fills of one shard.
#[derive(Debug, Default)]
pub(super) struct Refill {
    /// What would be the cause, should the shard be filled anew.
    pub(super) cause: Cause,
    /// Whether the loss was counted, and no fill has come since.
    counted: bool,
}

// === impl Cause ===

impl Cause {
    const fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Broken => "broken",
            Self::Ended => "ended",
            Self::Violation => "violation",
            Self::Stalled => "stalled",
            Self::Cleared => "cleared",
            Self::Withdrawn => "withdrawn",
        }
    }
}

// === impl Refill ===

impl Refill {
    /// The shard is to be filled.
    pub(super) fn begins(&mut self, shard: &Shard) {
        let cause = std::mem::take(&mut self.cause);
        // One that was emptied is anew, too, although it shows nothing any more.
        let is_anew = cause == Cause::Cleared || shard.resource_version().is_some();
        if !is_anew || std::mem::replace(&mut self.counted, true) {
            return;
        }
        if let Some(counted) = shard.counted() {
            let gvr = &shard.key().gvr;
            counted.cache().refill(&gvr.group, &gvr.resource, cause.word());
        }
    }

    /// The shard was filled.
    pub(super) fn ends(&mut self, shard: &Shard, fill: Fill) {
        self.counted = false;
        let outcome = match fill {
            Fill::Void => "void",
            Fill::First => "first",
            Fill::Unchanged => "unchanged",
            Fill::Changed => "changed",
        };
        if let Some(counted) = shard.counted() {
            let gvr = &shard.key().gvr;
            counted.cache().filled(&gvr.group, &gvr.resource, outcome);
        }
    }
}
