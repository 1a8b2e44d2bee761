//! Generated histories: correct ones pass, and none of the injected faults does.

use std::collections::BTreeMap;

use crate::checker::recording::{check, check_step};
use crate::checker::truth::Truth;
use crate::checker::view::View;
use crate::injector::{Fault, Surroundings, inject};
use crate::seeded::Seeded;
use crate::synthetic::{Synthetic, run};

const SEEDS: u64 = 60;
const CHANGES: usize = 240;
const WATCHERS: usize = 24;

fn truth(run: &Synthetic) -> Truth {
    run.reference.truth(&run.acks).expect("a correct reference")
}

#[test]
fn correct_histories_pass() {
    let mut replayed = 0;
    for seed in 0..SEEDS {
        let run = run(seed, CHANGES, WATCHERS);
        let truth = truth(&run);
        for recording in &run.recordings {
            let view = View::new(&truth, &recording.scope);
            let outcome = check(&truth, &view, recording);
            assert!(outcome.violations.is_empty(), "seed {seed}: {:#?}", outcome.violations);
            replayed += outcome.replayed;
        }
    }
    assert!(replayed > 100, "only {replayed} lists were held against an earlier one");
}

#[test]
fn every_injected_fault_is_found() {
    let mut tally: BTreeMap<Fault, usize> = BTreeMap::new();
    for seed in 0..SEEDS {
        let run = run(seed, CHANGES, WATCHERS);
        let truth = truth(&run);
        let mut random = Seeded::new(seed ^ 0x00fa_0175);
        for recording in &run.recordings {
            let (view, form) = (View::new(&truth, &recording.scope), recording.form);
            let around = Surroundings { truth: &truth, view: &view, form };
            for fault in Fault::ALL {
                let Some(step) = inject(&mut random, &around, recording, fault) else { continue };
                let verdict = check_step(&truth, &view, form, &step);
                assert!(verdict.is_err(), "seed {seed}, {}: {fault:?}: {step:#?}", recording.name);
                *tally.entry(fault).or_default() += 1;
            }
        }
    }
    let all: usize = tally.values().sum();
    println!("{all} injected, {all} found: {tally:?}");
    assert!(all > 8_000, "only {all} faults: {tally:?}");
    for fault in Fault::ALL {
        let count = tally.get(&fault).copied().unwrap_or_default();
        assert!(count >= 20, "only {count} times {fault:?}");
    }
}
