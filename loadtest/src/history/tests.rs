use std::{sync::Arc, time::Duration};

use super::{Faults, Final, History, Seen};
use crate::{
    ledger::Ledger,
    plan::{Operation, Plan, Write},
};

const SLOTS: u32 = 6;
const BASE: u64 = 100;

fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.add(SLOTS, 3, 100.0, Duration::from_secs(2), false);
    plan
}

/// The events of all writes in order, as a faultless server sends them.
fn events() -> Vec<Seen> {
    let plan = plan();
    let churn = plan.churns()[0];
    let event = |index: u64| {
        let write = churn.write(index);
        let operation = plan.operation(write);
        let before = u32::from(operation == Operation::Delete);
        let mark = Write { generation: write.generation - before, ..write };
        Seen { mark, operation, revision: BASE + index }
    };
    (0..churn.writes).map(event).collect()
}

fn known(uncertain: &[Write]) -> Final {
    let plan = plan();
    let churn = plan.churns()[0];
    let ledger = Ledger::new(plan.clone());
    let mut state = vec![None; SLOTS as usize];
    for index in 0..churn.writes {
        let write = churn.write(index);
        let deleted = plan.operation(write) == Operation::Delete;
        ledger.begin(write);
        if !uncertain.contains(&write) {
            ledger.done(write, (!deleted).then_some(BASE + index));
        }
        state[write.slot as usize] = (!deleted).then_some(write.generation);
    }
    let begun = (0..SLOTS).map(|slot| ledger.begun(slot)).collect();
    Final { ledger: Arc::new(ledger), begun, state }
}

fn history(audience: &[u32]) -> History {
    History::new(Arc::new(Ledger::new(plan())), audience.into())
}

fn check_of(mut history: History, events: &[Seen], uncertain: &[Write]) -> Faults {
    for seen in events {
        history.see(*seen);
    }
    history.finish(&known(uncertain), false)
}

fn check(events: &[Seen]) -> Faults {
    check_of(history(&[0, 1, 2, 3, 4, 5]), events, &[])
}

#[test]
fn a_faultless_history_has_no_faults() {
    assert!(events().len() == 200);
    assert_eq!(check(&events()), Faults::default());
}

#[test]
fn a_lost_event_is_found() {
    for index in [0, 17, 150, events().len() - 1] {
        let mut events = events();
        let lost = events.remove(index);
        assert_eq!(check(&events).lost, 1, "{index}");
        if lost.operation != Operation::Delete {
            let all = history(&[0, 1, 2, 3, 4, 5]);
            assert_eq!(check_of(all, &events, &[lost.mark]).lost, 0, "an uncertain write");
        }
    }
}

#[test]
fn a_lost_deletion_is_found_though_it_carries_an_older_mark() {
    let mut events = events();
    let index = events.iter().rposition(|seen| seen.operation == Operation::Delete).unwrap();
    let slot = events[index].mark.slot;
    // The last of its object, so that the state differs, too.
    let later = |seen: &&Seen| seen.mark.slot == slot && seen.revision > events[index].revision;
    let after: Vec<u64> = events.iter().filter(later).map(|seen| seen.revision).collect();
    events.remove(index);
    let faults = check(&events);
    assert_eq!(faults.lost, 1, "{faults:?}");
    assert_eq!(faults.state_differs, u64::from(after.is_empty()));
}

#[test]
fn a_duplicate_and_a_replay_are_found() {
    let mut twice = events();
    twice.insert(40, twice[39]);
    assert_eq!(check(&twice), Faults { duplicate: 1, out_of_order: 0, ..Faults::default() });
    let mut events = events();
    let old = events[30..40].to_vec();
    events.splice(60..60, old);
    assert_eq!(check(&events), Faults { duplicate: 10, ..Faults::default() });
}

#[test]
fn a_swap_is_found_within_an_object_and_across_objects() {
    let mut within = events();
    within.swap(40, 40 + SLOTS as usize);
    assert!(check(&within).out_of_order >= 1);
    let mut across = events();
    across.swap(40, 41);
    assert_eq!(check(&across), Faults { out_of_order: 1, ..Faults::default() });
}

#[test]
fn a_wrong_type_an_invented_write_and_a_leak_are_found() {
    let mut typed = events();
    let update = typed.iter().position(|seen| seen.operation == Operation::Update).unwrap();
    typed[update].operation = Operation::Create;
    assert_eq!(check(&typed).wrong, 1);
    let mut invented = events();
    let mark = Write { slot: 0, generation: 4_000_000_000 };
    invented.push(Seen { mark, operation: Operation::Update, revision: 10_000 });
    assert_eq!(check(&invented).wrong, 1);
    // A selection of two objects is sent an event of a third.
    let selected = |seen: &&Seen| [1, 4].contains(&seen.mark.slot);
    let mut own: Vec<Seen> = events().iter().filter(selected).copied().collect();
    assert_eq!(check_of(history(&[1, 4]), &own, &[]), Faults::default());
    own.insert(5, events()[2]);
    assert_eq!(check_of(history(&[1, 4]), &own, &[]).wrong, 1);
    let stranger = Seen { mark: Write { slot: 99, generation: 0 }, ..events()[0] };
    assert_eq!(history(&[0, 1, 2, 3, 4, 5]).see(stranger), None);
}

#[test]
fn a_watch_that_begins_among_writes_must_see_the_later_ones() {
    for begin in [1, 50, 120] {
        let events = &events()[begin..];
        let late = || {
            let mut late = history(&[0, 1, 2, 3, 4, 5]);
            late.begin_at(BASE + begin as u64 - 1);
            late
        };
        assert_eq!(check_of(late(), events, &[]), Faults::default(), "{begin}");
        for lost in [0, 1, 20] {
            let mut events = events.to_vec();
            let event = events.remove(lost);
            // Whether a deletion came before the beginning is not always known.
            let faults = check_of(late(), &events, &[]);
            let deletion = u64::from(event.operation == Operation::Delete);
            assert!(faults.lost == 1 || faults.lost + deletion == 1, "{begin} {lost} {faults:?}");
        }
    }
}

#[test]
fn an_initial_state_is_where_the_history_goes_on() {
    let begin = 100;
    let mut history = history(&[0, 1, 2, 3, 4, 5]);
    history.begin_with_state();
    for slot in (0..SLOTS).rev() {
        let before = events()[..begin].iter().rev().find(|it| it.mark.slot == slot).copied();
        let last = before.filter(|it| it.operation != Operation::Delete);
        if let Some(last) = last {
            assert_eq!(history.see(Seen { operation: Operation::Create, ..last }), None);
        }
    }
    history.bookmark(BASE + begin as u64 - 1, true);
    assert!(!history.is_initial());
    assert_eq!(check_of(history, &events()[begin..], &[]), Faults::default());
}

#[test]
fn what_a_slow_watcher_has_not_read_yet_is_not_lost() {
    let mut slow = history(&[0, 1, 2, 3, 4, 5]);
    let mut holed = history(&[0, 1, 2, 3, 4, 5]);
    for (index, seen) in events()[..80].iter().enumerate() {
        slow.see(*seen);
        if index != 30 {
            holed.see(*seen);
        }
    }
    assert_eq!(slow.finish(&known(&[]), true), Faults::default());
    assert_eq!(holed.finish(&known(&[]), true).lost, 1);
}

#[test]
fn foreign_events_and_bookmarks_must_rise_too() {
    let mut history = history(&[]);
    history.pass(Operation::Update, 10);
    history.bookmark(10, false);
    history.pass(Operation::Update, 10);
    history.bookmark(9, false);
    assert_eq!(history.finish(&known(&[]), false).out_of_order, 2);
}

#[test]
fn the_update_that_announces_a_pods_deletion_is_no_duplicate_but_a_replay_of_it_is() {
    let mut plan = Plan::default();
    plan.add(1, 1, 1.0, Duration::from_secs(3), true);
    let seen = |generation, operation, revision| Seen {
        mark: Write { slot: 0, generation },
        operation,
        revision,
    };
    let ledger = Arc::new(Ledger::new(plan));
    let events = [
        seen(0, Operation::Create, 10),
        seen(1, Operation::Update, 11),
        seen(1, Operation::Update, 12),
        seen(1, Operation::Delete, 13),
    ];
    let faults = |events: &[Seen]| {
        let mut history = History::new(Arc::clone(&ledger), [0].into());
        for seen in events {
            history.see(*seen);
        }
        history.faults
    };
    assert_eq!(faults(&events), Faults::default());
    let replay = [&events[..3], &events[2..]].concat();
    assert_eq!(faults(&replay), Faults { duplicate: 1, ..Faults::default() });
    let replay = [&events[..2], &events[1..]].concat();
    assert_eq!(faults(&replay), Faults { duplicate: 1, ..Faults::default() });
}
