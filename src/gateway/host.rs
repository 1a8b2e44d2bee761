//! The `Host` of HTTP/1.1 requests: exactly one, and one that can be a host (RFC 9112 §3.2).
//!
//! Go's server, and so kube-apiserver, refuses other requests before it reads them. Here it has to
//! be done before anything is forwarded, because on the way `Host` becomes the `:authority` of
//! HTTP/2, of which there is one. Whose host it is, is upstream's to judge.

use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};

use super::body::ResponseBody;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// A byte that no host has.
    #[error("malformed Host header")]
    Malformed,
    /// HTTP/1.1 without any.
    #[error("missing required Host header")]
    Missing,
    /// More than one line.
    #[error("too many Host headers")]
    TooMany,
}

// === impl BadHost ===

impl BadHost {
    /// What is wrong, if anything is. HTTP/2 and HTTP/3 name the host elsewhere.
    pub fn of(version: Version, headers: &HeaderMap) -> Option<Self> {
        if version > Version::HTTP_11 {
            return None;
        }
        let mut lines = headers.get_all(header::HOST).iter();
        match (lines.next(), lines.next()) {
            (None, _) => (version == Version::HTTP_11).then_some(Self::Missing),
            (Some(_), Some(_)) => Some(Self::TooMany),
            (Some(host), None) => {
                (!host.as_bytes().iter().copied().all(stands_in_host)).then_some(Self::Malformed)
            }
        }
    }

    /// The refusal, after which the connection is closed: its sender may mean another request than
    /// was read.
    pub fn response(self) -> Response<ResponseBody> {
        let text = match self {
            // Go's server finds these while it reads the head, and says no more.
            Self::TooMany => "400 Bad Request".to_owned(),
            Self::Malformed | Self::Missing => format!("400 Bad Request: {self}"),
        };
        let mut response = Response::new(ResponseBody::text(text));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let headers = response.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, text);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// The bytes of a host and port: unreserved, escaped, delimiters within, and brackets around IPv6
/// addresses (RFC 3986 §3.2.2).
const fn stands_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'['
                | b']'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(version: Version, hosts: &[&str]) -> Option<BadHost> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        BadHost::of(version, &headers)
    }

    #[test]
    fn one_host_is_wanted() {
        for host in ["", "a", "a.example:6443", "10.0.0.1", "[::1]:443", "kubernetes.default.svc"] {
            assert_eq!(bad(Version::HTTP_11, &[host]), None, "{host:?}");
        }
        assert_eq!(bad(Version::HTTP_11, &[]), Some(BadHost::Missing));
        assert_eq!(bad(Version::HTTP_10, &[]), None);
        assert_eq!(bad(Version::HTTP_11, &["a", "a"]), Some(BadHost::TooMany));
        assert_eq!(bad(Version::HTTP_10, &["a", "b"]), Some(BadHost::TooMany));
        assert_eq!(bad(Version::HTTP_2, &[]), None);
        for host in ["a b", "a/b", "a@b", "a?b", "a#b", "\"a\""] {
            assert_eq!(bad(Version::HTTP_11, &[host]), Some(BadHost::Malformed), "{host:?}");
        }
    }
}
