//! Responses from memory: content type, compression, and the headers that every answer of the API
//! server carries (semantics §6.4).
//!
//! Takes bodies that are made already and knows nothing of shards. The two headers that name a flow
//! schema and a priority level are not sent: no request queues here.

use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header, request::Parts};

use crate::net::{
    handler::{ConnectionInfo, Protocol},
    http::TLS_DATA_FRAME,
};

use super::{
    body::ResponseBody,
    reason::{CACHE_STATUS, HIT},
};

/// Ties an answer to upstream's audit log.
pub const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The circumstances of a request.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// Its head.
    pub head: &'a Parts,
    /// When it arrived.
    pub arrived: Instant,
    /// The connection it came by.
    pub connection: &'a ConnectionInfo,
    /// Its `Audit-ID`, if it brought one.
    pub audit_id: Option<HeaderValue>,
    /// Whether there is no place upstream for it: what memory doesn't answer is refused.
    pub last_resort: bool,
}

/// The `Audit-ID` that a request brought. One that is empty counts as none, as upstream has it.
pub(super) fn audit_id(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(AUDIT_ID).filter(|id| !id.is_empty()).cloned()
}

/// Frames of connections that pack no TLS records.
const PLAIN_FRAME: usize = 64 << 10;

/// A response of this content type.
pub(super) fn typed(body: ResponseBody, content_type: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Says that the body is compressed.
pub(super) fn mark_compressed(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// The headers that the API server puts on every answer.
pub(super) fn complete(
    headers: &mut HeaderMap,
    warning: Option<HeaderValue>,
    circumstances: &Circumstances<'_>,
) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert(AUDIT_ID, circumstances.audit_id.clone().unwrap_or_else(new_audit_id));
    headers.insert(CACHE_STATUS, HIT);
    if let Some(warning) = warning {
        headers.insert(header::WARNING, warning);
    }
}

/// The longest frame of a body on this connection. Over TLS and HTTP/2 a longer one would be split
/// into two records.
pub(super) fn max_frame(connection: &ConnectionInfo) -> usize {
    match (connection.tls, connection.protocol) {
        (true, Protocol::Http2) => TLS_DATA_FRAME,
        _ => PLAIN_FRAME,
    }
}

fn new_audit_id() -> HeaderValue {
    let mut text = uuid::Uuid::encode_buffer();
    let text = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_audit_id_is_none() {
        let of = |id| audit_id(&HeaderMap::from_iter([(AUDIT_ID, HeaderValue::from_static(id))]));
        assert_eq!(of("x 1"), Some(HeaderValue::from_static("x 1")));
        assert_eq!(of(""), None);
        assert_eq!(audit_id(&HeaderMap::new()), None);
    }
}
