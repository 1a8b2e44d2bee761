//! What the checker reports.

use std::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// An event was left out.
    Gap,
    /// An event came twice, or came again after the version it began at.
    Duplicate,
    /// Versions of events went down.
    Order,
    /// ADDED, MODIFIED or DELETED where another was right.
    Kind,
    /// The object's bytes are those of no state, or of another one.
    Content,
    /// An event that isn't the selector's, or that never happened.
    Foreign,
    /// A DELETED event without the version of the deletion or of the change that left the selector.
    DeletedVersion,
    /// The state at the begin, or a list, is that of no version that may be served.
    State,
    /// The state is not in the order of keys.
    KeyOrder,
    /// The bookmark after the initial events: missing, repeated or where none is due.
    InitialEnd,
    /// A bookmark where none was asked for, one that goes back, or one never reached.
    Bookmark,
    /// A bookmark that promises events which weren't delivered.
    BookmarkAhead,
    /// Older than what was acknowledged before the request, or than the version it named.
    Stale,
    /// A version was used that was never received.
    Resume,
    /// A list and the events after it don't give the later list.
    Replay,
    /// The direct, unselected watch and the writers disagree.
    Reference,
}

/// A broken rule and how it was.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// Nothing, or the first broken rule.
pub(crate) type Verdict = Result<(), Violation>;

impl Violation {
    pub(crate) fn new(rule: Rule, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// Fails with a broken rule.
pub(crate) fn broken<T>(rule: Rule, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation::new(rule, what))
}
