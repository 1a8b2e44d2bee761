//! Past states against a model that remembers every one of them.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    cache::{
        backlog::Backlog,
        fixture::{
            Pod, bookmark, codec,
            history::{History, Write, write},
            version,
        },
        log::LogBudget,
        map::OrderedMap,
        watch_cache::{Arrival, Fill, WatchCache},
    },
    codec::object::Object,
};

const BUDGET: LogBudget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(600) };

fn filled(objects: Vec<Object>, at: u64) -> WatchCache {
    let mut cache = WatchCache::new(&codec(), BUDGET);
    assert_eq!(cache.fill(Arrival::new(map(objects), version(at))).0, Ok(Fill::First));
    cache
}

fn map(objects: Vec<Object>) -> OrderedMap {
    OrderedMap::from_objects(codec().item_join(), objects)
}

fn write_to(cache: &mut WatchCache, name: &str, kind: &str, at: u64) {
    let event = Pod::new("ns", name, at).event(kind);
    cache.apply([event], Instant::now()).1.unwrap();
}

/// The state, made if need be; `None` when it is gone or not there yet.
fn state_at(cache: &mut WatchCache, at: u64) -> Option<Snapshot> {
    match cache.state_at(version(at)) {
        Past::Held(state) => Some(Snapshot::clone(&state)),
        Past::Rebuild(rebuild) => Some(rebuild.run()),
        Past::Ahead | Past::Gone => None,
    }
}

fn versions(state: &Snapshot) -> Vec<u64> {
    state.objects.range(..).map(|object| object.resource_version().get()).collect()
}

#[test]
fn every_state_since_the_fill_can_be_told() {
    let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
    write_to(&mut cache, "b", "ADDED", 12);
    write_to(&mut cache, "a", "MODIFIED", 14);
    write_to(&mut cache, "b", "DELETED", 16);
    write_to(&mut cache, "b", "ADDED", 18);
    assert!(cache.advance(version(18), version(20)));
    let expected: [(u64, &[u64]); 11] = [
        (10, &[5]),
        (11, &[5]),
        (12, &[5, 12]),
        (13, &[5, 12]),
        (14, &[14, 12]),
        (15, &[14, 12]),
        (16, &[14]),
        (17, &[14]),
        (18, &[14, 18]),
        (19, &[14, 18]),
        (20, &[14, 18]),
    ];
    for (at, objects) in expected {
        let state = state_at(&mut cache, at).unwrap();
        assert_eq!((state.resource_version, &versions(&state)[..]), (version(at), objects));
    }
    assert!(matches!(cache.state_at(version(9)), Past::Gone));
    assert!(matches!(cache.state_at(version(21)), Past::Ahead));
}

#[test]
fn states_in_which_nothing_changed_need_no_rebuild() {
    let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
    write_to(&mut cache, "a", "MODIFIED", 14);
    assert!(cache.advance(version(14), version(30)));
    for at in [14, 20, 29, 30] {
        assert!(matches!(cache.state_at(version(at)), Past::Held(_)), "{at}");
    }
    assert!(matches!(cache.state_at(version(13)), Past::Rebuild(_)));
}

#[test]
fn a_kept_state_outlives_its_log_and_shortens_rebuilds() {
    let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
    let state = Arc::new(cache.snapshot().unwrap());
    assert!(cache.keep(state).is_none());
    for at in 11..600 {
        write_to(&mut cache, "a", "MODIFIED", at);
    }
    let middle = Arc::new(state_at(&mut cache, 300).unwrap());
    cache.keep(middle);
    match cache.state_at(version(290)) {
        Past::Rebuild(rebuild) => assert_eq!(rebuild.base().resource_version, version(300)),
        other => panic!("{other:?}"),
    }
    cache.limit_log(0, Instant::now());
    assert_eq!(versions(&state_at(&mut cache, 10).unwrap()), [5]);
    assert_eq!(versions(&state_at(&mut cache, 300).unwrap()), [300]);
    assert!(matches!(cache.state_at(version(299)), Past::Gone));
}

#[test]
fn a_state_above_the_version_shown_is_no_base() {
    let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
    // A comparison showed that the same objects stand at 20; what came and went until then is still
    // on its way.
    let state = Snapshot { resource_version: version(20), ..cache.snapshot().unwrap() };
    cache.keep(Arc::new(state));
    assert_eq!(versions(&state_at(&mut cache, 20).unwrap()), [5]);
    assert!(matches!(cache.state_at(version(15)), Past::Ahead));
    write_to(&mut cache, "b", "ADDED", 13);
    write_to(&mut cache, "c", "ADDED", 15);
    // The state at 20 knows no "b" any more.
    assert_eq!(versions(&state_at(&mut cache, 14).unwrap()), [5, 13]);
    write_to(&mut cache, "b", "DELETED", 16);
    write_to(&mut cache, "c", "DELETED", 17);
    assert_eq!(versions(&state_at(&mut cache, 14).unwrap()), [5, 13]);
    assert_eq!(versions(&state_at(&mut cache, 12).unwrap()), [5]);
    assert!(matches!(cache.state_at(version(19)), Past::Ahead));
}

#[test]
fn nothing_is_kept_across_a_break_of_history() {
    let kept = |at: u64| {
        let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
        write_to(&mut cache, "a", "MODIFIED", at);
        let old = Arc::new(state_at(&mut cache, 10).unwrap());
        cache.keep(Arc::clone(&old));
        (cache, old)
    };
    let (mut cache, old) = kept(12);
    let other = vec![Pod::new("ns", "z", 15).object()];
    assert_eq!(cache.fill(Arrival::new(map(other), version(20))).0, Ok(Fill::Changed));
    assert!(matches!(cache.state_at(version(10)), Past::Gone));
    assert!(cache.keep(old).is_none());
    assert!(matches!(cache.state_at(version(10)), Past::Gone), "of another generation");

    let (mut cache, _) = kept(12);
    let same = vec![Pod::new("ns", "a", 12).object()];
    assert_eq!(cache.fill(Arrival::new(map(same), version(20))).0, Ok(Fill::Unchanged));
    assert!(matches!(cache.state_at(version(10)), Past::Gone));
    assert!(matches!(cache.state_at(version(19)), Past::Gone));

    for clear in [WatchCache::clear, WatchCache::withdraw] {
        let (mut cache, old) = kept(12);
        drop(clear(&mut cache));
        cache.keep(old);
        assert!(matches!(cache.state_at(version(10)), Past::Ahead), "nothing is held");
        cache
            .fill(Arrival::new(map(vec![Pod::new("ns", "a", 12).object()]), version(12)))
            .0
            .unwrap();
        assert!(matches!(cache.state_at(version(10)), Past::Gone));
    }
}

/// How long ago it was the store's latest is not known: upstream may have compacted it.
#[test]
fn what_an_extension_brings_is_for_watches_only() {
    let mut cache = filled(vec![Pod::new("ns", "a", 8).object()], 10);
    let beginning = cache.beginning().unwrap();
    let mut backlog = Backlog::new(version(5), version(10), 1 << 20);
    backlog.push(Pod::new("ns", "a", 8).event("ADDED")).unwrap();
    backlog.push(bookmark(10)).unwrap();
    let events = backlog.assemble(&beginning.versions()).unwrap();
    assert!(cache.extend_back(&beginning, version(5), &events, Instant::now()));
    assert_eq!(cache.events_since(version(5)).unwrap().count(), 1);
    for at in 5..10 {
        assert!(matches!(cache.state_at(version(at)), Past::Gone), "{at}");
    }
    assert!(state_at(&mut cache, 10).is_some());
}

#[test]
fn few_states_are_kept_and_the_least_used_go_first() {
    let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
    let keep = |cache: &mut WatchCache, at: u64| {
        write_to(cache, "a", "MODIFIED", at);
        let state = Arc::new(cache.snapshot().unwrap());
        cache.keep(state)
    };
    for at in 11..11 + KEPT as u64 {
        assert!(keep(&mut cache, at).is_none());
    }
    // Used again, so that the next one takes its place.
    assert!(matches!(cache.state_at(version(11)), Past::Held(_)));
    let removed = keep(&mut cache, 100).unwrap();
    assert_eq!(removed.resource_version, version(12));
    // Kept once more, it is the same place.
    let same = keep(&mut cache, 101).unwrap();
    assert_eq!(same.resource_version, version(13));
    let again = Arc::new(cache.snapshot().unwrap());
    assert_eq!(cache.keep(again).unwrap().resource_version, version(101));

    let kept = cache.past().unwrap().kept();
    assert_eq!(kept.len(), KEPT);
    assert_eq!(kept[0].resource_version, version(101), "the most recently used first");
    cache.drop_kept(&kept[3..], 77);
    assert_eq!(cache.past().unwrap().kept().len(), 3);
    assert_eq!(cache.past().unwrap().bytes(), 77);
}

#[test]
fn what_upstream_may_have_compacted_is_not_shown() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
    cache.tend_past(start);
    let first = Arc::new(cache.snapshot().unwrap());
    cache.keep(first);
    for (seconds, at) in [(30, 20), (60, 30), (90, 40)] {
        write_to(&mut cache, "a", "MODIFIED", at);
        assert!(cache.tend_past(after(seconds)).is_empty());
    }
    let age = horizon::AGE.as_secs();
    cache.tend_past(after(age - 1));
    assert!(state_at(&mut cache, 10).is_some());
    // At 30 s the shard was beyond 10 to 19.
    let dropped = cache.tend_past(after(30 + age));
    assert_eq!(dropped.len(), 1, "the kept one");
    for at in [10, 19] {
        assert!(matches!(cache.state_at(version(at)), Past::Gone), "{at}");
    }
    assert!(state_at(&mut cache, 20).is_some());
    // Nothing happened since: what is shown is not too old, however long ago it came.
    cache.tend_past(after(90_000));
    assert!(state_at(&mut cache, 39).is_none());
    assert!(state_at(&mut cache, 40).is_some());
}

/// Upstream may have compacted them long ago: its watches reach back further than its lists.
#[test]
fn states_from_before_the_fill_are_not_shown_though_the_log_reaches_them() {
    let now = Instant::now();
    let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
    let beginning = cache.beginning().unwrap();
    assert!(cache.extend_back(&beginning, version(6), &[], now));
    cache.tend_past(now);
    assert!(cache.events_since(version(6)).is_some());
    for at in [6, 9] {
        assert!(matches!(cache.state_at(version(at)), Past::Gone), "{at}");
    }
    assert!(state_at(&mut cache, 10).is_some());
}

#[test]
fn states_that_nobody_wants_go_though_nothing_happens() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut cache = filled(vec![Pod::new("ns", "a", 5).object()], 10);
    for at in [20, 30] {
        let state = Snapshot { resource_version: version(at), ..cache.snapshot().unwrap() };
        cache.keep(Arc::new(state));
    }
    assert!(cache.tend_past(start).is_empty());
    assert!(cache.tend_past(after(200)).is_empty());
    assert!(state_at(&mut cache, 20).is_some());
    let gone = cache.tend_past(after(horizon::AGE.as_secs()));
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].resource_version, version(30), "the other was wanted meanwhile");
}

proptest! {
    /// Whatever is kept, dropped or forgotten: a state that is told is the model's, and one that the
    /// log covers is told.
    #[test]
    fn states_are_those_of_the_model(
        steps in prop::collection::vec((write(), 0..12_u8), 1..100),
        log_bytes in prop_oneof![Just(1_u64 << 30), Just(20_000), Just(3_000)],
    ) {
        let mut history = History::new();
        let mut cache = filled(history.objects(), history.version);
        cache.limit_log(log_bytes, Instant::now());
        let first = history.version;
        let mut model = BTreeMap::from([(first, shown(&history))]);
        for (step, then) in steps {
            if let Some(event) = history.write(&step) {
                cache.apply([event], Instant::now()).1.unwrap();
            }
            if !matches!(step, Write::Elsewhere(_)) {
                model.insert(history.version, shown(&history));
            }
            match then {
                0 => drop(cache.keep(Arc::new(cache.snapshot().unwrap()))),
                1 => {
                    let at = (first + cache.resource_version().unwrap().get()) / 2;
                    if let Some(state) = state_at(&mut cache, at) {
                        cache.keep(Arc::new(state));
                    }
                }
                _ => {}
            }
        }
        let last = cache.resource_version().unwrap();
        let covered = cache.log_start().unwrap();
        for at in first..=last.get() {
            let state = state_at(&mut cache, at);
            prop_assert!(state.is_some() || version(at) < covered, "{at} of {covered}..{last}");
            if let Some(state) = state {
                prop_assert_eq!(state.resource_version, version(at));
                let expected = model.range(..=at).next_back().unwrap().1;
                prop_assert_eq!(&contents(&state), expected, "at {}", at);
                prop_assert_eq!(state.objects.len(), expected.len());
            }
        }
    }
}

/// Every object's bytes as a list has them, in the order of keys.
fn contents(state: &Snapshot) -> Vec<(String, Vec<u8>)> {
    let objects = state.objects.range(..);
    objects.map(|object| (object.key().as_str().to_owned(), object.core.to_vec())).collect()
}

fn shown(history: &History) -> Vec<(String, Vec<u8>)> {
    let objects = history.state.values().map(Pod::object);
    objects.map(|object| (object.key().as_str().to_owned(), object.core.to_vec())).collect()
}
