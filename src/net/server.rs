//! From an accepted socket to a served connection: placed on a core, encrypted, spoken HTTP on.
//!
//! Guarantees that a TLS handshake is done in time or given up, and that only so many run at once:
//! when a fleet reconnects, the first clients are served instead of all of them timing out
//! together. A silent client takes no handshake's place: the place is taken when its first bytes
//! are there.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{sync::Semaphore, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use super::{
    gather::hold_records,
    handler::{ConnectionInfo, Handler, Protocol},
    http,
    listener::{Accepted, Listener},
    socket::Socket,
    tls::Tls,
};
use crate::runtime::{Placement, Placer, Tasks};

/// Longer than a handshake takes over any usable link, shorter than client-go's dial time-out.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Concurrent handshakes per core. One costs 0.1–1 ms of processor time and a round trip or two:
/// enough to hide the network, and few enough that the last of a full set is done in about 0.1 s.
const HANDSHAKES_PER_CORE: usize = 128;

/// A bound for when nothing better is known: 65,536 encrypted connections with a watch each take
/// about 1.8 GB (crates §0.5).
pub const DEFAULT_MAX_CONNECTIONS: usize = 65_536;

/// How a server serves.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `None` serves plain HTTP/1.1: for loopback only.
    pub tls: Option<Tls>,
    /// The most connections at a time, tunnels included.
    pub max_connections: usize,
    /// From the accepted socket to the end of the TLS handshake, waiting for a place included.
    pub handshake_timeout: Duration,
}

/// What all connections of a server share.
struct Shared<H> {
    handler: H,
    tls: Option<Tls>,
    handshakes: Semaphore,
    handshake_timeout: Duration,
}

/// Why a TLS handshake did not come about; the client's doing, so for logs at debug level.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("TLS handshake: {0}")]
    Failed(#[from] io::Error),
    #[error("no TLS handshake within {0:?}")]
    TimedOut(Duration),
    #[error("TLS handshake given up: the server is draining")]
    Draining,
}

/// Accepts on `listener` until `stop` is cancelled, and serves each connection on a core.
///
/// Connections go on after that: they end with the drain of their cores.
///
/// # Errors
/// As [`Listener::accept_until`].
pub async fn serve<H: Handler>(
    listener: Listener,
    placer: Placer,
    options: ServerOptions,
    handler: H,
    stop: CancellationToken,
) -> io::Result<()> {
    let handshakes = Semaphore::new(HANDSHAKES_PER_CORE * placer.cores().len());
    let ServerOptions { tls, max_connections, handshake_timeout } = options;
    let shared = Arc::new(Shared { handler, tls, handshakes, handshake_timeout });
    let take = |accepted: Accepted| {
        let shared = Arc::clone(&shared);
        placer.spawn_on_least_loaded("connection", |placement| {
            connection(accepted, placement, shared)
        });
    };
    listener.accept_until(&stop, max_connections, take).await
}

/// One connection's task.
async fn connection<H: Handler>(accepted: Accepted, placement: Placement, shared: Arc<Shared<H>>) {
    let core = Arc::clone(placement.core());
    let peer = accepted.peer;
    let socket = match Socket::new(accepted.stream, placement, accepted.permit) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%peer, %error, "a connection cannot be registered with its core");
            return;
        }
    };
    let info = |tls, protocol| {
        let draining = core.draining().clone();
        Arc::new(ConnectionInfo { peer, protocol, tls, core: core.index(), draining })
    };
    let tasks: Tasks = core.tasks().clone();
    let handler = shared.handler.clone();
    let ended = match &shared.tls {
        None => {
            let info = info(false, Protocol::Http1);
            Box::pin(http::serve(TokioIo::new(socket), info, tasks, handler)).await
        }
        // Each stage in a box of its own, which goes with it: a connection's task is as long as the
        // largest of them otherwise, for hours.
        Some(tls) => match Box::pin(shared.handshake(socket, tls, core.draining())).await {
            Ok(stream) => {
                let info = info(true, agreed(&stream));
                Box::pin(http::serve(TokioIo::new(stream), info, tasks, handler)).await
            }
            Err(error) => return log_handshake(peer, &error),
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

// === impl Shared ===

impl<H> Shared<H> {
    async fn handshake(
        &self,
        socket: Socket,
        tls: &Tls,
        draining: &CancellationToken,
    ) -> Result<TlsStream<Socket>, HandshakeError> {
        let shaking = async {
            socket.readable().await?;
            let _place = self.handshakes.acquire().await.map_err(io::Error::other)?;
            let acceptor = TlsAcceptor::from(tls.current());
            acceptor.accept_with(socket, hold_records).await
        };
        let limit = self.handshake_timeout;
        match draining.run_until_cancelled(timeout(limit, shaking)).await {
            Some(Ok(shaken)) => Ok(shaken?),
            Some(Err(_)) => Err(HandshakeError::TimedOut(limit)),
            None => Err(HandshakeError::Draining),
        }
    }
}

// === impl ServerOptions ===

impl ServerOptions {
    /// The usual limits.
    pub fn new(tls: Option<Tls>) -> Self {
        Self { tls, max_connections: DEFAULT_MAX_CONNECTIONS, handshake_timeout: HANDSHAKE_TIMEOUT }
    }
}

/// The version agreed on by ALPN; a client that names none gets HTTP/1.1.
fn agreed(stream: &TlsStream<Socket>) -> Protocol {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    }
}

fn log_handshake(peer: SocketAddr, error: &HandshakeError) {
    tracing::debug!(%peer, %error, "a connection ended before it was encrypted");
}

#[cfg(test)]
mod tests;
