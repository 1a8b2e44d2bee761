//! The check of one watcher's events against the writes: lost, duplicate and out of order.
//!
//! Writes of one object happen one after the other, so every watcher must see those of each object
//! that it selects in this order, each once, with resource versions that rise across all objects. A
//! watch that begins with the state must be shown each object as the last write before it left it.
//! What a write failed to do may or may not be seen, and is neither lost nor wrong; what others do to
//! the objects is told from a repeated event by its resource version, which rises. An event costs one
//! look into a table of the objects selected. Knows no network and no clock.

use std::{collections::HashSet, sync::Arc};

use serde::Serialize;

pub use crate::event::Seen;
use crate::{
    ledger::{Ledger, Outcome},
    plan::{Operation, Write},
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
    /// The generation that each slot's object on the server carries, `None` without an object; of all
    /// slots `None` if the server did not tell.
    pub state: Option<Vec<Option<u32>>>,
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
    /// Objects that the initial state did not show as they were, or showed twice.
    pub initial: u64,
    /// Objects whose last seen state is not the server's at the end.
    pub state_differs: u64,
}

/// What an event was to its watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A write's, for the first time.
    First(Write),
    /// Somebody else's change of one of the run's objects, as the update before a pod's deletion.
    Foreign,
    /// Part of the initial state, or a fault.
    Nothing,
}

/// Where a watch begins.
#[derive(Debug)]
enum Beginning {
    /// Before any write.
    FirstWrite,
    /// Behind this resource version, among writes; what was there is not known.
    Revision(u64),
    /// With the state, which is coming.
    StateComing,
    /// With the state at this resource version: of each slot selected, the write that comes next.
    State(u64, Box<[u32]>),
}

/// One watcher's events so far.
#[derive(Debug)]
pub struct History {
    ledger: Arc<Ledger>,
    /// The slots that the watcher selects, sorted.
    audience: Arc<[u32]>,
    beginning: Beginning,
    /// Of each of them, the write that should come next.
    next: Box<[u32]>,
    /// Of those that were unknown, the first write seen.
    first: Vec<Write>,
    /// Skipped so far.
    missing: HashSet<Write>,
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
            beginning: Beginning::FirstWrite,
            first: Vec::new(),
            missing: HashSet::new(),
            revision: 0,
            faults: Faults::default(),
        }
    }

    /// The watch begins at this resource version, perhaps among writes.
    pub fn begin_at(&mut self, revision: u64) {
        self.forget();
        (self.beginning, self.revision) = (Beginning::Revision(revision), revision);
    }

    /// The watch begins with the state, perhaps among writes: by events until a bookmark ends it, or
    /// by a list until [`History::end_state`].
    pub fn begin_with_state(&mut self) {
        self.forget();
        self.beginning = Beginning::StateComing;
    }

    /// All of the state at this resource version was seen.
    pub fn end_state(&mut self, revision: u64) {
        self.beginning = Beginning::State(revision, self.next.clone());
        self.revision = self.revision.max(revision);
    }

    fn forget(&mut self) {
        self.next.fill(UNKNOWN);
        self.first.clear();
        self.missing.clear();
    }

    /// The highest resource version seen.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the initial state is still coming.
    pub const fn is_initial(&self) -> bool {
        matches!(self.beginning, Beginning::StateComing)
    }

    /// Takes one event in, or one item of a list as a creation.
    pub fn see(&mut self, seen: Seen) -> Sight {
        let plan = &self.ledger.plan;
        let deleted = seen.operation == Operation::Delete;
        let write = if deleted { plan.deletion(seen.mark) } else { seen.mark };
        // An object never carries its deletion. A generation out of all bounds would fill the memory.
        let possible = plan.position(write).is_some()
            && (deleted || plan.operation(write) != Operation::Delete);
        let Some(index) = self.index(write.slot).filter(|_| possible) else {
            self.faults.wrong += 1;
            return Sight::Nothing;
        };
        if self.is_initial() && seen.operation == Operation::Create {
            let twice =
                self.next[index] != UNKNOWN && self.alive(write.slot, self.next[index]).is_some();
            self.faults.initial += u64::from(twice);
            self.next[index] = write.generation + 1;
            return Sight::Nothing;
        }
        let disorder = self.rise(seen.revision);
        if seen.operation == Operation::Update
            && !disorder
            && self.is_foreign(index, write, seen.revision)
        {
            return Sight::Foreign;
        }
        if self.advance(index, write, disorder) {
            let mistyped = self.ledger.plan.operation(write) != seen.operation;
            self.faults.wrong += u64::from(mistyped);
            Sight::First(write)
        } else {
            Sight::Nothing
        }
    }

    /// Takes in that an event of no concern came.
    pub fn pass(&mut self, operation: Operation, revision: u64) {
        if !(self.is_initial() && operation == Operation::Create) {
            let disorder = self.rise(revision);
            self.faults.out_of_order += u64::from(disorder);
        }
    }

    /// Takes a bookmark in; `initial_end` if it ends the initial state.
    pub fn bookmark(&mut self, revision: u64, initial_end: bool) {
        self.faults.out_of_order += u64::from(revision < self.revision);
        if self.is_initial() && initial_end {
            self.end_state(revision);
        }
        self.revision = self.revision.max(revision);
    }

    /// The verdict. Of a watcher that reads slowly, only what it was sent before its last event
    /// counts; of one that never had the initial state, nothing was due.
    pub fn finish(mut self, known: &Final, slow: bool) -> Faults {
        if self.is_initial() {
            return self.faults;
        }
        let ceiling = if slow { self.revision } else { u64::MAX };
        let expected = |write: &Write| self.expected(known, *write, ceiling);
        let mut lost = self.missing.iter().filter(|write| expected(write)).count() as u64;
        for first in &self.first {
            let before = (0..first.generation).map(|it| Write { slot: first.slot, generation: it });
            lost += before.filter(|write| expected(write)).count() as u64;
        }
        let (mut wrong, mut differ) = (0, 0);
        for (&slot, &next) in self.audience.iter().zip(&self.next) {
            let begun = known.begun(slot);
            let seen = if next == UNKNOWN { 0 } else { next };
            wrong += u64::from(seen.saturating_sub(begun));
            let unseen = (seen..begun).map(|generation| Write { slot, generation });
            lost += unseen.filter(|write| expected(write)).count() as u64;
            if let Some(state) = known.state.as_ref().filter(|_| next != UNKNOWN && !slow) {
                let server = state.get(slot as usize).copied().flatten();
                differ += u64::from(self.alive(slot, next) != server);
            }
        }
        self.faults.initial += self.initial_faults(known);
        self.faults.lost = lost;
        self.faults.wrong += wrong;
        self.faults.state_differs = differ;
        self.faults
    }

    /// Objects that the initial state showed otherwise than the ledger says, as far as it is sure.
    fn initial_faults(&self, known: &Final) -> u64 {
        let Beginning::State(revision, shown) = &self.beginning else { return 0 };
        let differs = |(slot, next): (&u32, &u32)| {
            let shown = if *next == UNKNOWN { None } else { self.alive(*slot, *next) };
            known.state_at(*slot, *revision).is_some_and(|was| was != shown)
        };
        self.audience.iter().zip(shown).filter(|it| differs(*it)).count() as u64
    }

    /// Whether an update with a resource version that rose is of somebody else: it carries a mark that
    /// was seen, or one whose write has another resource version.
    fn is_foreign(&self, index: usize, write: Write, revision: u64) -> bool {
        let next = self.next[index];
        if next != UNKNOWN {
            return write.generation + 1 == next;
        }
        match self.ledger.outcome(write) {
            Outcome::Done(Some(own)) => own != revision,
            _ => self.ledger.plan.operation(write) != Operation::Update,
        }
    }

    /// Goes on to a write; whether it is seen for the first time.
    fn advance(&mut self, index: usize, write: Write, mut disorder: bool) -> bool {
        let next = self.next[index];
        if next == UNKNOWN {
            self.first.push(write);
        } else if write.generation < next {
            if !self.missing.remove(&write) {
                self.faults.duplicate += 1;
                return false;
            }
            disorder = true;
        } else {
            let skipped = next..write.generation;
            self.missing.extend(skipped.map(|generation| Write { slot: write.slot, generation }));
        }
        if next == UNKNOWN || write.generation >= next {
            self.next[index] = write.generation + 1;
        }
        self.faults.out_of_order += u64::from(disorder);
        true
    }

    fn index(&self, slot: u32) -> Option<usize> {
        if self.audience.len() == self.ledger.plan.slots() as usize {
            usize::try_from(slot).ok().filter(|index| *index < self.audience.len())
        } else {
            self.audience.binary_search(&slot).ok()
        }
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
        let floor = match &self.beginning {
            Beginning::FirstWrite => None,
            Beginning::Revision(revision) | Beginning::State(revision, _) => Some(*revision),
            Beginning::StateComing => return false,
        };
        let revision =
            |generation: u32| match known.ledger.outcome(Write { slot: write.slot, generation }) {
                Outcome::Done(revision) => revision,
                Outcome::NotBegun | Outcome::Uncertain => None,
            };
        match known.ledger.outcome(write) {
            Outcome::NotBegun | Outcome::Uncertain => false,
            Outcome::Done(Some(revision)) => {
                floor.is_none_or(|floor| floor < revision) && revision <= ceiling
            }
            // A deletion is between the writes before and after it. If the object is still the one of
            // an earlier life, its deletion is seen as that life's.
            Outcome::Done(None) => {
                let creation = known.ledger.outcome(known.ledger.plan.creation(write));
                let before = write.generation.checked_sub(1).and_then(revision);
                let after = revision(write.generation.saturating_add(1));
                matches!(creation, Outcome::Done(_))
                    && floor.is_none_or(|floor| before.is_some_and(|before| before >= floor))
                    && (ceiling == u64::MAX || after.is_some_and(|after| after <= ceiling))
            }
        }
    }
}

// === impl Final ===

impl Final {
    fn begun(&self, slot: u32) -> u32 {
        self.begun.get(slot as usize).copied().unwrap_or(0)
    }

    /// The generation that a slot's object had at a resource version, `None` without an object; `None`
    /// of both if it is not sure, for one next to it has no known resource version.
    fn state_at(&self, slot: u32, revision: u64) -> Option<Option<u32>> {
        let mut sure = true;
        for generation in (0..self.begun(slot)).rev() {
            match self.ledger.outcome(Write { slot, generation }) {
                Outcome::Done(Some(written)) if written > revision => sure = true,
                Outcome::Done(Some(_)) => return sure.then_some(Some(generation)),
                Outcome::Done(None) | Outcome::Uncertain | Outcome::NotBegun => sure = false,
            }
        }
        sure.then_some(None)
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
        self.initial += other.initial;
        self.state_differs += other.state_differs;
    }
}

#[cfg(test)]
mod tests;
