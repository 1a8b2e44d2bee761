use std::collections::{BTreeMap, HashSet};

use super::{Faults, History, Seen, Written};
use crate::plan::{Operation, Write};

const COUNT: u64 = 200;

/// The events of two writers whose writes alternate, as a faultless server sends them.
fn events() -> Vec<Seen> {
    let mut events: Vec<Seen> = Vec::new();
    for sequence in 0..COUNT {
        for writer in 0..2 {
            let write = Write { writer, sequence };
            let operation = write.operation();
            let mark = if operation == Operation::Delete {
                let same = |seen: &&Seen| {
                    seen.mark.writer == writer && seen.mark.object() == write.object()
                };
                events.iter().rev().find(same).expect("created before").mark
            } else {
                write
            };
            events.push(Seen { mark, operation, revision: 100 + events.len() as u64 });
        }
    }
    events
}

fn state() -> BTreeMap<(u32, u64), u64> {
    let mut state = BTreeMap::new();
    for seen in events() {
        let object = (seen.mark.writer, seen.mark.object());
        match seen.operation {
            Operation::Delete => state.remove(&object),
            _ => state.insert(object, seen.mark.sequence),
        };
    }
    state
}

fn check_with(events: Vec<Seen>, uncertain: &[Write]) -> Faults {
    let mut history = History::new(2);
    for seen in events {
        history.see(seen);
    }
    let written = Written {
        attempted: vec![COUNT; 2],
        uncertain: uncertain.iter().copied().collect::<HashSet<_>>(),
    };
    history.finish(&written, &state())
}

fn check(events: Vec<Seen>) -> Faults {
    check_with(events, &[])
}

#[test]
fn a_faultless_history_has_no_faults() {
    assert!(!state().is_empty());
    assert_eq!(check(events()), Faults::default());
}

#[test]
fn a_lost_event_is_found() {
    for index in [0, 17, 150, events().len() - 1] {
        let mut events = events();
        let lost = events.remove(index);
        assert_eq!(check(events.clone()).lost, 1, "{index}");
        if lost.operation != Operation::Delete {
            assert_eq!(check_with(events, &[lost.mark]).lost, 0, "an uncertain write");
        }
    }
}

#[test]
fn a_lost_last_update_is_also_a_different_state() {
    let mut events = events();
    events.pop();
    assert_eq!(check(events), Faults { lost: 1, state_differs: 1, ..Faults::default() });
}

#[test]
fn a_lost_deletion_is_found_though_it_carries_an_older_mark() {
    let mut events = events();
    let index = events.iter().position(|seen| seen.operation == Operation::Delete).unwrap();
    events.remove(index);
    assert_eq!(check(events), Faults { lost: 1, state_differs: 1, ..Faults::default() });
}

#[test]
fn a_duplicate_is_found() {
    let mut events = events();
    events.insert(40, events[39]);
    assert_eq!(check(events), Faults { duplicate: 1, ..Faults::default() });
}

#[test]
fn a_replay_of_old_events_is_found() {
    let mut events = events();
    let old = events[30..40].to_vec();
    events.splice(60..60, old);
    assert_eq!(check(events), Faults { duplicate: 10, ..Faults::default() });
}

#[test]
fn a_swap_is_found_within_a_writer_and_across_writers() {
    let mut within = events();
    within.swap(40, 42);
    assert!(check(within).out_of_order >= 1);
    let mut across = events();
    across.swap(40, 41);
    assert_eq!(check(across), Faults { out_of_order: 1, ..Faults::default() });
}

#[test]
fn a_wrong_type_and_an_invented_write_are_found() {
    let mut events = events();
    let update = events.iter().position(|seen| seen.operation == Operation::Update).unwrap();
    events[update].operation = Operation::Create;
    assert_eq!(check(events.clone()).wrong, 1);
    let mut invented = self::events();
    let mark = Write { writer: 0, sequence: COUNT };
    invented.push(Seen { mark, operation: mark.operation(), revision: 10_000 });
    assert_eq!(check(invented).wrong, 1);
    let stranger = Seen { mark: Write { writer: 9, sequence: 0 }, ..events[0] };
    let mut history = History::new(2);
    assert_eq!(history.see(stranger), None);
}
