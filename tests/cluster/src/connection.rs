//! One TLS connection with HTTP/1.1 or HTTP/2 on it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::authority::Identity;
use crate::client::Protocol;

/// What a connection is made of.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    protocol: Protocol,
    receive_buffer: Option<u32>,
    tls: Arc<ClientConfig>,
}

impl Endpoint {
    pub(crate) fn new(
        uri: &http::Uri,
        ca_pem: &str,
        identity: Option<&Identity>,
        protocol: Protocol,
        receive_buffer: Option<u32>,
    ) -> Result<Self> {
        ensure!(uri.scheme_str() == Some("https"), "{uri}: the client speaks https only");
        let tls = client_tls(ca_pem, identity, protocol)?;
        Ok(Self {
            host: uri.host().context("a URL without host")?.to_owned(),
            port: uri.port_u16().unwrap_or(443),
            protocol,
            receive_buffer,
            tls: Arc::new(tls),
        })
    }

    /// The value of `Host` and `:authority`.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    async fn open(&self) -> Result<TcpStream> {
        let Some(bytes) = self.receive_buffer else {
            return Ok(TcpStream::connect((self.host.as_str(), self.port)).await?);
        };
        let mut addresses = lookup_host((self.host.as_str(), self.port)).await?;
        let address = addresses.next().context("a host without address")?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Only before it connects does this bound the window.
        socket.set_recv_buffer_size(bytes)?;
        Ok(socket.connect(address).await?)
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = self.open().await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.clone())?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        ensure!(
            agreed.as_deref() == Some(self.protocol.alpn())
                || (agreed.is_none() && self.protocol == Protocol::Http1),
            "the server agreed on another protocol than {:?}",
            self.protocol
        );
        // The tasks end with their connection; its errors reach whoever waits for a response or reads a body.
        match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection.with_upgrades());
                Ok(Connection::Http1(sender))
            }
            Protocol::Http2 => {
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(Connection::Http2(sender))
            }
        }
    }
}

/// An open connection.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>> {
        Ok(match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }
}

/// TLS that trusts one authority and speaks one protocol.
pub(crate) fn client_tls(
    ca_pem: &str,
    identity: Option<&Identity>,
    protocol: Protocol,
) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut tls = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => config.with_client_auth_cert(
            CertificateDer::pem_file_iter(&identity.certificate)?.collect::<Result<_, _>>()?,
            PrivateKeyDer::from_pem_file(&identity.key)?,
        )?,
    };
    tls.alpn_protocols = vec![protocol.alpn().to_vec()];
    Ok(tls)
}
