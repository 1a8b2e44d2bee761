//! Audiences: watchers with the same scope, selection and form, evaluated once per event.
//!
//! A table finds the audiences that an event can concern through one equality term of each (name,
//! a field, a label, the namespace); audiences without any are asked about every event and counted
//! apart, since their cost grows with their number. Which threads ("cores") have watchers of an
//! audience is kept here, so that a change is handed only to those.

use hashbrown::{HashMap, hash_map::Entry};

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::{
    api::selector::{Selection, field::FieldTarget},
    codec::{
        object::Object,
        watch_event::{EventKind, Form},
    },
};

use super::event::Event;

/// What makes two watchers see the same events in the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AudienceKey {
    /// Only objects of this namespace; `None` for all and for cluster-scoped types.
    pub namespace: Option<CompactString>,
    /// Label and field selectors, in canonical form.
    pub selection: Selection,
    /// Full objects or their metadata.
    pub form: Form,
}

/// Names an audience for as long as it has watchers; numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AudienceId(u64);

/// The number of a thread that serves connections, from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoreId(pub u16);

/// All audiences of one shard.
#[derive(Debug, Default)]
pub struct AudienceTable {
    next: u64,
    ids: HashMap<AudienceKey, AudienceId>,
    members: HashMap<AudienceId, Audience>,
    index: HashMap<Term, SmallVec<[AudienceId; 2]>>,
    unindexed: Vec<AudienceId>,
}

/// One audience's concern in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concern {
    /// Who.
    pub audience: AudienceId,
    /// As which event type.
    pub kind: EventKind,
}

#[derive(Debug)]
struct Audience {
    key: AudienceKey,
    term: Option<Term>,
    cores: SmallVec<[(CoreId, u32); 4]>,
}

/// The one equality an audience is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Term {
    Name(CompactString),
    Field(FieldTarget, CompactString),
    Label(CompactString, CompactString),
    Namespace(CompactString),
}

// === impl AudienceKey ===

impl AudienceKey {
    /// Whether the object is in the scope and passes the selection.
    pub fn admits(&self, object: &Object) -> bool {
        let attributes = &object.attributes;
        self.namespace.as_deref().is_none_or(|wanted| attributes.key.namespace() == wanted)
            && self.selection.matches(&attributes.key, &attributes.labels, &attributes.fields)
    }

    /// The most selective equality term: few objects share a name, many a namespace.
    fn term(&self) -> Option<Term> {
        if let Some(name) = self.selection.field.required_name() {
            return Some(Term::Name(name.into()));
        }
        let mut fields = self.selection.field.equality_terms();
        if let Some((target, value)) =
            fields.find(|(target, _)| matches!(target, FieldTarget::Field(_)))
        {
            return Some(Term::Field(target, value.into()));
        }
        let label = self.selection.label.equality_terms().next();
        if let Some((key, value)) = label {
            return Some(Term::Label(key.into(), value.into()));
        }
        self.namespace
            .as_deref()
            .or_else(|| self.selection.field.required_namespace())
            .map(|namespace| Term::Namespace(namespace.into()))
    }
}

// === impl AudienceTable ===

impl AudienceTable {
    /// Adds one watcher on `core`; the audience is made when it is the first.
    pub fn join(&mut self, key: AudienceKey, core: CoreId) -> AudienceId {
        let id = match self.ids.entry(key) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let id = AudienceId(self.next);
                self.next += 1;
                let key = entry.key().clone();
                entry.insert(id);
                let term = key.term();
                match &term {
                    Some(term) => self.index.entry(term.clone()).or_default().push(id),
                    None => self.unindexed.push(id),
                }
                self.members.insert(id, Audience { key, term, cores: SmallVec::new() });
                id
            }
        };
        if let Some(audience) = self.members.get_mut(&id) {
            match audience.cores.iter_mut().find(|(candidate, _)| *candidate == core) {
                Some((_, watchers)) => *watchers += 1,
                None => audience.cores.push((core, 1)),
            }
        }
        id
    }

    /// Takes one watcher on `core` away; an audience without watchers goes.
    pub fn leave(&mut self, id: AudienceId, core: CoreId) {
        let Some(audience) = self.members.get_mut(&id) else { return };
        if let Some(place) = audience.cores.iter().position(|(candidate, _)| *candidate == core) {
            audience.cores[place].1 -= 1;
            if audience.cores[place].1 == 0 {
                audience.cores.swap_remove(place);
            }
        }
        if audience.cores.is_empty() {
            self.remove(id);
        }
    }

    /// The audiences an event concerns, each once, in no particular order.
    pub fn concerned(&self, event: &Event) -> Vec<Concern> {
        let mut candidates: SmallVec<[AudienceId; 16]> = SmallVec::from_slice(&self.unindexed);
        if !self.index.is_empty() {
            let (current, previous) = event.states();
            for object in [current, previous].into_iter().flatten() {
                self.collect_indexed(object, &mut candidates);
            }
            candidates.sort_unstable();
            candidates.dedup();
        }
        candidates
            .into_iter()
            .filter_map(|id| {
                let kind = event.seen_through(&self.members.get(&id)?.key)?;
                Some(Concern { audience: id, kind })
            })
            .collect()
    }

    /// The key of an audience that still has watchers.
    pub fn key(&self, id: AudienceId) -> Option<&AudienceKey> {
        self.members.get(&id).map(|audience| &audience.key)
    }

    /// The cores that have watchers of an audience.
    pub fn cores(&self, id: AudienceId) -> impl Iterator<Item = CoreId> {
        self.members
            .get(&id)
            .into_iter()
            .flat_map(|audience| audience.cores.iter().map(|(core, _)| *core))
    }

    /// Number of audiences, and how many of them no equality term leads to.
    pub fn len(&self) -> (usize, usize) {
        (self.members.len(), self.unindexed.len())
    }

    /// Watchers of all audiences together.
    pub fn watchers(&self) -> u64 {
        self.members
            .values()
            .flat_map(|audience| audience.cores.iter().map(|(_, watchers)| u64::from(*watchers)))
            .sum()
    }

    fn collect_indexed(&self, object: &Object, candidates: &mut SmallVec<[AudienceId; 16]>) {
        let attributes = &object.attributes;
        let mut look_up = |term: Term| {
            if let Some(ids) = self.index.get(&term) {
                candidates.extend_from_slice(ids);
            }
        };
        look_up(Term::Name(attributes.key.name().into()));
        look_up(Term::Namespace(attributes.key.namespace().into()));
        for (index, value) in attributes.fields.iter().enumerate() {
            look_up(Term::Field(FieldTarget::Field(index), value.clone()));
        }
        for (key, value) in attributes.labels.iter() {
            look_up(Term::Label(key.clone(), value.clone()));
        }
    }

    fn remove(&mut self, id: AudienceId) {
        let Some(audience) = self.members.remove(&id) else { return };
        self.ids.remove(&audience.key);
        match audience.term {
            None => self.unindexed.retain(|candidate| *candidate != id),
            Some(term) => {
                if let Some(ids) = self.index.get_mut(&term) {
                    ids.retain(|candidate| *candidate != id);
                    if ids.is_empty() {
                        self.index.remove(&term);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
