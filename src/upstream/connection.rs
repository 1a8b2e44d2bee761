//! Opening one connection to the store: TCP, TLS where the endpoint asks for it, then HTTP.
//!
//! Guarantees: every step is bounded in time; the connection's permit lives in its socket, so a
//! place is free exactly when the socket is closed; the task that drives a connection is spawned on
//! the runtime that opened it. Does not decide when to open one: see [`super::pool`].

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tokio_rustls::TlsConnector;

mod io_stream;
mod read_ahead;

use self::{io_stream::Stream, read_ahead::ReadAhead};
use super::{endpoint::Endpoint, error::UpstreamError, transport::body::SentBody};

/// Bound on name resolution, and on the TCP handshake over all addresses together.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Bound on the TLS handshake.
const TLS_LIMIT: Duration = Duration::from_secs(10);
/// How long a quiet HTTP/2 connection goes without a PING.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long a PING may stay unanswered; both as client-go does (semantics §14).
const PING_LIMIT: Duration = Duration::from_secs(15);
/// How long sent bytes may stay unacknowledged before the kernel gives the connection up; equal
/// to what the PINGs allow, for HTTP/1.1 connections, which have none.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(45);
/// Largest head of an answer. kube-apiserver's own bound on request heads is 1 MiB, and echoes
/// (`Location`, `Warning`) can be about as long.
const MAX_HEAD: usize = 1 << 20;
/// Most streams on one HTTP/2 connection: kube-apiserver's own default is 100, more would wait.
pub(super) const STREAM_BUDGET: usize = 100;

/// Flow-control windows of one lane's HTTP/2 connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Bytes that upstream may send on a stream ahead of its reader.
    pub(super) stream: u32,
    /// The same for all streams of a connection together.
    pub(super) connection: u32,
}

/// Opens the connections of one lane.
pub(super) struct Connector {
    endpoint: Endpoint,
    host: Arc<str>,
    /// `None` for an endpoint that is not encrypted.
    tls: Option<Arc<ClientConfig>>,
    windows: Windows,
}

/// A connection that is ready for requests.
pub(super) enum Established {
    Http1(http1::SendRequest<SentBody>),
    /// With the number of streams that upstream's SETTINGS allow at a time.
    Http2(http2::SendRequest<SentBody>, Arc<AtomicUsize>),
}

// === impl Windows ===

impl Windows {
    /// For answers that the gateway itself reads as they come, such as a LIST of 100 MB: 8 MiB
    /// fill 640 Mbit/s at 100 ms.
    pub(super) const OWN_READER: Self = Self { stream: 8 << 20, connection: 64 << 20 };
    /// For answers read by clients, which may be slow. The connection's window holds the streams'
    /// of a whole budget, so a reader that stalls never holds up its neighbours.
    pub(super) const CLIENT_READER: Self =
        Self { stream: 512 << 10, connection: (512 << 10) * STREAM_BUDGET as u32 };
}

// === impl Connector ===

impl Connector {
    pub(super) fn new(
        endpoint: Endpoint,
        tls: Option<Arc<ClientConfig>>,
        windows: Windows,
    ) -> Self {
        let host = endpoint.label();
        Self { endpoint, host, tls, windows }
    }

    /// `host:port`.
    pub(super) const fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// Whether a connection of this lane can turn out to speak HTTP/2.
    pub(super) fn offers_http2(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.alpn_protocols.iter().any(|name| name == b"h2"))
    }

    /// Opens a connection and spawns the task that drives it.
    pub(super) async fn open(
        &self,
        permit: OwnedSemaphorePermit,
    ) -> Result<Established, UpstreamError> {
        let stream = self.stream(permit).await?;
        if stream.is_http2() {
            self.handshake_http2(stream).await
        } else {
            self.handshake_http1(stream).await.map(Established::Http1)
        }
    }

    async fn stream(&self, permit: OwnedSemaphorePermit) -> Result<Stream, UpstreamError> {
        let tcp = self.tcp().await?;
        let Some(tls) = &self.tls else {
            return Ok(Stream::plain(tcp, permit));
        };
        let failed =
            |cause| UpstreamError::Tls { host: Arc::clone(&self.host), cause: Arc::new(cause) };
        let name = self
            .endpoint
            .server_name()
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let handshake = TlsConnector::from(Arc::clone(tls)).connect(name, ReadAhead::new(tcp));
        match timeout(TLS_LIMIT, handshake).await {
            Ok(Ok(stream)) => Ok(Stream::tls(stream, permit)),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(self.late("the TLS handshake", TLS_LIMIT)),
        }
    }

    /// Tries the host's addresses in turn, the time divided among them.
    async fn tcp(&self) -> Result<TcpStream, UpstreamError> {
        let failed =
            |cause| UpstreamError::Connect { host: Arc::clone(&self.host), cause: Arc::new(cause) };
        let lookup = tokio::net::lookup_host((self.endpoint.host(), self.endpoint.port()));
        let addresses: Vec<SocketAddr> = match timeout(CONNECT_LIMIT, lookup).await {
            Ok(found) => found.map_err(failed)?.collect(),
            Err(_) => return Err(self.late("name resolution", CONNECT_LIMIT)),
        };
        let share = CONNECT_LIMIT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let nothing = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let mut last = failed(nothing);
        for address in addresses {
            match timeout(share, connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = failed(error),
                Err(_) => last = self.late("the TCP handshake", share),
            }
        }
        Err(last)
    }

    async fn handshake_http1(
        &self,
        stream: Stream,
    ) -> Result<http1::SendRequest<SentBody>, UpstreamError> {
        let mut builder = http1::Builder::new();
        // The head's bound needs room in the buffer, which grows only when used.
        builder.max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD + (64 << 10));
        let shaken = timeout(CONNECT_LIMIT, builder.handshake(TokioIo::new(stream)));
        let (sender, connection) = self.shaken(shaken.await)?;
        let host = Arc::clone(&self.host);
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%host, %error, "upstream HTTP/1.1 connection ended");
            }
        });
        Ok(sender)
    }

    async fn handshake_http2(&self, stream: Stream) -> Result<Established, UpstreamError> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(self.windows.stream)
            .initial_connection_window_size(self.windows.connection)
            .initial_max_send_streams(STREAM_BUDGET)
            .max_header_list_size(MAX_HEAD as u32)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_LIMIT)
            .keep_alive_while_idle(true);
        let shaken = timeout(CONNECT_LIMIT, builder.handshake(TokioIo::new(stream)));
        let (sender, mut connection) = self.shaken(shaken.await)?;
        let host = Arc::clone(&self.host);
        let allowed = Arc::new(AtomicUsize::new(STREAM_BUDGET));
        let told = Arc::clone(&allowed);
        tokio::spawn(async move {
            let ended = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                told.store(connection.current_max_send_streams(), Ordering::Relaxed);
                polled
            });
            if let Err(error) = ended.await {
                tracing::debug!(%host, %error, "upstream HTTP/2 connection ended");
            }
        });
        Ok(Established::Http2(sender, allowed))
    }

    fn shaken<T>(
        &self,
        outcome: Result<hyper::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, UpstreamError> {
        match outcome {
            Ok(shaken) => shaken.map_err(|error| UpstreamError::Handshake {
                host: Arc::clone(&self.host),
                cause: Arc::new(error),
            }),
            Err(_) => Err(self.late("the HTTP handshake", CONNECT_LIMIT)),
        }
    }

    fn late(&self, step: &'static str, limit: Duration) -> UpstreamError {
        UpstreamError::Timeout { host: Arc::clone(&self.host), step, limit }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    let options = SockRef::from(&socket);
    options.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(PING_INTERVAL).with_interval(Duration::from_secs(5)),
    )?;
    #[cfg(target_os = "linux")]
    options.set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT))?;
    socket.connect(address).await
}
