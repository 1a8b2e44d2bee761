//! Faults put into correct recordings, to show that the checker finds them.
//!
//! A fault is only injected where it is one: where no faultless server could have answered what comes out. So an event isn't
//! taken from the very end of a watch that ended, nor is the state of a watch without bookmarks touched where a state of
//! another version would explain the result. [`certain_from`] says from where on in a watch that is sure.

mod in_lists;
mod in_watches;

use std::collections::HashSet;

use crate::checker::record::{Digest, Form, Recording, Seen, Session, Start, Step, Version};
use crate::checker::truth::Truth;
use crate::checker::view::View;
use crate::seeded::Seeded;

/// What is done to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Loss,
    Duplicate,
    Reordering,
    WrongKind,
    WrongContent,
    WrongVersion,
    WrongDeletedVersion,
    WrongDeletedContent,
    ForeignEvent,
    BookmarkAhead,
    BookmarkBack,
    BookmarkUnasked,
    InitialEndMissing,
    InitialEndTwice,
    InitialEndWrong,
    StaleStart,
    StaleInitialObject,
    ListLoss,
    ListDuplicate,
    ListReordering,
    ListWrongContent,
    ListWrongVersion,
    ListStale,
    ListStaleObject,
}

impl Fault {
    pub(crate) const ALL: [Self; 24] = [
        Self::Loss,
        Self::Duplicate,
        Self::Reordering,
        Self::WrongKind,
        Self::WrongContent,
        Self::WrongVersion,
        Self::WrongDeletedVersion,
        Self::WrongDeletedContent,
        Self::ForeignEvent,
        Self::BookmarkAhead,
        Self::BookmarkBack,
        Self::BookmarkUnasked,
        Self::InitialEndMissing,
        Self::InitialEndTwice,
        Self::InitialEndWrong,
        Self::StaleStart,
        Self::StaleInitialObject,
        Self::ListLoss,
        Self::ListDuplicate,
        Self::ListReordering,
        Self::ListWrongContent,
        Self::ListWrongVersion,
        Self::ListStale,
        Self::ListStaleObject,
    ];

    fn is_of_lists(self) -> bool {
        self >= Self::ListLoss
    }
}

/// What an injection may look at.
pub(crate) struct Surroundings<'a> {
    pub(crate) truth: &'a Truth,
    pub(crate) view: &'a View,
    pub(crate) form: Form,
}

/// A step of the recording with this fault in it, if there is a place for it in one that is picked.
pub(crate) fn inject(
    random: &mut Seeded,
    around: &Surroundings<'_>,
    recording: &Recording,
    fault: Fault,
) -> Option<Step> {
    let wanted = |step: &&Step| matches!(step, Step::List(_)) == fault.is_of_lists();
    let steps: Vec<&Step> = recording.steps.iter().filter(wanted).collect();
    if steps.is_empty() {
        return None;
    }
    match random.pick(&steps) {
        Step::List(list) => in_lists::inject(random, around, list, fault).map(Step::List),
        Step::Watch(watch) => in_watches::inject(random, around, watch, fault).map(Step::Watch),
    }
}

/// From where on every loss and reordering shows, whatever version a watch began at; `None`: nowhere.
fn certain_from(session: &Session) -> Option<usize> {
    let place = |wanted: fn(&Seen) -> bool| session.seen.iter().position(wanted);
    match session.start {
        Start::After(_) => Some(0),
        Start::FreshNow | Start::AnyNow => {
            place(|seen| matches!(seen, Seen::Event(_))).map(|first| first + 1)
        }
        _ if session.bookmarks => initial_end(session).map(|_| 0),
        // An event that no state could show pins the position in the history.
        _ => place(|seen| !seen.is_added()).map(|first| first + 1),
    }
}

/// The place of the bookmark after the initial events.
fn initial_end(session: &Session) -> Option<usize> {
    session.seen.iter().position(Seen::is_initial_end)
}

/// An older state of an object, in the same scope.
fn older(
    around: &Surroundings<'_>,
    random: &mut Seeded,
    key: &str,
    version: Version,
) -> Option<(Version, Digest)> {
    let place = around.view.after(version);
    let states = around.view.events[..place].iter().filter(|due| *due.key == *key);
    let distinct: HashSet<_> = states
        .filter(|due| due.state.version < version)
        .map(|due| (due.state.version, due.state.contents[around.form]))
        .collect();
    let mut distinct: Vec<_> = distinct.into_iter().collect();
    distinct.sort_unstable();
    (!distinct.is_empty()).then(|| *random.pick(&distinct))
}
