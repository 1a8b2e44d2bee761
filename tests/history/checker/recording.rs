//! Rules for everything one client saw.

use std::collections::HashSet;

use super::record::{Asked, End, Form, Item, Recording, Seen, Session, Step, Version};
use super::truth::Truth;
use super::view::View;
use super::violation::{Rule, Verdict, Violation, broken};
use super::{listing, replay, session};

/// What a recording came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<Violation>,
    /// Lists that were held against an earlier list and the events since.
    pub(crate) replayed: usize,
}

/// Checks every step, what each began with, and that lists and events go together.
pub(crate) fn check(truth: &Truth, view: &View, recording: &Recording) -> Outcome {
    let mut outcome = Outcome::default();
    let mut received = HashSet::new();
    for (place, step) in recording.steps.iter().enumerate() {
        let verdict =
            resumed(step, &received).and_then(|()| check_step(truth, view, recording.form, step));
        if let Err(Violation { rule, what }) = verdict {
            let what = format!("{}, step {place} ({}): {what}", recording.name, said(step));
            outcome.violations.push(Violation { rule, what });
        }
        receive(step, &mut received);
    }
    match replay::check(recording) {
        Ok(replayed) => outcome.replayed = replayed,
        Err(Violation { rule, what }) => {
            outcome.violations.push(Violation::new(rule, format!("{}: {what}", recording.name)));
        }
    }
    outcome
}

/// One step by itself.
pub(crate) fn check_step(truth: &Truth, view: &View, form: Form, step: &Step) -> Verdict {
    match step {
        Step::Watch(session) => session::check(truth, view, form, session),
        Step::List(list) => listing::check(truth, view, form, list),
    }
}

/// Versions are used only if they were received: every one of them must be good to resume at.
fn resumed(step: &Step, received: &HashSet<Version>) -> Verdict {
    let named = match step {
        Step::Watch(session) => session.start.named(),
        Step::List(list) => match list.ask {
            Asked::NotOlderThan(version) => Some(version),
            Asked::Fresh | Asked::Any => None,
        },
    };
    match named {
        Some(version) if !received.contains(&version) => {
            broken(Rule::Resume, format!("{version} was never received"))
        }
        _ => Ok(()),
    }
}

fn receive(step: &Step, received: &mut HashSet<Version>) {
    match step {
        Step::Watch(session) => received.extend(session.seen.iter().map(Seen::version)),
        Step::List(list) => {
            received.insert(list.version);
            received.extend(list.items.iter().map(|Item { version, .. }| *version));
        }
    }
}

fn said(step: &Step) -> String {
    match step {
        Step::List(list) => format!("list {:?} at {}", list.ask, list.version),
        Step::Watch(Session { start, bookmarks, seen, end, .. }) => {
            let marks = if *bookmarks { "with" } else { "without" };
            format!("watch {start:?} {marks} bookmarks, {} frames, {end:?}", seen.len())
        }
    }
}

/// How many watches of a recording were refused or broke.
pub(crate) fn ends(recording: &Recording, wanted: impl Fn(End) -> bool) -> usize {
    let ended = |step: &&Step| matches!(step, Step::Watch(session) if wanted(session.end));
    recording.steps.iter().filter(ended).count()
}
