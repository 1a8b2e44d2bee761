//! What each writer does, and when: a pure function of its number and a count.
//!
//! Guarantees: the `n`th write of a writer is known without asking it, so a watcher can tell which
//! write an event stands for and when that write was due, with no shared table and nothing in the
//! object but the writer and the count. A `DELETED` event shows the object's last update; its own
//! count follows from the object. Times are scheduled by the rate alone and never slip: who measures
//! from them also measures the waiting that an overloaded server causes (coordinated omission).

use std::time::Duration;

/// Objects of a writer that are alive together.
const GROUP: u64 = 8;
/// How often each object is updated between its creation and its deletion.
const UPDATES: u64 = 10;
/// Writes in the life of one group.
const CYCLE: u64 = GROUP * (UPDATES + 2);

/// The writes of all writers together.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    writers: u32,
    /// Writes per second of all writers together.
    rate: f64,
}

/// One write: the `sequence`th of `writer`, both counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    /// Which writer.
    pub writer: u32,
    /// Which of its writes.
    pub sequence: u64,
}

/// What a write does to its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Seen as `ADDED`.
    Create,
    /// Seen as `DELETED`.
    Delete,
    /// Seen as `MODIFIED`.
    Update,
}

// === impl Plan ===

impl Plan {
    /// For a rate above zero.
    pub const fn new(writers: u32, rate: f64) -> Self {
        Self { writers, rate }
    }

    /// How many writers share the rate.
    pub const fn writers(&self) -> u32 {
        self.writers
    }

    /// When a write is due, from the start of the writing.
    pub fn due(&self, write: Write) -> Duration {
        let before = write.sequence as f64 * f64::from(self.writers) + f64::from(write.writer);
        Duration::from_secs_f64(before / self.rate)
    }

    /// How many writes of one writer are due before `end`.
    pub fn count(&self, writer: u32, end: Duration) -> u64 {
        let of_all = (end.as_secs_f64() * self.rate - f64::from(writer)).max(0.0);
        (of_all / f64::from(self.writers)).ceil() as u64
    }

    /// A write's place among those of all writers in the order in which they are due.
    pub fn position(&self, write: Write) -> u64 {
        write.sequence * u64::from(self.writers) + u64::from(write.writer)
    }
}

// === impl Write ===

impl Write {
    /// What it does.
    pub const fn operation(self) -> Operation {
        match self.sequence % CYCLE / GROUP {
            0 => Operation::Create,
            phase if phase <= UPDATES => Operation::Update,
            _ => Operation::Delete,
        }
    }

    /// The number of its object among those of the writer.
    pub const fn object(self) -> u64 {
        self.sequence / CYCLE * GROUP + self.sequence % GROUP
    }

    /// The write that deletes the object of this one.
    pub const fn deletion(self) -> Self {
        let sequence =
            self.sequence / CYCLE * CYCLE + (UPDATES + 1) * GROUP + self.sequence % GROUP;
        Self { writer: self.writer, sequence }
    }

    /// The text that the object carries.
    pub fn mark(self, run: &str) -> String {
        format!("{run}/{}/{}", self.writer, self.sequence)
    }

    /// Reads [`Write::mark`]; `None` if the text is not of this run.
    pub fn from_mark(run: &str, mark: &str) -> Option<Self> {
        let (writer, sequence) = mark.strip_prefix(run)?.strip_prefix('/')?.split_once('/')?;
        Some(Self { writer: writer.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_object_is_created_updated_and_deleted_in_this_order() {
        let mut lives: HashMap<u64, Vec<Operation>> = HashMap::new();
        for sequence in 0..3 * CYCLE {
            let write = Write { writer: 0, sequence };
            lives.entry(write.object()).or_default().push(write.operation());
            let deletion = write.deletion();
            assert_eq!(
                (deletion.object(), deletion.operation()),
                (write.object(), Operation::Delete)
            );
        }
        assert_eq!(lives.len(), 3 * GROUP as usize);
        for life in lives.values() {
            assert_eq!(life.len() as u64, UPDATES + 2);
            assert_eq!(life[0], Operation::Create);
            assert!(life[1..=UPDATES as usize].iter().all(|it| *it == Operation::Update));
            assert_eq!(life[UPDATES as usize + 1], Operation::Delete);
        }
    }

    #[test]
    fn writes_are_due_evenly_and_only_by_the_rate() {
        let plan = Plan::new(4, 100.0);
        let due = |writer, sequence| plan.due(Write { writer, sequence }).as_millis();
        assert_eq!([due(0, 0), due(1, 0), due(3, 0), due(0, 1), due(2, 25)], [0, 10, 30, 40, 1020]);
        let second = Duration::from_secs(1);
        assert_eq!((0..4).map(|writer| plan.count(writer, second)).sum::<u64>(), 100);
        assert!(plan.due(Write { writer: 3, sequence: 24 }) < second);
        assert!(plan.due(Write { writer: 0, sequence: 25 }) >= second);
    }

    #[test]
    fn more_writers_than_writes_leave_some_without_any() {
        let plan = Plan::new(10, 3.0);
        let counts: Vec<u64> = (0..10).map(|w| plan.count(w, Duration::from_secs(1))).collect();
        assert_eq!(counts, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn marks_are_read_back_and_those_of_other_runs_are_not() {
        let write = Write { writer: 7, sequence: 1234 };
        assert_eq!(Write::from_mark("abc", &write.mark("abc")), Some(write));
        for other in ["abd/7/1", "abc/7", "abc7/1", "abc/x/1", ""] {
            assert_eq!(Write::from_mark("abc", other), None, "{other}");
        }
    }
}
