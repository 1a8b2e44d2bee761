//! LIST + events = later LIST, told from one client's recording alone.
//!
//! This needs no reference: an informer that trusts the server would come to the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{
    Digest, End, Event, Item, Kind, List, Recording, Seen, Session, Start, Step, Version,
};
use super::violation::{Rule, Verdict, Violation, broken};

/// Objects as an informer's store has them.
type Store = BTreeMap<Arc<str>, (Version, Digest)>;

/// Holds every later list against the first and the events since, as far as watches covered it; says how many were.
pub(crate) fn check(recording: &Recording) -> Result<usize, Violation> {
    let mut informer = Informer::default();
    for step in &recording.steps {
        match step {
            Step::List(list) => informer.list(list),
            Step::Watch(session) => informer.watch(session),
        }
        informer.settle()?;
    }
    Ok(informer.settled)
}

#[derive(Default)]
struct Informer {
    base: Option<Base>,
    pending: Vec<List>,
    settled: usize,
}

/// A state and what came after it.
struct Base {
    store: Store,
    version: Version,
    events: Vec<Event>,
    /// Everything up to here has been seen.
    covered: Version,
}

impl Informer {
    fn list(&mut self, list: &List) {
        match &self.base {
            Some(base) if list.version >= base.version => self.pending.push(list.clone()),
            // An older state, as resourceVersion=0 may give.
            Some(_) => {}
            None => self.begin(list.version, &list.items),
        }
    }

    fn begin(&mut self, version: Version, items: &[Item]) {
        let store = items.iter().map(|item| (item.key.clone(), (item.version, item.content)));
        let (store, events) = (store.collect(), Vec::new());
        self.base = Some(Base { store, version, events, covered: version });
    }

    fn watch(&mut self, session: &Session) {
        let Some((began, live)) = begin(session) else { return };
        if self.base.is_none() && live > 0 {
            let items: Vec<_> = session.seen[..live - 1].iter().filter_map(item).collect();
            self.begin(began, &items);
        }
        let Some(base) = self.base.as_mut().filter(|base| began <= base.covered) else { return };
        for seen in &session.seen[live..] {
            match seen {
                Seen::Event(event) if event.version > base.covered => {
                    base.covered = event.version;
                    base.events.push(event.clone());
                }
                Seen::Event(_) => {}
                Seen::Bookmark { version, .. } => base.covered = base.covered.max(*version),
            }
        }
        if session.end == End::Drained {
            base.covered = Version::MAX;
        }
    }

    /// Compares the lists that are covered by now.
    fn settle(&mut self) -> Verdict {
        let Some(base) = &self.base else { return Ok(()) };
        let (ready, pending): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|list| list.version <= base.covered);
        self.pending = pending;
        for list in ready {
            base.compare(&list)?;
            self.settled += 1;
        }
        Ok(())
    }
}

impl Base {
    fn compare(&self, list: &List) -> Verdict {
        let mut store = self.store.clone();
        for event in self.events.iter().filter(|event| event.version <= list.version) {
            match event.kind {
                Kind::Deleted => store.remove(&event.key),
                Kind::Added | Kind::Modified => {
                    store.insert(event.key.clone(), (event.version, event.content))
                }
            };
        }
        let listed: Store =
            list.items.iter().map(|i| (i.key.clone(), (i.version, i.content))).collect();
        if store == listed {
            return Ok(());
        }
        let differs = |key: &&Arc<str>| store.get(*key) != listed.get(*key);
        let key = store.keys().chain(listed.keys()).find(differs);
        let what = format!(
            "list {:?} at {} after {}: {key:?} is {:?}, not {:?}",
            list.ask,
            list.version,
            self.version,
            key.and_then(|key| listed.get(key)),
            key.and_then(|key| store.get(key)),
        );
        broken(Rule::Replay, what)
    }
}

/// Where events begin, if the frames tell: the version, and the place of the first.
fn begin(session: &Session) -> Option<(Version, usize)> {
    if let Start::After(version) = session.start {
        return Some((version, 0));
    }
    let end = |(place, seen): (usize, &Seen)| match seen {
        Seen::Bookmark { version, initial_end: true } => Some((*version, place + 1)),
        _ => None,
    };
    session.seen.iter().enumerate().find_map(end)
}

fn item(seen: &Seen) -> Option<Item> {
    match seen {
        Seen::Bookmark { .. } => None,
        Seen::Event(Event { key, version, content, .. }) => {
            Some(Item { key: key.clone(), version: *version, content: *content })
        }
    }
}
