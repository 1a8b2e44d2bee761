use std::{num::NonZeroU64, time::Duration};

use super::*;
use crate::api::continue_token::ContinueToken;

fn options(query: &str) -> Result<ListOptions, OptionsError> {
    ListOptions::decode(&Query::parse(Some(query)).unwrap())
}

fn list(query: &str) -> Result<ListRequest, OptionsError> {
    ListRequest::resolve(&options(query)?, &FieldSchema::metadata_only(true))
}

fn watch(query: &str) -> Result<WatchRequest, OptionsError> {
    WatchRequest::resolve(&options(query)?, &FieldSchema::metadata_only(true))
}

fn get(query: &str) -> Result<GetRequest, OptionsError> {
    GetRequest::parse(&Query::parse(Some(query)).unwrap())
}

fn at(number: u64) -> ResourceVersion {
    ResourceVersion::new(number).unwrap()
}

fn token(resource_version: Option<u64>) -> String {
    let resource_version = resource_version.map(at);
    ContinueToken { resource_version, start: "ns/a\0".into() }.encode()
}

#[test]
fn list_matrix() {
    use ListConsistency::{Any, Exact, Latest, NotOlderThan};
    let (at_seven, latest) = (token(Some(7)), token(None));
    for (query, consistency, limit, start) in [
        ("", Latest, None, None),
        ("limit=5", Latest, Some(5), None),
        ("limit=0", Latest, None, None),
        ("limit=-5", Latest, None, None),
        ("resourceVersion=0", Any, None, None),
        ("resourceVersion=0&limit=500", Any, None, None),
        ("resourceVersion=9", NotOlderThan(at(9)), None, None),
        ("resourceVersion=009", NotOlderThan(at(9)), None, None),
        ("resourceVersion=9&limit=5", Exact(at(9)), Some(5), None),
        ("resourceVersion=9&limit=-1", NotOlderThan(at(9)), None, None),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan&limit=5", Any, None, None),
        (
            "resourceVersion=9&resourceVersionMatch=NotOlderThan&limit=5",
            NotOlderThan(at(9)),
            Some(5),
            None,
        ),
        ("resourceVersion=9&resourceVersionMatch=Exact", Exact(at(9)), None, None),
        ("resourceVersion=9&resourceVersionMatch=Exact&limit=5", Exact(at(9)), Some(5), None),
        (&format!("continue={at_seven}&limit=5"), Exact(at(7)), Some(5), Some("ns/a\0")),
        (
            &format!("continue={at_seven}&limit=5&resourceVersion=0"),
            Exact(at(7)),
            None,
            Some("ns/a\0"),
        ),
        (&format!("continue={latest}&limit=5"), Latest, Some(5), Some("ns/a\0")),
        ("timeoutSeconds=-1&allowWatchBookmarks=1&watch=0", Latest, None, None),
    ] {
        let found = list(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let limit = limit.map(|limit| NonZeroU64::new(limit).unwrap());
        assert_eq!((found.consistency, found.limit), (consistency, limit), "{query}");
        assert_eq!(found.start.as_deref(), start, "{query}");
    }
}

#[test]
fn lists_that_are_forwarded() {
    use InvalidCombination::{
        ExactZero, InitialEventsOnList, MatchWithContinue, MatchWithoutVersion, UnsupportedMatch,
    };
    let token = token(Some(7));
    for (query, expected) in [
        ("limit=", OptionsError::Integer("limit")),
        ("limit=abc", OptionsError::Integer("limit")),
        ("limit=+1", OptionsError::Integer("limit")),
        ("limit=9223372036854775808", OptionsError::Integer("limit")),
        ("timeoutSeconds=1s", OptionsError::Integer("timeoutSeconds")),
        ("resourceVersionMatch=Exact", MatchWithoutVersion.into()),
        ("resourceVersionMatch=x", MatchWithoutVersion.into()),
        ("resourceVersion=0&resourceVersionMatch=Exact", ExactZero.into()),
        ("resourceVersion=1&resourceVersionMatch=exact", UnsupportedMatch.into()),
        ("resourceVersion=1&resourceVersionMatch=Exact&continue=x", MatchWithContinue.into()),
        ("sendInitialEvents=false", InitialEventsOnList.into()),
        ("resourceVersion=abc", OptionsError::ResourceVersion),
        ("resourceVersion=-1", OptionsError::ResourceVersion),
        ("resourceVersion=18446744073709551616", OptionsError::ResourceVersion),
        ("resourceVersion=00", OptionsError::UpstreamOnly("resourceVersion")),
        ("continue=*", InvalidContinueToken::Base64.into()),
        ("continue=*&resourceVersion=abc", InvalidContinueToken::Base64.into()),
        (&format!("continue={token}&resourceVersion=9"), OptionsError::ContinueWithVersion),
        (&format!("continue={token}&resourceVersion=00"), OptionsError::ContinueWithVersion),
        ("shardSelector=x", OptionsError::UpstreamOnly("shardSelector")),
        ("timeout=abc", OptionsError::Timeout),
        ("timeout=-1s", OptionsError::Timeout),
    ] {
        assert_eq!(list(query), Err(expected), "{query}");
    }
    assert!(matches!(list("labelSelector=a,,b"), Err(OptionsError::LabelSelector(_))));
    assert!(matches!(list("fieldSelector=a"), Err(OptionsError::FieldSelector(_))));
    assert!(matches!(list("fieldSelector=spec.x%3D1"), Err(OptionsError::FieldSelector(_))));
}

#[test]
fn watch_matrix() {
    let state = |consistency| WatchStart::State { consistency, marks_end: true };
    let unmarked = WatchStart::State { consistency: ListConsistency::Any, marks_end: false };
    let newer = ListConsistency::NotOlderThan(at(9));
    for (query, start) in [
        ("watch=1", state(ListConsistency::Latest)),
        ("watch", state(ListConsistency::Latest)),
        ("watch=1&resourceVersion=0", state(ListConsistency::Any)),
        ("watch=1&resourceVersion=9", WatchStart::Events(EventsAfter::Version(at(9)))),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            state(ListConsistency::Latest),
        ),
        (
            "watch=1&resourceVersion=0&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            state(ListConsistency::Any),
        ),
        (
            "watch=1&resourceVersion=9&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            state(newer),
        ),
        (
            "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
            WatchStart::Events(EventsAfter::Latest),
        ),
        (
            "watch=1&resourceVersion=0&sendInitialEvents=0&resourceVersionMatch=NotOlderThan",
            WatchStart::Events(EventsAfter::Any),
        ),
        (
            "watch=1&resourceVersion=9&sendInitialEvents=0&resourceVersionMatch=NotOlderThan",
            WatchStart::Events(EventsAfter::Version(at(9))),
        ),
        // A `/watch/` path, whose verb does not come from the query.
        ("", unmarked),
        ("watch=0&resourceVersion=0", unmarked),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan", unmarked),
        ("resourceVersion=9", WatchStart::Events(EventsAfter::Version(at(9)))),
        ("continue=x&limit=3", unmarked),
        // Ignored on a watch with a version of its own.
        (
            "watch=1&resourceVersion=9&continue=x&limit=3",
            WatchStart::Events(EventsAfter::Version(at(9))),
        ),
    ] {
        assert_eq!(watch(query).map(|request| request.start), Ok(start), "{query}");
    }
}

#[test]
fn watches_that_are_forwarded() {
    use InvalidCombination::{
        InitialEventsOnList, InitialEventsWithoutMatch, MatchOnPlainWatch, MatchWithContinue,
    };
    for (query, expected) in [
        ("watch=1&sendInitialEvents=true", InitialEventsWithoutMatch.into()),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact",
            InitialEventsWithoutMatch.into(),
        ),
        ("watch=1&resourceVersionMatch=NotOlderThan", MatchOnPlainWatch.into()),
        ("watch=1&resourceVersion=9&resourceVersionMatch=x", MatchOnPlainWatch.into()),
        ("watch=1&continue=x", MatchWithContinue.into()),
        ("watch=1&continue=x&resourceVersion=0", MatchWithContinue.into()),
        ("sendInitialEvents=true", InitialEventsOnList.into()),
        ("watch=1&resourceVersion=abc", OptionsError::ResourceVersion),
        ("watch=1&resourceVersion=00", OptionsError::UpstreamOnly("resourceVersion")),
        ("watch=1&timeoutSeconds=-1", OptionsError::UpstreamOnly("timeoutSeconds")),
        ("watch=1&timeoutSeconds=9223372037", OptionsError::UpstreamOnly("timeoutSeconds")),
        ("watch=1&shardSelector=x", OptionsError::UpstreamOnly("shardSelector")),
        ("watch=1&limit=x", OptionsError::Integer("limit")),
    ] {
        assert_eq!(watch(query), Err(expected), "{query}");
    }
}

#[test]
fn watch_options_that_do_not_choose_the_start() {
    let request =
        watch("watch=1&allowWatchBookmarks=true&timeoutSeconds=487&timeout=8m7s").unwrap();
    assert!(request.bookmarks);
    assert_eq!(request.timeout.requested(), Some(Duration::from_secs(487)));
    assert!(request.selection.is_everything());

    let request = watch("watch=1&timeoutSeconds=0&timeout=junk&labelSelector=a").unwrap();
    assert!(!request.bookmarks);
    assert_eq!(request.timeout, WatchTimeout::Server);
    assert!(!request.selection.is_everything());
}

#[test]
fn get_matrix() {
    for (query, expected) in [
        ("", Ok(GetRequest::Latest)),
        ("resourceVersion=", Ok(GetRequest::Latest)),
        ("resourceVersion=0", Ok(GetRequest::Any)),
        ("resourceVersion=9", Ok(GetRequest::NotOlderThan(at(9)))),
        ("resourceVersion=00", Err(OptionsError::UpstreamOnly("resourceVersion"))),
        ("resourceVersion=x", Err(OptionsError::ResourceVersion)),
        ("export", Err(OptionsError::Export)),
        ("export=junk", Err(OptionsError::Export)),
        ("export=False", Ok(GetRequest::Latest)),
        ("limit=x&watch=1&labelSelector=,&resourceVersionMatch=Exact", Ok(GetRequest::Latest)),
    ] {
        assert_eq!(get(query), expected, "{query}");
    }
}

#[test]
fn reads_the_clients_deadline() {
    for (query, expected) in [
        ("", None),
        ("timeout=", None),
        ("timeout=0s", None),
        ("timeout=30s", Some(Duration::from_secs(30))),
    ] {
        assert_eq!(list(query).unwrap().timeout, expected, "{query}");
        assert_eq!(
            GetRequest::timeout(&Query::parse(Some(query)).unwrap()),
            Ok(expected),
            "{query}"
        );
    }
}
