//! The rules one by one, on a history that is written out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checker::record::{
    Asked, End, Event, Item, Kind, List, Recording, Seen, Session, Start, Step, Version,
};
use crate::checker::recording::{check, check_step};
use crate::checker::scope::{Scope, Term};
use crate::checker::truth::{Change, Known, Objects, State, Truth};
use crate::checker::view::View;
use crate::checker::violation::Rule;

fn state(version: Version, tier: &str) -> Arc<State> {
    let labels = BTreeMap::from([("tier".to_owned(), tier.to_owned())]);
    Arc::new(State { version, labels, contents: vec![version * 7], ..State::default() })
}

/// `a/x` is there from the begin at 5. 10: `a/y` comes. 12: `a/x` leaves the front. 14: `a/y` goes. 16: `a/x` comes back to the
/// front. The writes were begun and acknowledged at ten times their versions, and one more.
fn truth() -> Truth {
    let initial = Objects::from([("a/x".into(), state(5, "front"))]);
    let change = |version, key: &str, state| Change { version, key: key.into(), state };
    let changes = vec![
        change(10, "a/y", Some(state(10, "front"))),
        change(12, "a/x", Some(state(12, "back"))),
        change(14, "a/y", None),
        change(16, "a/x", Some(state(16, "front"))),
    ];
    let known: Vec<Known> = [10, 12, 14, 16]
        .map(|version| Known { version, begun: version * 10, acked: version * 10 + 1 })
        .into();
    Truth::new(initial, changes, 20, &known)
}

fn front() -> Scope {
    Scope { labels: vec![Term::is("tier", "front")], ..Scope::default() }
}

/// An event whose content is that of the state of version `of`.
fn seen(kind: Kind, key: &str, version: Version, of: Version) -> Seen {
    Seen::Event(Event { kind, key: key.into(), version, content: of * 7 })
}

fn added(key: &str, version: Version) -> Seen {
    seen(Kind::Added, key, version, version)
}

fn mark(version: Version) -> Seen {
    Seen::Bookmark { version, initial_end: false }
}

fn end_mark(version: Version) -> Seen {
    Seen::Bookmark { version, initial_end: true }
}

/// A watch that was asked for and answered at a moment, and ended.
fn watch(start: Start, bookmarks: bool, moment: u64, seen: Vec<Seen>) -> Session {
    Session { start, bookmarks, asked: moment, answered: moment, seen, end: End::Ended }
}

fn rule_of(scope: &Scope, step: &Step) -> Option<Rule> {
    let truth = truth();
    check_step(&truth, &View::new(&truth, scope), 0, step).err().map(|violation| violation.rule)
}

fn of_watch(scope: &Scope, session: Session) -> Option<Rule> {
    rule_of(scope, &Step::Watch(session))
}

/// Everything that the front is due after 5.
fn events() -> Vec<Seen> {
    vec![
        added("a/y", 10),
        seen(Kind::Deleted, "a/x", 12, 5),
        seen(Kind::Deleted, "a/y", 14, 10),
        added("a/x", 16),
    ]
}

#[test]
fn events_after_a_version() {
    let after = |seen: Vec<Seen>| of_watch(&front(), watch(Start::After(5), true, 0, seen));
    assert_eq!(after(events()), None);
    assert_eq!(after(Vec::new()), None);
    assert_eq!(after(events()[..2].to_vec()), None);
    assert_eq!(after(events()[1..].to_vec()), Some(Rule::Gap));
    let mut swapped = events();
    swapped.swap(1, 2);
    assert_eq!(after(swapped), Some(Rule::Gap));
    let mut twice = events();
    twice.insert(2, twice[1].clone());
    assert_eq!(after(twice), Some(Rule::Duplicate));
    assert_eq!(after(vec![added("a/x", 5)]), Some(Rule::Foreign));
    let content = vec![added("a/y", 10), seen(Kind::Deleted, "a/x", 12, 12)];
    assert_eq!(after(content), Some(Rule::Content));
    let version = vec![added("a/y", 10), seen(Kind::Deleted, "a/x", 5, 5)];
    assert_eq!(after(version), Some(Rule::DeletedVersion));
    let earlier = vec![added("a/y", 10), seen(Kind::Deleted, "a/x", 10, 5)];
    assert_eq!(after(earlier), Some(Rule::DeletedVersion));
    let kind = vec![seen(Kind::Modified, "a/y", 10, 10)];
    assert_eq!(after(kind), Some(Rule::Kind));
}

#[test]
fn without_a_selector_leaving_is_modifying() {
    let change = |kind| {
        let seen = vec![added("a/y", 10), seen(kind, "a/x", 12, 12)];
        of_watch(&Scope::default(), watch(Start::After(5), false, 0, seen))
    };
    assert_eq!(change(Kind::Modified), None);
    assert_eq!(change(Kind::Deleted), Some(Rule::Kind));
    let elsewhere = Scope { namespace: Some("b".to_owned()), ..Scope::default() };
    let foreign = watch(Start::After(5), false, 0, vec![added("a/y", 10)]);
    assert_eq!(of_watch(&elsewhere, foreign), Some(Rule::Foreign));
}

#[test]
fn a_drained_watch_has_everything() {
    let drained = |seen: Vec<Seen>| {
        let mut session = watch(Start::After(5), true, 0, seen);
        session.end = End::Drained;
        of_watch(&front(), session)
    };
    assert_eq!(drained(events()), None);
    assert_eq!(drained(events()[..3].to_vec()), Some(Rule::Gap));
}

#[test]
fn bookmarks_promise_what_was_delivered() {
    let after = |seen: Vec<Seen>| of_watch(&front(), watch(Start::After(5), true, 0, seen));
    assert_eq!(after(vec![mark(9), added("a/y", 10), mark(10), mark(11)]), None);
    assert_eq!(after(vec![mark(10)]), Some(Rule::BookmarkAhead));
    assert_eq!(after(vec![mark(4)]), Some(Rule::Bookmark));
    assert_eq!(after(vec![added("a/y", 10), mark(9)]), Some(Rule::Bookmark));
    assert_eq!(after(vec![end_mark(9)]), Some(Rule::InitialEnd));
    let mut beyond = events();
    beyond.push(mark(20));
    assert_eq!(after(beyond.clone()), None);
    beyond.push(mark(21));
    assert_eq!(after(beyond), Some(Rule::Bookmark));
    let unasked = watch(Start::After(5), false, 0, vec![mark(9)]);
    assert_eq!(of_watch(&front(), unasked), Some(Rule::Bookmark));
}

#[test]
fn a_state_that_a_bookmark_ends() {
    let fresh = |seen: Vec<Seen>| of_watch(&front(), watch(Start::Fresh, true, 105, seen));
    let state = || vec![added("a/x", 5), added("a/y", 10)];
    let then = |more: Vec<Seen>| fresh([state(), more].concat());
    let left = || seen(Kind::Deleted, "a/x", 12, 5);
    assert_eq!(then(vec![end_mark(10), left()]), None);
    // Events of other resources move the version on.
    assert_eq!(then(vec![end_mark(11), left()]), None);
    assert_eq!(then(vec![end_mark(12)]), Some(Rule::State));
    assert_eq!(fresh(vec![added("a/y", 10), added("a/x", 5)]), Some(Rule::KeyOrder));
    assert_eq!(then(vec![left()]), Some(Rule::InitialEnd));
    assert_eq!(then(vec![end_mark(10), end_mark(10)]), Some(Rule::InitialEnd));
    assert_eq!(fresh(vec![added("a/x", 5), end_mark(10)]), Some(Rule::State));
    // The write of 10 was acknowledged before.
    assert_eq!(fresh(vec![added("a/x", 5), end_mark(9)]), Some(Rule::Stale));
    // A watch that ended while it showed the state.
    assert_eq!(fresh(vec![added("a/x", 5)]), None);
    let mut drained = watch(Start::Fresh, true, 105, state());
    drained.end = End::Drained;
    assert_eq!(of_watch(&front(), drained), Some(Rule::InitialEnd));
}

#[test]
fn a_state_of_which_nothing_tells_the_version() {
    let begun = |start, seen: Vec<Seen>| of_watch(&front(), watch(start, false, 105, seen));
    let state = || vec![added("a/x", 5), added("a/y", 10)];
    let left = || seen(Kind::Deleted, "a/x", 12, 5);
    for start in [Start::Fresh, Start::Any, Start::NotOlderThan(10)] {
        assert_eq!(begun(start, [state(), vec![left()]].concat()), None, "{start:?}");
        // As a newer state would be.
        assert_eq!(begun(start, vec![added("a/y", 10), seen(Kind::Deleted, "a/y", 14, 10)]), None);
        assert!(begun(start, [state(), vec![added("a/x", 16)]].concat()).is_some(), "{start:?}");
        assert!(begun(start, vec![left()]).is_some(), "{start:?}");
    }
    // {x}, then y comes: right for a state of 5, which only one of them may show.
    let old = || vec![added("a/x", 5), added("a/y", 10), left()];
    assert_eq!(begun(Start::Any, old()), None);
    assert_eq!(begun(Start::NotOlderThan(12), old()), Some(Rule::State));
}

#[test]
fn a_watch_from_now_shows_what_is_begun_once_it_is_open() {
    let now =
        |moment, seen: Vec<Seen>| of_watch(&front(), watch(Start::FreshNow, true, moment, seen));
    assert_eq!(now(110, events()[1..].to_vec()), None);
    assert_eq!(now(110, events()[2..].to_vec()), Some(Rule::Gap));
    assert_eq!(now(110, events()), Some(Rule::Stale));
    // Between begin and acknowledgement it may or may not be seen.
    let racing = |seen: Vec<Seen>| {
        let session = Session { answered: 125, ..watch(Start::FreshNow, true, 115, seen) };
        of_watch(&front(), session)
    };
    assert_eq!(racing(events()[1..].to_vec()), None);
    assert_eq!(racing(events()[2..].to_vec()), None);
    assert_eq!(racing(events()[3..].to_vec()), Some(Rule::Gap));
    assert_eq!(now(110, vec![mark(11)]), None);
    assert_eq!(now(110, vec![mark(12)]), Some(Rule::BookmarkAhead));
}

fn item(key: &str, version: Version) -> Item {
    Item { key: key.into(), version, content: version * 7 }
}

#[test]
fn lists_are_states_and_not_too_old() {
    let list = |ask, version, items: Vec<Item>| {
        rule_of(&front(), &Step::List(List { ask, asked: 105, version, items }))
    };
    let both = || vec![item("a/x", 5), item("a/y", 10)];
    assert_eq!(list(Asked::Fresh, 10, both()), None);
    assert_eq!(list(Asked::Fresh, 11, both()), None);
    assert_eq!(list(Asked::Fresh, 12, both()), Some(Rule::State));
    assert_eq!(list(Asked::Fresh, 9, vec![item("a/x", 5)]), Some(Rule::Stale));
    assert_eq!(list(Asked::Any, 9, vec![item("a/x", 5)]), None);
    assert_eq!(list(Asked::NotOlderThan(10), 9, vec![item("a/x", 5)]), Some(Rule::Stale));
    let mut turned = both();
    turned.swap(0, 1);
    assert_eq!(list(Asked::Fresh, 10, turned), Some(Rule::KeyOrder));
    assert_eq!(list(Asked::Fresh, 10, vec![item("a/x", 5)]), Some(Rule::State));
    let mut wrong = both();
    wrong[0].content += 1;
    assert_eq!(list(Asked::Fresh, 10, wrong), Some(Rule::Content));
}

fn recording(steps: Vec<Step>) -> Vec<Rule> {
    let recording = Recording { name: String::new(), scope: front(), form: 0, steps };
    let truth = truth();
    let outcome = check(&truth, &View::new(&truth, &front()), &recording);
    outcome.violations.into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn only_received_versions_are_used() {
    let list = List { ask: Asked::Any, asked: 0, version: 6, items: vec![item("a/x", 5)] };
    let resumed = |version| {
        let watch = watch(Start::After(version), false, 0, Vec::new());
        recording(vec![Step::List(list.clone()), Step::Watch(watch)])
    };
    assert_eq!(resumed(6), []);
    assert_eq!(resumed(5), []);
    assert_eq!(resumed(7), [Rule::Resume]);
}

#[test]
fn a_list_and_events_make_the_later_list() {
    let first = List { ask: Asked::Any, asked: 0, version: 6, items: vec![item("a/x", 5)] };
    let later = |items| {
        let list = List { ask: Asked::Any, asked: 0, version: 13, items };
        let events = watch(Start::After(6), true, 0, events()[..3].to_vec());
        recording(vec![Step::List(first.clone()), Step::List(list), Step::Watch(events)])
    };
    assert_eq!(later(vec![item("a/y", 10)]), []);
    assert_eq!(later(Vec::new()), [Rule::State, Rule::Replay]);
}
