//! What the judge lets pass, and that it finds everything else.

use crate::answer::{Answer, End};
use crate::case::{Case, Position, Shape};
use crate::judge::{Answers, Verdict, judge};
use crate::mangle::manglings;

fn answer(status: u16, body: &str) -> Answer {
    let lines = [
        ("audit-id", "12345678-1234-1234-1234-123456789012"),
        ("cache-control", "no-cache, private"),
        ("content-type", "application/json"),
        ("date", "Sat, 21 Nov 2026 15:01:59 GMT"),
    ];
    let headers = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Answer { status, headers, body: body.as_bytes().to_vec(), end: End::Complete }
}

fn case(target: &str) -> Case {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let shape = if path.ends_with('s') { Shape::Collection } else { Shape::Object };
    let mut case = Case::new(shape, path);
    case.query = query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    case
}

fn three(before: &Answer, ours: &Answer, after: &Answer) -> Answers {
    let (before, ours, after) = (before.clone(), ours.clone(), after.clone());
    Answers { before, ours, after, together: false, written: 700 }
}

fn list(version: u64, token: &str) -> Answer {
    answer(
        200,
        &format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[{{"metadata":{{"name":"a","resourceVersion":"650"}},"data":{{"continue":"x"}}}},{{"metadata":{{"name":"b","resourceVersion":"700"}}}}]}}"#
        ),
    )
}

fn token(version: u64, start: &str) -> String {
    Position::token(&format!(r#"{{"v":"meta.k8s.io/v1","rv":{version},"start":"{start}"}}"#))
}

#[test]
fn versions_and_tokens_of_a_list_may_move_within_their_bounds() {
    let slashed = |version| list(version, &token(version, r"/ns/b\u0000"));
    let bare = |version| list(version, &token(version, r"ns/b\u0000"));
    let verdict = |target: &str, versions: [u64; 3]| {
        let [before, ours, after] = versions;
        judge(&case(target), &three(&slashed(before), &bare(ours), &slashed(after)))
    };
    for (target, versions, same) in [
        ("/api/v1/pods?limit=2", [700, 701, 702], true),
        ("/api/v1/pods?limit=2", [700, 699, 702], false),
        ("/api/v1/pods?limit=2", [701, 703, 702], false),
        // Direct answers that were given before the last write say too little.
        ("/api/v1/pods?limit=2", [690, 695, 702], false),
        ("/api/v1/pods?resourceVersion=0", [700, 650, 702], true),
        ("/api/v1/pods?resourceVersion=0", [700, 703, 702], false),
        ("/api/v1/pods?resourceVersion=660", [700, 660, 702], true),
        ("/api/v1/pods?resourceVersion=660", [700, 659, 702], false),
        ("/api/v1/pods?resourceVersion=660&limit=2", [660, 660, 660], true),
        ("/api/v1/pods?resourceVersion=660&limit=2", [660, 661, 660], false),
        ("/api/v1/pods?resourceVersion=660&resourceVersionMatch=Exact", [660, 659, 660], false),
    ] {
        let verdict = verdict(target, versions);
        assert_eq!(verdict == Verdict::Same, same, "{target} {versions:?}: {verdict:?}");
    }
}

#[test]
fn a_token_belongs_to_its_list_and_leads_to_the_same_place() {
    let target = case("/api/v1/pods?limit=2");
    let right = list(700, &token(700, r"/ns/b\u0000"));
    for wrong in [
        token(701, r"/ns/b\u0000"),
        token(700, r"/ns/c\u0000"),
        "nonsense".to_owned(),
        String::new(),
    ] {
        let ours = list(700, &wrong);
        let verdict = judge(&target, &three(&right, &ours, &right));
        assert!(matches!(verdict, Verdict::Different(_)), "{wrong}: {verdict:?}");
    }
}

#[test]
fn direct_answers_that_differ_say_nothing() {
    let target = case("/api/v1/pods");
    let (right, other) = (list(700, ""), answer(200, r#"{"kind":"PodList","items":[]}"#));
    let verdict = judge(&target, &three(&right, &other, &other));
    assert!(matches!(verdict, Verdict::Unsettled(_)), "{verdict:?}");
}

#[test]
fn only_listed_headers_are_free() {
    let target = case("/api/v1/namespaces/ns/pods/a");
    let right = answer(200, r#"{"kind":"Pod","metadata":{"resourceVersion":"5"}}"#);
    let mut ours = right.clone();
    ours.headers.retain(|(name, _)| name != "date");
    for (name, value) in [
        ("via", "1.1 watchgate"),
        ("cache-status", "watchgate; hit"),
        ("content-length", "49"),
        ("audit-id", "87654321-1234-1234-1234-123456789012"),
    ] {
        ours.headers.retain(|(own, _)| own != name);
        ours.headers.push((name.to_owned(), value.to_owned()));
    }
    ours.headers.sort();
    assert_eq!(judge(&target, &three(&right, &ours, &right)), Verdict::Same);
    let (_, value) = ours.headers.iter_mut().find(|(name, _)| name == "content-length").unwrap();
    "50".clone_into(value);
    let verdict = judge(&target, &three(&right, &ours, &right));
    assert!(matches!(verdict, Verdict::Different(_)), "{verdict:?}");
}

#[test]
fn every_mangled_answer_is_found() {
    let custom = r#"{"apiVersion":"g.io/v1","items":[{"kind":"Foo","metadata":{"resourceVersion":"3"}}],"kind":"FooList","metadata":{"continue":"","resourceVersion":"812"}}"#;
    let watch = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n\
        {\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"b\"}}}\n\
        {\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"712\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n\
        {\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n";
    let missing =
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":404}"#;
    for (target, right) in [
        ("/api/v1/pods?limit=2", list(750, &token(750, r"/ns/b\u0000"))),
        ("/api/v1/pods?resourceVersion=750", list(750, "")),
        ("/apis/g.io/v1/foos", answer(200, custom)),
        ("/api/v1/pods?watch=1&timeoutSeconds=1", answer(200, watch)),
        ("/api/v1/namespaces/ns/pods/a", answer(200, r#"{"metadata":{"resourceVersion":"5"}}"#)),
        ("/api/v1/namespaces/ns/pods/b", answer(404, missing)),
    ] {
        let target = case(target);
        assert_eq!(judge(&target, &three(&right, &right, &right)), Verdict::Same, "{target:?}");
        let wrong = manglings(&target, &right);
        assert!(wrong.len() > 15, "{target:?}: {}", wrong.len());
        for (name, ours) in wrong {
            let verdict = judge(&target, &three(&right, &ours, &right));
            assert!(matches!(verdict, Verdict::Different(_)), "{name}: {target:?}");
        }
    }
}

#[test]
fn bookmarks_may_come_or_not_but_have_their_form() {
    let target = case("/api/v1/pods?watch=1&timeoutSeconds=5&allowWatchBookmarks=true");
    let event = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n";
    let bookmark = |version: u64, more: &str| {
        format!(
            "{{\"type\":\"BOOKMARK\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{version}\"{more}}}}}}}\n"
        )
    };
    let with = |rest: &str| answer(200, &format!("{event}{rest}"));
    let right = with(&bookmark(712, ""));
    let same = with(&format!("{}{}", bookmark(713, ""), bookmark(714, "")));
    for (ours, expected) in
        [(&same, true), (&with(""), true), (&with(&bookmark(712, ",\"x\":1")), false)]
    {
        let verdict = judge(&target, &three(&right, ours, &right));
        assert_eq!(verdict == Verdict::Same, expected, "{verdict:?}");
    }
}

#[test]
fn what_a_race_decides_upstream_is_compared_as_far_as_both_got() {
    let target = case("/api/v1/pods?watch=1&timeoutSeconds=-1");
    let (event, other) =
        ("{\"type\":\"ADDED\",\"object\":{}}\n", "{\"type\":\"ADDED\",\"object\":1}\n");
    let (none, some) = (answer(200, ""), answer(200, event));
    assert_eq!(judge(&target, &three(&some, &none, &some)), Verdict::Same);
    let verdict = judge(&target, &three(&some, &answer(200, other), &some));
    assert!(matches!(verdict, Verdict::Different(_)), "{verdict:?}");
}
