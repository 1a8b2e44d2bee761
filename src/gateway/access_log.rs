//! The access log: one event per answered request, for operators and tests.
//!
//! Events have the target `watchgate::access` and the level debug, so `-v 4` shows them; with
//! `--logging-format json` they can be counted. An event is written when the head of the answer is
//! there: a watch has its line when it begins. It says who asked for what (verb, group, version,
//! resource, subresource, namespace, name, the resourceVersion, whether there is a limit), and what
//! came of it (status, milliseconds, and `cache`, the words of the `Cache-Status` header).
//!
//! Never in it: headers of the request, bodies, paths (they may lead on through a pod's proxy), and
//! the query apart from those two parameters. Nothing is read or allocated while the log is off.

use std::{net::SocketAddr, time::Instant};

use http::{HeaderMap, Method, Request, Response};
use tracing::{Level, debug, enabled};

use crate::api::{
    query::Query,
    request::{RequestInfo, ResourceRequest},
    resource::GroupVersionResource,
};

use super::reason::CACHE_STATUS;

/// What the log says of a request; taken before the request is answered.
#[derive(Debug)]
pub(super) struct Entry {
    arrived: Instant,
    method: Method,
    resource: Option<Box<ResourceRequest>>,
    resource_version: Asked,
    limited: bool,
}

/// The `resourceVersion` of a request. Its text is repeated only when it is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Unset,
    Version(u64),
    Unreadable,
}

/// Where the header says whose word it is.
const OWN: &str = "watchgate; ";

// === impl Entry ===

impl Entry {
    /// An entry for this request, if the log is on.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        enabled!(target: "watchgate::access", Level::DEBUG).then(|| Self::read(request))
    }

    fn read<B>(request: &Request<B>) -> Self {
        let query = Query::parse(request.uri().query()).ok();
        let info = query.as_ref().and_then(|query| {
            RequestInfo::parse(request.method(), request.uri().path(), query).ok()
        });
        let resource = match info {
            Some(RequestInfo::Resource(resource)) => Some(resource),
            Some(RequestInfo::NonResource) | None => None,
        };
        let first = |name| query.as_ref().map_or("", |query| query.first_or_empty(name));
        Self {
            arrived: Instant::now(),
            method: request.method().clone(),
            resource,
            resource_version: Asked::read(first("resourceVersion")),
            limited: !matches!(first("limit"), "" | "0"),
        }
    }

    /// Writes the entry, now that the head of the answer is there.
    pub(super) fn write<B>(self, response: &Response<B>, peer: SocketAddr) {
        let resource = self.resource.as_deref();
        let of_type = |pick: fn(&GroupVersionResource) -> &str| {
            resource.map_or("", |request| pick(&request.resource))
        };
        debug!(
            target: "watchgate::access",
            verb = self.verb(),
            group = of_type(|gvr| &gvr.group),
            version = of_type(|gvr| &gvr.version),
            resource = of_type(|gvr| &gvr.resource),
            subresource = resource.map_or("", |request| request.subresource.as_str()),
            namespace = resource.map_or("", |request| request.namespace.as_str()),
            name = resource.map_or("", |request| request.name.as_str()),
            resource_version = %self.resource_version,
            limited = self.limited,
            status = response.status().as_u16(),
            cache = cache_status(response.headers()),
            milliseconds = self.arrived.elapsed().as_millis(),
            %peer,
            "answered",
        );
    }

    /// As authorization names it; for what is no resource, the method.
    fn verb(&self) -> String {
        match self.resource.as_deref() {
            Some(request) if !request.verb.as_str().is_empty() => request.verb.as_str().to_owned(),
            _ => self.method.as_str().to_ascii_lowercase(),
        }
    }
}

// === impl Asked ===

impl Asked {
    fn read(text: &str) -> Self {
        match text.parse() {
            Ok(version) => Self::Version(version),
            Err(_) if text.is_empty() => Self::Unset,
            Err(_) => Self::Unreadable,
        }
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unset => f.write_str("unset"),
            Self::Version(version) => version.fmt(f),
            Self::Unreadable => f.write_str("unreadable"),
        }
    }
}

/// This gateway's own word: the last, if another gateway stands behind.
fn cache_status(headers: &HeaderMap) -> &str {
    let last = headers.get_all(CACHE_STATUS).iter().next_back();
    let text = last.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.strip_prefix(OWN).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::reason::{ForwardReason, HIT};

    fn entry(method: Method, target: &str) -> Entry {
        Entry::read(&Request::builder().method(method).uri(target).body(()).unwrap())
    }

    #[test]
    fn a_request_is_named_as_authorization_names_it() {
        let target = "/apis/apps/v1/namespaces/a/deployments?watch=1&resourceVersion=7&limit=5";
        let watch = entry(Method::GET, target);
        assert_eq!((watch.verb().as_str(), watch.limited), ("watch", true));
        assert_eq!(watch.resource_version, Asked::Version(7));
        assert_eq!(entry(Method::POST, "/api/v1/namespaces").verb(), "create");
        assert_eq!(entry(Method::GET, "/version").verb(), "get");
        assert_eq!(entry(Method::GET, "/api/v1/pods").resource_version, Asked::Unset);
    }

    #[test]
    fn text_that_is_no_version_is_not_repeated() {
        let list = entry(Method::GET, "/api/v1/pods?resourceVersion=hunter2");
        assert_eq!(list.resource_version.to_string(), "unreadable");
    }

    #[test]
    fn the_word_of_this_gateway_is_the_last() {
        let mut headers = HeaderMap::new();
        assert_eq!(cache_status(&headers), "");
        headers.append(CACHE_STATUS, HIT);
        assert_eq!(cache_status(&headers), "hit");
        headers.append(CACHE_STATUS, ForwardReason::Quorum.header());
        assert_eq!(cache_status(&headers), "fwd=bypass; detail=quorum");
    }
}
