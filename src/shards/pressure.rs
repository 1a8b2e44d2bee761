//! What happens when memory is short.
//!
//! Objects over their budget: the older states that are kept for lists in pages go first; then shards
//! that nobody watches are closed, least recently used first, and until there is room again no
//! further shard is opened: what needs one is forwarded. What was closed is opened again when it fits,
//! or after a pause that grows each time (see `outgrown.rs`). Shards that the operator wants are
//! not closed, and neither are those that the gateway itself needs. Histories over theirs: the largest are cut
//! to a common size, so that one busy resource cannot take the past of all others. Open watches are
//! never ended for memory.

use std::{cmp::Reverse, sync::Arc, time::Instant};

use tracing::warn;

use super::{registry::Registry, shard::Shard};

/// How many bytes all shards together may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Of objects, pages and indexes.
    pub objects: u64,
    /// Of logs.
    pub history: u64,
}

/// Further shards are opened again below this share of the budget, so that the gateway does not
/// open and close the same shard over and over.
const RESUME_PERCENT: u64 = 90;

/// Brings the registry's shards back into their budgets.
pub fn relieve(registry: &Registry, budgets: Budgets) {
    let free = limit_histories(&registry.all(), budgets.history);
    registry.history_room().set(free);
    let held = held(&registry.all(), budgets.objects);
    let enough = budgets.objects / 100 * RESUME_PERCENT;
    registry.set_room(enough.saturating_sub(held));
    if held <= budgets.objects {
        if held <= enough && registry.is_full() {
            registry.set_full(false);
        }
        return;
    }
    let mut idle = registry.idle();
    // What was closed is not to be opened again by the next request.
    if !registry.is_full() {
        warn!(held, budget = budgets.objects, "no further resource is cached: memory is full");
        registry.set_full(true);
    }
    // One that is being filled holds nothing yet, and closing it frees nothing.
    idle.retain(|(shard, _)| {
        let figures = shard.figures();
        figures.watchers == 0 && figures.object_bytes > 0
    });
    idle.sort_by_key(|(_, idle)| Reverse(*idle));
    let mut over = held - budgets.objects;
    for (shard, idle) in idle {
        let bytes = shard.figures().object_bytes;
        warn!(shard = %shard.key(), bytes, ?idle, "closed: the cached objects are over their budget");
        registry.close_for_memory(&shard, bytes);
        over = over.saturating_sub(bytes);
        if over == 0 {
            return;
        }
    }
}

/// What the shards hold in objects, and in older states as long as both fit the budget.
fn held(shards: &[Arc<Shard>], budget: u64) -> u64 {
    let now = Instant::now();
    let (mut objects, mut past) = (0, 0);
    for shard in shards {
        shard.tend_past(now);
        let figures = shard.figures();
        objects += figures.object_bytes;
        past += figures.past_bytes;
    }
    if past > 0 && objects + past > budget {
        shards.iter().for_each(|shard| shard.drop_past());
        return objects;
    }
    objects + past
}

/// Cuts the largest logs to the size at which all of them fit; returns the bytes that are left.
fn limit_histories(shards: &[Arc<Shard>], budget: u64) -> u64 {
    let mut weights: Vec<u64> = shards.iter().map(|shard| shard.figures().log_bytes).collect();
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        cache::{
            event::{Change, Event},
            fixture::{Pod, pods, version},
            log::LogBudget,
            past::Past,
        },
        codec::object::Representation,
        shards::{registry::Need, shard::ShardId},
    };

    #[test]
    fn past_states_go_before_anything_else() {
        let budget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(600) };
        let shard = Shard::new(ShardId(1), pods(), 1, Representation::Json, budget, Arc::from([]));
        let first = Pod::new("ns", "a", 5).object();
        shard.fill_with(vec![first], version(10), Instant::now(), 0).unwrap();
        let state = shard.snapshot().unwrap();
        shard.apply(vec![Pod::new("ns", "a", 12).event("MODIFIED")], Instant::now()).unwrap();
        shard.keep(&state);
        let shards = [Arc::new(shard)];
        let objects = shards[0].figures().object_bytes;

        let both = held(&shards, 1 << 30);
        assert!(both > objects, "{both} includes what only the past holds");
        assert_eq!(shards[0].figures().past_bytes, both - objects);
        assert!(matches!(shards[0].state_at(version(10)), Past::Held(_)));

        assert_eq!(held(&shards, objects), objects);
        assert_eq!(shards[0].figures().past_bytes, 0);
        assert!(matches!(shards[0].state_at(version(10)), Past::Rebuild(_)));
    }

    const AMPLE: Budgets = Budgets { objects: 1 << 30, history: 1 << 30 };

    fn registry() -> Registry {
        let budget = LogBudget { bytes: 1 << 20, age: Duration::from_secs(600) };
        let start = Box::new(|_| tokio::spawn(std::future::pending::<()>()).abort_handle());
        Registry::new(Arc::from([]), budget, start)
    }

    fn open(registry: &Registry, form: Representation, need: Need) -> Option<Arc<Shard>> {
        registry.open(&pods(), 1, form, need).ok()
    }

    /// Opens a shard and fills it; returns its size.
    fn fill(registry: &Registry, form: Representation, need: Need) -> u64 {
        let shard = open(registry, form, need).unwrap();
        shard
            .fill_with(vec![Pod::new("ns", "a", 5).object()], version(10), Instant::now(), 0)
            .unwrap();
        shard.figures().object_bytes
    }

    fn budget(objects: u64) -> Budgets {
        Budgets { objects, ..AMPLE }
    }

    #[tokio::test]
    async fn what_is_larger_than_the_budget_is_not_filled_over_and_over() {
        let registry = registry();
        let bytes = fill(&registry, Representation::Json, Need::Requests);
        relieve(&registry, budget(bytes - 1));
        assert!(registry.all().is_empty(), "closed");
        for _ in 0..3 {
            relieve(&registry, budget(bytes - 1));
            assert!(!registry.is_full(), "others may be opened");
            assert!(open(&registry, Representation::Json, Need::Requests).is_none());
        }
        assert!(open(&registry, Representation::Protobuf, Need::Requests).is_some());
        relieve(&registry, AMPLE);
        assert!(open(&registry, Representation::Json, Need::Requests).is_some(), "it fits");
    }

    #[tokio::test]
    async fn what_fits_one_by_one_need_not_fit_together() {
        let registry = registry();
        let forms = [Representation::Json, Representation::Protobuf];
        let [bytes, _] = forms.map(|form| fill(&registry, form, Need::Requests));
        relieve(&registry, budget(1));
        assert!(registry.all().is_empty(), "both are closed");
        let both_but_little = budget(bytes * 2);
        relieve(&registry, both_but_little);
        assert!(open(&registry, forms[0], Need::Requests).is_some());
        assert!(open(&registry, forms[1], Need::Requests).is_none(), "its room is promised");
        relieve(&registry, both_but_little);
        assert!(open(&registry, forms[1], Need::Requests).is_none(), "while it is being filled");
        fill(&registry, forms[0], Need::Requests);
        relieve(&registry, both_but_little);
        assert!(open(&registry, forms[1], Need::Requests).is_none(), "and when it is filled");
        relieve(&registry, budget(bytes * 3));
        assert!(open(&registry, forms[1], Need::Requests).is_some());
    }

    #[tokio::test]
    async fn what_the_operator_wants_is_not_closed() {
        let registry = registry();
        fill(&registry, Representation::Json, Need::Requests);
        let bytes = fill(&registry, Representation::Protobuf, Need::Requests);
        assert!(open(&registry, Representation::Protobuf, Need::Eager).is_some(), "also later on");
        relieve(&registry, budget(bytes - 1));
        let kept: Vec<_> = registry.all().iter().map(|shard| shard.key().representation).collect();
        assert_eq!(kept, [Representation::Protobuf]);
        assert!(registry.is_full());
        assert!(open(&registry, Representation::JsonMetadata, Need::Eager).is_none(), "no room");
        assert!(open(&registry, Representation::JsonMetadata, Need::Gateway).is_some());
    }

    /// As many logs as wish are extended between two looks at memory.
    #[tokio::test]
    async fn extended_logs_share_the_room_for_history() {
        let registry = registry();
        let history = [4, 5].map(|at| Pod::new("ns", "a", at));
        let events: Vec<_> = [
            Change::Set { object: history[0].object(), previous: None },
            Change::Set { object: history[1].object(), previous: Some(history[0].object()) },
        ]
        .map(|change| Arc::new(Event::new(change)))
        .into();
        let bytes: u64 = events.iter().map(|event| event.weight()).sum();
        let shards = [Representation::Json, Representation::Protobuf].map(|form| {
            fill(&registry, form, Need::Requests);
            open(&registry, form, Need::Requests).unwrap()
        });
        relieve(&registry, Budgets { history: bytes * 3 / 2, ..AMPLE });
        let beginnings = shards.each_ref().map(|shard| shard.beginning().unwrap());
        let now = Instant::now();
        let extend = |place: usize, at| {
            shards[place].extend_back(&beginnings[place], version(at), &events, now)
        };
        assert!(!extend(0, 11), "a later start is refused, and takes no room");
        assert!(extend(0, 3));
        assert!(!extend(1, 3), "each would have had room alone");
        assert_eq!(shards[1].beginning().unwrap().room, bytes / 2);
        assert_eq!(shards[1].log_start(), Some(version(10)));
        relieve(&registry, Budgets { history: bytes * 2, ..AMPLE });
        assert!(extend(1, 3));
        assert_eq!(registry.history_room().left(), 0);
    }

    #[test]
    fn the_largest_are_cut_to_a_common_size() {
        assert_eq!(common_limit(&mut [10, 20, 30], 100), 100, "all fit");
        assert_eq!(common_limit(&mut [10, 80, 80], 100), 45);
        assert_eq!(common_limit(&mut [100, 100], 100), 50);
        assert_eq!(common_limit(&mut [], 100), 100);
        for budget in [0_u64, 1, 7, 99, 1000] {
            let mut weights = [3, 9, 27, 81];
            let limit = common_limit(&mut weights, budget);
            assert!(weights.iter().map(|weight| weight.min(&limit)).sum::<u64>() <= budget);
        }
    }
}
