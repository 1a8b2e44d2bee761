//! What a watch asks for.

use std::{num::NonZeroU32, time::Duration};

use super::{
    InvalidCombination, ListConsistency, ListOptions, OptionsError, RequestedMatch,
    RequestedVersion,
};
use crate::api::{
    selector::{Selection, field_schema::FieldSchema},
    version::{ResourceVersion, ResourceVersionMatch},
};

/// A valid watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    /// What the stream begins with.
    pub start: WatchStart,
    /// Whether bookmarks are sent.
    pub bookmarks: bool,
    /// When the stream ends.
    pub timeout: WatchTimeout,
    /// Which objects are watched.
    pub selection: Selection,
}

/// The beginning of a watch (semantics §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// Every object of a state as ADDED, then the events after that state.
    State {
        /// Which states may be sent; never `Exact`.
        consistency: ListConsistency,
        /// Whether a bookmark, if the client takes bookmarks, says where the state ends. A `/watch/`
        /// path without `?watch=1` goes without, and so does every watch without `WatchList`.
        marks_end: bool,
    },
    /// Events only.
    Events(EventsAfter),
}

/// Where a watch without initial state begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsAfter {
    /// After whatever state the server has.
    Any,
    /// After this version. A version still to come is legal: the events up to it are skipped.
    Version(ResourceVersion),
    /// After the store's latest version, without waiting until the server has it.
    Latest,
}

/// When a watch ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchTimeout {
    /// After a time that the server chooses: 30 to 60 minutes, at random.
    Server,
    /// After this many seconds.
    Seconds(NonZeroU32),
}

// === impl WatchRequest ===

impl WatchRequest {
    /// Defaults and validates the options of a watch of one type and collapses them, where the
    /// feature gate `WatchList` is on. Options with `watch` false are those of a `/watch/` path,
    /// which follow the rules of lists.
    pub fn resolve(options: &ListOptions, schema: &FieldSchema) -> Result<Self, OptionsError> {
        let initial_events = if options.watch {
            initial_events(options)?
        } else {
            options.validate_as_list()?;
            None
        };
        Self::resolve_from(options, schema, start(options, initial_events, options.watch)?)
    }

    /// The same where the feature gate `WatchList` is off: nothing is defaulted, so no watch says where
    /// its initial events end, and one without a version begins with whatever state the server has.
    pub fn resolve_without_watch_list(
        options: &ListOptions,
        schema: &FieldSchema,
    ) -> Result<Self, OptionsError> {
        if !options.watch {
            options.validate_as_list()?;
        } else if options.send_initial_events.is_some() {
            return Err(InvalidCombination::InitialEventsWithoutGate.into());
        } else if options.resource_version_match != RequestedMatch::Unset {
            return Err(InvalidCombination::MatchOnPlainWatch.into());
        }
        Self::resolve_from(options, schema, start(options, None, false)?)
    }

    fn resolve_from(
        options: &ListOptions,
        schema: &FieldSchema,
        start: WatchStart,
    ) -> Result<Self, OptionsError> {
        if options.has_shard_selector {
            return Err(OptionsError::UpstreamOnly("shardSelector"));
        }
        let selection = options.selection(schema)?;
        let timeout = WatchTimeout::from_seconds(options.timeout_seconds)?;
        Ok(Self { start, bookmarks: options.allow_watch_bookmarks, timeout, selection })
    }
}

/// The effective `sendInitialEvents` of a watch: defaulted first, then validated.
fn initial_events(options: &ListOptions) -> Result<Option<bool>, InvalidCombination> {
    let from_now =
        matches!(options.resource_version, RequestedVersion::Unset | RequestedVersion::Zero);
    let is_plain = options.send_initial_events.is_none()
        && options.resource_version_match == RequestedMatch::Unset;
    let not_older = RequestedMatch::Known(ResourceVersionMatch::NotOlderThan);
    let (initial_events, version_match) = if is_plain && from_now {
        (Some(true), not_older)
    } else {
        (options.send_initial_events, options.resource_version_match)
    };
    if initial_events.is_some() && version_match != not_older {
        return Err(InvalidCombination::InitialEventsWithoutMatch);
    }
    if initial_events.is_none() && version_match != RequestedMatch::Unset {
        return Err(InvalidCombination::MatchOnPlainWatch);
    }
    // A match that is set is NotOlderThan by now.
    if version_match != RequestedMatch::Unset && !options.continue_token.is_empty() {
        return Err(InvalidCombination::MatchWithContinue);
    }
    Ok(initial_events)
}

fn start(
    options: &ListOptions,
    initial_events: Option<bool>,
    marks_end: bool,
) -> Result<WatchStart, OptionsError> {
    let state = |consistency| WatchStart::State { consistency, marks_end };
    Ok(match (options.resource_version, initial_events) {
        (RequestedVersion::Unset, Some(true)) => state(ListConsistency::Latest),
        (RequestedVersion::Zero, Some(true)) => state(ListConsistency::Any),
        (RequestedVersion::At(version), Some(true)) => {
            state(ListConsistency::NotOlderThan(version))
        }
        (RequestedVersion::Unset, Some(false)) => WatchStart::Events(EventsAfter::Latest),
        (RequestedVersion::Zero, Some(false)) => WatchStart::Events(EventsAfter::Any),
        (RequestedVersion::At(version), Some(false) | None) => {
            WatchStart::Events(EventsAfter::Version(version))
        }
        // The options were not defaulted: those of a `/watch/` path never are.
        (RequestedVersion::Unset | RequestedVersion::Zero, None) => state(ListConsistency::Any),
        (RequestedVersion::PaddedZero, _) => {
            return Err(OptionsError::UpstreamOnly("resourceVersion"));
        }
        (RequestedVersion::Invalid, _) => return Err(OptionsError::ResourceVersion),
    })
}

// === impl WatchTimeout ===

impl WatchTimeout {
    /// Negative values, and those that overflow upstream, end a watch at once and are left to it.
    fn from_seconds(seconds: Option<i64>) -> Result<Self, OptionsError> {
        match seconds {
            None | Some(0) => Ok(Self::Server),
            Some(seconds) => u32::try_from(seconds)
                .ok()
                .and_then(NonZeroU32::new)
                .map(Self::Seconds)
                .ok_or(OptionsError::UpstreamOnly("timeoutSeconds")),
        }
    }

    /// The time that the client asked for; `None` when the server chooses.
    pub fn requested(self) -> Option<Duration> {
        match self {
            Self::Server => None,
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds.get().into())),
        }
    }
}
