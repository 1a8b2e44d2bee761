//! What a read asks for: the query's options, decoded, defaulted and validated once.
//!
//! [`ListOptions`] is the query as typed values; [`ListRequest`], [`WatchRequest`] and
//! [`GetRequest`] are what it means, after the API server's defaulting and validation (semantics §2)
//! and with the matrices of §3.1, §4 and §5.1 collapsed into one enum each. Whatever the API server
//! would refuse, and the few legal forms whose meaning depends on its internals, is an
//! [`OptionsError`]: the gateway forwards such a request and lets upstream word the answer.

mod get;
mod go_duration;
mod list;
mod watch;

use compact_str::CompactString;

pub use self::{
    get::GetRequest,
    list::{ListConsistency, ListRequest},
    watch::{EventsAfter, WatchRequest, WatchStart, WatchTimeout},
};
use super::{
    continue_token::InvalidContinueToken,
    query::Query,
    selector::{
        Selection,
        field::{FieldSelector, FieldSelectorError, FieldTerms},
        field_schema::FieldSchema,
        label::{LabelSelector, LabelSelectorError},
    },
    version::{ResourceVersion, ResourceVersionMatch},
};

/// The parameters of a list or watch, each read by its own rule, not yet judged together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `labelSelector`.
    pub label_selector: LabelSelector,
    /// `fieldSelector`, not yet resolved against a type.
    pub field_selector: FieldTerms,
    /// `watch`.
    pub watch: bool,
    /// `allowWatchBookmarks`.
    pub allow_watch_bookmarks: bool,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
    /// `resourceVersion`.
    pub resource_version: RequestedVersion,
    /// `resourceVersionMatch`.
    pub resource_version_match: RequestedMatch,
    /// `timeoutSeconds`.
    pub timeout_seconds: Option<i64>,
    /// `timeout`, as written: a Go duration.
    pub timeout: CompactString,
    /// `limit`; zero and below mean none.
    pub limit: i64,
    /// `continue`, still encoded; empty when absent.
    pub continue_token: String,
    /// Whether `shardSelector` is there with a value.
    pub has_shard_selector: bool,
}

/// The text of `resourceVersion`, as far as its spelling decides something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestedVersion {
    /// Absent or empty.
    #[default]
    Unset,
    /// Exactly `0`.
    Zero,
    /// A number above zero.
    At(ResourceVersion),
    /// A zero written otherwise, such as `00`: legal, but not treated as `0`.
    PaddedZero,
    /// Anything else.
    Invalid,
}

/// The text of `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestedMatch {
    /// Absent or empty.
    #[default]
    Unset,
    /// One of the two known words.
    Known(ResourceVersionMatch),
    /// Anything else.
    Invalid,
}

/// Why options are not served from memory. All of these mean: forward the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// An integer parameter that is none (upstream: 400).
    #[error("{0} is not a 64-bit decimal integer")]
    Integer(&'static str),
    /// `labelSelector` cannot be read (400).
    #[error(transparent)]
    LabelSelector(#[from] LabelSelectorError),
    /// `fieldSelector` cannot be read, or the type does not support a label (400).
    #[error(transparent)]
    FieldSelector(#[from] FieldSelectorError),
    /// A combination of parameters that is not allowed (422).
    #[error(transparent)]
    Combination(#[from] InvalidCombination),
    /// A name in the path and a `fieldSelector` that does not ask for it (400).
    #[error("fieldSelector does not select the name in the path")]
    OtherName,
    /// `continue` cannot be read (400).
    #[error(transparent)]
    Continue(#[from] InvalidContinueToken),
    /// `continue` together with a resource version (400).
    #[error("resourceVersion is not allowed together with continue")]
    ContinueWithVersion,
    /// `resourceVersion` is not a number (400 or 500, depending on the verb and the resource).
    #[error("resourceVersion is not a decimal number")]
    ResourceVersion,
    /// `timeout` is not a Go duration (400).
    #[error("timeout is not a duration")]
    Timeout,
    /// `export` is no longer supported (400).
    #[error("export is no longer supported")]
    Export,
    /// Legal, but what it means is upstream's business; the parameter is named.
    #[error("{0} has a value whose meaning only the API server knows")]
    UpstreamOnly(&'static str),
}

/// Parameters that exclude each other; the API server answers 422 `Invalid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCombination {
    /// A match without a version to match.
    #[error("resourceVersionMatch is forbidden unless resourceVersion is provided")]
    MatchWithoutVersion,
    /// A match with a continue token.
    #[error("resourceVersionMatch is forbidden when continue is provided")]
    MatchWithContinue,
    /// A match that is not one of the words allowed here.
    #[error("resourceVersionMatch has an unsupported value")]
    UnsupportedMatch,
    /// Exactly version 0, which is no state.
    #[error("resourceVersionMatch Exact is forbidden for resourceVersion 0")]
    ExactZero,
    /// `sendInitialEvents` on a list.
    #[error("sendInitialEvents is forbidden for list")]
    InitialEventsOnList,
    /// `sendInitialEvents` without its match.
    #[error("sendInitialEvents requires resourceVersionMatch NotOlderThan")]
    InitialEventsWithoutMatch,
    /// `sendInitialEvents` where the feature gate `WatchList` is off.
    #[error("sendInitialEvents is forbidden for watch unless WatchList is enabled")]
    InitialEventsWithoutGate,
    /// A match on a watch that does not set `sendInitialEvents`.
    #[error("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")]
    MatchOnPlainWatch,
}

// === impl ListOptions ===

impl ListOptions {
    /// Reads the parameters; errors are those that make the API server ignore the whole query when
    /// it derives a request's verb and name.
    pub fn decode(query: &Query<'_>) -> Result<Self, OptionsError> {
        Ok(Self {
            timeout_seconds: integer(query, "timeoutSeconds")?,
            limit: integer(query, "limit")?.unwrap_or(0),
            label_selector: LabelSelector::parse(query.first_or_empty("labelSelector"))?,
            field_selector: FieldTerms::parse(query.first_or_empty("fieldSelector"))?,
            watch: query.boolean("watch").unwrap_or(false),
            allow_watch_bookmarks: query.boolean("allowWatchBookmarks").unwrap_or(false),
            send_initial_events: query.boolean("sendInitialEvents"),
            resource_version: RequestedVersion::parse(query.first_or_empty("resourceVersion")),
            resource_version_match: RequestedMatch::parse(
                query.first_or_empty("resourceVersionMatch"),
            ),
            timeout: query.first_or_empty("timeout").into(),
            continue_token: query.first_or_empty("continue").into(),
            has_shard_selector: !query.first_or_empty("shardSelector").is_empty(),
        })
    }

    /// The same for the one object that a `/watch/` path names: the name counts as a selector, and one
    /// that is there already must agree (semantics §2).
    pub fn named(mut self, name: &str) -> Result<Self, OptionsError> {
        if self.field_selector.is_everything() {
            self.field_selector = FieldTerms::name(name);
        }
        if self.field_selector.required_name() == Some(name) {
            Ok(self)
        } else {
            Err(OptionsError::OtherName)
        }
    }

    /// Both selectors, for objects of one type.
    fn selection(&self, schema: &FieldSchema) -> Result<Selection, OptionsError> {
        let field = FieldSelector::resolve(&self.field_selector, schema)?;
        Ok(Selection { label: self.label_selector.clone(), field })
    }

    /// The rules for lists, which also apply to a `/watch/` path without `?watch=1`.
    fn validate_as_list(&self) -> Result<(), InvalidCombination> {
        let unset = self.resource_version_match == RequestedMatch::Unset;
        if !unset && self.resource_version == RequestedVersion::Unset {
            return Err(InvalidCombination::MatchWithoutVersion);
        }
        if !unset && !self.continue_token.is_empty() {
            return Err(InvalidCombination::MatchWithContinue);
        }
        match self.resource_version_match {
            RequestedMatch::Invalid => return Err(InvalidCombination::UnsupportedMatch),
            RequestedMatch::Known(ResourceVersionMatch::Exact)
                if self.resource_version == RequestedVersion::Zero =>
            {
                return Err(InvalidCombination::ExactZero);
            }
            RequestedMatch::Known(_) | RequestedMatch::Unset => {}
        }
        if self.send_initial_events.is_some() {
            return Err(InvalidCombination::InitialEventsOnList);
        }
        Ok(())
    }
}

// === impl RequestedVersion ===

impl RequestedVersion {
    /// Sorts a text into the forms that are treated differently.
    pub fn parse(text: &str) -> Self {
        match text {
            "" => Self::Unset,
            "0" => Self::Zero,
            _ if text.bytes().all(|byte| byte == b'0') => Self::PaddedZero,
            _ => text.parse().map_or(Self::Invalid, Self::At),
        }
    }
}

// === impl RequestedMatch ===

impl RequestedMatch {
    fn parse(text: &str) -> Self {
        match text {
            "" => Self::Unset,
            "Exact" => Self::Known(ResourceVersionMatch::Exact),
            "NotOlderThan" => Self::Known(ResourceVersionMatch::NotOlderThan),
            _ => Self::Invalid,
        }
    }
}

/// An integer parameter as Go's `strconv.ParseInt` reads it; `limit=` is an error, not absent.
fn integer(query: &Query<'_>, name: &'static str) -> Result<Option<i64>, OptionsError> {
    let parse = |text: &str| text.parse().map_err(|_| OptionsError::Integer(name));
    query.first(name).map(parse).transpose()
}

#[cfg(test)]
mod tests;
