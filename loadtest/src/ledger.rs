//! What became of each write: shared by the writers, and read by the check at the end.
//!
//! Guarantees: one atomic number for each write. Whoever begins a write marks it before it sends, so
//! that one which is cut off counts as uncertain.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::{Plan, Write};

const UNCERTAIN: u64 = 1;
const DONE: u64 = 2;

/// The outcomes of all writes of a run.
#[derive(Debug)]
pub struct Ledger {
    /// The plan they are of.
    pub plan: Plan,
    outcomes: Vec<AtomicU64>,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered with success, at this resource version if the answer said one.
    Done(Option<u64>),
    /// It was not begun.
    NotBegun,
    /// It may or may not have happened.
    Uncertain,
}

// === impl Ledger ===

impl Ledger {
    /// Nothing begun.
    pub fn new(plan: Plan) -> Self {
        let outcomes = (0..plan.writes()).map(|_| AtomicU64::new(0)).collect();
        Self { plan, outcomes }
    }

    /// A write is about to be sent.
    pub fn begin(&self, write: Write) {
        self.set(write, UNCERTAIN);
    }

    /// A write was answered with success.
    pub fn done(&self, write: Write, revision: Option<u64>) {
        self.set(write, revision.unwrap_or(DONE).max(DONE));
    }

    /// What became of it.
    pub fn outcome(&self, write: Write) -> Outcome {
        let outcome = self.index(write).and_then(|index| self.outcomes.get(index));
        match outcome.map_or(0, |outcome| outcome.load(Ordering::Relaxed)) {
            0 => Outcome::NotBegun,
            UNCERTAIN => Outcome::Uncertain,
            DONE => Outcome::Done(None),
            revision => Outcome::Done(Some(revision)),
        }
    }

    /// How many writes of a slot were begun. They are begun in their order.
    pub fn begun(&self, slot: u32) -> u32 {
        let Some((_, churn)) = self.plan.churn_of(slot) else { return 0 };
        let most = churn.writes.div_ceil(u64::from(churn.slots.max(1))) as u32;
        let (mut least, mut most) = (0, most);
        while least < most {
            let middle = u32::midpoint(least, most);
            if self.outcome(Write { slot, generation: middle }) == Outcome::NotBegun {
                most = middle;
            } else {
                least = middle + 1;
            }
        }
        least
    }

    fn set(&self, write: Write, outcome: u64) {
        if let Some(place) = self.index(write).and_then(|index| self.outcomes.get(index)) {
            place.store(outcome, Ordering::Relaxed);
        }
    }

    fn index(&self, write: Write) -> Option<usize> {
        usize::try_from(self.plan.position(write)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counts_what_was_begun_of_each_slot() {
        let mut plan = Plan::default();
        plan.add(3, 2, 10.0, Duration::from_secs(1));
        let ledger = Ledger::new(plan);
        let write = |slot, generation| Write { slot, generation };
        assert_eq!(ledger.outcome(write(0, 0)), Outcome::NotBegun);
        for generation in 0..3 {
            ledger.begin(write(1, generation));
        }
        ledger.done(write(1, 0), Some(77));
        ledger.done(write(1, 1), None);
        let outcomes = [0, 1, 2, 3].map(|generation| ledger.outcome(write(1, generation)));
        let expected =
            [Outcome::Done(Some(77)), Outcome::Done(None), Outcome::Uncertain, Outcome::NotBegun];
        assert_eq!(outcomes, expected);
        assert_eq!([0, 1, 2, 9].map(|slot| ledger.begun(slot)), [0, 3, 0, 0]);
        assert_eq!(ledger.outcome(write(9, 0)), Outcome::NotBegun);
    }
}
