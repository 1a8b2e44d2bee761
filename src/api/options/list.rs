//! What a list asks for.

use std::{num::NonZeroU64, time::Duration};

use compact_str::CompactString;

use super::{
    InvalidCombination, ListOptions, OptionsError, RequestedMatch, RequestedVersion, go_duration,
};
use crate::api::{
    continue_token::ContinueToken,
    selector::{Selection, field_schema::FieldSchema},
    version::{ResourceVersion, ResourceVersionMatch},
};

/// A valid list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Which states may be listed.
    pub consistency: ListConsistency,
    /// The bound where a continued list goes on, relative to the request's scope (see
    /// [`ContinueToken::start`]); `None` from the beginning.
    pub start: Option<CompactString>,
    /// The most objects to return; `None` for all. Already without the limits that the API server
    /// ignores.
    pub limit: Option<NonZeroU64>,
    /// Which objects are listed.
    pub selection: Selection,
    /// The time the client allows (`timeout`); `None` for the server's own limit.
    pub timeout: Option<Duration>,
}

/// The states that may answer a list (semantics §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListConsistency {
    /// Any state the server has.
    Any,
    /// Any state at least as new as this version.
    NotOlderThan(ResourceVersion),
    /// The state at exactly this version.
    Exact(ResourceVersion),
    /// A state that contains every write finished before the request.
    Latest,
}

// === impl ListRequest ===

impl ListRequest {
    /// Validates the options of a list of one type and collapses them.
    pub fn resolve(options: &ListOptions, schema: &FieldSchema) -> Result<Self, OptionsError> {
        options.validate_as_list()?;
        if options.has_shard_selector {
            return Err(OptionsError::UpstreamOnly("shardSelector"));
        }
        let selection = options.selection(schema)?;
        let timeout = timeout(&options.timeout)?;
        let (consistency, start) = if options.continue_token.is_empty() {
            (consistency(options)?, None)
        } else {
            let (consistency, start) = continued(options)?;
            (consistency, Some(start))
        };
        Ok(Self { consistency, start, limit: limit(options), selection, timeout })
    }
}

fn consistency(options: &ListOptions) -> Result<ListConsistency, OptionsError> {
    let version = match options.resource_version {
        RequestedVersion::Unset => return Ok(ListConsistency::Latest),
        RequestedVersion::Zero => return Ok(ListConsistency::Any),
        RequestedVersion::At(version) => version,
        RequestedVersion::PaddedZero => return Err(OptionsError::UpstreamOnly("resourceVersion")),
        RequestedVersion::Invalid => return Err(OptionsError::ResourceVersion),
    };
    Ok(match options.resource_version_match {
        RequestedMatch::Known(ResourceVersionMatch::Exact) => ListConsistency::Exact(version),
        RequestedMatch::Known(ResourceVersionMatch::NotOlderThan) => {
            ListConsistency::NotOlderThan(version)
        }
        // A limit without a match means the state at exactly that version, for historical reasons.
        RequestedMatch::Unset if options.limit > 0 => ListConsistency::Exact(version),
        RequestedMatch::Unset => ListConsistency::NotOlderThan(version),
        RequestedMatch::Invalid => return Err(InvalidCombination::UnsupportedMatch.into()),
    })
}

/// A continued list: the token carries the version.
fn continued(options: &ListOptions) -> Result<(ListConsistency, CompactString), OptionsError> {
    let token = ContinueToken::decode(&options.continue_token)?;
    match options.resource_version {
        RequestedVersion::Unset | RequestedVersion::Zero => {}
        RequestedVersion::At(_) | RequestedVersion::PaddedZero | RequestedVersion::Invalid => {
            return Err(OptionsError::ContinueWithVersion);
        }
    }
    let consistency =
        token.resource_version.map_or(ListConsistency::Latest, ListConsistency::Exact);
    Ok((consistency, token.start))
}

/// The limit that counts: none at all when the version is written `0`, even when continuing.
fn limit(options: &ListOptions) -> Option<NonZeroU64> {
    if options.resource_version == RequestedVersion::Zero {
        return None;
    }
    u64::try_from(options.limit).ok().and_then(NonZeroU64::new)
}

/// The client's deadline; zero, as a duration, is the same as none. A negative one is left to
/// upstream together with the malformed.
pub(super) fn timeout(text: &str) -> Result<Option<Duration>, OptionsError> {
    if text.is_empty() {
        return Ok(None);
    }
    let timeout = go_duration::parse(text).ok_or(OptionsError::Timeout)?;
    Ok((!timeout.is_zero()).then_some(timeout))
}
