//! The cache: what each shard holds, how it came to, and what all of them may take.
//!
//! What a shard holds is read when it is asked for; only what happens is counted. Shards are those of
//! types that upstream serves, so their labels are as many as those are, and those of what happened
//! to types that have come and gone are bounded.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{
    by_word::ByWord,
    definition::{Definition, Samples},
    resource::OTHER,
    watches::MAX_RESOURCES,
};

const SHARD: &[&str] = &["group", "version", "resource", "representation"];

/// Objects held.
pub static OBJECTS: Definition =
    Definition::gauge("watchgate_cache_objects", "Objects that a shard holds.", SHARD);

/// Their bytes.
pub static OBJECT_BYTES: Definition = Definition::gauge(
    "watchgate_cache_object_bytes",
    "Bytes of the objects that a shard holds, pages and indexes included. The sum counts against \
     --cache-max-bytes.",
    SHARD,
);

/// The version shown.
pub static RESOURCE_VERSION: Definition = Definition::gauge(
    "watchgate_cache_resource_version",
    "The resourceVersion that a shard shows; 0 while it shows none. Compare it between gateways, or \
     with that of a list past them. It stands still while nothing happens to a quiet resource.",
    SHARD,
);

/// Whether there is anything to read.
pub static FILLED: Definition = Definition::gauge(
    "watchgate_cache_filled",
    "1 if a shard can be read from, 0 while it is being filled or can't be.",
    SHARD,
);

/// Events in the log.
pub static HISTORY_EVENTS: Definition = Definition::gauge(
    "watchgate_cache_history_events",
    "Events that a shard keeps for watches that resume.",
    SHARD,
);

/// Their bytes.
pub static HISTORY_BYTES: Definition = Definition::gauge(
    "watchgate_cache_history_bytes",
    "Bytes that a shard's history keeps alive. The sum counts against --history-max-bytes.",
    SHARD,
);

/// Bytes of older states.
pub static PAST_BYTES: Definition = Definition::gauge(
    "watchgate_cache_past_bytes",
    "Bytes that a shard keeps for the further pages of lists, beyond what it shows. They count against \
     --cache-max-bytes.",
    SHARD,
);

/// Fills.
pub static FILLS: Definition = Definition::counter(
    "watchgate_cache_fills_total",
    "Complete states taken from the API server, by what became of the shard: first (it was empty), \
     unchanged (history was lost, nothing else; watches went on), changed (its watches ended), or void \
     (it was closed or emptied meanwhile).",
    &["group", "resource", "outcome"],
);

/// Why shards are filled anew.
pub static REFILLS: Definition = Definition::counter(
    "watchgate_cache_refills_total",
    "How often a filled shard gave its upstream watch up for a new list, by cause: expired (410 to \
     a watch that resumed), broken (its stream brought 410, or what can't be read), ended (the stream of \
     a custom type ended early: its definition may have changed), violation (an event out of order, or \
     of an unknown object), stalled (a resumed stream did not catch up), withdrawn (the API server \
     refused to go on for too long), or cleared (the store went back).",
    &["cause"],
);

/// Stores that went back.
pub static WENT_BACK: Definition = Definition::counter(
    "watchgate_store_went_back_total",
    "How often everything was dropped because the store behind the API server was older than what had \
     been shown: a restore from a backup, usually.",
    &[],
);

/// Budgets.
pub static BUDGET: Definition = Definition::gauge(
    "watchgate_memory_budget_bytes",
    "What may be kept: objects (--cache-max-bytes, older states for lists in pages included) and history \
     (--history-max-bytes).",
    &["kind"],
);

/// Their use.
pub static USED: Definition = Definition::gauge(
    "watchgate_memory_used_bytes",
    "What is kept, against watchgate_memory_budget_bytes. Kind readers, which has no budget of its own, \
     is what only clients that have not taken their answers yet keep alive; it counts with the objects.",
    &["kind"],
);

/// Whether it is used up.
pub static FULL: Definition = Definition::gauge(
    "watchgate_memory_full",
    "1 while no further resource is cached because the objects are over their budget; requests for it \
     are forwarded (reason memory).",
    &[],
);

/// Answers under way.
pub static READERS: Definition = Definition::gauge(
    "watchgate_unfinished_readers",
    "Long answers from memory that their clients have not taken yet, and watches in their initial state \
     or behind. What only they keep alive is watchgate_memory_used_bytes{kind=\"readers\"}.",
    &[],
);

/// Answers that were given up.
pub static CUT: Definition = Definition::counter(
    "watchgate_stalled_readers_cut_total",
    "Clients that were cut off because they did not take what they had asked for, for a minute, or for \
     less while memory was short.",
    &[],
);

/// All of them.
pub(super) static ALL: [&Definition; 15] = [
    &OBJECTS,
    &OBJECT_BYTES,
    &RESOURCE_VERSION,
    &FILLED,
    &HISTORY_EVENTS,
    &HISTORY_BYTES,
    &PAST_BYTES,
    &FILLS,
    &REFILLS,
    &WENT_BACK,
    &BUDGET,
    &USED,
    &FULL,
    &READERS,
    &CUT,
];

/// Why a shard that could be read from is filled anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
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
    /// Upstream refused to go on for too long.
    Withdrawn,
    /// The store is another one, or the shard was emptied for that.
    Cleared,
}

const CAUSES: [&str; 7] =
    ["expired", "broken", "ended", "violation", "stalled", "withdrawn", "cleared"];

/// How often each was the outcome of a fill.
type Outcomes = BTreeMap<&'static str, u64>;

/// Counts what happens to shards: seldom, so under one lock.
#[derive(Debug)]
pub struct Cache {
    /// By group and resource.
    fills: Mutex<HashMap<(String, String), Outcomes>>,
    refills: ByWord<7>,
    went_back: AtomicU64,
}

// === impl Cache ===

impl Cache {
    pub(super) fn new() -> Self {
        Self { fills: Mutex::default(), refills: ByWord::new(CAUSES), went_back: AtomicU64::new(0) }
    }

    /// A shard of this resource was filled.
    pub fn filled(&self, group: &str, resource: &str, outcome: &'static str) {
        let mut fills = self.fills.lock();
        let mut key = (group.to_owned(), resource.to_owned());
        if fills.len() >= MAX_RESOURCES && !fills.contains_key(&key) {
            key = (OTHER.group.to_owned(), OTHER.resource.to_owned());
        }
        *fills.entry(key).or_default().entry(outcome).or_insert(0) += 1;
    }

    /// A shard that was filled is to be filled anew.
    pub fn refill(&self, cause: Cause) {
        self.refills.add(cause as usize);
    }

    /// The store went back in time.
    pub fn went_back(&self) {
        self.went_back.fetch_add(1, Relaxed);
    }

    pub(super) fn sample(&self, samples: &mut Samples) {
        samples.count(&WENT_BACK, &[], self.went_back.load(Relaxed));
        for ((group, resource), outcomes) in self.fills.lock().iter() {
            for (outcome, count) in outcomes {
                samples.count(&FILLS, &[group, resource, outcome], *count);
            }
        }
        for (cause, count) in self.refills.iter() {
            samples.count(&REFILLS, &[cause], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_that_come_and_go_are_counted_together_in_the_end() {
        let cache = Cache::new();
        cache.filled("", "pods", "first");
        for number in 0..2 * MAX_RESOURCES {
            cache.filled("example.com", &format!("things{number}"), "first");
        }
        cache.filled("", "pods", "changed");
        let fills = cache.fills.lock();
        assert_eq!(fills.len(), MAX_RESOURCES + 1);
        let of = |resource: &str| &fills[&(String::new(), resource.to_owned())];
        assert_eq!(of("pods"), &BTreeMap::from([("changed", 1), ("first", 1)]));
        assert_eq!(of(OTHER.resource)["first"], MAX_RESOURCES as u64 + 1);
    }
}
