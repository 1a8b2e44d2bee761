//! The reference against the writers: what either of them leaves out or makes up is noticed.

use std::sync::Arc;

use crate::checker::record::{Ack, Done, Version};
use crate::checker::reference::Reference;
use crate::checker::violation::Rule;
use crate::seeded::Seeded;
use crate::synthetic::{Synthetic, run};

fn broken(run: &Synthetic) -> Option<Rule> {
    run.reference.truth(&run.acks).err().map(|violation| violation.rule)
}

/// A run that was changed, many times over.
fn every(change: impl Fn(&mut Synthetic, &mut Seeded)) -> Vec<Option<Rule>> {
    let mut random = Seeded::new(17);
    (0..200)
        .map(|seed| {
            let mut run = run(seed, 60, 0);
            change(&mut run, &mut random);
            broken(&run)
        })
        .collect()
}

#[test]
fn an_event_that_the_reference_lost() {
    let verdicts = every(|run, random| {
        let place = random.below(run.reference.changes.len());
        run.reference.changes.remove(place);
    });
    assert!(verdicts.iter().all(|verdict| *verdict == Some(Rule::Reference)), "{verdicts:?}");
}

#[test]
fn an_event_that_the_reference_saw_twice_or_too_early() {
    let verdicts = every(|run, random| {
        let place = random.below(run.reference.changes.len() - 1);
        match random.percent(50) {
            true => run.reference.changes.swap(place, place + 1),
            false => {
                let twice = run.reference.changes[place].clone();
                run.reference.changes.insert(place + 1, twice);
            }
        }
    });
    assert!(verdicts.iter().all(|verdict| *verdict == Some(Rule::Reference)), "{verdicts:?}");
}

#[test]
fn a_content_that_the_reference_got_wrong() {
    let verdicts = every(|run, _| {
        let deleted = crate::checker::record::Kind::Deleted;
        let noted = run.reference.changes.iter_mut().find(|noted| noted.event.kind == deleted);
        noted.unwrap().event.content += 1;
    });
    assert!(verdicts.iter().all(|verdict| *verdict == Some(Rule::Reference)), "{verdicts:?}");
}

#[test]
fn a_write_that_was_acknowledged_but_not_done() {
    let verdicts = every(|run, random| {
        let place = random.below(run.acks.len());
        let ack = run.acks[place].clone();
        run.acks.insert(place, ack);
    });
    assert!(verdicts.iter().all(|verdict| *verdict == Some(Rule::Reference)), "{verdicts:?}");
}

#[test]
fn writes_of_unknown_fate_may_be_done_or_not() {
    for seed in 0..200 {
        let mut random = Seeded::new(seed);
        let mut run = run(seed, 60, 0);
        for ack in &mut run.acks {
            if random.percent(20) {
                ack.done = Done::Unknown;
            }
        }
        assert_eq!(broken(&run), None, "seed {seed}: done");
        let place = random.below(run.acks.len());
        let not_done = Ack { done: Done::Unknown, ..run.acks[place].clone() };
        run.acks.insert(place, not_done);
        assert_eq!(broken(&run), None, "seed {seed}: not done");
    }
}

#[test]
fn floors_and_ceilings_follow_the_acknowledgements() {
    let run = run(3, 10, 0);
    let truth = run.reference.truth(&run.acks).unwrap();
    let versions: Vec<Version> = truth.changes.iter().map(|change| change.version).collect();
    for (place, ack) in run.acks.iter().enumerate() {
        let before = place.checked_sub(1).map_or(0, |last| versions[last]);
        assert_eq!(truth.floor(ack.acked), before);
        assert_eq!(truth.floor(ack.acked + 1), versions[place]);
        assert_eq!(truth.ceiling(ack.begun - 1), versions[place]);
        let after = versions.get(place + 1).copied().unwrap_or(Version::MAX);
        assert_eq!(truth.ceiling(ack.begun), after);
    }
}

#[test]
fn keys_that_nobody_writes_are_taken_as_they_are() {
    let run = run(5, 30, 0);
    let reference = Reference { end: run.reference.end, ..run.reference.clone() };
    let key: Arc<str> = run.acks[0].key.clone();
    let others: Vec<Ack> = run.acks.iter().filter(|ack| ack.key != key).cloned().collect();
    assert!(reference.truth(&others).is_ok());
}
