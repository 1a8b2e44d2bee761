//! The log against a plain list of every event that was ever pushed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    cache::fixture::{Pod, codec, version},
    codec::watch_event::{EventKind, Form},
};

fn event(number: u64) -> Arc<Event> {
    let object = Pod::new("ns", "a", number).object();
    Arc::new(Event::new(Change::Set { object, previous: None }))
}

fn numbers(replay: Replay) -> Vec<u64> {
    replay.map(|event| event.resource_version().get()).collect()
}

fn log(bytes: u64, seconds: u64) -> Log {
    Log::new(version(10), LogBudget { bytes, age: Duration::from_secs(seconds) })
}

#[test]
fn an_empty_log_reaches_back_to_its_start() {
    let log = log(1 << 20, 60);
    assert!(log.is_empty());
    assert_eq!(log.since(version(10)).map(numbers), Some(vec![]));
    assert_eq!(log.since(version(99)).map(numbers), Some(vec![]), "a version still to come");
    assert!(log.since(version(9)).is_none());
}

#[test]
fn old_events_go_and_young_ones_stay() {
    let now = Instant::now();
    let mut log = log(1 << 30, 60);
    for number in 0..2 * CHUNK as u64 {
        log.push(event(11 + number), now);
    }
    log.trim(now + Duration::from_secs(60));
    assert_eq!(log.start(), version(10), "nothing is older than a minute");
    log.trim(now + Duration::from_secs(61));
    assert_eq!(log.start(), version(10 + 2 * CHUNK as u64));
    assert!(log.is_empty());
    assert_eq!(log.weight(), 0);
    log.trim(now - Duration::from_secs(1));
}

#[test]
fn a_lower_limit_holds_at_once() {
    let now = Instant::now();
    let mut log = log(1 << 30, 60);
    for number in 0..CHUNK as u64 / 2 {
        log.push(event(11 + number), now);
    }
    let weight = log.weight();
    log.limit(weight / 2, now);
    assert!(log.weight() <= weight / 2, "{} of {weight}", log.weight());
    log.limit(0, now);
    assert_eq!((log.weight(), log.len()), (0, 0));
    let last = version(10 + CHUNK as u64 / 2);
    assert_eq!(log.start(), last);
    assert_eq!(log.since(last).map(numbers), Some(vec![]));
}

#[test]
fn a_replay_is_not_touched_by_what_comes_later() {
    let now = Instant::now();
    let mut log = log(1 << 30, 60);
    (11..1000).for_each(|number| log.push(event(number), now));
    let replay = log.since(version(500)).unwrap();
    log.push(event(1000), now);
    log.limit(0, now);
    assert_eq!(numbers(replay), (501..1000).collect::<Vec<_>>());
}

#[test]
fn what_is_put_before_is_read_first_and_goes_first() {
    let now = Instant::now();
    for count in [0, 1, CHUNK, 2 * CHUNK + 7] {
        let first = 1000 - count as u64;
        let mut log = Log::new(version(999), LogBudget { bytes: 1 << 20, age: Duration::MAX });
        (1000..1300).for_each(|number| log.push(event(number), now));
        let weight = log.weight();
        let earlier: Vec<_> = (first..1000).map(event).collect();
        assert!(log.prepend(version(first - 1), &earlier, now));
        assert_eq!(log.start(), version(first - 1));
        assert!(log.since(version(first - 2)).is_none());
        assert_eq!(log.weight(), weight + earlier.iter().map(|event| event.weight()).sum::<u64>());
        for after in [first - 1, first, 999, 1000, 1200] {
            let expected: Vec<_> = (after.max(first - 1) + 1..1300).collect();
            assert_eq!(log.since(version(after)).map(numbers), Some(expected), "{count}");
        }
        log.limit(weight, now);
        assert!(log.start() >= version(999) && log.weight() <= weight, "{count}");
        assert_eq!(numbers(log.since(log.start()).unwrap()).last(), Some(&1299));
    }
}

#[test]
fn what_has_no_room_or_comes_later_is_not_put_before() {
    let now = Instant::now();
    let mut log = log(1 << 20, 60);
    (11..20).for_each(|number| log.push(event(number), now));
    log.limit(log.weight() + event(9).weight(), now);
    assert!(!log.prepend(version(7), &[event(8), event(9)], now), "no room");
    assert!(!log.prepend(version(11), &[], now), "not before");
    assert_eq!((log.start(), log.len()), (version(10), 9));
    assert!(log.prepend(version(8), &[event(9)], now));
    assert_eq!(log.since(version(8)).map(numbers).unwrap().len(), 10);
}

/// A change of one of a few objects: what it replaced is shared with the event that brought it.
fn change(log: &Log, present: &mut BTreeMap<u64, Object>, key: u64, number: u64) -> Arc<Event> {
    let name = format!("pod-{key}");
    let object = Pod::new("ns", &name, number).node("n1").object();
    let previous = present.insert(key, object.clone()).map(|previous| {
        // As the map hands it out: a copy.
        log.share(Object { core: Bytes::copy_from_slice(&previous.core), ..previous })
    });
    let change = match previous {
        Some(previous) if number.is_multiple_of(7) => {
            present.remove(&key);
            Change::Deleted { object, previous }
        }
        previous => Change::Set { object, previous },
    };
    Arc::new(Event::new(change).counted(log.frames_made()))
}

/// What the events of a log really hold: every core and every set of attributes once.
fn held(log: &Log) -> u64 {
    let mut seen = BTreeSet::new();
    let events = log.since(log.start()).unwrap();
    let mut bytes = 0;
    for event in events {
        bytes += event.weight();
        for object in [Some(event.object()), event.previous()].into_iter().flatten() {
            if !seen.insert(object.core.as_ptr() as usize) {
                bytes -= object_bytes(object);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_events_share_is_counted_once(
        keys in prop::collection::vec(0..40_u64, 0..900),
        limits in prop::collection::vec((0..900_usize, 0..200_u64), 0..3),
    ) {
        let now = Instant::now();
        let mut log = log(1 << 30, 60);
        let mut present = BTreeMap::new();
        for (place, key) in keys.into_iter().enumerate() {
            let event = change(&log, &mut present, key, 11 + place as u64);
            log.push(event, now);
            for (_, limit) in limits.iter().filter(|(when, _)| *when == place) {
                log.limit(limit << 10, now);
            }
            if place % 97 == 0 {
                prop_assert_eq!(log.weight(), held(&log));
            }
        }
        prop_assert_eq!(log.weight(), held(&log));
        log.limit(0, now);
        prop_assert_eq!(log.weight(), 0);
    }
}

#[test]
fn frames_that_are_made_count_and_go_with_their_events() {
    let (now, codec) = (Instant::now(), codec());
    let mut log = log(1 << 30, 60);
    for number in 11..11 + 2 * CHUNK as u64 {
        let object = Pod::new("ns", "a", number).object();
        let change = Change::Set { object, previous: None };
        log.push(Arc::new(Event::new(change).counted(log.frames_made())), now);
    }
    let before = log.weight();
    let replay = log.since(log.start()).unwrap();
    let made: u64 =
        replay.map(|event| event.frame(EventKind::Added, Form::Full, &codec).len() as u64).sum();
    log.limit(1 << 30, now);
    assert_eq!(log.weight(), before + made);
    log.limit(before / 2, now);
    assert!(log.weight() <= before / 2);
    log.limit(0, now);
    assert_eq!(log.weight(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn since_yields_every_later_event_or_says_that_it_cannot(
        gaps in prop::collection::vec(1..5_u64, 0..700),
        kilobytes in prop_oneof![Just(0), 1..40_u64, Just(1 << 20)],
        seconds in 1..30_u64,
        limits in prop::collection::vec((0..700_usize, 0..40_u64), 0..3),
    ) {
        let began = Instant::now();
        let mut log = log(kilobytes << 10, seconds);
        let mut all = Vec::new();
        let mut number = 10;
        for (place, gap) in gaps.into_iter().enumerate() {
            // A second passes every tenth event.
            let now = began + Duration::from_secs(place as u64 / 10);
            number += gap;
            let event = event(number);
            all.push((number, event.weight()));
            log.push(event, now);
            for (_, limit) in limits.iter().filter(|(when, _)| *when == place) {
                log.limit(limit << 10, now);
            }
            prop_assert!(log.weight() <= log.budget.bytes, "over its budget");
            if place % 97 == 0 {
                check(&log, &all)?;
            }
        }
        check(&log, &all)?;
    }
}

/// `all` are versions and weights of every event ever pushed.
fn check(log: &Log, all: &[(u64, u64)]) -> Result<(), TestCaseError> {
    let last = all.last().map_or(10, |(number, _)| *number);
    let start = log.start().get();
    let kept = || all.iter().copied().filter(|(number, _)| *number > start);
    prop_assert_eq!(log.len(), kept().count());
    prop_assert_eq!(log.is_empty(), kept().next().is_none());
    prop_assert_eq!(log.weight(), kept().map(|(_, weight)| weight).sum::<u64>());
    for asked in (1..last + 3).step_by(31).chain([start, start.saturating_sub(1).max(1), last]) {
        let found = log.since(version(asked)).map(numbers);
        let later = || kept().map(|(number, _)| number).filter(|number| *number > asked).collect();
        let expected = (asked >= start).then(later);
        prop_assert_eq!(found, expected, "since {}", asked);
    }
    Ok(())
}
