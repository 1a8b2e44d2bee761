//! Faults in watches.

use super::{Fault, Surroundings, certain_from, initial_end, older};
use crate::checker::record::{End, Event, Kind, Seen, Session, Start, Version};
use crate::seeded::Seeded;

pub(super) fn inject(
    random: &mut Seeded,
    around: &Surroundings<'_>,
    session: &Session,
    fault: Fault,
) -> Option<Session> {
    let mut session = session.clone();
    match fault {
        Fault::Loss => loss(random, &mut session),
        Fault::Duplicate => duplicate(random, &mut session),
        Fault::Reordering => reordering(random, &mut session),
        Fault::WrongKind => wrong_kind(random, &mut session),
        Fault::WrongContent | Fault::WrongDeletedContent | Fault::WrongVersion => {
            wrong_value(random, &mut session, fault)
        }
        Fault::WrongDeletedVersion => wrong_deleted_version(random, around, &mut session),
        Fault::ForeignEvent => foreign(random, around, &mut session),
        Fault::BookmarkAhead => bookmark_ahead(random, around, &mut session),
        Fault::BookmarkBack => bookmark_back(random, &mut session),
        Fault::BookmarkUnasked => bookmark_unasked(random, &mut session),
        Fault::InitialEndMissing => initial_end_missing(&mut session),
        Fault::InitialEndTwice => initial_end_twice(random, &mut session),
        Fault::InitialEndWrong => initial_end_wrong(random, around, &mut session),
        Fault::StaleStart => stale_start(random, around, &mut session),
        Fault::StaleInitialObject => stale_initial_object(random, around, &mut session),
        _ => None,
    }?;
    Some(session)
}

/// The place of an event that `wanted` takes, from a place on.
fn event(
    random: &mut Seeded,
    session: &Session,
    from: usize,
    wanted: impl Fn(&Event) -> bool,
) -> Option<usize> {
    let takes = |seen: &Seen| matches!(seen, Seen::Event(event) if wanted(event));
    pick(random, session, from, takes)
}

/// The place of a bookmark other than the one after the initial events.
fn bookmark(random: &mut Seeded, session: &Session, from: usize) -> Option<usize> {
    let takes = |seen: &Seen| matches!(seen, Seen::Bookmark { initial_end: false, .. });
    pick(random, session, from, takes)
}

fn pick(
    random: &mut Seeded,
    session: &Session,
    from: usize,
    takes: impl Fn(&Seen) -> bool,
) -> Option<usize> {
    let places: Vec<usize> =
        (from..session.seen.len()).filter(|&place| takes(&session.seen[place])).collect();
    (!places.is_empty()).then(|| *random.pick(&places))
}

fn loss(random: &mut Seeded, session: &mut Session) -> Option<()> {
    let place = event(random, session, certain_from(session)?, |_| true)?;
    // What a watch ends before isn't lost.
    if place + 1 == session.seen.len() && session.end != End::Drained {
        return None;
    }
    session.seen.remove(place);
    Some(())
}

fn duplicate(random: &mut Seeded, session: &mut Session) -> Option<()> {
    let place = event(random, session, 0, |_| true)?;
    let at = match random.percent(50) {
        true => place + 1,
        false => place + 1 + random.below(session.seen.len() - place),
    };
    session.seen.insert(at, session.seen[place].clone());
    Some(())
}

fn reordering(random: &mut Seeded, session: &mut Session) -> Option<()> {
    let from = certain_from(session)?;
    let places: Vec<usize> = (from..session.seen.len().checked_sub(1)?)
        .filter(|&place| {
            let both = [&session.seen[place], &session.seen[place + 1]];
            both.iter().any(|seen| matches!(seen, Seen::Event(_)))
        })
        .collect();
    let place = (!places.is_empty()).then(|| *random.pick(&places))?;
    session.seen.swap(place, place + 1);
    Some(())
}

fn wrong_kind(random: &mut Seeded, session: &mut Session) -> Option<()> {
    let place = event(random, session, 0, |_| true)?;
    let Seen::Event(event) = &mut session.seen[place] else { return None };
    let others = match event.kind {
        Kind::Added => [Kind::Modified, Kind::Deleted],
        Kind::Modified => [Kind::Added, Kind::Deleted],
        Kind::Deleted => [Kind::Added, Kind::Modified],
    };
    event.kind = *random.pick(&others);
    Some(())
}

fn wrong_value(random: &mut Seeded, session: &mut Session, fault: Fault) -> Option<()> {
    let deleted = fault == Fault::WrongDeletedContent;
    let place = event(random, session, 0, |event| !deleted || event.kind == Kind::Deleted)?;
    let Seen::Event(event) = &mut session.seen[place] else { return None };
    match fault {
        Fault::WrongVersion if random.percent(50) => event.version += 1,
        Fault::WrongVersion => event.version -= 1,
        _ => event.content ^= 1 + random.number() / 2,
    }
    Some(())
}

/// The version of the state that DELETED shows, in place of the deletion's.
fn wrong_deleted_version(
    random: &mut Seeded,
    around: &Surroundings<'_>,
    session: &mut Session,
) -> Option<()> {
    let place = event(random, session, 0, |event| event.kind == Kind::Deleted)?;
    let Seen::Event(event) = &mut session.seen[place] else { return None };
    event.version = around.view.events[around.view.place(event.version)?].state.version;
    Some(())
}

/// A change that isn't the watcher's, at its right place.
fn foreign(random: &mut Seeded, around: &Surroundings<'_>, session: &mut Session) -> Option<()> {
    let place = event(random, session, certain_from(session)?, |_| true)?;
    if initial_end(session).is_some_and(|end| place < end) {
        return None;
    }
    let Seen::Event(before) = &session.seen[place] else { return None };
    let changes = &around.truth.changes;
    let next = changes.partition_point(|change| change.version <= before.version);
    let change = changes[next..]
        .iter()
        .take(20)
        .find(|change| change.state.is_some() && around.view.place(change.version).is_none())?;
    let state = change.state.as_ref()?;
    let event = Event {
        kind: *random.pick(&[Kind::Added, Kind::Modified, Kind::Deleted]),
        key: change.key.clone(),
        version: change.version,
        content: state.contents[around.form],
    };
    session.seen.insert(place + 1, Seen::Event(event));
    Some(())
}

fn bookmark_ahead(
    random: &mut Seeded,
    around: &Surroundings<'_>,
    session: &mut Session,
) -> Option<()> {
    let place = bookmark(random, session, certain_from(session)?)?;
    let Seen::Bookmark { version, .. } = &mut session.seen[place] else { return None };
    *version = match around.view.events.get(around.view.after(*version)) {
        Some(due) => due.version,
        None => around.truth.end + 1,
    };
    Some(())
}

/// To before the last event, or before the version that the watch began at.
fn bookmark_back(random: &mut Seeded, session: &mut Session) -> Option<()> {
    let place = bookmark(random, session, certain_from(session)?)?;
    let begun = initial_end(session).map_or(0, |end| end + 1);
    let live = session.seen.get(begun..place)?.iter().rev();
    let events = live.filter_map(|seen| match seen {
        Seen::Event(event) => Some(event.version),
        Seen::Bookmark { .. } => None,
    });
    let reached = events.chain(session.start.named()).next()?;
    session.seen[place] = Seen::Bookmark { version: reached - 1, initial_end: false };
    Some(())
}

fn bookmark_unasked(random: &mut Seeded, session: &mut Session) -> Option<()> {
    if session.bookmarks {
        return None;
    }
    let place = event(random, session, 0, |_| true)?;
    let Seen::Event(Event { version, .. }) = session.seen[place] else { return None };
    session.seen.insert(place + 1, Seen::Bookmark { version, initial_end: false });
    Some(())
}

/// Where something tells that the initial events are over.
fn initial_end_missing(session: &mut Session) -> Option<()> {
    let place = initial_end(session)?;
    let told = session.end == End::Drained
        || session.seen[place + 1..].iter().any(|seen| !seen.is_added());
    session.seen.remove(place);
    told.then_some(())
}

/// A second time, or in a watch that begins after a version.
fn initial_end_twice(random: &mut Seeded, session: &mut Session) -> Option<()> {
    let from = match (initial_end(session), session.start) {
        (Some(end), _) => end + 1,
        (None, Start::After(_)) if session.bookmarks => 0,
        _ => return None,
    };
    let place = from + random.below(session.seen.len() - from + 1);
    let version = match place.checked_sub(1).map(|last| &session.seen[last]) {
        Some(seen) => seen.version(),
        None => session.start.named()?,
    };
    session.seen.insert(place, Seen::Bookmark { version, initial_end: true });
    Some(())
}

/// The version of the next change, or of before the last.
fn initial_end_wrong(
    random: &mut Seeded,
    around: &Surroundings<'_>,
    session: &mut Session,
) -> Option<()> {
    let place = initial_end(session)?;
    let Seen::Bookmark { version, .. } = &mut session.seen[place] else { return None };
    let next = around.view.after(*version);
    *version = match random.percent(50) {
        true => around.view.events.get(next)?.version,
        false => around.view.events[next.checked_sub(1)?].version - 1,
    };
    Some(())
}

/// A faultless watch, but from a state that is older than what is due.
fn stale_start(
    random: &mut Seeded,
    around: &Surroundings<'_>,
    session: &mut Session,
) -> Option<()> {
    let at_least = match session.start {
        Start::Fresh => around.truth.floor(session.asked),
        Start::NotOlderThan(version) => version,
        _ => return None,
    };
    let due = around.view.after(at_least.checked_sub(1)?);
    let stale = random.below(due);
    let version = around.view.events.get(stale).filter(|due| due.version < at_least)?.version;
    let missed = &around.view.events[stale + 1..around.view.after(at_least)];
    // Events that only add could be taken for a newer state where no bookmark ends it.
    if !session.bookmarks && missed.iter().all(|due| due.kind == Kind::Added) {
        return None;
    }
    let added = |item: crate::checker::record::Item| Event {
        kind: Kind::Added,
        key: item.key,
        version: item.version,
        content: item.content,
    };
    let items = around.view.items(stale + 1, around.form).into_iter().map(added);
    let mut seen: Vec<Seen> = items.map(Seen::Event).collect();
    if session.bookmarks {
        seen.push(Seen::Bookmark { version, initial_end: true });
    }
    let last = reached(session).max(at_least);
    let live = &around.view.events[stale + 1..around.view.after(last)];
    seen.extend(live.iter().map(|due| Seen::Event(due.event(around.form))));
    session.seen = seen;
    Some(())
}

/// The largest version that a watch showed.
fn reached(session: &Session) -> Version {
    session.seen.iter().map(Seen::version).max().unwrap_or(0)
}

fn stale_initial_object(
    random: &mut Seeded,
    around: &Surroundings<'_>,
    session: &mut Session,
) -> Option<()> {
    let end = initial_end(session)?;
    let place = random.below(end);
    let Seen::Event(event) = session.seen.get_mut(place)? else { return None };
    (event.version, event.content) = older(around, random, &event.key, event.version)?;
    Some(())
}
