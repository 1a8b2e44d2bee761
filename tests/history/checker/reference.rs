//! The reference: an unselected, direct watch over the whole run, held against what the writers were acknowledged.
//!
//! Only what passes here is a [`Truth`]. Two parties who don't know of each other must have seen the same: every acknowledged
//! write is in the watch at its version, and the watch has no other write of the writers' keys.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::record::{Ack, Digest, Done, Event, Kind, Version};
use super::truth::{Change, Known, Objects, State, Truth};
use super::violation::{Rule, Violation, broken};

/// An event, and the values that selectors look at.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) event: Event,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) fields: BTreeMap<String, String>,
}

/// Contents of one form, by key and version.
pub(crate) type Contents = HashMap<(Arc<str>, Version), Digest>;

/// The watch in its first form, and what others showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    /// The initial events.
    pub(crate) initial: Vec<Noted>,
    pub(crate) changes: Vec<Noted>,
    /// Of the second form and the following.
    pub(crate) others: Vec<Contents>,
    /// A version of the store from after all writes.
    pub(crate) end: Version,
}

impl Reference {
    /// The history, if the watch is sound and agrees with the writers.
    ///
    /// # Errors
    /// The first disagreement.
    pub(crate) fn truth(&self, acks: &[Ack]) -> Result<Truth, Violation> {
        let mut initial = Objects::new();
        for noted in &self.initial {
            let state = self.state(noted)?;
            if initial.insert(noted.event.key.clone(), state).is_some() {
                return broken(Rule::Reference, format!("{:?} came twice", noted.event));
            }
        }
        let mut changes = Vec::with_capacity(self.changes.len());
        let mut objects = initial.clone();
        let mut last = 0;
        for noted in &self.changes {
            if noted.event.version <= last {
                return broken(Rule::Reference, format!("{:?} after {last}", noted.event));
            }
            last = noted.event.version;
            changes.push(self.change(noted, &mut objects)?);
        }
        let known = agree(&changes, acks)?;
        Ok(Truth::new(initial, changes, self.end, &known))
    }

    fn change(&self, noted: &Noted, objects: &mut Objects) -> Result<Change, Violation> {
        let Event { kind, key, version, content } = &noted.event;
        let before = match kind {
            Kind::Deleted => objects.remove(key),
            Kind::Added | Kind::Modified => objects.insert(key.clone(), self.state(noted)?),
        };
        let right = match (kind, &before) {
            (Kind::Added, None) | (Kind::Modified, Some(_)) => true,
            (Kind::Deleted, Some(before)) => before.contents[0] == *content,
            _ => false,
        };
        if !right {
            return broken(Rule::Reference, format!("{:?} of {before:?}", noted.event));
        }
        let state = objects.get(key).cloned();
        Ok(Change { version: *version, key: key.clone(), state })
    }

    fn state(&self, noted: &Noted) -> Result<Arc<State>, Violation> {
        let Event { key, version, content, .. } = &noted.event;
        let mut contents = vec![*content];
        for (place, other) in self.others.iter().enumerate() {
            let Some(content) = other.get(&(key.clone(), *version)) else {
                let what = format!("form {} never showed {key} @{version}", place + 1);
                return broken(Rule::Reference, what);
            };
            contents.push(*content);
        }
        let (labels, fields) = (noted.labels.clone(), noted.fields.clone());
        Ok(Arc::new(State { version: *version, labels, fields, contents }))
    }
}

/// Finds every acknowledged write among the changes, key by key, and says when each change was begun and acknowledged.
fn agree(changes: &[Change], acks: &[Ack]) -> Result<Vec<Known>, Violation> {
    let mut written: HashMap<&str, VecDeque<&Change>> = HashMap::new();
    for change in changes {
        written.entry(&*change.key).or_default().push_back(change);
    }
    let mut claimed: BTreeMap<&str, Vec<&Ack>> = BTreeMap::new();
    for ack in acks {
        claimed.entry(&*ack.key).or_default().push(ack);
    }
    let mut known = Vec::with_capacity(acks.len());
    for (key, acks) in claimed {
        let mut changes = written.remove(key).unwrap_or_default();
        // Versions that were returned are the anchors; what lies between two of them has to be explained.
        let mut between = Vec::new();
        for ack in acks {
            let Done::Put(version) = ack.done else {
                between.push(ack);
                continue;
            };
            let place = changes.iter().position(|change| change.version == version);
            let Some(place) = place.filter(|&place| changes[place].state.is_some()) else {
                return broken(Rule::Reference, format!("{ack:?} isn't seen"));
            };
            let passed: Vec<_> = changes.drain(..=place).take(place).collect();
            explained(&passed, &between, &mut known)?;
            known.push(Known { version, begun: ack.begun, acked: ack.acked });
            between.clear();
        }
        explained(&changes.into_iter().collect::<Vec<_>>(), &between, &mut known)?;
    }
    Ok(known)
}

/// Whether these changes are deletions and writes whose answers were lost. A deletion may be two changes: pods are marked first.
fn explained(changes: &[&Change], acks: &[&Ack], known: &mut Vec<Known>) -> Result<(), Violation> {
    let ends = changes.iter().filter(|change| change.state.is_none()).count();
    let deletions = acks.iter().filter(|ack| ack.done == Done::Deleted).count();
    let certain = deletions == acks.len();
    let right = match (certain, changes) {
        (false, _) => ends >= deletions && changes.len() <= 2 * acks.len(),
        (true, []) => deletions == 0,
        (true, [.., last]) => {
            deletions == 1 && ends == 1 && last.state.is_none() && changes.len() <= 2
        }
    };
    if !right {
        return broken(Rule::Reference, format!("{acks:?} don't make {changes:?}"));
    }
    if let ([.., last], [ack], true) = (changes, acks, certain) {
        known.push(Known { version: last.version, begun: ack.begun, acked: ack.acked });
    }
    Ok(())
}
