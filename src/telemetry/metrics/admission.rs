//! Admission: reads that memory could answer, but not now, and what became of their wait.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};

use super::{
    by_word::ByWord,
    definition::{Definition, Samples},
    histogram::{Histogram, REQUESTS},
};

/// Outcomes.
pub static ADMISSIONS: Definition = Definition::counter(
    "watchgate_admissions_total",
    "Reads that memory could answer, but not at present, by what became of them: forwarded (with one \
     of the 8 places of their resource, or freely), memory (it was filled meanwhile), or refused (429 \
     with Retry-After, or for a watch that resumes 410).",
    &["outcome"],
);

/// Waits.
pub static WAIT: Definition = Definition::histogram(
    "watchgate_admission_wait_seconds",
    "How long such reads waited for the first fill of their resource or for a place.",
    &[],
);

/// Those who wait.
pub static WAITING: Definition = Definition::gauge(
    "watchgate_admission_waiting",
    "Reads that wait for a fill or a place at this moment.",
    &[],
);

/// All of them.
pub(super) static ALL: [&Definition; 3] = [&ADMISSIONS, &WAIT, &WAITING];

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Upstream is asked.
    Forwarded,
    /// Memory is asked again.
    Memory,
    /// There is no place.
    Refused,
}

/// Counts admissions.
#[derive(Debug)]
pub struct Admission {
    outcomes: ByWord<3>,
    waits: Histogram,
    waiting: AtomicI64,
}

/// One who waits, counted until dropped.
#[derive(Debug)]
pub struct Waiting<'a>(&'a Admission);

// === impl Admission ===

impl Admission {
    pub(super) fn new() -> Self {
        let outcomes = ByWord::new(["forwarded", "memory", "refused"]);
        Self { outcomes, waits: Histogram::new(REQUESTS), waiting: AtomicI64::new(0) }
    }

    /// Counts one who begins to wait.
    pub fn begin(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(self)
    }

    pub(super) fn sample(&self, samples: &mut Samples) {
        for (outcome, count) in self.outcomes.iter() {
            samples.count(&ADMISSIONS, &[outcome], count);
        }
        samples.observations(&WAIT, &[], &self.waits.observations());
        samples.count(&WAITING, &[], u64::try_from(self.waiting.load(Relaxed)).unwrap_or(0));
    }
}

// === impl Waiting ===

impl Waiting<'_> {
    /// The wait is over. Who goes away while waiting has no outcome.
    pub fn end(self, outcome: Outcome, waited: Duration) {
        self.0.outcomes.add(outcome as usize);
        self.0.waits.observe(waited);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}
