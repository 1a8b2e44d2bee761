//! What is read off the text of a request.

use crate::case::{Asker, Bound, Case, Position, Shape};

fn with(query: &str) -> Case {
    let mut case = Case::new(Shape::Collection, "/api/v1/pods");
    case.query = query.split('&').map(str::to_owned).collect();
    case
}

#[test]
fn options_are_read_as_the_api_server_reads_them() {
    for (query, value) in [
        ("limit=5", Some("5")),
        ("limit", Some("")),
        ("limit=1&limit=2", Some("1")),
        ("%6cimit=7", Some("7")),
        ("limit=a+b%20c", Some("a b c")),
        ("limit=5;x&limit=6", Some("6")),
        ("limit=%zz", None),
        ("Limit=5", None),
    ] {
        assert_eq!(with(query).option("limit").as_deref(), value, "{query}");
    }
}

#[test]
fn watches_are_told_by_their_options_or_path() {
    for (query, watches) in [
        ("watch=1", true),
        ("watch", true),
        ("watch=", true),
        ("watch=no", true),
        ("watch=0", false),
        ("watch=False", false),
        ("watch=false&watch=1", false),
        ("limit=1", false),
    ] {
        assert_eq!(with(query).may_watch(), watches, "{query}");
    }
    let mut object = Case::new(Shape::Object, "/api/v1/nodes/x");
    object.query.push("watch=1".to_owned());
    assert!(!object.may_watch());
    assert!(Case::new(Shape::WatchPath, "/api/v1/watch/pods").may_watch());
}

#[test]
fn bounds_follow_from_version_match_limit_and_token() {
    let token = |version: i64| {
        Position::token(&format!(r#"{{"v":"meta.k8s.io/v1","rv":{version},"start":"/a\u0000"}}"#))
    };
    for (query, bound) in [
        (String::new(), Bound::Latest),
        ("resourceVersion=".into(), Bound::Latest),
        ("resourceVersion=0".into(), Bound::AtLeast(0)),
        ("resourceVersion=0&limit=1".into(), Bound::AtLeast(0)),
        ("resourceVersion=7".into(), Bound::AtLeast(7)),
        ("resourceVersion=7&limit=1".into(), Bound::Same),
        ("resourceVersion=7&limit=0".into(), Bound::AtLeast(7)),
        ("resourceVersion=7&limit=1&resourceVersionMatch=NotOlderThan".into(), Bound::AtLeast(7)),
        ("resourceVersion=7&resourceVersionMatch=Exact".into(), Bound::Same),
        ("watch=1&resourceVersion=7&limit=1".into(), Bound::AtLeast(7)),
        (format!("continue={}", token(7)), Bound::Same),
        (format!("continue={}", token(-1)), Bound::Latest),
        (format!("watch=1&continue={}", token(7)), Bound::Latest),
    ] {
        assert_eq!(with(&query).bound(), bound, "{query}");
    }
}

#[test]
fn the_curl_line_sends_what_was_sent_and_no_token() {
    let mut case = with("fieldSelector=a'b");
    case.headers = vec![("Accept", "x/y".to_owned()), ("User-Agent", String::new())];
    let line = case.curl();
    let target = r#""$SERVER"'/api/v1/pods?fieldSelector=a'\''b'"#;
    assert!(line.ends_with(target), "{line}");
    assert!(line.contains("-H 'Accept: x/y'") && line.contains("-H 'User-Agent;'"), "{line}");
    assert!(line.contains(r#"-H "Authorization: Bearer $TOKEN""#), "{line}");
    case.headers.clear();
    case.asker = Asker::Nobody;
    let line = case.curl();
    assert!(line.contains("-H 'Accept:'") && !line.contains("Authorization"), "{line}");
}

#[test]
fn tokens_are_equal_with_and_without_the_slash() {
    let decoded = |json: &str| Position::decode(&Position::token(json));
    let slashed = decoded(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"/a\u0000"}"#);
    assert_eq!(slashed, decoded(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"a\u0000"}"#));
    assert_eq!(slashed.unwrap().version, 5);
    assert_eq!(Position::decode("*"), None);
}
