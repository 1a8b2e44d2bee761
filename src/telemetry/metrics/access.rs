//! Access reviews: how many upstream was asked, and what it said.

use std::time::Duration;

use super::{
    by_word::ByWord,
    definition::{Definition, Samples},
    histogram::{Histogram, REQUESTS},
};

/// Reviews.
pub static REVIEWS: Definition = Definition::counter(
    "watchgate_access_reviews_total",
    "Access reviews that the API server was asked for, by outcome: allowed, denied (invalid tokens \
     included), or failed (no answer: such requests are forwarded, reason review). A decision counts \
     for 9 s, and is shared by all who ask the same.",
    &["outcome"],
);

/// Their duration.
pub static DURATION: Definition = Definition::histogram(
    "watchgate_access_review_duration_seconds",
    "How long the API server took to answer an access review.",
    &[],
);

/// Permissions of open watches.
pub static GRANTS: Definition = Definition::gauge(
    "watchgate_access_grants",
    "Permissions of open watches that are held and reviewed again every 9 s; watches of one token that \
     ask the same share one.",
    &[],
);

/// All of them.
pub(super) static ALL: [&Definition; 3] = [&REVIEWS, &DURATION, &GRANTS];

/// What a review said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The token may.
    Allowed,
    /// It may not.
    Denied,
    /// Nothing is known.
    Failed,
}

/// Counts reviews.
#[derive(Debug)]
pub struct Access {
    outcomes: ByWord<3>,
    durations: Histogram,
}

// === impl Access ===

impl Access {
    pub(super) fn new() -> Self {
        let outcomes = ByWord::new(["allowed", "denied", "failed"]);
        Self { outcomes, durations: Histogram::new(REQUESTS) }
    }

    /// A review was answered, or not.
    pub fn reviewed(&self, outcome: Outcome, took: Duration) {
        self.outcomes.add(outcome as usize);
        self.durations.observe(took);
    }

    pub(super) fn sample(&self, samples: &mut Samples) {
        for (outcome, count) in self.outcomes.iter() {
            samples.count(&REVIEWS, &[outcome], count);
        }
        samples.observations(&DURATION, &[], &self.durations.observations());
    }
}
