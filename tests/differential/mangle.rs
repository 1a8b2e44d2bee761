//! Answers with one thing wrong, each of which the judge has to find.

use serde_json::Value;

use crate::answer::{Answer, End};
use crate::case::{Bound, Case, Position};
use crate::essence::{List, find, version_place};

/// Every way in which an answer to `case` can be wrong, with a name for it. `right` is as it must be.
pub(crate) fn manglings(case: &Case, right: &Answer) -> Vec<(String, Answer)> {
    let mut wrong = Vec::new();
    let mut add = |name: &str, change: &dyn Fn(&mut Answer)| {
        let mut answer = right.clone();
        change(&mut answer);
        wrong.push((name.to_owned(), answer));
    };
    add("another status", &|answer| answer.status += 1);
    for header in
        ["content-type", "cache-control", "content-encoding", "vary", "warning", "retry-after"]
    {
        if right.header(header).is_some() {
            add(&format!("no {header}"), &|answer| {
                answer.headers.retain(|(name, _)| name != header);
            });
            add(&format!("another {header}"), &|answer| {
                for (name, value) in &mut answer.headers {
                    if name == header {
                        value.push('x');
                    }
                }
            });
        } else {
            add(&format!("a {header}"), &|answer| {
                answer.headers.push((header.to_owned(), "x".to_owned()));
                answer.headers.sort();
            });
        }
    }
    if !right.body.is_empty() {
        add("a body cut short", &|answer| answer.body.truncate(right.body.len() - 1));
        add("a body that breaks off", &|answer| answer.end = End::Broken);
    }
    wrong.extend(changed_bytes(case, right));
    if case.may_watch() {
        wrong.extend(streams(right));
    } else if case.is_list() && right.status == 200 {
        wrong.extend(versions(case, right));
    }
    wrong
}

/// A bit turned over, at places spread over the body, apart from what is of the moment.
fn changed_bytes(case: &Case, right: &Answer) -> Vec<(String, Answer)> {
    let body = &right.body;
    let list = if case.is_list() && right.status == 200 { List::of(body) } else { List::default() };
    let version = list.version.and_then(|_| version_place(body)).unwrap_or_default();
    let token = list.token.as_deref().unwrap_or_default();
    let start = if token.is_empty() { 0 } else { find(body, token.as_bytes()).unwrap_or(0) };
    let token = start..start + token.len();
    let of_the_moment = |at: usize| {
        let bookmark = case.may_watch() && near(body, at, b"resourceVersion");
        version.contains(&at) || token.contains(&at) || bookmark || near(body, at, b"current: ")
    };
    let places = (0..16).map(|part| part * body.len() / 16);
    places
        .filter(|at| *at < body.len() && !of_the_moment(*at))
        .map(|at| {
            let mut answer = right.clone();
            answer.body[at] ^= 1;
            (format!("a bit at {at}"), answer)
        })
        .collect()
}

/// Whether `word` stands shortly before a place, so that a bookmark's version may be there.
fn near(body: &[u8], at: usize, word: &[u8]) -> bool {
    let before = &body[at.saturating_sub(word.len() + 24)..at];
    find(before, word).is_some()
}

/// Events dropped, doubled and exchanged.
fn streams(right: &Answer) -> Vec<(String, Answer)> {
    if !right.body.starts_with(b"{") {
        return Vec::new();
    }
    let lines: Vec<&[u8]> = right.body.split_inclusive(|byte| *byte == b'\n').collect();
    let with = |name: &str, lines: &[&[u8]]| {
        (name.to_owned(), Answer { body: lines.concat(), ..right.clone() })
    };
    // Bookmarks come when they come, but for the one that ends the initial events.
    let counts = |line: &&[u8]| {
        !line.starts_with(b"{\"type\":\"BOOKMARK\"") || find(line, b"initial-events-end").is_some()
    };
    let places: Vec<usize> = (0..lines.len()).filter(|at| counts(&lines[*at])).collect();
    let mut wrong = Vec::new();
    for &at in &places {
        wrong.push(with("a dropped event", &[&lines[..at], &lines[at + 1..]].concat()));
        wrong.push(with("a doubled event", &[&lines[..=at], &lines[at..]].concat()));
    }
    for pair in places.windows(2) {
        let mut exchanged = lines.clone();
        exchanged.swap(pair[0], pair[1]);
        wrong.push(with("exchanged events", &exchanged));
    }
    wrong
}

/// Versions that the list may not have.
fn versions(case: &Case, right: &Answer) -> Vec<(String, Answer)> {
    let list = List::of(&right.body);
    let (Some(place), Some(version)) = (version_place(&right.body), list.version) else {
        return Vec::new();
    };
    let with = |name: &str, version: u64| {
        let mut answer = right.clone();
        let digits = version.to_string();
        // Of the same length, so that protobuf's lengths stay right.
        let fits = digits.len() == place.len();
        answer.body[place.clone()].copy_from_slice(if fits {
            digits.as_bytes()
        } else {
            &right.body[place.clone()]
        });
        fits.then(|| (name.to_owned(), answer))
    };
    let mut wrong = vec![with("a version that is yet to come", version + 100)];
    match case.bound() {
        Bound::Latest | Bound::Same => wrong.push(with("a version from before", version - 1)),
        Bound::AtLeast(asked) if asked > 1 => wrong.push(with("a version below", asked - 1)),
        Bound::AtLeast(_) => {}
    }
    wrong.push(token(right, &list));
    wrong.into_iter().flatten().collect()
}

/// A token that leads to another place.
fn token(right: &Answer, list: &List) -> Option<(String, Answer)> {
    let token = list.token.as_deref()?;
    let place = find(&right.body, token.as_bytes())?;
    let Position { version, start } = Position::decode(token)?;
    let first = if start.starts_with('b') { 'c' } else { 'b' };
    let start = Value::from(format!("/{first}{}", start.get(1..)?));
    let other =
        Position::token(&format!(r#"{{"v":"meta.k8s.io/v1","rv":{version},"start":{start}}}"#));
    let mut answer = right.clone();
    (other.len() == token.len())
        .then(|| answer.body[place..place + token.len()].copy_from_slice(other.as_bytes()))?;
    Some(("a token to another place".to_owned(), answer))
}
