//! Proofs of freshness: how they came about, how long they took, and what they cost upstream.

use std::time::Duration;

use super::{
    by_word::ByWord,
    definition::{Definition, Samples},
    histogram::{Histogram, REQUESTS},
};

/// Proofs.
pub static PROOFS: Definition = Definition::counter(
    "watchgate_freshness_proofs_total",
    "Proofs that memory is new enough for a request, by what was asked for (latest, not_older_than a \
     version, or exactly a version) and outcome: proven, or why not: too_slow, ahead (the store itself \
     is not there yet), probe_failed, or went_back. Reads that take any state need none.",
    &["kind", "outcome"],
);

/// Their duration.
pub static DURATION: Definition = Definition::histogram(
    "watchgate_freshness_proof_duration_seconds",
    "How long requests waited for their proof of freshness, whatever came of it.",
    &["kind"],
);

/// What they cost upstream.
pub static ASKED: Definition = Definition::counter(
    "watchgate_freshness_upstream_requests_total",
    "What proofs cost the API server: probe (a small LIST), watch (a short watch that waits for a \
     bookmark), list (a whole list, answered to many). Many requests share one.",
    &["kind"],
);

/// All of them.
pub(super) static ALL: [&Definition; 3] = [&PROOFS, &DURATION, &ASKED];

/// What a request asks of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// As new as the store when the request came.
    Latest,
    /// Not older than a version.
    NotOlderThan,
    /// Exactly a version.
    Exactly,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A proof.
    Proven,
    /// None in time.
    TooSlow,
    /// The store itself has not got there.
    Ahead,
    /// Upstream did not say how far it is.
    ProbeFailed,
    /// The store is another one.
    WentBack,
}

/// A request to upstream for the sake of proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A small LIST.
    Probe,
    /// A short watch.
    Watch,
    /// A list that many share.
    List,
}

/// Counts proofs.
#[derive(Debug)]
pub struct Proofs {
    by_kind: [(ByWord<5>, Histogram); 3],
    asked: ByWord<3>,
}

const KINDS: [&str; 3] = ["latest", "not_older_than", "exactly"];
const OUTCOMES: [&str; 5] = ["proven", "too_slow", "ahead", "probe_failed", "went_back"];

// === impl Proofs ===

impl Proofs {
    pub(super) fn new() -> Self {
        let by_kind = std::array::from_fn(|_| (ByWord::new(OUTCOMES), Histogram::new(REQUESTS)));
        Self { by_kind, asked: ByWord::new(["probe", "watch", "list"]) }
    }

    /// A request has its proof, or doesn't get one.
    pub fn count(&self, wanted: Wanted, outcome: Outcome, took: Duration) {
        let (outcomes, durations) = &self.by_kind[wanted as usize];
        outcomes.add(outcome as usize);
        durations.observe(took);
    }

    /// Upstream is asked.
    pub fn asked(&self, asked: Asked) {
        self.asked.add(asked as usize);
    }

    pub(super) fn sample(&self, samples: &mut Samples) {
        for (kind, (outcomes, durations)) in KINDS.iter().zip(&self.by_kind) {
            for (outcome, count) in outcomes.iter() {
                samples.count(&PROOFS, &[kind, outcome], count);
            }
            samples.observations(&DURATION, &[kind], &durations.observations());
        }
        for (kind, count) in self.asked.iter() {
            samples.count(&ASKED, &[kind], count);
        }
    }
}
