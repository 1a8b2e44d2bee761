//! Which shards go when memory is short, and in which order.

use std::{ops::ControlFlow, time::Duration};

use super::*;
use crate::{
    api::resource::{GroupVersionResource, ResourceType},
    cache::{
        audience::CoreId,
        event::{Change, Event},
        fixture::{Pod, audience, pods, version},
        log::LogBudget,
        map::{Column, Term},
        past::Past,
    },
    codec::{gzip::BlockDeflater, object::Representation},
    shards::{hub::Hub, readers::Holding, shard::ShardId},
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

    shards[0].tend_past(Instant::now());
    let sum = |held: Held| held.object_bytes + held.past_bytes;
    let both = sum(count(&shards, 1 << 30));
    assert!(both > objects, "{both} includes what only the past holds");
    assert_eq!(shards[0].figures().past_bytes, both - objects);
    assert!(matches!(shards[0].state_at(version(10)), Past::Held(_)));

    assert_eq!(sum(count(&shards, objects)), objects);
    assert_eq!(shards[0].figures().past_bytes, 0);
    assert!(matches!(shards[0].state_at(version(10)), Past::Rebuild(_)));
}

const AMPLE: Budgets = Budgets { objects: 1 << 30, history: 1 << 30, resources: Vec::new() };

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
    shard.fill_with(vec![Pod::new("ns", "a", 5).object()], version(10), Instant::now(), 0).unwrap();
    shard.figures().object_bytes
}

fn budget(objects: u64) -> Budgets {
    Budgets { objects, ..AMPLE }
}

#[tokio::test]
async fn what_is_larger_than_the_budget_is_not_filled_over_and_over() {
    let registry = registry();
    let bytes = fill(&registry, Representation::Json, Need::Requests);
    relieve(&registry, &budget(bytes - 1));
    assert!(registry.all().is_empty(), "closed");
    for _ in 0..3 {
        relieve(&registry, &budget(bytes - 1));
        assert!(!registry.is_full(), "others may be opened");
        assert!(open(&registry, Representation::Json, Need::Requests).is_none());
    }
    assert!(open(&registry, Representation::Protobuf, Need::Requests).is_some());
    relieve(&registry, &AMPLE);
    assert!(open(&registry, Representation::Json, Need::Requests).is_some(), "it fits");
}

#[tokio::test]
async fn what_fits_one_by_one_need_not_fit_together() {
    let registry = registry();
    let forms = [Representation::Json, Representation::Protobuf];
    let [bytes, _] = forms.map(|form| fill(&registry, form, Need::Requests));
    relieve(&registry, &budget(1));
    assert!(registry.all().is_empty(), "both are closed");
    let both_but_little = budget(bytes * 2);
    relieve(&registry, &both_but_little);
    assert!(open(&registry, forms[0], Need::Requests).is_some());
    assert!(open(&registry, forms[1], Need::Requests).is_none(), "its room is promised");
    relieve(&registry, &both_but_little);
    assert!(open(&registry, forms[1], Need::Requests).is_none(), "while it is being filled");
    fill(&registry, forms[0], Need::Requests);
    relieve(&registry, &both_but_little);
    assert!(open(&registry, forms[1], Need::Requests).is_none(), "and when it is filled");
    relieve(&registry, &budget(bytes * 3));
    assert!(open(&registry, forms[1], Need::Requests).is_some());
}

#[tokio::test]
async fn what_the_operator_wants_is_closed_last() {
    let registry = registry();
    fill(&registry, Representation::Json, Need::Requests);
    let bytes = fill(&registry, Representation::Protobuf, Need::Requests);
    assert!(open(&registry, Representation::Protobuf, Need::Eager).is_some(), "also later on");
    relieve(&registry, &budget(bytes));
    let kept: Vec<_> = registry.all().iter().map(|shard| shard.key().representation).collect();
    assert_eq!(kept, [Representation::Protobuf]);
    assert!(registry.is_full());
    assert!(open(&registry, Representation::JsonMetadata, Need::Eager).is_none(), "no room");
    assert!(open(&registry, Representation::JsonMetadata, Need::Gateway).is_some());
    relieve(&registry, &budget(bytes - 1));
    let kept: Vec<_> = registry.all().iter().map(|shard| shard.key().representation).collect();
    assert_eq!(kept, [Representation::JsonMetadata], "and what the gateway needs, never");
}

fn hub() -> Arc<Hub> {
    Arc::new(Hub::new(CoreId(0)))
}

#[tokio::test]
async fn watches_end_one_shard_after_the_other_and_only_where_nothing_else_helps() {
    let registry = registry();
    let forms = [Representation::Json, Representation::JsonMetadata, Representation::Protobuf];
    let [bytes, ..] = forms.map(|form| fill(&registry, form, Need::Requests));
    let hub = hub();
    let watch = |form| {
        let shard = open(&registry, form, Need::Requests).unwrap();
        shard.subscribe_with_state(&hub, audience("", "", "")).unwrap().0
    };
    let watches = [watch(forms[0]), watch(forms[1])];
    relieve(&registry, &budget(bytes * 2));
    let kept = || {
        let mut kept: Vec<_> =
            registry.all().iter().map(|shard| shard.key().representation).collect();
        kept.sort();
        kept
    };
    assert_eq!(kept(), forms[..2], "the one that nobody watches goes");
    relieve(&registry, &budget(0));
    assert_eq!(kept().len(), 1, "one at a look");
    relieve(&registry, &budget(0));
    assert!(kept().is_empty());
    drop(watches);
}

#[tokio::test]
async fn a_resource_over_its_own_budget_leaves_others_alone() {
    let registry = registry();
    let bytes = fill(&registry, Representation::Json, Need::Requests);
    let pods_type = pods();
    let nodes = Arc::new(ResourceType {
        gvr: GroupVersionResource::new("", "v1", "nodes"),
        ..(*pods_type).clone()
    });
    let shard =
        registry.open(&nodes, 1, Representation::Json, Need::Requests).expect("there is room");
    shard.fill_with(vec![Pod::new("ns", "a", 5).object()], version(10), Instant::now(), 0).unwrap();
    let of_pods = |limit| {
        let resources = vec![(group_resource(&pods_type.gvr), limit)];
        Budgets { resources, ..AMPLE }
    };
    relieve(&registry, &of_pods(bytes * 2));
    assert_eq!(registry.all().len(), 2);
    relieve(&registry, &of_pods(bytes - 1));
    let left: Vec<_> = registry.all().iter().map(|shard| shard.key().gvr.clone()).collect();
    assert_eq!(left, std::slice::from_ref(&nodes.gvr));
    assert!(!registry.is_full(), "others may be opened");
    relieve(&registry, &of_pods(bytes - 1));
    assert!(open(&registry, Representation::Json, Need::Requests).is_none());
    let mut fill = shard.fill_room();
    assert_eq!(fill.reach(1 << 20), Ok(()));
    relieve(&registry, &of_pods(bytes * 2));
    assert!(open(&registry, Representation::Json, Need::Requests).is_some(), "it fits again");
}

#[tokio::test]
async fn what_a_resource_loses_for_its_own_budget_counts_no_more_against_all() {
    let registry = registry();
    let bytes = fill(&registry, Representation::Json, Need::Requests);
    let pods_type = pods();
    let gvr = GroupVersionResource::new("", "v1", "nodes");
    let nodes = Arc::new(ResourceType { gvr, ..(*pods_type).clone() });
    let shard = registry.open(&nodes, 1, Representation::Json, Need::Requests).unwrap();
    shard.fill_with(vec![Pod::new("ns", "a", 5).object()], version(10), Instant::now(), 0).unwrap();
    let turnover = Arc::clone(shard.turnover());
    let reader = registry.readers().enrol(
        Holding::State { since: 0, turnover: Arc::clone(&turnover), part: 8, whole: 8 },
        || panic!("there is room"),
    );
    turnover.add(8, 0);
    let resources = vec![(group_resource(&pods_type.gvr), bytes - 1)];
    // Too little for both, and enough for what is left of them.
    let held = relieve(&registry, &Budgets { objects: bytes * 3 / 2, resources, ..AMPLE });
    let left: Vec<_> = registry.all().iter().map(|shard| shard.key().gvr.clone()).collect();
    assert_eq!(left, std::slice::from_ref(&nodes.gvr));
    assert!(!registry.is_full());
    assert_eq!((held.shards, held.object_bytes, held.pinned_bytes), (1, bytes, 8));
    drop(reader);
}

#[tokio::test]
async fn what_readers_made_of_the_objects_counts_with_them() {
    let registry = registry();
    let bytes = fill(&registry, Representation::Json, Need::Requests);
    let objects = registry.all()[0].snapshot().unwrap().objects.clone();
    let term = Term { column: Column::Name, value: "a".into() };
    objects.search(&term, .., 1000, |_, _| ControlFlow::Continue(())).unwrap();
    objects.pages(..).for_each(|run| drop(run.compress(&mut BlockDeflater::new())));
    let held = relieve(&registry, &AMPLE);
    assert!(held.place_bytes > 0 && held.deflated_bytes > 0, "{held:?}");
    assert_eq!(held.object_bytes, bytes + held.place_bytes + held.deflated_bytes);
    relieve(&registry, &budget(held.object_bytes - 1));
    assert!(registry.all().is_empty());
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
    relieve(&registry, &Budgets { history: bytes * 3 / 2, ..AMPLE });
    let beginnings = shards.each_ref().map(|shard| shard.beginning().unwrap());
    let now = Instant::now();
    let extend =
        |place: usize, at| shards[place].extend_back(&beginnings[place], version(at), &events, now);
    assert!(!extend(0, 11), "a later start is refused, and takes no room");
    assert!(extend(0, 3));
    assert!(!extend(1, 3), "each would have had room alone");
    assert_eq!(shards[1].beginning().unwrap().room, bytes / 2);
    assert_eq!(shards[1].log_start(), Some(version(10)));
    relieve(&registry, &Budgets { history: bytes * 2, ..AMPLE });
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
