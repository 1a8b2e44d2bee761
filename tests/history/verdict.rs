//! The verdict on a run, and on the checker: everything recorded is right, and nothing of it is once a fault was injected.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use crate::checker::record::Ack;
use crate::checker::recording::{check, check_step};
use crate::checker::reference::Reference;
use crate::checker::truth::Truth;
use crate::checker::view::View;
use crate::figures::Figures;
use crate::histories::is_unknown;
use crate::injector::{Fault, Surroundings, inject};
use crate::seeded::Seeded;
use crate::watcher::Brought;

/// A kind's part of the run.
pub(crate) struct Case {
    pub(crate) resource: &'static str,
    pub(crate) reference: Reference,
    pub(crate) acks: Vec<Ack>,
    pub(crate) brought: Vec<Brought>,
}

/// So many violations are printed.
const SHOWN: usize = 20;

/// Checks all recordings, then that so many injected faults are found in them.
pub(crate) fn judge(cases: &[Case], injections: usize) -> Result<Figures> {
    let mut figures = Figures::default();
    for case in cases {
        let truth = case.reference.truth(&case.acks);
        let truth = truth.map_err(|violation| anyhow::anyhow!("{}: {violation}", case.resource))?;
        figures.writes += case.acks.len();
        figures.unknown_writes += case.acks.iter().filter(|ack| is_unknown(ack)).count();
        eprintln!("{}: {} changes", case.resource, truth.changes.len());
        let mut views: HashMap<String, View> = HashMap::new();
        for brought in &case.brought {
            let recording = &brought.recording;
            let scope = format!("{:?}", recording.scope);
            let view = views.entry(scope).or_insert_with(|| View::new(&truth, &recording.scope));
            let outcome = check(&truth, view, recording);
            for violation in
                outcome.violations.iter().take(SHOWN.saturating_sub(figures.violations))
            {
                eprintln!("violation: {violation}");
            }
            figures.violations += outcome.violations.len();
            figures.replayed += outcome.replayed;
            figures.add(brought);
        }
        if figures.violations == 0 {
            let count = injections.div_ceil(cases.len());
            find_injected(&mut figures, case, &truth, &views, count)?;
        }
    }
    Ok(figures)
}

/// Injects so many faults of all sorts into recordings that are right.
fn find_injected(
    figures: &mut Figures,
    case: &Case,
    truth: &Truth,
    views: &HashMap<String, View>,
    count: usize,
) -> Result<()> {
    let mut random = Seeded::new(0x01ec_7ed5);
    let mut injected = 0;
    for turn in 0..count * 20 {
        if injected == count {
            return Ok(());
        }
        let recording = &random.pick(&case.brought).recording;
        let fault = Fault::ALL[turn % Fault::ALL.len()];
        let Some(view) = views.get(&format!("{:?}", recording.scope)) else { continue };
        let around = Surroundings { truth, view, form: recording.form };
        let Some(step) = inject(&mut random, &around, recording, fault) else { continue };
        injected += 1;
        *figures.injected.entry(fault).or_default() += 1;
        match check_step(truth, view, recording.form, &step) {
            Err(_) => figures.found += 1,
            Ok(()) => eprintln!("not found: {fault:?} in {}: {step:?}", recording.name),
        }
    }
    ensure!(injected == count, "{}: only {injected} faults could be injected", case.resource);
    Ok(())
}
