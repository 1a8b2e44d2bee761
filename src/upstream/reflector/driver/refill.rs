//! Fills as the metrics count them: what each made of the shard, and why a shard that could be read
//! from is filled anew. A loss counts once, however many attempts its fill takes. Decides nothing.

use crate::{cache::watch_cache::Fill, shards::shard::Shard, telemetry::metrics::cache::Cause};

/// Counts losses and fills of one shard.
#[derive(Debug, Default)]
pub(super) struct Refill {
    /// What would be the cause, should the shard be filled anew.
    pub(super) cause: Cause,
    /// Whether the loss was counted, and no fill has come since.
    counted: bool,
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
            counted.cache().refill(cause);
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
