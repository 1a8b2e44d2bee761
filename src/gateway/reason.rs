//! Why a request was forwarded, and the `Cache-Status` header that says so (RFC 9211).
//!
//! A closed vocabulary: the words stand in headers and as metric labels.

use http::HeaderValue;

/// Why memory did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardReason {
    /// The form asked for is not kept (tables, YAML), or a failure is to be worded in
    /// such a form.
    Accept,
    /// The shard is not filled yet, or cannot be.
    Cold,
    /// Anything but one bearer token and nothing else.
    Credentials,
    /// A page of another origin asks; whether it may see the answer is in upstream's flags only.
    CrossOrigin,
    /// Upstream denied the access review, or refused the token.
    Denied,
    /// A past state that memory no longer has, or has nobody free to make.
    Exact,
    /// One name at exactly one version: upstream reads its store for it, by other rules.
    ExactName,
    /// The cached objects are over their memory budget, or there is no room for a body made for one
    /// request.
    Memory,
    /// Not GET.
    Method,
    /// The freshness of the shard was not proven in time.
    NotProven,
    /// Options that are invalid, or whose meaning only upstream knows.
    Options,
    /// A path that is not canonical, in absolute form, or not of a resource.
    Path,
    /// The resource's policy is off.
    Policy,
    /// A GET without resourceVersion is a quorum read.
    Quorum,
    /// Upstream is of a release of Kubernetes whose reads are not known.
    Release,
    /// No type that can be cached: unknown, aggregated, events, a sub-resource.
    Resource,
    /// The access review could not be asked.
    Review,
    /// The time that the client allowed (`timeout=`) was over while memory waited.
    Timeout,
    /// The log begins after the version asked for.
    Uncovered,
    /// Another protocol is asked for on this connection.
    Upgrade,
}

/// The header of an answer from memory.
pub const HIT: HeaderValue = HeaderValue::from_static("watchgate; hit");

/// The header of a list that was read upstream once for all who asked the same.
pub const COLLAPSED: HeaderValue =
    HeaderValue::from_static("watchgate; fwd=stale; collapsed; detail=coalesced");

/// The header of a refusal for want of a place upstream.
pub const BUSY: HeaderValue = HeaderValue::from_static("watchgate; detail=busy");

/// The response header.
pub const CACHE_STATUS: http::HeaderName = http::HeaderName::from_static("cache-status");

// === impl ForwardReason ===

impl ForwardReason {
    /// The word for `detail=` and metric labels.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Cold => "cold",
            Self::Credentials => "credentials",
            Self::CrossOrigin => "cross-origin",
            Self::Denied => "denied",
            Self::Exact => "exact-version",
            Self::ExactName => "exact-name",
            Self::Memory => "memory",
            Self::Method => "method",
            Self::NotProven => "not-proven",
            Self::Options => "options",
            Self::Path => "path",
            Self::Policy => "policy",
            Self::Quorum => "quorum",
            Self::Release => "release",
            Self::Resource => "resource",
            Self::Review => "review",
            Self::Timeout => "timeout",
            Self::Uncovered => "uncovered",
            Self::Upgrade => "upgrade",
        }
    }

    /// The `Cache-Status` header.
    pub const fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Accept => "watchgate; fwd=bypass; detail=accept",
            Self::Cold => "watchgate; fwd=uri-miss; detail=cold",
            Self::Credentials => "watchgate; fwd=bypass; detail=credentials",
            Self::CrossOrigin => "watchgate; fwd=bypass; detail=cross-origin",
            Self::Denied => "watchgate; fwd=bypass; detail=denied",
            Self::Exact => "watchgate; fwd=miss; detail=exact-version",
            Self::ExactName => "watchgate; fwd=bypass; detail=exact-name",
            Self::Memory => "watchgate; fwd=uri-miss; detail=memory",
            Self::Method => "watchgate; fwd=method; detail=method",
            Self::NotProven => "watchgate; fwd=stale; detail=not-proven",
            Self::Options => "watchgate; fwd=bypass; detail=options",
            Self::Path => "watchgate; fwd=bypass; detail=path",
            Self::Policy => "watchgate; fwd=bypass; detail=policy",
            Self::Quorum => "watchgate; fwd=bypass; detail=quorum",
            Self::Release => "watchgate; fwd=bypass; detail=release",
            Self::Resource => "watchgate; fwd=bypass; detail=resource",
            Self::Review => "watchgate; fwd=bypass; detail=review",
            Self::Timeout => "watchgate; fwd=stale; detail=timeout",
            Self::Uncovered => "watchgate; fwd=miss; detail=uncovered",
            Self::Upgrade => "watchgate; fwd=bypass; detail=upgrade",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_label_agree() {
        for reason in [
            ForwardReason::Accept,
            ForwardReason::Cold,
            ForwardReason::Credentials,
            ForwardReason::CrossOrigin,
            ForwardReason::Denied,
            ForwardReason::Exact,
            ForwardReason::ExactName,
            ForwardReason::Memory,
            ForwardReason::Method,
            ForwardReason::NotProven,
            ForwardReason::Options,
            ForwardReason::Path,
            ForwardReason::Policy,
            ForwardReason::Quorum,
            ForwardReason::Release,
            ForwardReason::Resource,
            ForwardReason::Review,
            ForwardReason::Timeout,
            ForwardReason::Uncovered,
            ForwardReason::Upgrade,
        ] {
            let header = reason.header();
            let text = header.to_str().unwrap();
            assert!(text.starts_with("watchgate; fwd="), "{text}");
            assert!(text.ends_with(&format!("; detail={}", reason.detail())), "{text}");
        }
    }
}
