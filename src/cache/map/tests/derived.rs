//! What readers made of a map counts while anybody has it, and no longer.

use std::{ops::Bound, sync::Arc};

use super::{
    super::{Column, OrderedMap, Term},
    model::{object, search},
};
use crate::codec::{gzip::BlockDeflater, item_join::ItemJoin};

const ALL: (Bound<&str>, Bound<&str>) = (Bound::Unbounded, Bound::Unbounded);

fn map() -> OrderedMap {
    let objects = (0..300).map(|number| object(&format!("ns/{number:03}"), 1_000, 1)).collect();
    OrderedMap::from_objects(ItemJoin::Json, objects)
}

fn compress(map: &OrderedMap) {
    let mut deflater = BlockDeflater::new();
    map.pending_pages(..).for_each(|run| drop(run.compress(&mut deflater)));
}

/// What a walk over the pages finds.
fn blocks(map: &OrderedMap) -> u64 {
    map.pages(..).filter_map(|run| run.deflated()).map(|block| block.bytes.len() as u64).sum()
}

#[test]
fn deflated_pages_count_once_for_all_versions_that_have_them() {
    let mut map = map();
    compress(&map);
    let all = blocks(&map);
    assert!(all > 0 && map.deflated_bytes() == all);
    let before = map.clone();
    map.insert(object("ns/007", 1_000, 2));
    assert_eq!((map.deflated_bytes(), before.deflated_bytes()), (blocks(&map), blocks(&map)));
    compress(&map);
    assert_eq!(map.deflated_bytes(), blocks(&map), "the rest is the older version's, too");
    compress(&before);
    assert!(map.deflated_bytes() > blocks(&map), "made again for the older one");
    drop(before);
    assert_eq!(map.deflated_bytes(), blocks(&map));

    let sent = map.pages(..).next().and_then(|run| run.deflated()).unwrap();
    map.remove("ns/000");
    assert_eq!(map.deflated_bytes(), blocks(&map) + sent.bytes.len() as u64, "on its way");
    drop(sent);
    assert_eq!(map.deflated_bytes(), blocks(&map));
    let derived = Arc::clone(&map.derived);
    drop(map);
    assert_eq!(derived.deflated(), 0);
}

#[test]
fn places_count_until_the_last_version_that_has_them_is_gone() {
    let mut map = map();
    assert_eq!(map.place_bytes(), 0);
    let named = |name: &str| Term { column: Column::Name, value: name.into() };
    assert_eq!(search(&map, &named("007"), ALL).len(), 1);
    let one = map.place_bytes();
    // Eight bytes an object in its page, and as many in the branch above.
    assert!((300 * 16..300 * 32).contains(&one), "{one}");
    let label = Term { column: Column::Label("none".into()), value: "x".into() };
    search(&map, &label, ALL);
    let both = map.place_bytes();
    assert!(both > one);
    let before = map.clone();
    map.insert(object("ns/007", 1_000, 2));
    assert_eq!(map.place_bytes(), both, "the older version has them all");
    drop(before);
    assert!(map.place_bytes() < both, "a page and what is above it");
    let derived = Arc::clone(&map.derived);
    drop(map);
    assert_eq!(derived.places(), 0);
}
