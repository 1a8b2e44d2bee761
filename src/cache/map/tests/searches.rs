//! What searches cost, over more objects than a subtree keeps places of.

use std::ops::{Bound, ControlFlow};

use super::{
    super::{Column, OrderedMap, Term, TooLong},
    model::{object, search},
};
use crate::codec::{item_join::ItemJoin, object::Object};

const ALL: (Bound<&str>, Bound<&str>) = (Bound::Unbounded, Bound::Unbounded);

fn large() -> OrderedMap {
    let objects = (0..10_000).map(|number| object(&key(number), 1000, number + 1)).collect();
    OrderedMap::from_objects(ItemJoin::Json, objects)
}

fn key(number: u64) -> String {
    format!("ns/{number:05}")
}

fn named(number: u64) -> Term {
    Term { column: Column::Name, value: format!("{number:05}").into() }
}

/// The least number of looks that suffices.
fn looks(map: &OrderedMap, term: &Term) -> usize {
    (0..)
        .find(|looks| map.search(term, .., *looks, |_, _| ControlFlow::Continue(())).is_ok())
        .unwrap()
}

#[test]
fn a_column_is_learned_once_and_a_change_costs_its_surroundings() {
    let mut map = large();
    let too_few = map.search(&named(4321), .., 5000, |_, _| ControlFlow::Continue(()));
    assert_eq!(too_few, Err(TooLong));
    assert_eq!(search(&map, &named(4321), ALL).len(), 1);
    assert!(looks(&map, &named(1234)) < 30, "another value, the same column");
    let learned = map.place_bytes();
    assert!((150_000..250_000).contains(&learned), "{learned}");

    let before = map.clone();
    map.insert(object(&key(1234), 1000, 20_000));
    assert!(looks(&map, &named(1234)) < 500);
    assert!(looks(&before, &named(1234)) < 30);
    map.remove(&key(1234));
    assert_eq!(search(&map, &named(1234), ALL), Vec::<&Object>::new());
    assert_eq!(search(&before, &named(1234), ALL).len(), 1);
}

#[test]
fn a_small_range_is_not_worth_learning_more_of() {
    let map = large();
    let range = (Bound::Included("ns/05000"), Bound::Excluded("ns/05100"));
    assert_eq!(search(&map, &named(5050), range).len(), 1);
    assert!(search(&map, &named(5100), range).is_empty());
    assert!(map.place_bytes() < 20_000, "{}", map.place_bytes());
}
