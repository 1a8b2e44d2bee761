//! What each write does, and when: a pure function of its object and a count.
//!
//! Every object of a churn is a *slot*, which is created, updated and deleted again and again; the
//! `generation`th write of a slot is known without asking anyone. So a watcher can tell which write
//! an event stands for and when that write was due, with nothing in the object but the two numbers.
//! A `DELETED` event shows the object's last update; the deletion follows from it. Times are
//! scheduled by the rate alone and never slip: who measures from them also measures the waiting that
//! an overloaded server causes (coordinated omission).

use std::time::Duration;

/// Most writes of a run: a watch workload keeps 16 bytes for each.
pub const MAX_WRITES: u64 = 4_000_000;

/// The writes of all churns of a run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    churns: Vec<ChurnPlan>,
}

/// The writes of one churn.
#[derive(Clone, Copy, Debug)]
pub struct ChurnPlan {
    /// Its first slot.
    pub first_slot: u32,
    /// How many slots it has.
    pub slots: u32,
    /// How many writes are due.
    pub writes: u64,
    first_position: u64,
    /// Writes in an object's life.
    cycle: u32,
    rate: f64,
}

/// One write: the `generation`th of its slot, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    /// Which object, among those of all churns.
    pub slot: u32,
    /// Which of its writes.
    pub generation: u32,
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
    /// Adds a churn of so many objects, each updated `updates` times in its life, for a rate above
    /// zero.
    pub fn add(&mut self, slots: u32, updates: u32, rate: f64, duration: Duration) {
        let (first_slot, first_position) = self
            .churns
            .last()
            .map_or((0, 0), |it| (it.first_slot + it.slots, it.first_position + it.writes));
        let writes = (rate * duration.as_secs_f64()).ceil().max(0.0) as u64;
        let cycle = updates.saturating_add(2);
        self.churns.push(ChurnPlan { first_slot, slots, writes, first_position, cycle, rate });
    }

    /// The churns.
    pub fn churns(&self) -> &[ChurnPlan] {
        &self.churns
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.churns.last().map_or(0, |it| it.first_slot + it.slots)
    }

    /// How many writes there are.
    pub fn writes(&self) -> u64 {
        self.churns.last().map_or(0, |it| it.first_position + it.writes)
    }

    /// The churn of a slot and its number; `None` for a slot that is none.
    pub fn churn_of(&self, slot: u32) -> Option<(usize, &ChurnPlan)> {
        let index = self.churns.partition_point(|it| it.first_slot + it.slots <= slot);
        Some((index, self.churns.get(index)?))
    }

    /// A write's place among those of all churns; `None` if it is not planned.
    pub fn position(&self, write: Write) -> Option<u64> {
        let (_, churn) = self.churn_of(write.slot)?;
        let within = churn.within(write);
        (within < churn.writes).then(|| churn.first_position + within)
    }

    /// What a write does.
    pub fn operation(&self, write: Write) -> Operation {
        self.churn_of(write.slot).map_or(Operation::Update, |(_, churn)| churn.operation(write))
    }

    /// The write that deletes the object that this one made or changed.
    pub fn deletion(&self, write: Write) -> Write {
        self.churn_of(write.slot).map_or(write, |(_, churn)| churn.deletion(write))
    }

    /// The write that made the object that this one changes or deletes.
    pub fn creation(&self, write: Write) -> Write {
        self.churn_of(write.slot).map_or(write, |(_, churn)| churn.creation(write))
    }
}

// === impl ChurnPlan ===

impl ChurnPlan {
    /// The `index`th write in the order in which they are due.
    pub fn write(&self, index: u64) -> Write {
        let slots = u64::from(self.slots);
        // Both fit: the bounds of slots and writes are far below 2^32.
        let slot = self.first_slot + (index % slots) as u32;
        Write { slot, generation: (index / slots) as u32 }
    }

    /// When the `index`th write is due, from the churn's beginning.
    pub fn due(&self, index: u64) -> Duration {
        Duration::from_secs_f64(index as f64 / self.rate)
    }

    /// When a write is due, from the churn's beginning.
    pub fn due_of(&self, write: Write) -> Duration {
        self.due(self.within(write))
    }

    fn within(&self, write: Write) -> u64 {
        u64::from(write.generation) * u64::from(self.slots)
            + u64::from(write.slot - self.first_slot)
    }

    /// Where in an object's life a write is. Slots are out of step, so that a second of the churn
    /// holds all operations; the first write of each is a creation all the same.
    fn phase(&self, write: Write) -> u32 {
        let shift = u64::from((write.slot - self.first_slot) % (self.cycle - 1));
        ((u64::from(write.generation) + shift) % u64::from(self.cycle)) as u32
    }

    fn operation(&self, write: Write) -> Operation {
        match self.phase(write) {
            _ if write.generation == 0 => Operation::Create,
            0 => Operation::Create,
            phase if phase == self.cycle - 1 => Operation::Delete,
            _ => Operation::Update,
        }
    }

    fn deletion(&self, write: Write) -> Write {
        let left = self.cycle - 1 - self.phase(write);
        Write { slot: write.slot, generation: write.generation.saturating_add(left) }
    }

    /// The first life may begin in the middle of one: with generation 0 all the same.
    fn creation(&self, write: Write) -> Write {
        let generation = write.generation.saturating_sub(self.phase(write));
        Write { slot: write.slot, generation }
    }
}

// === impl Write ===

impl Write {
    /// The text that the object carries.
    pub fn mark(self, run: &str) -> String {
        format!("{run}/{}/{}", self.slot, self.generation)
    }

    /// Reads [`Write::mark`]; `None` if the text is not of this run.
    pub fn from_mark(run: &str, mark: &str) -> Option<Self> {
        let (slot, generation) = mark.strip_prefix(run)?.strip_prefix('/')?.split_once('/')?;
        Some(Self { slot: slot.parse().ok()?, generation: generation.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(updates: u32) -> Plan {
        let mut plan = Plan::default();
        plan.add(7, 3, 10.0, Duration::from_secs(10));
        plan.add(5, updates, 100.0, Duration::from_secs(2));
        plan
    }

    #[test]
    fn every_object_is_created_updated_and_deleted_in_this_order() {
        for updates in [0, 1, 4] {
            let plan = plan(updates);
            for slot in 7..12 {
                let mut alive = false;
                let mut lives = 0;
                for generation in 0..60 {
                    let write = Write { slot, generation };
                    let operation = plan.operation(write);
                    assert_eq!(alive, operation != Operation::Create, "{write:?} {updates}");
                    alive = operation != Operation::Delete;
                    lives += u32::from(!alive);
                    let deletion = plan.deletion(write);
                    assert_eq!(plan.operation(deletion), Operation::Delete);
                    assert_eq!(plan.creation(deletion), plan.creation(write));
                    assert_eq!(plan.operation(plan.creation(write)), Operation::Create);
                    let between = generation..deletion.generation;
                    assert!(between.into_iter().all(|generation| {
                        plan.operation(Write { slot, generation }) != Operation::Delete
                    }));
                }
                assert!(lives >= 60 / (updates + 2));
            }
        }
    }

    #[test]
    fn writes_are_due_evenly_and_have_one_place_each() {
        let plan = plan(4);
        let second = plan.churns()[1];
        assert_eq!((plan.slots(), plan.writes(), second.writes), (12, 300, 200));
        let due = |index| second.due(index).as_millis();
        assert_eq!([due(0), due(1), due(150)], [0, 10, 1500]);
        for index in 0..200 {
            let write = second.write(index);
            assert_eq!(plan.position(write), Some(100 + index));
            assert_eq!(second.due_of(write), second.due(index));
        }
        assert_eq!(plan.position(Write { slot: 11, generation: 40 }), None);
        assert_eq!(plan.position(Write { slot: 12, generation: 0 }), None);
    }

    #[test]
    fn marks_are_read_back_and_those_of_other_runs_are_not() {
        let write = Write { slot: 7, generation: 1234 };
        assert_eq!(Write::from_mark("abc", &write.mark("abc")), Some(write));
        for other in ["abd/7/1", "abc/7", "abc7/1", "abc/x/1", ""] {
            assert_eq!(Write::from_mark("abc", other), None, "{other}");
        }
    }
}
