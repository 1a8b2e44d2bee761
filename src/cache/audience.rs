//! Audiences: watchers with the same scope, selection and form, evaluated once per event.
//!
//! A table finds the audiences that an event can concern through one equality term of each (name,
//! a field, a label, the namespace); audiences without any are asked about every event and counted
//! apart, since their cost grows with their number. Which threads ("cores") have watchers of an
//! audience is kept here, so that a change is handed only to those.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use hashbrown::{Equivalent, HashMap};

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
    ids: HashMap<Arc<AudienceKey>, AudienceId>,
    members: HashMap<AudienceId, Audience>,
    index: HashMap<Term, SmallVec<[AudienceId; 2]>>,
    unindexed: Vec<AudienceId>,
    watchers: u64,
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
    key: Arc<AudienceKey>,
    term: Option<Term>,
    cores: SmallVec<[(CoreId, u32); 4]>,
}

/// The one equality an audience is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Name(CompactString),
    Field(usize, CompactString),
    Label(CompactString, CompactString),
    Namespace(CompactString),
}

/// A term that an object fulfils, to look up without a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fact<'a> {
    Name(&'a str),
    Field(usize, &'a str),
    Label(&'a str, &'a str),
    Namespace(&'a str),
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
        let field = fields.find_map(|(target, value)| match target {
            FieldTarget::Field(place) => Some(Term::Field(place, value.into())),
            _ => None,
        });
        if field.is_some() {
            return field;
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
        let id = match self.ids.get(&key) {
            Some(id) => *id,
            None => self.add(key),
        };
        self.watchers += 1;
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
            self.watchers -= 1;
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
            let mut look_up = |fact: Fact<'_>| {
                if let Some(ids) = self.index.get(&fact) {
                    candidates.extend_from_slice(ids);
                }
            };
            for (object, other) in [(current, None), (previous, current)] {
                if let Some(object) = object {
                    facts(object, other, &mut look_up);
                }
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
        self.members.get(&id).map(|audience| audience.key.as_ref())
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
        self.watchers
    }

    fn add(&mut self, key: AudienceKey) -> AudienceId {
        let (id, term, key) = (AudienceId(self.next), key.term(), Arc::new(key));
        self.next += 1;
        self.ids.insert(Arc::clone(&key), id);
        match &term {
            Some(term) => self.index.entry(term.clone()).or_default().push(id),
            None => self.unindexed.push(id),
        }
        self.members.insert(id, Audience { key, term, cores: SmallVec::new() });
        id
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

// === impl Term ===

impl Term {
    fn as_fact(&self) -> Fact<'_> {
        match self {
            Self::Name(name) => Fact::Name(name),
            Self::Field(place, value) => Fact::Field(*place, value),
            Self::Label(key, value) => Fact::Label(key, value),
            Self::Namespace(namespace) => Fact::Namespace(namespace),
        }
    }
}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_fact().hash(state);
    }
}

impl Equivalent<Term> for Fact<'_> {
    fn equivalent(&self, term: &Term) -> bool {
        *self == term.as_fact()
    }
}

/// The terms that an object fulfils, without those that `other`, the same object at another time,
/// fulfils as well.
fn facts(object: &Object, other: Option<&Object>, tell: &mut impl FnMut(Fact<'_>)) {
    let attributes = &object.attributes;
    let others = other.map(|other| &other.attributes);
    if others.is_none() {
        tell(Fact::Name(attributes.key.name()));
        tell(Fact::Namespace(attributes.key.namespace()));
    }
    for (place, value) in attributes.fields.iter().enumerate() {
        if others.is_none_or(|others| others.fields.get(place) != Some(value)) {
            tell(Fact::Field(place, value));
        }
    }
    if others.is_none_or(|others| others.labels != attributes.labels) {
        for (key, value) in attributes.labels.iter() {
            tell(Fact::Label(key, value));
        }
    }
}

#[cfg(test)]
mod tests;
