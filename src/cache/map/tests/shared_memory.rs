//! What versions hold together is counted once.

use super::{super::bytes_apart, model::object};
use crate::{cache::map::OrderedMap, codec::item_join::ItemJoin};

#[test]
fn versions_are_charged_for_what_they_do_not_share() {
    let objects = (0..1000).map(|number| object(&format!("ns/{number:04}"), 5000, 1)).collect();
    let first = OrderedMap::from_objects(ItemJoin::Json, objects);
    assert_eq!(bytes_apart(&first, [&first.clone(), &first]), [0, 0]);

    let mut second = first.clone();
    second.insert(object("ns/0500", 5000, 2));
    // One object of one page, whose buffer both versions have, and handles to its neighbours.
    let apart = bytes_apart(&first, [&second, &second])[..].to_vec();
    assert!((5000..10_000).contains(&apart[0]), "{apart:?}");
    assert_eq!(apart[1], 0, "counted already");

    let mut other = first.clone();
    for number in 0..1000 {
        other.insert(object(&format!("ns/{number:04}"), 5000, 3));
    }
    let apart = bytes_apart(&other, [&second, &first]);
    assert!(apart[0] > 5_000_000, "the whole of what the present no longer has: {apart:?}");
    assert!(apart[1] < 100_000, "nearly all of it was counted with the other: {apart:?}");

    let none = OrderedMap::new(ItemJoin::Json);
    assert_eq!(bytes_apart(&none, [&none]), [0]);
    assert!(bytes_apart(&none, [&first])[0] >= first.item_bytes());
}
