//! Building blocks of answers: JSON bodies, plain texts, failures, and the headers of all of them.

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::{body::EmbeddedBody, refusal::Refusal, stored::go_json};

/// An answer of the store.
pub(super) type Answer = Response<EmbeddedBody>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

fn with(code: StatusCode, content_type: HeaderValue, body: EmbeddedBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
    answer
}

/// JSON text that is already made.
pub(super) fn json_text(code: StatusCode, body: impl Into<Bytes>) -> Answer {
    with(code, JSON, EmbeddedBody::whole(body))
}

/// A JSON value, compact, with a newline.
pub(super) fn json_value(value: &Value) -> Answer {
    let mut body = go_json(value);
    body.push(b'\n');
    json_text(StatusCode::OK, body)
}

/// A JSON value, indented.
pub(super) fn indented(value: &Value) -> Answer {
    json_text(StatusCode::OK, format!("{value:#}"))
}

/// A plain text.
pub(super) fn text(code: StatusCode, body: &'static str) -> Answer {
    let mut answer = with(code, TEXT, EmbeddedBody::whole(body));
    let nosniff = HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}

/// A stream of watch events.
pub(super) fn stream(body: EmbeddedBody) -> Answer {
    with(StatusCode::OK, JSON, body)
}

/// Aggregated discovery, which clients keep by its ETag.
pub(super) fn aggregated(value: &Value, headers: &HeaderMap) -> Answer {
    const TYPE: HeaderValue = HeaderValue::from_static(
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    );
    let tag = format!("\"{}\"", hash(value));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|seen| *seen == *tag);
    let mut answer = if known {
        let mut answer = Response::new(EmbeddedBody::whole(Bytes::new()));
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        let mut body = go_json(value);
        body.push(b'\n');
        with(StatusCode::OK, TYPE, EmbeddedBody::whole(body))
    };
    let headers = answer.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    answer
}

/// SHA-512 of a document, in upper-case hexadecimal.
pub(super) fn hash(value: &Value) -> String {
    let digest = digest::digest(&digest::SHA512, &go_json(value));
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A failure.
pub(super) fn refusal(refusal: &Refusal) -> Answer {
    let status = refusal.status();
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = json_text(code, status.to_json());
    if let Some(seconds) = status.retry_after() {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Adds a `Warning` header for each text that can stand in one.
pub(super) fn warn(answer: &mut Answer, warnings: &[String]) {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            answer.headers_mut().append(header::WARNING, value);
        }
    }
}

/// The headers that every answer has.
pub(super) fn finish(answer: &mut Answer, request: &HeaderMap) {
    let audit = request
        .get("audit-id")
        .cloned()
        .or_else(|| HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).ok());
    let headers = answer.headers_mut();
    if let Some(audit) = audit {
        headers.insert("audit-id", audit);
    }
    let private = HeaderValue::from_static("no-cache, private");
    headers.entry(header::CACHE_CONTROL).or_insert(private);
}
