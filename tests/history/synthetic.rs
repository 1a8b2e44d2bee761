//! Correct histories from a seed: a resource that changes, writers that are acknowledged, and watchers of a faultless server.
//!
//! What watchers are shown is derived here from the changes once more, without the checker's own derivation, so that neither
//! can be wrong in the same way unnoticed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checker::record::{
    Ack, Asked, Done, End, Event, Item, Kind, List, Moment, Recording, Seen, Session, Start, Step,
    Version,
};
use crate::checker::reference::{Contents, Noted, Reference};
use crate::checker::scope::{Scope, Term};
use crate::checker::truth::State;
use crate::seeded::Seeded;

/// A run as it is recorded.
pub(crate) struct Synthetic {
    pub(crate) reference: Reference,
    pub(crate) acks: Vec<Ack>,
    pub(crate) recordings: Vec<Recording>,
}

/// A change with the states around it.
struct Turn {
    version: Version,
    acked: Moment,
    key: Arc<str>,
    before: Option<State>,
    after: Option<State>,
}

const FIRST: Version = 100;

/// A run of so many changes and watchers.
pub(crate) fn run(seed: u64, changes: usize, watchers: usize) -> Synthetic {
    let mut random = Seeded::new(seed);
    let turns = turns(&mut random, changes);
    let end = turns.last().map_or(FIRST, |turn| turn.version) + 5;
    let server = Server { turns: &turns, end };
    let recordings = (0..watchers).map(|place| server.recording(&mut random, place)).collect();
    let acks = turns.iter().map(|turn| Ack {
        key: turn.key.clone(),
        begun: turn.acked - 1,
        acked: turn.acked,
        done: turn.after.as_ref().map_or(Done::Deleted, |state| Done::Put(state.version)),
    });
    Synthetic { acks: acks.collect(), reference: server.reference(), recordings }
}

fn turns(random: &mut Seeded, count: usize) -> Vec<Turn> {
    let mut objects: BTreeMap<Arc<str>, State> = BTreeMap::new();
    let mut version = FIRST;
    let mut turns = Vec::new();
    for step in 0..count {
        version += 1 + random.below(3) as Version;
        let namespace = random.pick(&["a", "a-b", "b"]);
        let key: Arc<str> = format!("{namespace}/n{}", random.below(6)).into();
        let before = objects.get(&key).cloned();
        let after = (before.is_none() || !random.percent(25)).then(|| state(random, version));
        match &after {
            Some(state) => objects.insert(key.clone(), state.clone()),
            None => objects.remove(&key),
        };
        // Two moments for each, and one in between for whoever reads.
        let acked = 3 * (step as Moment) + 3;
        turns.push(Turn { version, acked, key, before, after });
    }
    turns
}

fn state(random: &mut Seeded, version: Version) -> State {
    let mut labels = BTreeMap::new();
    if random.percent(80) {
        labels.insert("tier".to_owned(), (*random.pick(&["front", "back"])).to_owned());
    }
    let phase = (*random.pick(&["Pending", "Running"])).to_owned();
    let fields = BTreeMap::from([("phase".to_owned(), phase)]);
    State { version, labels, fields, contents: vec![random.number(), random.number()] }
}

/// A server without faults, which shows form 1 to its watchers.
struct Server<'a> {
    turns: &'a [Turn],
    end: Version,
}

impl Server<'_> {
    fn reference(&self) -> Reference {
        let noted = |turn: &Turn| {
            let (kind, state) = seen(turn, &Scope::default())?;
            let (labels, fields) = (state.labels.clone(), state.fields.clone());
            let event = event(turn, kind, state, 0);
            Some(Noted { event, labels, fields })
        };
        let other: Contents = self
            .turns
            .iter()
            .filter_map(|turn| turn.after.as_ref().map(|state| (turn, state)))
            .map(|(turn, state)| ((turn.key.clone(), turn.version), state.contents[1]))
            .collect();
        let changes = self.turns.iter().filter_map(noted).collect();
        Reference { initial: Vec::new(), changes, others: vec![other], end: self.end }
    }

    fn recording(&self, random: &mut Seeded, place: usize) -> Recording {
        let scope = scope(random);
        let mut steps = Vec::new();
        let mut received: Vec<Version> = Vec::new();
        let count = 2 + random.below(5);
        // The place of the change before which the client acts.
        let mut now = 0;
        for turn in 0..count {
            now = (now + random.below(self.turns.len() / 3)).min(self.turns.len());
            let step = match random.percent(25) {
                true => Step::List(self.list(random, &scope, now, &received)),
                false => {
                    let last = turn + 1 == count;
                    Step::Watch(self.session(random, &scope, &mut now, &received, last))
                }
            };
            match &step {
                Step::List(list) => received.push(list.version),
                Step::Watch(session) => received.extend(session.seen.iter().map(Seen::version)),
            }
            steps.push(step);
        }
        Recording { name: format!("synthetic {place}"), scope, form: 1, steps }
    }

    /// The version of the store after so many changes.
    fn version(&self, count: usize) -> Version {
        count.checked_sub(1).map_or(FIRST, |last| self.turns[last].version)
    }

    /// How many changes there are up to a version.
    fn count(&self, version: Version) -> usize {
        self.turns.partition_point(|turn| turn.version <= version)
    }

    fn items(&self, scope: &Scope, count: usize) -> Vec<Item> {
        let mut objects = BTreeMap::new();
        for turn in &self.turns[..count] {
            match turn.after.as_ref().filter(|state| scope.takes(&turn.key, state)) {
                Some(state) => objects.insert(turn.key.clone(), state),
                None => objects.remove(&turn.key),
            };
        }
        let item = |(key, state): (Arc<str>, &State)| Item {
            key,
            version: state.version,
            content: state.contents[1],
        };
        objects.into_iter().map(item).collect()
    }

    fn list(&self, random: &mut Seeded, scope: &Scope, now: usize, from: &[Version]) -> List {
        let (ask, count) = match random.below(3) {
            1 => (Asked::Any, random.below(now + 1)),
            2 if !from.is_empty() => {
                let version = *random.pick(from);
                let oldest = self.count(version);
                let count = oldest.max(now.saturating_sub(random.below(3)));
                (Asked::NotOlderThan(version), count)
            }
            _ => (Asked::Fresh, now),
        };
        let at_least = match ask {
            Asked::NotOlderThan(version) => version,
            Asked::Fresh | Asked::Any => 0,
        };
        let version = self.version(count).max(at_least);
        let asked = self.moment(now);
        List { ask, asked, version, items: self.items(scope, count) }
    }

    /// After so many acknowledgements and before the next begin.
    fn moment(&self, now: usize) -> Moment {
        3 * (now as Moment) + 1
    }

    fn session(
        &self,
        random: &mut Seeded,
        scope: &Scope,
        now: &mut usize,
        from: &[Version],
        last: bool,
    ) -> Session {
        let start = match random.below(8) {
            0 => Start::Fresh,
            1 => Start::Any,
            2 => Start::FreshNow,
            3 => Start::AnyNow,
            4 if !from.is_empty() => Start::NotOlderThan(*random.pick(from)),
            _ if !from.is_empty() => Start::After(*random.pick(from)),
            _ => Start::Fresh,
        };
        let bookmarks = random.percent(60);
        let asked = self.moment(*now);
        let begin = match start {
            Start::Any | Start::AnyNow => random.below(*now + 1),
            Start::After(version) => self.count(version),
            Start::NotOlderThan(version) => self.count(version).max(*now),
            Start::Fresh | Start::FreshNow => *now,
        };
        let version = self.version(begin).max(start.named().unwrap_or(0));
        let mut seen = Vec::new();
        if start.has_state() {
            let added = |item: Item| {
                let Item { key, version, content } = item;
                Seen::Event(Event { kind: Kind::Added, key, version, content })
            };
            seen.extend(self.items(scope, begin).into_iter().map(added));
            if bookmarks {
                seen.push(Seen::Bookmark { version, initial_end: true });
            }
        }
        let stop = match last {
            true => self.turns.len(),
            false => (begin.max(*now) + random.below(80)).min(self.turns.len()),
        };
        self.live(random, scope, bookmarks, version, begin..stop, &mut seen);
        *now = stop.max(*now);
        let end = if last { End::Drained } else { End::Ended };
        Session { start, bookmarks, asked, answered: asked, seen, end }
    }

    fn live(
        &self,
        random: &mut Seeded,
        scope: &Scope,
        bookmarks: bool,
        after: Version,
        range: std::ops::Range<usize>,
        into: &mut Vec<Seen>,
    ) {
        for turn in &self.turns[range] {
            if turn.version > after
                && let Some((kind, state)) = seen(turn, scope)
            {
                into.push(Seen::Event(event(turn, kind, state, 1)));
            }
            if bookmarks && turn.version > after && random.percent(5) {
                into.push(Seen::Bookmark { version: turn.version, initial_end: false });
            }
        }
    }
}

/// What a watcher of the scope is shown of a change.
fn seen<'a>(turn: &'a Turn, scope: &Scope) -> Option<(Kind, &'a State)> {
    let passes = |state: &&State| scope.takes(&turn.key, state);
    match (turn.before.as_ref().filter(passes), turn.after.as_ref().filter(passes)) {
        (None, Some(after)) => Some((Kind::Added, after)),
        (Some(_), Some(after)) => Some((Kind::Modified, after)),
        (Some(before), None) => Some((Kind::Deleted, before)),
        (None, None) => None,
    }
}

fn event(turn: &Turn, kind: Kind, state: &State, form: usize) -> Event {
    Event { kind, key: turn.key.clone(), version: turn.version, content: state.contents[form] }
}

fn scope(random: &mut Seeded) -> Scope {
    let mut scope = Scope::default();
    match random.below(6) {
        0 => scope.namespace = Some("a".to_owned()),
        1 => scope.labels.push(Term::is("tier", "front")),
        2 => scope.labels.push(Term::is_not("tier", "front")),
        3 => scope.fields.push(Term::is("phase", "Running")),
        4 => scope.fields.push(Term::is("metadata.name", "n3")),
        _ => {}
    }
    if random.percent(20) {
        scope.labels.push(Term::Exists("tier".to_owned()));
    }
    scope
}
