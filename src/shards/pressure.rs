//! What happens when memory is short.
//!
//! Objects over the budget, of all resources together or of one that has its own: the older states
//! that are kept for lists in pages go first; then clients that do not take what they asked for are
//! cut off ([`super::readers`]); then shards that nobody watches are closed, least recently used first.
//! What was closed is opened again when it fits, or after a pause that grows each time (see
//! `outgrown.rs`); until then its requests are forwarded. While the whole budget is exceeded no
//! further shard is opened at all. A fill that does not fit is stopped while it goes on
//! ([`super::object_room`]).
//!
//! As a last resort, where that is not enough, shards that are watched are closed, too, the largest
//! first, and after them those that the operator wants: their watches end, as upstream ends those
//! that it cannot serve any more. Only one at each look, so that upstream gets their clients in
//! portions. What the gateway itself needs, the definitions of types, is never closed.
//!
//! Histories over theirs: the largest are cut to a common size, so that one busy resource cannot take
//! the past of all others.

use std::{cmp::Reverse, sync::Arc, time::Instant};

use tracing::{debug, warn};

use super::{
    object_room::{GroupResource, group_resource},
    registry::{Need, Registry},
    shard::Shard,
};

/// How many bytes all shards together may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Of objects, pages and indexes.
    pub objects: u64,
    /// Of logs.
    pub history: u64,
    /// Of objects, pages and indexes of single resources, all their versions and forms together.
    pub resources: Vec<(GroupResource, u64)>,
}

/// What the shards held at the last look, in bytes, and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Open shards.
    pub shards: usize,
    /// Objects in them.
    pub objects: u64,
    /// Bytes of the objects, pages and indexes, deflated forms and places of values included.
    pub object_bytes: u64,
    /// Of these, the deflated forms.
    pub deflated_bytes: u64,
    /// And the places.
    pub place_bytes: u64,
    /// Bytes of older states kept for lists in pages.
    pub past_bytes: u64,
    /// Bytes that unfinished readers alone keep alive.
    pub pinned_bytes: u64,
    /// Bytes of the logs.
    pub history_bytes: u64,
}

/// Further shards are opened again below this share of the budget, so that the gateway does not
/// open and close the same shard over and over.
const RESUME_PERCENT: u64 = 90;

/// The part of the budget for objects that readers may at most keep alive beyond the present: one
/// in this many.
const READERS_SHARE: u64 = 4;

/// Brings the registry's shards back into their budgets; tells what they held before.
pub fn relieve(registry: &Registry, budgets: &Budgets) -> Held {
    let free = limit_histories(&registry.all(), budgets.history);
    registry.history_room().set(free);
    let now = Instant::now();
    registry.all().iter().for_each(|shard| shard.tend_past(now));
    registry.object_room().begin_count();
    // First: what they close for their own sake is to cost others nothing.
    for (resource, budget) in &budgets.resources {
        limit_resource(registry, resource, *budget);
    }
    let pinned = registry.readers().pinned();
    let mut held = count(&registry.all(), budgets.objects.saturating_sub(pinned));
    let kept = held.object_bytes + held.past_bytes;
    held.pinned_bytes = relieve_readers(registry, budgets.objects, kept, now);
    let bytes = kept + held.pinned_bytes;
    let enough = budgets.objects / 100 * RESUME_PERCENT;
    registry.set_room(enough.saturating_sub(bytes));
    registry.object_room().set_total(budgets.objects, bytes);
    if bytes <= budgets.objects {
        if bytes <= enough && registry.is_full() {
            registry.set_full(false);
        }
        return held;
    }
    // What was closed is not to be opened again by the next request.
    if !registry.is_full() {
        warn!(
            held = bytes,
            budget = budgets.objects,
            "no further resource is cached: memory is full"
        );
        registry.set_full(true);
    }
    make_room(registry, bytes - budgets.objects, |_| true);
    held
}

/// Cuts off readers that keep more alive than there is room for; returns what is left of that.
fn relieve_readers(registry: &Registry, budget: u64, held: u64, now: Instant) -> u64 {
    registry.readers().relieve(budget.saturating_sub(held), budget / READERS_SHARE, now)
}

/// Holds one resource within its own budget.
fn limit_resource(registry: &Registry, resource: &GroupResource, budget: u64) {
    let of_it = |shard: &Shard| group_resource(&shard.key().gvr) == *resource;
    let held = || -> u64 {
        let shards = registry.all().into_iter().filter(|shard| of_it(shard));
        shards.map(|shard| shard.figures()).map(|of| of.object_bytes + of.past_bytes).sum()
    };
    let mut bytes = held();
    if bytes > budget {
        registry.all().iter().filter(|shard| of_it(shard)).for_each(|shard| shard.drop_past());
        bytes = held();
    }
    if bytes > budget {
        let freed = make_room(registry, bytes - budget, of_it);
        // Else there is nothing that could be closed, look after look.
        if freed > 0 {
            let (group, name) = resource;
            warn!(resource = %name, %group, held = bytes, freed, budget, "over its own budget");
        }
        bytes = bytes.saturating_sub(freed);
    }
    registry.object_room().set_named(resource, budget / 100 * RESUME_PERCENT, bytes);
}

/// Closes shards until `over` bytes are free, or what may be closed at one look is; returns the bytes
/// that were freed.
fn make_room(registry: &Registry, over: u64, concerned: impl Fn(&Shard) -> bool) -> u64 {
    let (mut unused, mut needed) = (Vec::new(), Vec::new());
    for (shard, need, idle) in registry.closable() {
        let figures = shard.figures();
        // One that is being filled holds nothing yet, and closing it frees nothing.
        if !concerned(&shard) || figures.object_bytes == 0 {
            continue;
        }
        match (need, figures.watchers) {
            (Need::Requests, 0) => unused.push((shard, idle, figures.object_bytes)),
            _ => needed.push((shard, need == Need::Eager, figures.object_bytes)),
        }
    }
    unused.sort_by_key(|(_, idle, _)| Reverse(*idle));
    let mut freed = 0;
    for (shard, idle, bytes) in unused {
        if freed >= over {
            return freed;
        }
        warn!(shard = %shard.key(), bytes, ?idle, "closed: the cached objects are over their budget");
        registry.close_for_memory(&shard, bytes);
        freed += bytes;
    }
    if freed >= over {
        return freed;
    }
    if let Some((shard, eager, bytes)) =
        needed.into_iter().min_by_key(|(_, eager, bytes)| (*eager, Reverse(*bytes)))
    {
        warn!(
            shard = %shard.key(), bytes, eager,
            "closed with its watches: the cached objects are over their budget, and no unused ones are left"
        );
        registry.close_for_memory(&shard, bytes);
        freed += bytes;
    }
    freed
}

/// What the shards hold; older states only as long as both fit the budget.
fn count(shards: &[Arc<Shard>], budget: u64) -> Held {
    let mut held = Held { shards: shards.len(), ..Held::default() };
    for shard in shards {
        let figures = shard.figures();
        held.objects += figures.objects as u64;
        held.object_bytes += figures.object_bytes;
        held.deflated_bytes += figures.deflated_bytes;
        held.place_bytes += figures.place_bytes;
        held.past_bytes += figures.past_bytes;
        held.history_bytes += figures.log_bytes;
    }
    if held.past_bytes > 0 && held.object_bytes + held.past_bytes > budget {
        debug!(bytes = held.past_bytes, "older states are dropped: memory is short");
        shards.iter().for_each(|shard| shard.drop_past());
        held.past_bytes = 0;
    }
    held
}

/// Cuts the largest logs to the size at which all of them fit; returns the bytes that are left.
fn limit_histories(shards: &[Arc<Shard>], budget: u64) -> u64 {
    let mut weights: Vec<u64> = shards.iter().map(|shard| shard.log_bytes()).collect();
    let limit = common_limit(&mut weights, budget);
    let now = Instant::now();
    for shard in shards {
        shard.limit_log(limit, now);
    }
    budget.saturating_sub(weights.iter().map(|weight| weight.min(&limit)).sum())
}

/// The size to which every weight must be cut so that their sum is at most `budget`; the budget
/// itself when nothing has to be cut.
fn common_limit(weights: &mut [u64], budget: u64) -> u64 {
    weights.sort_unstable();
    let mut rest = budget;
    for (place, weight) in weights.iter().enumerate() {
        let sharers = (weights.len() - place) as u64;
        if *weight > rest / sharers {
            return rest / sharers;
        }
        rest -= weight;
    }
    budget
}

#[cfg(test)]
mod tests;
