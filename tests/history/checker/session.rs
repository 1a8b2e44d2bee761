//! Rules for one watch.
//!
//! What a watch shows is a state, unless it begins after a version, then the events after that state's version, without gap,
//! up to wherever it ended. Where the frames don't tell the state's version (no bookmark was asked for), any version that may
//! be served is tried: the watch is right if one of them explains it.

use super::listing::{bounds, in_order, shown, whole};
use super::record::{End, Event, Form, Item, Kind, Seen, Session, Start, Version};
use super::truth::Truth;
use super::view::View;
use super::violation::{Rule, Verdict, Violation, broken};

/// Whether the API server could have answered this.
pub(crate) fn check(truth: &Truth, view: &View, form: Form, session: &Session) -> Verdict {
    let watch = Watch { truth, view, form, session };
    match session.start {
        Start::After(version) => watch.after(version),
        Start::FreshNow => watch.since_now(truth.floor(session.asked)),
        Start::AnyNow => watch.since_now(0),
        Start::Fresh => watch.with_state(truth.floor(session.asked)),
        Start::Any => watch.with_state(0),
        Start::NotOlderThan(version) => watch.with_state(version),
    }
}

struct Watch<'a> {
    truth: &'a Truth,
    view: &'a View,
    form: Form,
    session: &'a Session,
}

impl<'a> Watch<'a> {
    fn after(&self, version: Version) -> Verdict {
        Live::new(self, self.view.after(version), version).all(&self.session.seen)
    }

    fn with_state(&self, at_least: Version) -> Verdict {
        match self.session.seen.iter().position(Seen::is_initial_end) {
            Some(place) if self.session.bookmarks => self.ended_state(place, at_least),
            None if self.session.bookmarks => self.begun_state(at_least),
            _ => self.open_state(at_least),
        }
    }

    /// The initial events ended with a bookmark, which tells the version.
    fn ended_state(&self, place: usize, at_least: Version) -> Verdict {
        let (initial, rest) = self.session.seen.split_at(place);
        let Some((Seen::Bookmark { version, .. }, live)) = rest.split_first() else {
            return broken(Rule::InitialEnd, "no bookmark at its own place");
        };
        let items = items(initial)?;
        bounds(self.truth, *version, at_least)?;
        whole(self.view, self.form, *version, &items)?;
        Live::new(self, self.view.after(*version), *version).all(live)
    }

    /// It ended before the bookmark that would have ended the initial events.
    fn begun_state(&self, at_least: Version) -> Verdict {
        if self.session.end == End::Drained {
            return broken(Rule::InitialEnd, "no bookmark after the initial events");
        }
        if let Some(seen) = self.session.seen.iter().find(|seen| !seen.is_added()) {
            return broken(Rule::InitialEnd, format!("{seen:?} before the initial events ended"));
        }
        self.open_state(at_least)
    }

    /// Nothing tells the version: one has to be found.
    fn open_state(&self, at_least: Version) -> Verdict {
        let seen = &self.session.seen;
        if let Some(bookmark) = seen.iter().find(|seen| matches!(seen, Seen::Bookmark { .. })) {
            return broken(Rule::Bookmark, format!("{bookmark:?}, not asked for"));
        }
        let first = self.view.after(at_least);
        let mut closest: Option<(usize, Violation)> = None;
        for count in first..=self.view.events.len() {
            let size = self.view.size(count).min(seen.len());
            // What comes right after the state tells most wrong versions before their state is made.
            if let Some(Seen::Event(next)) = seen.get(size)
                && self.view.events.get(count).is_none_or(|due| due.version != next.version)
                && closest.is_some()
            {
                continue;
            }
            match self.explained_by(count, size) {
                Ok(()) => return Ok(()),
                Err((matched, violation)) => {
                    if closest.as_ref().is_none_or(|(best, _)| matched > *best) {
                        closest = Some((matched, violation));
                    }
                }
            }
        }
        match closest {
            None => Ok(()),
            Some((_, violation)) => {
                let what = format!("no version from {at_least} on explains it; {}", violation.what);
                broken(violation.rule, what)
            }
        }
    }

    /// Whether it is the state after `count` events, cut to `size`, and then events; if not, how far it was.
    fn explained_by(&self, count: usize, size: usize) -> Result<(), (usize, Violation)> {
        let (initial, live) = self.session.seen.split_at(size);
        let items = items(initial).map_err(|violation| (0, violation))?;
        let due = self.view.items(count, self.form);
        for (place, (seen, due)) in items.iter().zip(&due).enumerate() {
            if seen != due {
                let what = format!("{} where {} is due", shown(seen), shown(due));
                return Err((place, Violation::new(Rule::State, what)));
            }
        }
        if size < due.len() && self.session.end == End::Drained {
            return Err((size, Violation::new(Rule::State, "the state is not whole")));
        }
        let version = count.checked_sub(1).map_or(0, |last| self.view.events[last].version);
        let mut follower = Live::new(self, count, version);
        if size < due.len() {
            return Ok(());
        }
        let verdict = follower.all(live);
        verdict.map_err(|violation| (size + follower.next - count, violation))
    }

    /// No state: the first event tells where it began.
    fn since_now(&self, at_least: Version) -> Verdict {
        let view = self.view;
        // A watch that is open before a write is begun shows it.
        let opened = view.after(self.truth.ceiling(self.session.answered) - 1);
        let begin = match self.session.seen.first() {
            None => opened,
            Some(Seen::Bookmark { version, .. }) => view.after(*version).min(opened),
            Some(Seen::Event(event)) => match view.place(event.version) {
                Some(place) => place.min(opened),
                None => return Live::new(self, opened, at_least).all(&self.session.seen),
            },
        };
        if begin < view.after(at_least) {
            return broken(Rule::Stale, format!("an event from before {at_least}"));
        }
        let Some(Seen::Bookmark { version, .. }) = self.session.seen.first() else {
            return Live::new(self, begin, at_least).all(&self.session.seen);
        };
        bounds(self.truth, *version, at_least)?;
        Live::new(self, begin, at_least).all(&self.session.seen)
    }
}

/// The initial events of a watch as items of a list.
fn items(seen: &[Seen]) -> Result<Vec<Item>, Violation> {
    let item = |seen: &Seen| match seen {
        Seen::Event(Event { kind: Kind::Added, key, version, content }) => {
            Ok(Item { key: key.clone(), version: *version, content: *content })
        }
        Seen::Event(event) => broken(Rule::Kind, format!("{event:?} among the initial events")),
        Seen::Bookmark { .. } => broken(Rule::Bookmark, "among the initial events"),
    };
    let items: Vec<_> = seen.iter().map(item).collect::<Result<_, _>>()?;
    in_order(&items)?;
    Ok(items)
}

/// A watch after its state.
struct Live<'a> {
    watch: &'a Watch<'a>,
    /// Where it began, and the place of the event that has to come next.
    began: usize,
    next: usize,
    /// What the client knows to have reached.
    version: Version,
}

impl<'a> Live<'a> {
    fn new(watch: &'a Watch<'a>, next: usize, version: Version) -> Self {
        Self { watch, began: next, next, version }
    }

    fn all(&mut self, seen: &[Seen]) -> Verdict {
        for seen in seen {
            match seen {
                Seen::Event(event) => self.event(event)?,
                Seen::Bookmark { version, initial_end } => self.bookmark(*version, *initial_end)?,
            }
        }
        match self.watch.view.events.get(self.next) {
            Some(due) if self.watch.session.end == End::Drained => {
                broken(Rule::Gap, format!("silent before {} @{}", due.key, due.version))
            }
            _ => Ok(()),
        }
    }

    fn event(&mut self, seen: &Event) -> Verdict {
        let view = self.watch.view;
        let due = view.events.get(self.next).map(|due| due.event(self.watch.form));
        if due.as_ref() == Some(seen) && seen.version > self.version {
            self.next += 1;
            self.version = seen.version;
            return Ok(());
        }
        let is_due = |due: &Event| {
            (due.kind, &due.key, due.content) == (Kind::Deleted, &seen.key, seen.content)
        };
        let rule = match (view.place(seen.version), &due) {
            (_, Some(due)) if seen.kind == Kind::Deleted && is_due(due) => Rule::DeletedVersion,
            (Some(place), _) if place > self.next => Rule::Gap,
            (Some(place), _) if place < self.began => Rule::Order,
            (Some(place), _) if place < self.next => Rule::Duplicate,
            (Some(_), Some(due)) if due.key != seen.key => Rule::Foreign,
            (Some(_), Some(due)) if due.kind != seen.kind => Rule::Kind,
            (Some(_), Some(due)) if due.content != seen.content => Rule::Content,
            (Some(_), _) => Rule::Order,
            (None, _) => Rule::Foreign,
        };
        let what = format!("after {}: {seen:?} where {due:?} is due", self.version);
        broken(rule, what)
    }

    fn bookmark(&mut self, version: Version, initial_end: bool) -> Verdict {
        if !self.watch.session.bookmarks {
            return broken(Rule::Bookmark, format!("{version}, not asked for"));
        }
        if initial_end {
            return broken(Rule::InitialEnd, format!("{version}, where none is due"));
        }
        if version < self.version {
            return broken(Rule::Bookmark, format!("{version} after {}", self.version));
        }
        if version > self.watch.truth.end {
            return broken(Rule::Bookmark, format!("{version} was never reached"));
        }
        if let Some(due) = self.watch.view.events.get(self.next)
            && due.version <= version
        {
            let what = format!("{version} before {} @{}", due.key, due.version);
            return broken(Rule::BookmarkAhead, what);
        }
        self.version = version;
        Ok(())
    }
}
