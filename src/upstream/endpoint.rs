//! Where the API server is: its address as an operator writes it.
//!
//! An [`Endpoint`] is parsed once; later code sees only its parts. It holds no credential.

use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use rustls_pki_types::ServerName;

/// The address of one API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    host: Arc<str>,
    port: u16,
    /// Path put before that of every request, without a slash at its end; mostly empty.
    prefix: String,
    /// Name that the server's certificate must carry, if it is not the host.
    server_name: Option<ServerName<'static>>,
}

/// A text that is not the address of an API server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is not a URL.
    #[error("is not a URL; expected https://HOST[:PORT][/PREFIX]")]
    NotUrl,
    /// It names no host.
    #[error("names no host; expected https://HOST[:PORT][/PREFIX]")]
    NoHost,
    /// It holds a query, or a user name or password.
    #[error("may hold a scheme, a host, a port and a path only")]
    Excess,
    /// Its scheme is missing or unknown.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// The host cannot be named in TLS.
    #[error("is neither a DNS name nor an IP address")]
    ServerName,
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads `https://HOST[:PORT][/PREFIX]`, or the same with `http`.
    ///
    /// # Errors
    /// Says what is wrong with the text, without repeating it.
    pub fn parse(url: &str) -> Result<Self, InvalidEndpoint> {
        if !url.contains("://") {
            return Err(InvalidEndpoint::Scheme);
        }
        let uri: http::Uri = url.parse().map_err(|_| InvalidEndpoint::NotUrl)?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or(InvalidEndpoint::Scheme)?;
        let default_port = if scheme == Scheme::HTTPS {
            443
        } else if scheme == Scheme::HTTP {
            80
        } else {
            return Err(InvalidEndpoint::Scheme);
        };
        let authority = parts.authority.ok_or(InvalidEndpoint::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(InvalidEndpoint::Excess);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(InvalidEndpoint::NoHost);
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return Err(InvalidEndpoint::Excess);
        }
        let port = authority.port_u16().unwrap_or(default_port);
        let host = host.into();
        let prefix = path.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, host, port, prefix, server_name: None })
    }

    /// The same address, whose certificate must carry this name instead of the host's.
    ///
    /// # Errors
    /// When the name is neither a DNS name nor an IP address.
    pub fn with_server_name(mut self, name: &str) -> Result<Self, InvalidEndpoint> {
        let name = ServerName::try_from(name.to_owned());
        self.server_name = Some(name.map_err(|_| InvalidEndpoint::ServerName)?);
        Ok(self)
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The scheme, `http` or `https`.
    pub const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The authority as written: host, and port if one was given.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, given or the scheme's own.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, for errors and logs.
    pub fn label(&self) -> Arc<str> {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port).into()
        } else {
            format!("{}:{}", self.host, self.port).into()
        }
    }

    /// The name that the server's certificate must carry.
    ///
    /// # Errors
    /// When the host cannot be named in TLS.
    pub fn server_name(&self) -> Result<ServerName<'static>, InvalidEndpoint> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => {
                ServerName::try_from(self.host.to_string()).map_err(|_| InvalidEndpoint::ServerName)
            }
        }
    }

    /// The request's path and query behind this endpoint's prefix, otherwise byte for byte.
    ///
    /// # Errors
    /// When both together are too long for a URI.
    pub fn target(&self, target: &PathAndQuery) -> Result<PathAndQuery, http::Error> {
        if self.prefix.is_empty() {
            return Ok(target.clone());
        }
        PathAndQuery::try_from(format!("{}{target}", self.prefix)).map_err(http::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_ports_and_prefixes() {
        let plain = Endpoint::parse("https://api.example").unwrap();
        assert_eq!((plain.host(), plain.port(), plain.is_tls()), ("api.example", 443, true));
        let six = Endpoint::parse("http://[::1]:8080/").unwrap();
        assert_eq!((six.host(), six.port(), &*six.label()), ("::1", 8080, "[::1]:8080"));
        assert!(six.server_name().is_ok());
    }

    #[test]
    fn puts_its_prefix_before_targets_byte_for_byte() {
        let endpoint = Endpoint::parse("https://rancher/k8s/clusters/c-1/").unwrap();
        let target = PathAndQuery::from_static("//api/%2F/../v1?b=%20&a");
        assert_eq!(
            endpoint.target(&target).unwrap().as_str(),
            "/k8s/clusters/c-1//api/%2F/../v1?b=%20&a"
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, problem) in [
            ("api.example:6443", InvalidEndpoint::Scheme),
            ("ftp://api.example", InvalidEndpoint::Scheme),
            ("https://user:secret@api.example", InvalidEndpoint::Excess),
            ("https://api.example/?x", InvalidEndpoint::Excess),
            ("https://", InvalidEndpoint::NotUrl),
        ] {
            assert_eq!(Endpoint::parse(text), Err(problem), "{text}");
        }
    }
}
