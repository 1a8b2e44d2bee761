//! The check of one watcher's events against the writes: lost, duplicate and out of order.
//!
//! Writes of one writer happen one after the other, so every watcher must see them in this order,
//! each once, with rising resource versions across all writers. What a write failed to do may or
//! may not be seen, and is neither lost nor wrong. Knows no network and no clock.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::plan::{Operation, Write};

/// What one event says, as far as the check needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The write that the object carries: for a deletion, the one before it.
    pub mark: Write,
    /// The event's type, as the operation it stands for.
    pub operation: Operation,
    /// The object's resource version.
    pub revision: u64,
}

/// What is known of the writes at the end.
#[derive(Debug, Default)]
pub struct Written {
    /// How many writes each writer attempted, by its number.
    pub attempted: Vec<u64>,
    /// Those whose outcome is not a success.
    pub uncertain: HashSet<Write>,
}

/// What was wrong, in events; all zero is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Never seen, though the write succeeded.
    pub lost: u64,
    /// Seen again.
    pub duplicate: u64,
    /// Seen after a later one of the same writer, or with a resource version that did not rise.
    pub out_of_order: u64,
    /// Of a type other than the write's, or of a write that was never attempted.
    pub wrong: u64,
    /// Objects whose last seen state is not the server's at the end.
    pub state_differs: u64,
}

/// One watcher's events so far.
#[derive(Debug)]
pub struct History {
    /// Per writer, the write that should come next.
    next: Vec<u64>,
    /// Skipped so far.
    missing: HashSet<Write>,
    /// The live objects, by writer and object, and the last write seen of each.
    live: BTreeMap<(u32, u64), u64>,
    revision: u64,
    faults: Faults,
}

// === impl History ===

impl History {
    /// Nothing seen, of this many writers.
    pub fn new(writers: u32) -> Self {
        Self {
            next: vec![0; writers as usize],
            missing: HashSet::new(),
            live: BTreeMap::new(),
            revision: 0,
            faults: Faults::default(),
        }
    }

    /// Takes one event in; gives the write that it stands for if it is seen for the first time.
    pub fn see(&mut self, seen: Seen) -> Option<Write> {
        let deleted = seen.operation == Operation::Delete;
        let write = if deleted { seen.mark.deletion() } else { seen.mark };
        let Some(next) = self.next.get_mut(write.writer as usize) else {
            self.faults.wrong += 1;
            return None;
        };
        let mut disorder = seen.revision <= self.revision;
        self.revision = self.revision.max(seen.revision);
        if write.sequence < *next {
            if !self.missing.remove(&write) {
                self.faults.duplicate += 1;
                return None;
            }
            disorder = true;
        } else {
            let writer = write.writer;
            self.missing.extend((*next..write.sequence).map(|sequence| Write { writer, sequence }));
            *next = write.sequence + 1;
        }
        self.faults.out_of_order += u64::from(disorder);
        self.faults.wrong += u64::from(write.operation() != seen.operation);
        let object = (write.writer, write.object());
        if deleted {
            self.live.remove(&object);
        } else {
            self.live.insert(object, write.sequence);
        }
        Some(write)
    }

    /// The verdict: `state` holds the server's objects at the end, by writer and object, with the
    /// write that each carries.
    pub fn finish(mut self, written: &Written, state: &BTreeMap<(u32, u64), u64>) -> Faults {
        let mut lost: u64 =
            self.missing.iter().filter(|write| !written.uncertain.contains(write)).count() as u64;
        for (writer, &next) in self.next.iter().enumerate() {
            let attempted = written.attempted.get(writer).copied().unwrap_or(0);
            self.faults.wrong += next.saturating_sub(attempted);
            let writer = writer as u32;
            let unseen = (next..attempted).map(|sequence| Write { writer, sequence });
            lost += unseen.filter(|write| !written.uncertain.contains(write)).count() as u64;
        }
        self.faults.lost = lost;
        let elsewhere =
            self.live.iter().filter(|(object, last)| state.get(object) != Some(last)).count();
        let unseen = state.keys().filter(|object| !self.live.contains_key(object)).count();
        self.faults.state_differs = (elsewhere + unseen) as u64;
        self.faults
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
