//! Whether the gateway's answer is one that the API server could have given.
//!
//! The direct answers before and after it say what it must be. Nothing but what `docs/COMPATIBILITY.md`
//! lists is left out, and nothing of a body but what [`crate::essence`] cuts out.

use crate::answer::{Answer, End};
use crate::case::{Bound, Case, Position, Shape};
use crate::essence::{List, Stream, find, without_present};
use crate::listed::listed;

/// The answers to one case, in the order in which they were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) before: Answer,
    pub(crate) ours: Answer,
    pub(crate) after: Answer,
    /// All three at the same time: then neither direct one is before or after.
    pub(crate) together: bool,
    /// The newest version that a write of the tester got before.
    pub(crate) written: u64,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it must be.
    Same,
    /// Other than the API server's, under this heading of `docs/COMPATIBILITY.md`.
    Listed(&'static str),
    /// The direct answers differ from each other, so they say nothing.
    Unsettled(String),
    /// The gateway's differs: where.
    Different(String),
}

/// Headers that may differ, each for a reason in `docs/COMPATIBILITY.md`.
const FREE: [&str; 8] = [
    "date",
    "connection",
    "content-length",
    "transfer-encoding",
    "via",
    "cache-status",
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
];

const TABLE: &[u8] = br#""kind":"Table""#;

/// Holds the three answers against each other.
pub(crate) fn judge(case: &Case, answers: &Answers) -> Verdict {
    if let Some(heading) = listed(case, answers) {
        return Verdict::Listed(heading);
    }
    let essence = |answer| Essence::of(case, answer);
    let (before, ours, after) =
        (essence(&answers.before), essence(&answers.ours), essence(&answers.after));
    if let Some(difference) = before.difference(&after) {
        return Verdict::Unsettled(difference);
    }
    if let Some(difference) = ours.difference(&before) {
        return Verdict::Different(difference);
    }
    if let Some(difference) = framing(case, &answers.ours) {
        return Verdict::Different(difference);
    }
    match versions(case, answers, [&before, &ours, &after]) {
        Some(difference) => Verdict::Different(difference),
        None => Verdict::Same,
    }
}

/// What of an answer must be the same.
#[derive(Debug)]
struct Essence<'a> {
    answer: &'a Answer,
    body: Body,
    partial: bool,
}

#[derive(Debug)]
enum Body {
    List(List),
    Stream(Stream),
    Other(Vec<u8>),
}

impl<'a> Essence<'a> {
    fn of(case: &Case, answer: &'a Answer) -> Self {
        let stream = || Stream::of(&answer.body, answer.header("content-type"));
        let body = if answer.status != 200 {
            Body::Other(without_present(&answer.body))
        } else if let Some(stream) = case.may_watch().then(stream).flatten() {
            Body::Stream(stream)
        } else if case.decoded_path().contains("componentstatuses") {
            // Made for the request, in no order.
            let mut bytes = answer.body.clone();
            bytes.sort_unstable();
            Body::Other(bytes)
        } else if case.is_list() {
            Body::List(List::of(&answer.body))
        } else {
            Body::Other(answer.body.clone())
        };
        Self { answer, body, partial: case.ends_at_once() }
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let (a, b) = (self.answer, other.answer);
        if a.status != b.status {
            return Some(format!("status {} in place of {}", a.status, b.status));
        }
        let free = |name: &str| FREE.contains(&name);
        let listed = |answer: &Answer| -> Vec<(String, String)> {
            let headers = answer.headers.iter().filter(|(name, _)| !free(name));
            // Each answer has an ID of its own, if the request named none.
            let known = headers.map(|(name, value)| match name.as_str() {
                "audit-id" if value.len() == 36 => (name.clone(), "a new one".to_owned()),
                _ => (name.clone(), value.clone()),
            });
            known.collect()
        };
        let (ours, theirs) = (listed(a), listed(b));
        if ours != theirs {
            let only = |these: &[(String, String)], those: &[(String, String)]| {
                let lines = these.iter().filter(|line| !those.contains(line));
                lines.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
            };
            let (extra, missing) = (only(&ours, &theirs), only(&theirs, &ours));
            return Some(format!("headers {extra:?} in place of {missing:?}"));
        }
        if a.end != b.end && !(self.partial && a.end != End::Broken) {
            return Some(format!("the body's end: {:?} in place of {:?}", a.end, b.end));
        }
        self.body.difference(&other.body, self.partial)
    }

    fn version(&self) -> Option<u64> {
        match &self.body {
            Body::List(list) => list.version,
            Body::Stream(stream) => stream.initial,
            Body::Other(_) => None,
        }
    }
}

impl Body {
    fn difference(&self, other: &Self, partial: bool) -> Option<String> {
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                if let Some(difference) = bytes("list", &a.bytes, &b.bytes) {
                    return Some(difference);
                }
                if a.version.is_some() != b.version.is_some() {
                    return Some(format!("version {:?} in place of {:?}", a.version, b.version));
                }
                token(a, b)
            }
            (Self::Stream(a), Self::Stream(b)) if partial => {
                let shared = a.events.len().min(b.events.len());
                let differ = a.events[..shared] != b.events[..shared];
                differ.then(|| "other events before the end at once".to_owned())
            }
            (Self::Stream(a), Self::Stream(b)) => {
                for (place, (a, b)) in a.events.iter().zip(&b.events).enumerate() {
                    if let Some(difference) = bytes(&format!("event {place}"), a, b) {
                        return Some(difference);
                    }
                }
                if a.events.len() != b.events.len() {
                    let (ours, theirs) = (a.events.len(), b.events.len());
                    return Some(format!("{ours} events in place of {theirs}"));
                }
                let like = b.bookmarks.first()?;
                // The first table of a stream has its columns, whatever event that is.
                let differs =
                    |bookmark: &&Vec<u8>| *bookmark != like && find(like, TABLE).is_none();
                let other = a.bookmarks.iter().find(differs)?;
                bytes("bookmark", other, like)
            }
            (Self::Other(a), Self::Other(b)) => bytes("body", a, b),
            _ => Some("a body of another kind".to_owned()),
        }
    }
}

/// Continue tokens are compared by what they say. Each is of its own list's version.
fn token(a: &List, b: &List) -> Option<String> {
    let decoded = |list: &List| {
        let token = list.token.as_deref()?;
        let position = Position::decode(token);
        let fits = position.as_ref().is_some_and(|position| {
            list.version.is_none_or(|version| i64::try_from(version) == Ok(position.version))
        });
        Some(if fits { position.map(|position| position.start) } else { None })
    };
    let (ours, theirs) = (decoded(a), decoded(b));
    (ours != theirs || ours == Some(None))
        .then(|| format!("continue token {:?} in place of {:?}", a.token, b.token))
}

/// A length, where there is one, must be that of the body.
fn framing(case: &Case, ours: &Answer) -> Option<String> {
    let length = ours.header("content-length")?;
    let compressed = ours.header("content-encoding").is_some();
    let wrong = length.parse() != Ok(ours.body.len()) && !compressed && case.method != "HEAD";
    wrong.then(|| format!("content-length {length} of {} bytes", ours.body.len()))
}

fn versions(
    case: &Case,
    answers: &Answers,
    [before, ours, after]: [&Essence<'_>; 3],
) -> Option<String> {
    let version = ours.version()?;
    let (least, most) = (before.version()?, after.version()?);
    let written = if case.shape == Shape::Odd { 0 } else { answers.written };
    let wrong = match case.bound() {
        Bound::Latest if answers.together => version < written,
        Bound::Latest => version < least || version > most || version < written,
        // Below it, a direct answer is no list: a table of one object says the object's own version.
        Bound::AtLeast(asked) => {
            (version < asked && least >= asked) || (!answers.together && version > most)
        }
        // A list of one name is read from the store and says the present version.
        Bound::Same => version < least || version > most,
    };
    wrong.then(|| {
        let bound = case.bound();
        format!("version {version}, direct {least} and {most}, written {written}: not {bound:?}")
    })
}

/// Where two texts part.
fn bytes(what: &str, ours: &[u8], theirs: &[u8]) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let at = ours.iter().zip(theirs).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| ours.len().min(theirs.len()));
    let around = |text: &[u8]| {
        let part = &text[at.saturating_sub(60).min(text.len())..(at + 60).min(text.len())];
        String::from_utf8_lossy(part).into_owned()
    };
    Some(format!("{what}, byte {at}: {:?} in place of {:?}", around(ours), around(theirs)))
}
