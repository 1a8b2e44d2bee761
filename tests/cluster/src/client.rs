//! A client which sends exactly the headers that a test gives it and shows all that comes back.
//!
//! It adds nothing but `Host`. It doesn't follow redirects, decompress, retry, or keep connections: each request has a
//! connection of its own, so that no test hangs on what another did. [`ClientBuilder::shared`] puts all requests on one
//! connection instead, for tests of multiplexing and of keep-alive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::authority::Identity;
use crate::connection::{Connection, Endpoint};
use crate::response::{Response, Streaming};
use crate::users::Token;

const PATIENCE: Duration = Duration::from_secs(60);

/// The version of HTTP which a client insists on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    pub(crate) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// What a [`Client`] is made of.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    url: String,
    ca_pem: String,
    identity: Option<Identity>,
    token: Option<Token>,
    protocol: Protocol,
    shared: bool,
    receive_buffer: Option<u32>,
}

impl ClientBuilder {
    /// Shows a client certificate.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Sends a bearer token with every request.
    #[must_use]
    pub fn token(mut self, token: &Token) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Sets the version of HTTP; HTTP/1.1 by default.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Puts all requests on one connection, which is made for the first and made anew after one that failed.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Asks the kernel for a receive buffer of so many bytes: what a slow reader hasn't read then stays with the server.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Makes the client. It connects with the first request.
    ///
    /// # Errors
    /// When the URL, the authority or the certificate can't be used.
    pub fn build(self) -> Result<Client> {
        let uri: http::Uri = self.url.parse().with_context(|| self.url.clone())?;
        let authorization = match &self.token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Client {
            endpoint: Arc::new(Endpoint::new(
                &uri,
                &self.ca_pem,
                self.identity.as_ref(),
                self.protocol,
                self.receive_buffer,
            )?),
            authorization,
            protocol: self.protocol,
            shared: self.shared.then(Arc::default),
        })
    }
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    authorization: Option<HeaderValue>,
    protocol: Protocol,
    shared: Option<Arc<Mutex<Option<Connection>>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.endpoint.authority()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at `url` (`https://HOST:PORT`), whose certificate must be signed by `ca_pem`.
    pub fn builder(url: &str, ca_pem: &str) -> ClientBuilder {
        ClientBuilder {
            url: url.to_owned(),
            ca_pem: ca_pem.to_owned(),
            identity: None,
            token: None,
            protocol: Protocol::default(),
            shared: false,
            receive_buffer: None,
        }
    }

    /// A GET request of `target`, a path with its query.
    pub fn get(&self, target: &str) -> RequestBuilder {
        self.request(Method::GET, target)
    }

    /// A request of `target`, a path with its query.
    pub fn request(&self, method: Method, target: &str) -> RequestBuilder {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        RequestBuilder {
            client: self.clone(),
            method,
            target: target.to_owned(),
            headers,
            body: Bytes::new(),
            invalid: None,
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>> {
        let Some(shared) = &self.shared else {
            return self.endpoint.connect().await?.send(request).await;
        };
        let mut slot = shared.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.endpoint.connect().await?,
        };
        // HTTP/2 requests don't wait for each other's responses.
        if let Connection::Http2(sender) = &connection {
            *slot = Some(Connection::Http2(sender.clone()));
            drop(slot);
            let response = connection.send(request).await;
            if response.is_err() {
                *shared.lock().await = None;
            }
            return response;
        }
        let response = connection.send(request).await?;
        *slot = Some(connection);
        Ok(response)
    }
}

/// A request in the making.
#[derive(Clone, Debug)]
pub struct RequestBuilder {
    client: Client,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    invalid: Option<String>,
}

impl RequestBuilder {
    /// Adds a header; the same name may come several times.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.invalid = Some(format!("header {name}: not a valid name or value")),
        }
        self
    }

    /// Sets the body. Its type is a header of its own.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request and reads the whole response.
    ///
    /// # Errors
    /// When there is no complete response within a minute. A status of any kind is no error.
    pub async fn send(self) -> Result<Response> {
        timeout(PATIENCE, async { Box::pin(self.stream()).await?.collect().await })
            .await
            .context("no complete response within a minute")?
    }

    /// Sends the request and returns once the head of the response is there, for watches.
    ///
    /// # Errors
    /// When there is no response within a minute.
    pub async fn stream(self) -> Result<Streaming> {
        if let Some(invalid) = self.invalid {
            anyhow::bail!(invalid);
        }
        let authority = self.client.endpoint.authority();
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        match self.client.protocol {
            Protocol::Http1 => {
                *request.uri_mut() = self.target.parse().with_context(|| self.target.clone())?;
                if !request.headers().contains_key(header::HOST) {
                    request.headers_mut().insert(header::HOST, authority.parse()?);
                }
            }
            Protocol::Http2 => {
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = format!("https://{authority}{}", self.target)
                    .parse()
                    .with_context(|| self.target.clone())?;
            }
        }
        let response = timeout(PATIENCE, Box::pin(self.client.exchange(request)))
            .await
            .context("no response within a minute")??;
        Ok(Streaming::new(response))
    }
}
