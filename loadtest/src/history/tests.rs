use std::{sync::Arc, time::Duration};

use super::{Faults, Final, History, Seen, Sight};
use crate::{
    ledger::Ledger,
    plan::{Operation, Plan, Write},
};

const SLOTS: u32 = 6;
const BASE: u64 = 100;

fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.add(SLOTS, 3, 100.0, Duration::from_secs(2));
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
    Final { ledger: Arc::new(ledger), begun, state: Some(state) }
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
    assert_eq!(history(&[0, 1, 2, 3, 4, 5]).see(stranger), Sight::Nothing);
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

/// What a list shows that is made before the event of this number.
fn state(begin: usize) -> Vec<Seen> {
    let before = &events()[..begin];
    let last = |slot| before.iter().rev().find(|it| it.mark.slot == slot).copied();
    let alive = (0..SLOTS).rev().filter_map(last).filter(|it| it.operation != Operation::Delete);
    alive.map(|seen| Seen { operation: Operation::Create, ..seen }).collect()
}

/// A watch that is shown a state, and all events from this number on.
fn with_state(state: &[Seen], begin: usize, known: &Final) -> Faults {
    let mut history = history(&[0, 1, 2, 3, 4, 5]);
    history.begin_with_state();
    for seen in state {
        assert_eq!(history.see(*seen), Sight::Nothing);
    }
    history.bookmark(BASE + begin as u64 - 1, true);
    assert!(!history.is_initial());
    for seen in &events()[begin..] {
        history.see(*seen);
    }
    history.finish(known, false)
}

#[test]
fn an_initial_state_is_where_the_history_goes_on() {
    for begin in [1, 50, 100, 150] {
        assert_eq!(with_state(&state(begin), begin, &known(&[])), Faults::default(), "{begin}");
    }
}

#[test]
fn an_initial_state_that_is_not_whole_or_not_of_its_time_is_found() {
    let begin = 100;
    let one = Faults { initial: 1, ..Faults::default() };
    let sure = |seen: &Seen| {
        let next = Write { generation: seen.mark.generation + 1, ..seen.mark };
        plan().operation(next) == Operation::Update
    };
    let place = state(begin).iter().position(sure).unwrap();
    let mut lacking = state(begin);
    let lacked = lacking.remove(place);
    assert_eq!(with_state(&lacking, begin, &known(&[])), one);
    assert_eq!(with_state(&lacking, begin, &known(&[lacked.mark])), Faults::default());
    assert!(with_state(&[], begin, &known(&[])).initial > 1);
    let mut stale = state(begin);
    stale[place].mark.generation -= 1;
    assert!(with_state(&stale, begin, &known(&[])).initial == 1);
    let mut twice = state(begin);
    twice.push(twice[place]);
    assert_eq!(with_state(&twice, begin, &known(&[])), one);
    let mut early = state(1);
    early.push(Seen { operation: Operation::Create, ..events()[1] });
    assert!(with_state(&early, 1, &known(&[])).initial == 1, "an object that was not there yet");
}

#[test]
fn who_never_had_the_whole_state_has_lost_nothing() {
    let mut unfinished = history(&[0, 1, 2, 3, 4, 5]);
    unfinished.begin_with_state();
    for seen in &state(100)[..2] {
        unfinished.see(*seen);
    }
    assert_eq!(unfinished.finish(&known(&[]), false), Faults::default());
}

#[test]
fn a_deletion_of_an_object_that_an_earlier_life_left_is_not_lost() {
    let mut plan = Plan::default();
    plan.add(1, 0, 1.0, Duration::from_secs(5));
    let ledger = Ledger::new(plan);
    let write = |generation| Write { slot: 0, generation };
    // Created, not deleted, so not created again, deleted, created.
    let outcomes =
        [(0, Some(Some(10))), (1, None), (2, None), (3, Some(None)), (4, Some(Some(14)))];
    for (generation, outcome) in outcomes {
        ledger.begin(write(generation));
        if let Some(revision) = outcome {
            ledger.done(write(generation), revision);
        }
    }
    let ledger = Arc::new(ledger);
    let mut history = History::new(Arc::clone(&ledger), [0].into());
    for (generation, operation, revision) in
        [(0, Operation::Create, 10), (0, Operation::Delete, 13), (4, Operation::Create, 14)]
    {
        history.see(Seen { mark: write(generation), operation, revision });
    }
    let known = Final { ledger, begun: vec![5], state: Some(vec![Some(4)]) };
    assert_eq!(history.finish(&known, false), Faults::default());
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
fn what_others_do_to_an_object_is_no_duplicate_but_a_repeat_is() {
    let mut plan = Plan::default();
    plan.add(1, 1, 1.0, Duration::from_secs(3));
    let seen = |generation, operation, revision| Seen {
        mark: Write { slot: 0, generation },
        operation,
        revision,
    };
    let ledger = Arc::new(Ledger::new(plan));
    let events = [
        seen(0, Operation::Create, 10),
        seen(0, Operation::Update, 11),
        seen(1, Operation::Update, 12),
        // As the API server announces the deletion of a pod.
        seen(1, Operation::Update, 13),
        seen(1, Operation::Delete, 14),
    ];
    let check = |events: &[Seen]| {
        let mut history = History::new(Arc::clone(&ledger), [0].into());
        let sights: Vec<_> = events.iter().map(|seen| history.see(*seen)).collect();
        (sights.iter().filter(|sight| **sight == Sight::Foreign).count(), history.faults)
    };
    assert_eq!(check(&events), (2, Faults::default()));
    for repeated in 1..events.len() {
        let replay = [&events[..repeated], &events[repeated - 1..]].concat();
        let faults = Faults { duplicate: 1, ..Faults::default() };
        assert_eq!(check(&replay), (2, faults), "{repeated}");
    }
}
