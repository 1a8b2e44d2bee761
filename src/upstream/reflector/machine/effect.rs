//! What a reflector has for its driver: data for the shard, and what to do with an answer.

use std::time::Instant;

use crate::{
    api::version::ResourceVersion,
    cache::map::OrderedMap,
    codec::{bookmark_template::BookmarkTemplate, watch_event::ReceivedEvent},
};

/// What the driver is to hand to the shard.
#[derive(Debug)]
pub enum Effect {
    /// The complete state at a version, requested at that time.
    Fill {
        /// All objects.
        objects: OrderedMap,
        /// The version of the state.
        version: ResourceVersion,
        /// When the request for it was sent.
        requested: Instant,
    },
    /// What this type's bookmarks look like.
    Template(BookmarkTemplate),
    /// Events after what was handed over before.
    Apply(Vec<ReceivedEvent>),
    /// The stream broke, for a person to read. What the shard holds is still true up to its version.
    Failure(String),
    /// The shard cannot be brought up to date although upstream answers: what it holds grows old,
    /// and must not be served any longer.
    Withdraw {
        /// For a person to read.
        reason: String,
        /// It is for what upstream has, not for what upstream can bear.
        unfillable: bool,
    },
}

/// Whether the answer's body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes: it is data.
    Read,
    /// No: it is an error that the machine has taken note of.
    Discard,
}

/// What a probe says of the store behind upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against the history that the shard holds.
    Continues,
    /// The store was restored from the past, and what the shard holds never was.
    WentBack,
    /// Upstream did not answer, for this reason.
    Unreachable(String),
    /// It answered, but not what was asked.
    Refused(String),
}
