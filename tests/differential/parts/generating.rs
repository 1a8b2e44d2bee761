//! The generator reaches the whole space, the same way for the same seed.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::{Asker, Case, Shape};
use crate::generate::Generator;
use crate::kinds::KINDS;
use crate::world::{Token, World};

fn world() -> World {
    let mut world = World::new();
    for kind in 0..KINDS.len() {
        world.saw(kind, 300);
        world.wrote(kind, 400);
        let text = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NDAwLCJzdGFydCI6Ii9hXHUwMDAwIn0".to_owned();
        world.keep(Token { kind, namespace: None, text });
    }
    world
}

fn cases(seed: u64, count: u64) -> Vec<Case> {
    let world = world();
    (0..count).map(|number| Generator::new(&world, seed, number).case()).collect()
}

#[test]
fn a_seed_is_a_sequence() {
    assert_eq!(cases(5, 500), cases(5, 500));
    assert_ne!(cases(5, 500), cases(6, 500));
}

#[test]
fn every_type_option_shape_and_asker_occurs() {
    let cases = cases(1, 20_000);
    let mut options: BTreeMap<String, usize> = BTreeMap::new();
    for pair in cases.iter().flat_map(|case| &case.query) {
        let key = pair.split_once('=').map_or(pair.as_str(), |(key, _)| key);
        *options.entry(key.to_owned()).or_default() += 1;
    }
    for option in [
        "labelSelector",
        "fieldSelector",
        "watch",
        "allowWatchBookmarks",
        "sendInitialEvents",
        "resourceVersion",
        "resourceVersionMatch",
        "timeoutSeconds",
        "limit",
        "continue",
        "pretty",
        "timeout",
        "export",
        "includeObject",
        "shardSelector",
    ] {
        assert!(options.get(option).is_some_and(|count| *count > 20), "{option}: {options:?}");
    }
    let count = |what: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| what(case)).count();
    for kind in KINDS {
        let found =
            count(&|case| case.path.contains(kind.group) && case.path.contains(kind.resource));
        assert!(found > 40, "{}: {found}", kind.resource);
    }
    for shape in [Shape::Object, Shape::Collection, Shape::WatchPath, Shape::Odd] {
        assert!(count(&|case| case.shape == shape) > 100, "{shape:?}");
    }
    for asker in [Asker::Reader, Asker::Local, Asker::Nobody, Asker::Wrong] {
        assert!(count(&|case| case.asker == asker) > 20, "{asker:?}");
    }
    assert!(count(&|case| case.method == "HEAD") > 50);
    assert!(count(&|case| case.http2) > 1_000);
    // What costs seconds is seldom.
    assert!(count(&Case::may_watch) < 6_000);
    let future = |case: &Case| {
        let version = case.option("resourceVersion").and_then(|text| text.parse::<u64>().ok());
        version.is_some_and(|version| version > 1_000_000)
    };
    assert!((10..300).contains(&count(&future)), "{}", count(&future));
}

#[test]
fn no_request_is_two() {
    let mut accepts = BTreeSet::new();
    for case in cases(2, 5_000) {
        let text = case.request("localhost", Some("Bearer x"));
        let (head, rest) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(rest, "");
        let first = head.split("\r\n").next().unwrap();
        assert_eq!(first.split(' ').count(), 3, "{first}");
        assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "{head}");
        accepts.extend(
            case.headers
                .iter()
                .filter(|(name, _)| *name == "Accept")
                .map(|(_, value)| value.clone()),
        );
    }
    assert!(accepts.len() > 30, "{accepts:?}");
}
