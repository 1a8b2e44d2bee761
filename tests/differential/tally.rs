//! How much of each class of requests memory answered, and of what it could have.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};

use crate::answer::Answer;
use crate::case::{Bound, Case, Shape};

/// A class of requests, by what they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    GetAny,
    GetNotOlder,
    GetLatest,
    ListAny,
    ListNotOlder,
    ListExact,
    ListContinue,
    ListLatest,
    WatchStateAny,
    WatchStateNotOlder,
    WatchStateLatest,
    WatchEvents,
    WatchPath,
    /// A past state, or what happened since then, from before the gateway's memory began.
    Older,
    OddPath,
    /// One name at one version, which upstream reads from its store by rules of its own.
    ListExactName,
    Refused,
}

/// Classes that memory has to answer, or the tester shows nothing.
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

/// Classes without a share: what upstream refuses after waiting itself, what is older than memory, and
/// what is upstream's by design.
const FREE: [Class; 4] = [Class::Older, Class::OddPath, Class::ListExactName, Class::Refused];

/// Reasons to forward what memory should have answered. All others say that it is upstream's.
const MISSES: [&str; 7] =
    ["coalesced", "cold", "exact-version", "memory", "not-proven", "review", "uncovered"];

/// So many requests of a class say something about a share.
const ENOUGH: usize = 50;

/// Counts by class, and of each by where the answer came from.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    classes: BTreeMap<Class, BTreeMap<String, usize>>,
    listed: BTreeMap<&'static str, usize>,
    /// Compared again, because the direct answers differed from each other or a copy lagged.
    pub(crate) repeated: usize,
    /// Never settled.
    pub(crate) unsettled: usize,
}

impl Class {
    /// Of a case that the API server answered with `direct`, in a world whose versions from `start` on
    /// the gateway can know.
    pub(crate) fn of(case: &Case, direct: &Answer, start: u64) -> Self {
        let class = Self::regardless_of_age(case, direct);
        let asked = case.past_version().is_some_and(|version| version < start);
        match class {
            Self::WatchEvents | Self::WatchPath | Self::ListExact | Self::ListContinue if asked => {
                Self::Older
            }
            other => other,
        }
    }

    fn regardless_of_age(case: &Case, direct: &Answer) -> Self {
        let errors = [&b"{\"type\":\"ERROR\""[..], b"\x0a\x05ERROR"];
        let is_error = |body: &[u8]| errors.iter().any(|start| body.starts_with(start));
        let in_frame = direct.body.get(4..).is_some_and(is_error);
        if !(200..300).contains(&direct.status) || is_error(&direct.body) || in_frame {
            return Self::Refused;
        }
        let continues = case.option("continue").is_some_and(|token| !token.is_empty());
        let initial = case.option("sendInitialEvents");
        let events = initial.is_some_and(|value| value == "0" || value == "false");
        let unset_match = case.option("resourceVersionMatch").is_none_or(|value| value.is_empty());
        let has_initial = case.option("sendInitialEvents").is_some();
        match (case.shape, case.may_watch(), case.bound()) {
            (Shape::Odd, ..) => Self::OddPath,
            (Shape::WatchPath, ..) => Self::WatchPath,
            (Shape::Object, _, Bound::Latest) => Self::GetLatest,
            (Shape::Object, _, Bound::AtLeast(0)) => Self::GetAny,
            (Shape::Object, ..) => Self::GetNotOlder,
            (_, true, _) if events => Self::WatchEvents,
            (_, true, Bound::Latest) => Self::WatchStateLatest,
            (_, true, Bound::AtLeast(0)) => Self::WatchStateAny,
            (_, true, _) if unset_match && !has_initial => Self::WatchEvents,
            (_, true, _) => Self::WatchStateNotOlder,
            _ if continues => Self::ListContinue,
            (_, _, Bound::Latest) => Self::ListLatest,
            (_, _, Bound::AtLeast(0)) => Self::ListAny,
            (_, _, Bound::AtLeast(_)) => Self::ListNotOlder,
            (_, _, Bound::Same) if case.selects_one_name() => Self::ListExactName,
            (_, _, Bound::Same) => Self::ListExact,
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Adds an answer with this `Cache-Status`.
    pub(crate) fn add(&mut self, class: Class, cache_status: &str) {
        let detail = cache_status.split_once("detail=").map(|(_, detail)| detail);
        let word = detail.or_else(|| cache_status.ends_with("; hit").then_some("hit"));
        let word = word.unwrap_or("none").to_owned();
        *self.classes.entry(class).or_default().entry(word).or_default() += 1;
    }

    /// Adds a difference that the documentation lists.
    pub(crate) fn list(&mut self, heading: &'static str) {
        *self.listed.entry(heading).or_default() += 1;
    }

    /// All answers.
    pub(crate) fn all(&self) -> usize {
        self.classes.values().flat_map(BTreeMap::values).sum()
    }

    /// Hits and misses of a class.
    fn served(&self, class: Class) -> (usize, usize) {
        let of = |word: &str| self.classes.get(&class).and_then(|words| words.get(word)).copied();
        let misses = MISSES.iter().filter_map(|word| of(word)).sum();
        (of("hit").unwrap_or(0), misses)
    }

    /// At least `share` of what memory could answer, it answered, in every class that is large enough;
    /// and the classes that are served for certain are.
    pub(crate) fn check(&self, share: f64) -> Result<()> {
        for class in self.classes.keys().filter(|class| !FREE.contains(class)) {
            let (hits, misses) = self.served(*class);
            let all = hits + misses;
            #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
            let enough = hits as f64 >= share * all as f64;
            ensure!(all < ENOUGH || enough, "{class:?}: only {hits} of {all} from memory\n{self}");
        }
        for class in SERVED {
            let (hits, _) = self.served(class);
            ensure!(hits >= ENOUGH, "{class:?}: {hits} hits say nothing\n{self}");
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:20}{:>8}{:>8}{:>8}  forwarded", "class", "all", "hits", "missed")?;
        for (class, words) in &self.classes {
            let (hits, misses) = self.served(*class);
            let all: usize = words.values().sum();
            let rest: Vec<String> = words
                .iter()
                .filter(|(word, _)| *word != "hit")
                .map(|(word, count)| format!("{word} {count}"))
                .collect();
            let class = format!("{class:?}");
            writeln!(f, "{class:20}{all:>8}{hits:>8}{misses:>8}  {}", rest.join(", "))?;
        }
        for (heading, count) in &self.listed {
            writeln!(f, "{count} differences under \"{heading}\"")?;
        }
        write!(f, "{} in all, {} repeated, {} unsettled", self.all(), self.repeated, self.unsettled)
    }
}
