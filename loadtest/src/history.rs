//! The check of one watcher's events against the writes: lost, duplicate and out of order.
//!
//! Writes of one object happen one after the other, so every watcher must see those of each object
//! that it selects in this order, each once, with resource versions that rise across all objects.
//! What a write failed to do may or may not be seen, and is neither lost nor wrong. An event costs
//! one look into a table of the objects selected. Knows no network and no clock.

use std::{collections::HashSet, sync::Arc};

use serde::Serialize;

pub use crate::event::Seen;
use crate::{
    ledger::{Ledger, Outcome},
    plan::{Operation, Plan, Write},
};

/// Generation of an object of which nothing is known.
const UNKNOWN: u32 = u32::MAX;

/// What is known of the writes at the end.
#[derive(Debug)]
pub struct Final {
    /// Outcomes.
    pub ledger: Arc<Ledger>,
    /// How many writes of each slot were begun.
    pub begun: Vec<u32>,
    /// The generation that each slot's object on the server carries; `None` without an object.
    pub state: Vec<Option<u32>>,
}

/// What was wrong, in events; all zero is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Never seen, though the write succeeded.
    pub lost: u64,
    /// Seen again.
    pub duplicate: u64,
    /// Seen after a later one of the same object, or with a resource version that did not rise.
    pub out_of_order: u64,
    /// Of a type other than the write's, of a write that was never attempted, or of an object that
    /// is not selected.
    pub wrong: u64,
    /// Objects whose last seen state is not the server's at the end.
    pub state_differs: u64,
}

/// One watcher's events so far.
#[derive(Debug)]
pub struct History {
    ledger: Arc<Ledger>,
    /// The slots that the watcher selects, sorted.
    audience: Arc<[u32]>,
    /// Of each of them, the write that should come next.
    next: Box<[u32]>,
    /// Of those that were unknown, the first write seen.
    first: Vec<Write>,
    /// Skipped so far.
    missing: HashSet<Write>,
    /// The initial state is coming.
    initial: bool,
    /// Writes up to this resource version were in the state that the watch began with.
    floor: u64,
    revision: u64,
    faults: Faults,
}

// === impl History ===

impl History {
    /// Of a watch that begins before any write.
    pub fn new(ledger: Arc<Ledger>, audience: Arc<[u32]>) -> Self {
        Self {
            ledger,
            next: vec![0; audience.len()].into(),
            audience,
            first: Vec::new(),
            missing: HashSet::new(),
            initial: false,
            floor: 0,
            revision: 0,
            faults: Faults::default(),
        }
    }

    /// The watch begins at this resource version, perhaps among writes.
    pub fn begin_at(&mut self, revision: u64) {
        self.next.fill(UNKNOWN);
        (self.floor, self.revision, self.initial) = (revision, revision, false);
    }

    /// The watch begins with the initial state, perhaps among writes.
    pub fn begin_with_state(&mut self) {
        self.next.fill(UNKNOWN);
        self.initial = true;
    }

    /// The highest resource version seen.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the initial state is still coming.
    pub const fn is_initial(&self) -> bool {
        self.initial
    }

    /// Takes one event in; gives the write that it stands for if it is seen for the first time.
    pub fn see(&mut self, seen: Seen) -> Option<Write> {
        let plan: &Plan = &self.ledger.plan;
        let deleted = seen.operation == Operation::Delete;
        let write = if deleted { plan.deletion(seen.mark) } else { seen.mark };
        let index = if self.audience.len() == plan.slots() as usize {
            usize::try_from(write.slot).ok().filter(|index| *index < self.audience.len())
        } else {
            self.audience.binary_search(&write.slot).ok()
        };
        let Some(index) = index else {
            self.faults.wrong += 1;
            return None;
        };
        let mistyped = plan.operation(write) != seen.operation;
        let planned = plan.position(write).is_some();
        if self.initial && seen.operation == Operation::Create {
            self.next[index] = write.generation.saturating_add(1);
            return None;
        }
        // A generation out of all bounds would fill the memory: it is wrong in itself.
        if !planned {
            self.faults.wrong += 1;
            return None;
        }
        let announces = seen.operation == Operation::Update && plan.announces_deletion(write);
        let mut disorder = self.rise(seen.revision);
        let next = self.next[index];
        // The update before a pod's deletion is no write of ours. A repeated event is told from it by
        // its resource version, which did not rise.
        if announces
            && !disorder
            && (write.generation.checked_add(1) == Some(next) || (next == UNKNOWN && mistyped))
        {
            self.next[index] = write.generation + 1;
            return None;
        }
        if next == UNKNOWN {
            self.first.push(write);
        } else if write.generation < next {
            if !self.missing.remove(&write) {
                self.faults.duplicate += 1;
                return None;
            }
            disorder = true;
        } else {
            let skipped = next..write.generation;
            self.missing.extend(skipped.map(|generation| Write { slot: write.slot, generation }));
        }
        if next == UNKNOWN || write.generation >= next {
            self.next[index] = write.generation.saturating_add(1).min(UNKNOWN - 1);
        }
        self.faults.out_of_order += u64::from(disorder);
        self.faults.wrong += u64::from(mistyped);
        Some(write)
    }

    /// Takes in that an event of no concern came.
    pub fn pass(&mut self, operation: Operation, revision: u64) {
        if !(self.initial && operation == Operation::Create) {
            let disorder = self.rise(revision);
            self.faults.out_of_order += u64::from(disorder);
        }
    }

    /// Takes a bookmark in; `initial_end` if it ends the initial state.
    pub fn bookmark(&mut self, revision: u64, initial_end: bool) {
        if self.initial && initial_end {
            (self.initial, self.floor) = (false, revision);
        }
        self.faults.out_of_order += u64::from(revision < self.revision);
        self.revision = self.revision.max(revision);
    }

    /// The verdict. Of a watcher that reads slowly, only what it was sent before its last event
    /// counts.
    pub fn finish(mut self, known: &Final, slow: bool) -> Faults {
        let ceiling = if slow { self.revision } else { u64::MAX };
        let expected = |write: &Write| self.expected(known, *write, ceiling);
        let mut lost = self.missing.iter().filter(|write| expected(write)).count() as u64;
        for first in &self.first {
            let before = (0..first.generation).map(|it| Write { slot: first.slot, generation: it });
            lost += before.filter(|write| expected(write)).count() as u64;
        }
        let (mut wrong, mut differ) = (0, 0);
        for (&slot, &next) in self.audience.iter().zip(&self.next) {
            let begun = known.begun.get(slot as usize).copied().unwrap_or(0);
            let seen = if next == UNKNOWN { 0 } else { next };
            wrong += u64::from(seen.saturating_sub(begun));
            let unseen = (seen..begun).map(|generation| Write { slot, generation });
            lost += unseen.filter(|write| expected(write)).count() as u64;
            if next != UNKNOWN && !slow {
                let server = known.state.get(slot as usize).copied().flatten();
                differ += u64::from(self.alive(slot, next) != server);
            }
        }
        self.faults.lost = lost;
        self.faults.wrong += wrong;
        self.faults.state_differs = differ;
        self.faults
    }

    /// Whether the resource version fails to rise.
    fn rise(&mut self, revision: u64) -> bool {
        let disorder = revision <= self.revision;
        self.revision = self.revision.max(revision);
        disorder
    }

    fn alive(&self, slot: u32, next: u32) -> Option<u32> {
        let last = Write { slot, generation: next.checked_sub(1)? };
        (self.ledger.plan.operation(last) != Operation::Delete).then_some(last.generation)
    }

    /// Whether a write had to be seen.
    fn expected(&self, known: &Final, write: Write, ceiling: u64) -> bool {
        let revision =
            |generation: u32| match known.ledger.outcome(Write { slot: write.slot, generation }) {
                Outcome::Done(revision) => revision,
                Outcome::NotBegun | Outcome::Uncertain => None,
            };
        match known.ledger.outcome(write) {
            Outcome::NotBegun | Outcome::Uncertain => false,
            Outcome::Done(Some(revision)) => self.floor < revision && revision <= ceiling,
            // A deletion is between the writes before and after it.
            Outcome::Done(None) => {
                let before = write.generation.checked_sub(1).and_then(revision);
                let after = revision(write.generation.saturating_add(1));
                let begins = self.floor == 0 || before.is_some_and(|before| before >= self.floor);
                begins && (ceiling == u64::MAX || after.is_some_and(|after| after <= ceiling))
            }
        }
    }
}

// === impl Faults ===

impl Faults {
    /// Whether everything was right.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds those of another watcher.
    pub const fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.duplicate += other.duplicate;
        self.out_of_order += other.out_of_order;
        self.wrong += other.wrong;
        self.state_differs += other.state_differs;
    }
}

#[cfg(test)]
mod tests;
