//! Classes, shares, and the differences that are listed.

use crate::answer::{Answer, End};
use crate::case::{Case, Shape};
use crate::judge::Answers;
use crate::listed::{HEADINGS, listed};
use crate::tally::{Class, Tally};

const HIT: &str = "watchgate; hit";
const SERVED: [Class; 12] = [
    Class::GetAny,
    Class::GetNotOlder,
    Class::ListAny,
    Class::ListNotOlder,
    Class::ListExact,
    Class::ListContinue,
    Class::ListLatest,
    Class::WatchStateAny,
    Class::WatchStateNotOlder,
    Class::WatchStateLatest,
    Class::WatchEvents,
    Class::WatchPath,
];

fn answer(status: u16, body: &[u8]) -> Answer {
    Answer { status, headers: Vec::new(), body: body.to_vec(), end: End::Complete }
}

#[test]
fn classes_follow_from_what_is_asked() {
    let ok = answer(200, b"{}");
    for (shape, query, class) in [
        (Shape::Object, "", Class::GetLatest),
        (Shape::Object, "resourceVersion=0", Class::GetAny),
        (Shape::Object, "resourceVersion=5", Class::GetNotOlder),
        (Shape::Collection, "", Class::ListLatest),
        (Shape::Collection, "resourceVersion=0", Class::ListAny),
        (Shape::Collection, "resourceVersion=5", Class::ListNotOlder),
        (Shape::Collection, "resourceVersion=5&limit=1", Class::ListExact),
        (Shape::Collection, "resourceVersion=4&limit=1", Class::Older),
        (
            Shape::Collection,
            "resourceVersion=5&limit=1&fieldSelector=metadata.name=x",
            Class::ListExactName,
        ),
        (Shape::Collection, "continue=x", Class::ListContinue),
        (Shape::Collection, "watch=1&resourceVersion=4", Class::Older),
        (Shape::Collection, "resourceVersion=4", Class::ListNotOlder),
        (Shape::Collection, "watch=1", Class::WatchStateLatest),
        (Shape::Collection, "watch=1&resourceVersion=0", Class::WatchStateAny),
        (Shape::Collection, "watch=1&resourceVersion=5", Class::WatchEvents),
        (Shape::Collection, "watch=1&sendInitialEvents=0", Class::WatchEvents),
        (
            Shape::Collection,
            "watch=1&resourceVersion=5&sendInitialEvents=1&resourceVersionMatch=NotOlderThan",
            Class::WatchStateNotOlder,
        ),
        (Shape::WatchPath, "resourceVersion=0", Class::WatchPath),
        (Shape::Odd, "resourceVersion=0", Class::OddPath),
    ] {
        let mut case = Case::new(shape, "/api/v1/pods");
        case.query = query.split('&').map(str::to_owned).collect();
        assert_eq!(Class::of(&case, &ok, 5), class, "{shape:?} {query}");
        assert_eq!(Class::of(&case, &answer(400, b""), 5), Class::Refused);
    }
    let case = Case::new(Shape::Collection, "/api/v1/pods");
    for body in [&b"{\"type\":\"ERROR\",\"object\""[..], b"\0\0\0\x09\x0a\x05ERROR"] {
        assert_eq!(Class::of(&case, &answer(200, body), 5), Class::Refused);
    }
}

/// A hundred of every class that is served, of which so many are misses for this reason.
fn tally(reason: &str, misses: usize) -> Tally {
    let mut tally = Tally::default();
    for class in SERVED {
        for place in 0..100 {
            let miss = format!("watchgate; fwd=miss; detail={reason}");
            tally.add(class, if place < misses { &miss } else { HIT });
        }
    }
    tally
}

#[test]
fn a_share_below_the_bound_fails() {
    for reason in ["cold", "not-proven", "uncovered", "exact-version", "memory", "review"] {
        tally(reason, 5).check(0.95).unwrap();
        tally(reason, 6).check(0.95).unwrap_err();
    }
    // These are upstream's to answer.
    for reason in ["accept", "options", "quorum", "denied", "absent"] {
        tally(reason, 40).check(0.95).unwrap();
    }
}

#[test]
fn a_gateway_that_only_passes_on_fails() {
    tally("options", 100).check(0.95).unwrap_err();
    Tally::default().check(0.95).unwrap_err();
}

#[test]
fn the_table_shows_every_class_and_reason() {
    let tally = tally("cold", 5);
    assert_eq!(tally.all(), 1200);
    let table = tally.to_string();
    assert!(table.contains("ListAny") && table.contains("cold 5"), "{table}");
    tally.check(0.96).unwrap_err();
}

#[test]
fn listed_differences_are_written_down_and_never_about_objects() {
    let document = include_str!("../../../docs/COMPATIBILITY.md");
    for heading in HEADINGS {
        assert!(document.lines().any(|line| line == format!("### {heading}")), "{heading}");
    }
    let mut case = Case::new(Shape::Collection, "/api/v1/pods");
    case.query.push("labelSelector=a<3".to_owned());
    let answers = |ours: u16| Answers {
        before: answer(200, b"{}"),
        ours: answer(ours, b""),
        after: answer(200, b"{}"),
        together: false,
        written: 0,
    };
    assert!(listed(&case, &answers(400)).is_some());
    assert_eq!(listed(&case, &answers(200)), None);
    case.query[0] = "labelSelector=a%3C3".to_owned();
    assert_eq!(listed(&case, &answers(400)), None);
}
