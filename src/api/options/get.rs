//! What a GET of one object asks for.

use std::time::Duration;

use super::{ListConsistency, OptionsError, RequestedVersion, list::timeout};
use crate::api::{query::Query, version::ResourceVersion};

/// A valid GET of one object. List parameters on such a path are not even looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetRequest {
    /// Whatever the server has.
    Any,
    /// From a state at least as new as this version.
    NotOlderThan(ResourceVersion),
    /// From a state that contains every write finished before the request.
    Latest,
}

// === impl GetRequest ===

impl GetRequest {
    /// Reads `resourceVersion`, the only option of a GET (semantics §4), and refuses `export`.
    pub fn parse(query: &Query<'_>) -> Result<Self, OptionsError> {
        if query.boolean("export") == Some(true) {
            return Err(OptionsError::Export);
        }
        match RequestedVersion::parse(query.first_or_empty("resourceVersion")) {
            RequestedVersion::Unset => Ok(Self::Latest),
            RequestedVersion::Zero => Ok(Self::Any),
            RequestedVersion::At(version) => Ok(Self::NotOlderThan(version)),
            RequestedVersion::PaddedZero => Err(OptionsError::UpstreamOnly("resourceVersion")),
            RequestedVersion::Invalid => Err(OptionsError::ResourceVersion),
        }
    }

    /// The time the client allows for the answer (`timeout`); `None` for the server's own limit.
    pub fn timeout(query: &Query<'_>) -> Result<Option<Duration>, OptionsError> {
        timeout(query.first_or_empty("timeout"))
    }
}

impl From<GetRequest> for ListConsistency {
    /// The same demand on the state that answers.
    fn from(request: GetRequest) -> Self {
        match request {
            GetRequest::Any => Self::Any,
            GetRequest::NotOlderThan(version) => Self::NotOlderThan(version),
            GetRequest::Latest => Self::Latest,
        }
    }
}
