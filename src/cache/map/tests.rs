//! The map against a naive model: a `BTreeMap` of the same objects.

mod derived;
mod model;
mod searches;
mod shared_memory;
mod sharing;

use std::ops::Bound;

use proptest::prelude::*;

use self::model::{Model, check, check_range, object, read};
use super::{KeyRange, OrderedMap};
use crate::codec::{gzip::BlockDeflater, item_join::ItemJoin};

const JOINS: [ItemJoin; 2] = [ItemJoin::Json, ItemJoin::Protobuf];

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Insert {
        key: u16,
        length: usize,
    },
    Remove {
        key: u16,
    },
    /// Keep a version.
    Keep,
    /// Deflate and search, so that a block or a place that outlives a change shows.
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![
        8 => 1..80_usize,
        8 => 400..700_usize,
        8 => 4_000..6_000_usize,
        1 => 20_000..120_000_usize,
    ];
    let step = prop_oneof![
        32 => (0..300_u16, length).prop_map(|(key, length)| Step::Insert { key, length }),
        18 => (0..300_u16).prop_map(|key| Step::Remove { key }),
        1 => Just(Step::Keep),
        2 => Just(Step::Read),
    ];
    prop::collection::vec(step, 0..400)
}

/// Bounds of a range over the keys of [`key`].
fn bound() -> impl Strategy<Value = Bound<String>> {
    prop_oneof![
        Just(Bound::Unbounded),
        (0..300_u16).prop_map(|number| Bound::Included(key(number))),
        (0..300_u16).prop_map(|number| Bound::Excluded(key(number))),
        "[a-z/]{0,3}".prop_map(Bound::Included),
    ]
}

fn key(number: u16) -> String {
    format!("ns-{}/name-{number}", number % 7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_a_sorted_map_and_keeps_its_versions(
        steps in steps(),
        ranges in prop::collection::vec((bound(), bound()), 1..3),
        json in any::<bool>(),
        prefilled in 0..300_u16,
    ) {
        let join = JOINS[usize::from(json)];
        let initial: Vec<_> =
            (300 - prefilled..300).map(|number| object(&key(number), 900 + usize::from(number), 1)).collect();
        let mut model: Model = initial.iter().map(|one| (one.key().to_string(), one.clone())).collect();
        let mut map = OrderedMap::from_objects(join, initial);
        let (mut kept, mut deflater) = (Vec::new(), BlockDeflater::new());
        for (version, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert { key: number, length } => {
                    let new = object(&key(number), length, version as u64 + 2);
                    let previous = model.insert(key(number), new.clone());
                    prop_assert_eq!(map.insert(new), previous);
                }
                Step::Remove { key: number } => {
                    prop_assert_eq!(map.remove(&key(number)), model.remove(&key(number)));
                }
                Step::Read => read(&map, &mut deflater),
                Step::Keep => kept.push((map.clone(), model.clone())),
            }
        }
        kept.push((map, model));
        for (map, model) in &kept {
            check(map, model);
            for (start, end) in &ranges {
                check_range(map, model, start.as_ref(), end.as_ref());
            }
        }
    }
}

/// Names that sort next to the slash or before it, prefixes of each other, beyond ASCII.
fn odd_key() -> impl Strategy<Value = String> {
    let name = "[a\u{1}!.~0\u{7f}é\u{10ffff}]{1,3}";
    prop_oneof![
        3 => (name, name).prop_map(|(namespace, name)| format!("{namespace}/{name}")),
        1 => name.prop_map(|name| name),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn odd_keys_are_as_good_as_others(
        steps in prop::collection::vec((odd_key(), prop::bool::weighted(0.7), 1..9_000_usize), 0..150),
        asked in prop::collection::vec(odd_key(), 1..4),
        json in any::<bool>(),
    ) {
        let (mut map, mut model) = (OrderedMap::new(JOINS[usize::from(json)]), Model::new());
        for (version, (key, inserts, length)) in steps.into_iter().enumerate() {
            if inserts {
                let new = object(&key, length, version as u64 + 1);
                prop_assert_eq!(map.insert(new.clone()), model.insert(key, new));
            } else {
                prop_assert_eq!(map.remove(&key), model.remove(&key));
            }
        }
        check(&map, &model);
        for key in &asked {
            check_range(&map, &model, Bound::Excluded(key), Bound::Unbounded);
            check_range(&map, &model, Bound::Unbounded, Bound::Included(key));
            let Some((namespace, name)) = key.split_once('/') else { continue };
            let inside = |range: &KeyRange| -> Vec<String> {
                map.range(range).map(|one| one.key().to_string()).collect()
            };
            let of_namespace = |key: &&String| key.split_once('/').is_some_and(|it| it.0 == namespace);
            let all: Vec<_> = model.keys().filter(of_namespace).cloned().collect();
            prop_assert_eq!(inside(&KeyRange::namespace(namespace)), all.clone());
            let after: Vec<_> = all.into_iter().filter(|one| one > key).collect();
            prop_assert_eq!(inside(&KeyRange::namespace(namespace).after(key)), after, "{}", name);
        }
    }
}

#[test]
fn grows_to_several_levels_and_shrinks_to_nothing() {
    for join in JOINS {
        let (mut map, mut model) = (OrderedMap::new(join), Model::new());
        // A full cycle modulo a prime, so that no order favours the tree.
        let keys: Vec<u32> = (0..1_499_u32).map(|step| (step * 611 + 700) % 1_499).collect();
        for number in &keys {
            let new = object(&format!("{number:05}"), 9_000, 1);
            model.insert(new.key().to_string(), new.clone());
            assert_eq!(map.insert(new), None);
        }
        let height = map.root.as_ref().map(|root| root.assert_sound(join));
        assert!(height >= Some(2), "{height:?}");
        check_range(&map, &model, Bound::Unbounded, Bound::Unbounded);
        for (step, number) in keys.iter().rev().enumerate() {
            let key = format!("{number:05}");
            assert_eq!(map.remove(&key), model.remove(&key));
            assert_eq!(map.remove(&key), None);
            if step == 700 {
                check(&map, &model);
            }
        }
        assert!(map.is_empty() && map.root.is_none());
        assert_eq!((map.len(), map.item_bytes(), map.resident_bytes()), (0, 0, 0));
    }
}

#[test]
fn a_small_remainder_does_not_hold_on_to_large_buffers() {
    let join = ItemJoin::Json;
    let objects = (0..2_000).map(|number| object(&format!("{number:05}"), 1_000, 1)).collect();
    let mut map = OrderedMap::from_objects(join, objects);
    for number in (0..2_000).filter(|number| number % 100 != 0) {
        map.remove(&format!("{number:05}"));
    }
    assert_eq!(map.len(), 20);
    let handles = 20 * 400;
    assert!(map.resident_bytes() < 2 * map.item_bytes() + handles, "{}", map.resident_bytes());
    let mut pages = 0;
    map.root.as_ref().unwrap().for_each_page(&mut |_| pages += 1);
    assert_eq!(pages, 1, "underfull neighbours are merged");
}

#[test]
fn of_two_objects_with_one_key_the_last_wins() {
    let objects = vec![object("b", 10, 1), object("a", 10, 2), object("b", 20, 3)];
    let map = OrderedMap::from_objects(ItemJoin::Json, objects);
    let versions: Vec<u64> = map.range(..).map(|one| one.resource_version().get()).collect();
    assert_eq!(versions, [2, 3]);
}

#[test]
fn an_object_that_lies_in_the_page_already_may_be_inserted_again() {
    for join in JOINS {
        let objects: Vec<_> = (0..9).map(|number| object(&number.to_string(), 300, 1)).collect();
        let mut model: Model =
            objects.iter().map(|one| (one.key().to_string(), one.clone())).collect();
        let mut map = OrderedMap::from_objects(join, objects);
        let mut shifted = object("3", 1, 9);
        shifted.core = map.get("3").unwrap().core.slice(5..);
        model.insert("3".into(), shifted.clone());
        map.insert(shifted);
        check(&map, &model);
    }
}

#[test]
fn what_leaves_the_map_holds_on_to_no_page() {
    let objects = (0..20).map(|number| object(&format!("{number:02}"), 5_000, 1)).collect();
    let mut map = OrderedMap::from_objects(ItemJoin::Json, objects);
    let written = map.clone();
    let place = |key: &str| written.get(key).map(|one| one.core.as_ptr());

    let changed = object("03", 5_000, 2);
    let replaced = map.insert(changed.clone()).unwrap();
    let removed = map.remove("04").unwrap();
    assert_ne!(Some(replaced.core.as_ptr()), place("03"));
    assert_ne!(Some(removed.core.as_ptr()), place("04"));
    let shared = map.remove("03").unwrap();
    assert_eq!(shared.core.as_ptr(), changed.core.as_ptr(), "an overlay's bytes are not copied");
}

#[test]
fn versions_and_what_is_read_from_them_may_cross_threads() {
    const fn crosses_threads<T: Send + Sync + 'static>() {}
    crosses_threads::<OrderedMap>();
    crosses_threads::<super::OwnedRange>();
    crosses_threads::<super::PageRuns>();
    crosses_threads::<super::PageRun>();
}

#[test]
fn a_namespace_is_a_range() {
    let keys = ["a-b/x", "a/x", "a/y", "a0/x", "b/x"];
    let objects = keys.iter().map(|key| object(key, 50, 1)).collect();
    let map = OrderedMap::from_objects(ItemJoin::Json, objects);
    let namespace = KeyRange::namespace("a");
    let found: Vec<_> = map.range(&namespace).map(|one| one.key().to_string()).collect();
    assert_eq!(found, ["a/x", "a/y"]);
    assert_eq!(map.count(&namespace), 2);
    assert_eq!(map.count(namespace.after("a/x")), 1);
}

#[test]
fn the_last_object_of_a_page_keeps_no_others_bytes() {
    let objects = vec![object("a/large", 50_000, 1), object("a/small", 500, 2)];
    let mut map = OrderedMap::from_objects(ItemJoin::Json, objects);
    assert!(map.resident_bytes() > 50_000);
    map.remove("a/large");
    assert!(map.resident_bytes() < 5000, "{}", map.resident_bytes());
}

#[test]
fn pages_are_pending_until_somebody_compresses_them() {
    let objects = (0..300).map(|number| object(&format!("{number:05}"), 1_000, 1)).collect();
    let mut map = OrderedMap::from_objects(ItemJoin::Json, objects);
    let mut deflater = BlockDeflater::new();
    let pages = map.pages(..).count();
    assert!(pages > 3);
    assert_eq!((map.pending_pages(..).count(), map.deflated_bytes()), (pages, 0));
    map.pending_pages(..).for_each(|run| drop(run.compress(&mut deflater)));
    let ready: usize = map.pages(..).map(|run| run.deflated().unwrap().bytes.len()).sum();
    assert_eq!((map.pending_pages(..).count(), map.deflated_bytes()), (0, ready as u64));

    let kept = map.clone();
    map.insert(object("00007", 1_000, 2));
    assert_eq!(map.pending_pages(..).count(), 1, "a change costs the block of one page");
    assert_eq!(kept.pending_pages(..).count(), 1, "which old versions do not hold on to");

    drop(kept);
    map.pending_pages(..).for_each(|run| drop(run.compress(&mut deflater)));
    map.insert(object("00007", 1_000, 3));
    assert_eq!(map.pending_pages(..).count(), 1, "also in a map that shares nothing");
    map.pending_pages(..).for_each(|run| drop(run.compress(&mut deflater)));
    map.remove("00007");
    assert_eq!(map.pending_pages(..).count(), 1);

    let part = (Bound::Included("00001"), Bound::Unbounded);
    let first = map.pages(part).next().unwrap();
    first.compress(&mut deflater);
    assert!(!first.is_whole() && first.deflated().is_none(), "a part of a page is not kept");
}
