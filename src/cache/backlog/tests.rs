//! Backlogs against a naive evaluation of the same history, and what must not pass for one.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::{
    cache::{
        fixture::{
            Pod, bookmark, codec,
            history::{History, QUESTIONS, Write, write},
            version,
        },
        log::LogBudget,
        map::OrderedMap,
        watch_cache::{Arrival, WatchCache},
    },
    codec::watch_event::Form,
};

const BUDGET: LogBudget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(600) };

fn filled(objects: Vec<Object>, at: u64, budget: LogBudget) -> WatchCache {
    let mut cache = WatchCache::new(&codec(), budget);
    cache
        .fill(Arrival::new(OrderedMap::from_objects(codec().item_join(), objects), version(at)))
        .0
        .unwrap();
    cache
}

fn pods(pods: &[Pod]) -> Vec<Object> {
    pods.iter().map(Pod::object).collect()
}

/// Pushes until complete.
fn push_all(backlog: &mut Backlog, events: impl IntoIterator<Item = WatchEvent>) -> Reach {
    let mut reach = backlog.reach();
    for event in events {
        if reach == Reach::Complete {
            break;
        }
        reach = backlog.push(event).unwrap();
    }
    reach
}

#[test]
fn neither_silence_nor_an_equal_state_is_the_end() {
    let cache = filled(pods(&[Pod::new("ns", "a", 5)]), 20, BUDGET);
    let then = cache.beginning().unwrap().versions();
    let mut backlog = Backlog::new(version(10), version(20), u64::MAX);
    assert_eq!(backlog.push(bookmark(19)), Ok(Reach::Short));
    assert!(!backlog.needs_state());
    assert_eq!(backlog.assemble(&then).err(), Some(Unusable::Incomplete));

    // An object that came and went leaves no trace in the state.
    let mut backlog = Backlog::new(version(10), version(20), u64::MAX);
    backlog.push(Pod::new("ns", "b", 12).event("ADDED")).unwrap();
    backlog.push(Pod::new("ns", "b", 13).event("DELETED")).unwrap();
    assert_eq!(backlog.push(bookmark(20)), Ok(Reach::Complete));
    let events = backlog.assemble(&then).unwrap();
    assert_eq!(events.len(), 2);
}

#[test]
fn an_event_at_or_beyond_the_logs_start_is_the_end() {
    let held = [Pod::new("ns", "a", 20)];
    let then = filled(pods(&held), 20, BUDGET).beginning().unwrap().versions();
    for (after, kept) in [(20, 1), (21, 0)] {
        let mut backlog = Backlog::new(version(10), version(20), u64::MAX);
        let pod = Pod::new("ns", "a", after);
        assert_eq!(backlog.push(pod.event("ADDED")), Ok(Reach::Complete));
        match backlog.assemble(&then) {
            Ok(events) => assert_eq!((events.len(), kept), (1, 1)),
            // Without its creation the shard's object has no origin.
            Err(error) => assert_eq!((error, kept), (Unusable::Inconsistent(pod_key("a")), 0)),
        }
    }
}

fn pod_key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

#[test]
fn events_that_do_not_lead_to_the_logs_state_are_refused() {
    let held = [Pod::new("ns", "a", 15), Pod::new("ns", "b", 4)];
    let then = filled(pods(&held), 20, BUDGET).beginning().unwrap().versions();
    let added = |name: &str, at| Pod::new("ns", name, at).event("ADDED");
    let changed = |name: &str, at| Pod::new("ns", name, at).event("MODIFIED");
    let deleted = |name: &str, at| Pod::new("ns", name, at).event("DELETED");
    let right = vec![changed("a", 14), changed("a", 15)];
    let state = [Pod::new("ns", "a", 3), Pod::new("ns", "b", 4)];
    for (events, state, wrong) in [
        (right.clone(), Some(state.to_vec()), None),
        (right.clone(), Some(vec![state[0].clone()]), Some("b")),
        (right.clone(), Some([&state[..], &[Pod::new("ns", "c", 2)]].concat()), Some("c")),
        (right, None, Some("a")),
        (vec![changed("a", 14)], Some(state.to_vec()), Some("a")),
        (vec![added("a", 15)], Some(state.to_vec()), Some("a")),
        (vec![added("a", 15)], None, None),
        (vec![], None, Some("a")),
        (vec![added("a", 15), added("a", 16)], None, Some("a")),
        (vec![added("a", 15), added("c", 16)], None, Some("c")),
        (vec![added("a", 15), deleted("c", 16)], Some(vec![state[1].clone()]), Some("c")),
    ] {
        let mut backlog = Backlog::new(version(10), version(20), u64::MAX);
        push_all(&mut backlog, events.into_iter().chain([bookmark(25)]));
        backlog.needs_state();
        if let Some(state) = state {
            backlog.add_state(pods(&state));
        }
        let refused = backlog.assemble(&then).err();
        assert_eq!(refused, wrong.map(|name| Unusable::Inconsistent(pod_key(name))));
    }
}

#[test]
fn streams_that_are_none_are_refused() {
    let mut backlog = Backlog::new(version(10), version(20), u64::MAX);
    let old = Pod::new("ns", "a", 10).event("ADDED");
    assert_eq!(backlog.push(old), Err(Unusable::OutOfOrder(version(10))));
    let status = UpstreamStatus { code: 410, ..UpstreamStatus::default() };
    let error = WatchEvent::Error(status.clone());
    assert_eq!(backlog.push(error), Err(Unusable::Refused(status)));
}

#[test]
fn a_log_that_moved_is_not_extended() {
    let now = Instant::now();
    let mut cache = filled(vec![], 20, LogBudget { bytes: 3000, ..BUDGET });
    let beginning = cache.beginning().unwrap();
    let events = (30..60).map(|at| Pod::new("ns", &format!("x{at}"), at).event("ADDED"));
    cache.apply(events, now).1.unwrap();
    assert!(cache.log_start() > Some(version(20)), "trimmed");
    assert!(!cache.extend_back(&beginning, version(10), &[], now));

    let mut cache = filled(vec![], 20, BUDGET);
    let beginning = cache.beginning().unwrap();
    drop(cache.clear());
    assert!(!cache.extend_back(&beginning, version(10), &[], now), "nothing is held");
    let empty = || OrderedMap::from_objects(codec().item_join(), vec![]);
    cache.fill(Arrival::new(empty(), version(20))).0.unwrap();
    assert!(!cache.extend_back(&beginning, version(10), &[], now), "another history");

    let beginning = cache.beginning().unwrap();
    cache.fill(Arrival::new(empty(), version(25))).0.unwrap();
    assert!(!cache.extend_back(&beginning, version(10), &[], now), "filled anew");
    let beginning = cache.beginning().unwrap();
    assert!(cache.extend_back(&beginning, version(10), &[], now));
    assert_eq!(cache.log_start(), Some(version(10)));
    assert!(!cache.extend_back(&beginning, version(5), &[], now), "extended meanwhile");
}

/// A cache filled in the middle of a history, extended backwards to an earlier point of it.
struct Extended {
    history: History,
    cache: WatchCache,
    asked: u64,
    filled: u64,
    backlog: Backlog,
}

fn extended(writes: &[Write], from: usize, fill: usize, room: u64) -> Extended {
    let mut history = History::new();
    let (mut asked, mut state_then) = (history.version, vec![]);
    let mut stream = Vec::new();
    let mut cache = None;
    for (place, write) in writes.iter().enumerate() {
        if place == from {
            (asked, state_then) = (history.version, history.objects());
        }
        if place == fill {
            cache = Some((filled(history.objects(), history.version, BUDGET), history.version));
        }
        let event = history.write(write);
        if place >= from {
            stream.extend(event.clone());
        }
        if let (Some((cache, _)), Some(event)) = (&mut cache, event) {
            cache.apply([event], Instant::now()).1.unwrap();
        }
    }
    let (cache, filled) = cache.expect("the fill is one of the places");
    let mut backlog = Backlog::new(version(asked), version(filled), room);
    push_all(&mut backlog, stream.iter().cloned().chain([bookmark(history.version)]));
    if backlog.needs_state() {
        // What the store held at the backlog's start, which may have risen for want of room.
        let began = backlog.start().get();
        let mut then: HashMap<_, _> =
            state_then.into_iter().map(|object| (object.key().clone(), object)).collect();
        for event in stream {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object)
                    if object.resource_version().get() <= began =>
                {
                    then.insert(object.key().clone(), object);
                }
                WatchEvent::Deleted(object) if object.resource_version().get() <= began => {
                    then.remove(object.key());
                }
                _ => {}
            }
        }
        backlog.add_state(then.into_values().collect());
    }
    Extended { history, cache, asked, filled, backlog }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_extended_log_tells_what_happened(
        writes in prop::collection::vec(write(), 1..60),
        (from, fill) in (0..60_usize, 0..60_usize),
        room in prop_oneof![Just(u64::MAX), 0..20_000_u64],
    ) {
        let (from, fill) = (from % writes.len(), fill % writes.len());
        let (from, fill) = (from.min(fill), from.max(fill));
        let Extended { history, mut cache, asked, filled, backlog } =
            extended(&writes, from, fill, room);
        let beginning = cache.beginning().unwrap();
        prop_assert_eq!(beginning.version, version(filled));
        let start = backlog.start();
        let events = backlog.assemble(&beginning.versions()).unwrap();
        prop_assert!(cache.extend_back(&beginning, start, &events, Instant::now()));
        prop_assert_eq!(cache.log_start(), Some(start));
        if room == u64::MAX {
            prop_assert_eq!(start, version(asked));
        }
        let weight: u64 = events.iter().map(|event| event.weight()).sum();
        prop_assert!(weight <= room);
        for question in &QUESTIONS {
            let audience = question.audience();
            for after in start.get()..=history.version {
                let replay = cache.events_since(version(after)).unwrap();
                let found: Vec<_> = replay
                    .filter_map(|event| {
                        let frame = event.frame(event.seen_through(&audience)?, Form::Full, &codec());
                        let text = String::from_utf8(frame.to_vec()).unwrap();
                        Some((event.resource_version().get(), text))
                    })
                    .collect();
                prop_assert_eq!(found, history.frames_after(question, after));
            }
        }
    }

    #[test]
    fn the_last_event_of_an_object_can_not_be_missing(
        writes in prop::collection::vec(write(), 2..40),
        (from, missing) in (0..40_usize, 0..40_usize),
    ) {
        let from = from % writes.len();
        let Extended { cache, mut backlog, .. } = extended(&writes, from, writes.len() - 1, u64::MAX);
        let last: Vec<_> = (0..backlog.events.len())
            .filter(|place| {
                let key = backlog.events[*place].1.key();
                backlog.events.range(place + 1..).all(|(_, later)| later.key() != key)
            })
            .collect();
        prop_assume!(!last.is_empty());
        let missing = last[missing % last.len()];
        let (kind, object) = backlog.events.remove(missing).unwrap();
        let earlier = backlog.events.iter().any(|(_, other)| other.key() == object.key());
        // Nothing tells of a deletion that is the only event when the state before is not known, nor
        // of an object that came and went: for that the stream must be whole.
        let unseen = kind == EventKind::Deleted && !earlier && backlog.state.is_none();
        prop_assume!(!unseen);
        let then = cache.beginning().unwrap().versions();
        prop_assert!(matches!(backlog.assemble(&then), Err(Unusable::Inconsistent(_))));
    }
}
