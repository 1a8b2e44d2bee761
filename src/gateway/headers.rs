//! Headers on their way through the gateway: what concerns one connection stays on it, what names
//! an identity that the sender has not proven is dropped, the rest passes untouched.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
        TE, TRANSFER_ENCODING, UPGRADE, VIA,
    },
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Headers by which a front proxy tells kube-apiserver who asks (semantics §12.2).
const REMOTE_IDENTITY: &str = "x-remote-";
/// Fields of one connection (RFC 9110 §7.6.1, RFC 2616 §13.5.1). `Trailer` is not among them: the
/// next hop needs it to relay trailers.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// Fields that `Connection` cannot take away, lest a request arrive framed or authenticated other
/// than the gateway saw it.
const NEVER_NOMINATED: [HeaderName; 3] = [AUTHORIZATION, CONTENT_LENGTH, HOST];
/// Headers by which a sender gives up its own identity for another (semantics §12.4). `Connection`
/// cannot take them away either: without them the request has all of the sender's rights.
const IMPERSONATION: &str = "impersonate-";

/// Removes the fields that concern the connection only, those that `Connection` names included.
/// `TE: trailers` stays.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !NEVER_NOMINATED.contains(name) && !name.as_str().starts_with(IMPERSONATION))
        .collect();
    let trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    for name in nominated.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes what only a proven front proxy may say.
pub fn remove_remote_identity(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(REMOTE_IDENTITY)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Adds the sender to `X-Forwarded-For` and the gateway to `Via`, behind those already there.
pub fn add_forwarding(headers: &mut HeaderMap, peer: IpAddr, version: Version) {
    append(headers, X_FORWARDED_FOR, &peer.to_canonical().to_string());
    let version = match version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    };
    append(headers, VIA, &format!("{version} watchgate"));
}

/// What a request wants to switch to, if it asks to leave HTTP. Moving to HTTP/2 in the clear is
/// not that: RFC 9113 withdrew it, and it is answered as any request.
pub fn upgrade(version: Version, headers: &HeaderMap) -> Option<&HeaderValue> {
    if version != Version::HTTP_11
        || !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
        || tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("h2c"))
    {
        return None;
    }
    headers.get(UPGRADE)
}

/// The comma-separated tokens of a field, over all its lines.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|token| token.trim_matches([' ', '\t']))
        .filter(|token| !token.is_empty())
}

/// Adds an element to a list field, its lines joined into one.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut joined = Vec::new();
    for line in headers.get_all(&name) {
        joined.extend_from_slice(line.as_bytes());
        joined.extend_from_slice(b", ");
    }
    joined.extend_from_slice(element.as_bytes());
    // Lines that were valid on their own are valid joined by a comma.
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        headers.insert(name, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn removes_what_concerns_the_connection() {
        let mut found = headers(&[
            ("Connection", "close, X-Private ,authorization"),
            ("Connection", "x-other"),
            ("Keep-Alive", "5"),
            ("Proxy-Authorization", "Basic x"),
            ("TE", "gzip, Trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "foo"),
            ("X-Private", "1"),
            ("X-Other", "1"),
            ("Authorization", "Bearer t"),
            ("Trailer", "x-sum"),
        ]);
        remove_hop_by_hop(&mut found);
        let kept =
            headers(&[("Authorization", "Bearer t"), ("Trailer", "x-sum"), ("TE", "trailers")]);
        assert_eq!(found, kept);
    }

    #[test]
    fn impersonation_cannot_be_nominated_away() {
        let impersonation =
            [("Impersonate-User", "bob"), ("Impersonate-Group", "g"), ("Impersonate-Extra-a", "b")];
        let mut found = headers(&impersonation);
        let nominated = "Impersonate-User, impersonate-group, IMPERSONATE-EXTRA-A";
        found.insert(CONNECTION, HeaderValue::from_static(nominated));
        remove_hop_by_hop(&mut found);
        assert_eq!(found, headers(&impersonation));
    }

    #[test]
    fn joins_forwarding_behind_what_is_there() {
        let mut found =
            headers(&[("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.2")]);
        add_forwarding(&mut found, "::ffff:192.0.2.7".parse().unwrap(), Version::HTTP_2);
        assert_eq!(found["x-forwarded-for"], "10.0.0.1, 10.0.0.2, 192.0.2.7");
        assert_eq!(found["via"], "2.0 watchgate");
    }

    #[test]
    fn drops_every_unproven_identity() {
        let mut found = headers(&[
            ("X-Remote-User", "admin"),
            ("x-remote-extra-scopes", "a"),
            ("X-Remotely", "1"),
        ]);
        remove_remote_identity(&mut found);
        assert_eq!(found, headers(&[("x-remotely", "1")]));
    }

    #[test]
    fn knows_upgrades() {
        let asks = headers(&[("Connection", "keep-alive, Upgrade"), ("Upgrade", "SPDY/3.1")]);
        assert_eq!(upgrade(Version::HTTP_11, &asks).unwrap(), "SPDY/3.1");
        assert!(upgrade(Version::HTTP_10, &asks).is_none());
        let clear = headers(&[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")]);
        assert!(upgrade(Version::HTTP_11, &clear).is_none());
        assert!(upgrade(Version::HTTP_11, &headers(&[("Upgrade", "websocket")])).is_none());
    }
}
