//! SelfSubjectAccessReview: upstream's own answer to "may this token do that?".
//!
//! The review travels with the asker's token alone, on a connection without any right of the
//! gateway, so that its answer can only be about the asker.

use std::time::Duration;

use bytes::Bytes;
use compact_str::CompactString;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::upstream::{Lane, RequestBody, Upstream};

use super::credential::BearerToken;

/// Everything upstream's authorizers look at (semantics §12.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// `get`, `list` or `watch`.
    pub verb: &'static str,
    /// API group, `""` for core.
    pub group: CompactString,
    /// API version.
    pub version: CompactString,
    /// Plural resource name.
    pub resource: CompactString,
    /// Sub-resource, usually empty.
    pub subresource: CompactString,
    /// Namespace, empty for all and for cluster-scoped types.
    pub namespace: CompactString,
    /// Object name, also one that a `metadata.name` field selector demands.
    pub name: CompactString,
    /// The field selector as sent.
    pub field_selector: CompactString,
    /// The label selector as sent.
    pub label_selector: CompactString,
    /// A path that names no resource; then nothing else but the verb is set.
    pub path: CompactString,
}

/// Upstream's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The token may.
    Allowed,
    /// It may not.
    Denied,
    /// It is no valid token, whatever is asked.
    Unauthenticated,
}

/// No answer: upstream failed or said something unexpected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access review: {0}")]
pub struct ReviewError(String);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    kind: &'static str,
    api_version: &'static str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Spec<'a> {
    ResourceAttributes(ResourceAttributes<'a>),
    NonResourceAttributes { verb: &'a str, path: &'a str },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceAttributes<'a> {
    verb: &'a str,
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subresource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field_selector: Option<RawSelector<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_selector: Option<RawSelector<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawSelector<'a> {
    raw_selector: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    status: AnswerStatus,
}

#[derive(Deserialize)]
struct AnswerStatus {
    #[serde(default)]
    allowed: bool,
    #[serde(default)]
    denied: bool,
}

const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Reviews are answered from upstream's memory; slower means forward.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer echoes the attributes; selectors may be long.
const MAX_ANSWER: usize = 2 << 20;

// === impl Attributes ===

impl Attributes {
    /// To get what is at a path that names no resource.
    pub fn of_path(path: &'static str) -> Self {
        Self { verb: "get", path: CompactString::const_new(path), ..Self::default() }
    }

    /// The same for the whole collection, `None` where no selector narrows it. A name that a selector
    /// demands stays: it is an attribute of its own.
    pub fn without_selectors(&self) -> Option<Self> {
        let selects = !self.field_selector.is_empty() || !self.label_selector.is_empty();
        selects.then(|| Self {
            field_selector: CompactString::default(),
            label_selector: CompactString::default(),
            ..self.clone()
        })
    }

    /// Every attribute, in a fixed order.
    pub fn parts(&self) -> [&str; 10] {
        [
            self.verb,
            &self.group,
            &self.version,
            &self.resource,
            &self.subresource,
            &self.namespace,
            &self.name,
            &self.field_selector,
            &self.label_selector,
            &self.path,
        ]
    }

    fn to_review(&self) -> Review<'_> {
        Review {
            kind: "SelfSubjectAccessReview",
            api_version: "authorization.k8s.io/v1",
            spec: self.to_spec(),
        }
    }

    fn to_spec(&self) -> Spec<'_> {
        if !self.path.is_empty() {
            return Spec::NonResourceAttributes { verb: self.verb, path: &self.path };
        }
        Spec::ResourceAttributes(ResourceAttributes {
            verb: self.verb,
            group: &self.group,
            version: &self.version,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            field_selector: raw_selector(&self.field_selector),
            label_selector: raw_selector(&self.label_selector),
        })
    }
}

fn raw_selector(text: &str) -> Option<RawSelector<'_>> {
    (!text.is_empty()).then_some(RawSelector { raw_selector: text })
}

/// Asks upstream with `token` alone.
///
/// # Errors
/// Upstream did not answer the review; nothing is known then.
pub async fn review(
    upstream: &Upstream,
    lane: Lane,
    token: &BearerToken,
    attributes: &Attributes,
) -> Result<Decision, ReviewError> {
    let failed = |reason: String| ReviewError(reason);
    let body = serde_json::to_vec(&attributes.to_review()).map_err(|e| failed(e.to_string()))?;
    let header = token.header().ok_or_else(|| failed("the token is no header value".into()))?;
    let request = Request::post(PATH)
        .header(header::AUTHORIZATION, header)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(RequestBody::full(Bytes::from(body)))
        .map_err(|error| failed(error.to_string()))?;
    let answer = async {
        let response =
            upstream.send(lane, request).await.map_err(|error| failed(error.to_string()))?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Ok(Decision::Unauthenticated),
            StatusCode::FORBIDDEN => return Ok(Decision::Denied),
            status => return Err(failed(format!("upstream answered {status}"))),
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| failed(error.to_string()))?.to_bytes();
        let Answer { status } =
            serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        let allowed = status.allowed && !status.denied;
        Ok(if allowed { Decision::Allowed } else { Decision::Denied })
    };
    timeout(PATIENCE, answer).await.map_err(|_| failed("no answer in time".into()))?
}
