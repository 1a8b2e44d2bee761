//! What was recorded: sessions of watches, lists, and the writes of writers.

use std::sync::Arc;

use super::scope::Scope;

/// A resourceVersion.
pub(crate) type Version = u64;

/// A place in the run's own order: what bears a smaller number was over before what bears a larger one began.
pub(crate) type Moment = u64;

/// A digest of an object's bytes in one form, without its resourceVersion.
pub(crate) type Digest = u64;

/// Which of the recorded forms (JSON, protobuf, …): an index that only the recorder understands.
pub(crate) type Form = usize;

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Added,
    Modified,
    Deleted,
}

/// An event about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    /// Namespace and name, as in the storage key.
    pub(crate) key: Arc<str>,
    pub(crate) version: Version,
    pub(crate) content: Digest,
}

/// One frame of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Event(Event),
    Bookmark { version: Version, initial_end: bool },
}

impl Seen {
    pub(crate) fn version(&self) -> Version {
        match self {
            Self::Event(event) => event.version,
            Self::Bookmark { version, .. } => *version,
        }
    }

    /// The bookmark after the initial events.
    pub(crate) fn is_initial_end(&self) -> bool {
        matches!(self, Self::Bookmark { initial_end: true, .. })
    }

    /// What a state may show, too.
    pub(crate) fn is_added(&self) -> bool {
        matches!(self, Self::Event(Event { kind: Kind::Added, .. }))
    }
}

/// What a watch asked to begin with (semantics §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// No resourceVersion: the state, which must have every acknowledged write, then events.
    Fresh,
    /// `resourceVersion=0`: a state of any age, then events.
    Any,
    /// `sendInitialEvents` with a version: a state that is not older, then events.
    NotOlderThan(Version),
    /// A version alone: the events after it.
    After(Version),
    /// Without resourceVersion and initial events: events after what is now.
    FreshNow,
    /// `resourceVersion=0` without initial events.
    AnyNow,
}

impl Start {
    /// Whether the state comes first.
    pub(crate) fn has_state(self) -> bool {
        matches!(self, Self::Fresh | Self::Any | Self::NotOlderThan(_))
    }

    /// The version it names.
    pub(crate) fn named(self) -> Option<Version> {
        match self {
            Self::NotOlderThan(version) | Self::After(version) => Some(version),
            Self::Fresh | Self::Any | Self::FreshNow | Self::AnyNow => None,
        }
    }
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Still open after all writes, and silent: it has to have everything.
    Drained,
    /// The server ended it in order, or the client had enough.
    Ended,
    /// The connection broke.
    Broken,
    /// An ERROR event with this code.
    Refused(u16),
}

/// One watch, from its request to its end.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) start: Start,
    pub(crate) bookmarks: bool,
    /// Before the request was sent.
    pub(crate) asked: Moment,
    /// After the response's head was there.
    pub(crate) answered: Moment,
    pub(crate) seen: Vec<Seen>,
    pub(crate) end: End,
}

/// What a list asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Fresh,
    Any,
    NotOlderThan(Version),
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: Arc<str>,
    pub(crate) version: Version,
    pub(crate) content: Digest,
}

/// A list, all pages together.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) ask: Asked,
    pub(crate) asked: Moment,
    pub(crate) version: Version,
    pub(crate) items: Vec<Item>,
}

/// One thing that a client did.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Watch(Session),
    List(List),
}

/// Everything one client saw, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) form: Form,
    pub(crate) steps: Vec<Step>,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The object now has this version.
    Put(Version),
    /// It is gone.
    Deleted,
    /// Nobody knows: the answer was lost.
    Unknown,
}

/// A write, as its writer knows it. A key has one writer, whose writes come in their order.
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    pub(crate) key: Arc<str>,
    pub(crate) begun: Moment,
    pub(crate) acked: Moment,
    pub(crate) done: Done,
}
