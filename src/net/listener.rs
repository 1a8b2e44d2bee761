//! Listening: binding an address, and an accept loop that survives what the system may run out of.
//!
//! Accepted sockets get the options a watch needs (see [`set_options`]) and are handed on as they
//! are. At the connection limit nothing more is accepted: further clients wait in the kernel's
//! queue until a connection ends. Does not know what is spoken on the sockets.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::telemetry::throttle::Throttle;

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Probes after 30 s of silence, every 10 s, three times: HTTP/1.1 watches have no ping of their own.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// How much unsent data the kernel takes before it reports the socket as full: a slow watcher is
/// noticed by its lag in the log, not by megabytes in kernel buffers.
#[cfg(target_os = "linux")]
const NOT_SENT_LOW_WATER: u32 = 64 * 1024;

/// A peer that acknowledges nothing for this long, while data is due to it, is gone.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause after the first failed accept; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause between accepts while the system is out of something.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// At most one log line of a kind in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// A bound address, listening.
#[derive(Debug)]
pub struct Listener {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

// === impl BindError ===

impl BindError {
    /// What kind of failure the system named.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// A socket just accepted, and the place among the limited connections that it takes.
#[derive(Debug)]
pub struct Accepted {
    /// Non-blocking, options set.
    pub stream: TcpStream,
    /// The other end.
    pub peer: SocketAddr,
    /// To be kept as long as the socket.
    pub permit: OwnedSemaphorePermit,
}

// === impl Listener ===

impl Listener {
    /// Binds and listens; port 0 takes any free port.
    ///
    /// # Errors
    /// When the address is in use, not this machine's, or not permitted.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        listen(address).map_err(|source| BindError { address, source })
    }

    /// The address listened on, with the port that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop` is cancelled, at most `limit` connections at a time.
    ///
    /// # Errors
    /// When the socket cannot be registered with the runtime; nothing later ends it.
    pub async fn accept_until(
        self,
        stop: &CancellationToken,
        limit: usize,
        take: impl FnMut(Accepted) + Send,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let mut accepting = Accepting::new(listener, limit, take);
        // Cancelling an accept loses nothing: it is either done or has not begun.
        stop.run_until_cancelled(accepting.run()).await;
        Ok(())
    }
}

fn listen(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted program takes its port back while old connections are still being closed.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.ip().is_unspecified() && address.is_ipv6() {
        // `::` means all addresses, those of IPv4 included, as for kube-apiserver.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok(Listener { listener, address })
}

/// Sets what a long-lived, mostly silent connection needs.
///
/// # Errors
/// When the socket is not connected any more, or an option is unknown to the system.
pub fn set_options(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_notsent_lowat(NOT_SENT_LOW_WATER)?;
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    }
    Ok(())
}

/// The accept loop's state.
struct Accepting<F> {
    listener: TcpListener,
    places: Arc<Semaphore>,
    limit: usize,
    take: F,
    pause: Duration,
    failures: Throttle,
    full: Throttle,
}

// === impl Accepting ===

impl<F: FnMut(Accepted)> Accepting<F> {
    fn new(listener: TcpListener, limit: usize, take: F) -> Self {
        let now = Instant::now();
        Self {
            listener,
            places: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            limit,
            take,
            pause: FIRST_PAUSE,
            failures: Throttle::new(LOG_INTERVAL, now),
            full: Throttle::new(LOG_INTERVAL, now),
        }
    }

    async fn run(&mut self) {
        loop {
            let permit = self.place().await;
            match self.accept().await {
                Ok((stream, peer)) => {
                    self.pause = FIRST_PAUSE;
                    (self.take)(Accepted { stream, peer, permit });
                }
                Err(error) if concerns_one_connection(&error) => {
                    tracing::debug!(%error, "a client left before it was accepted");
                }
                Err(error) => self.back_off(&error).await,
            }
        }
    }

    /// A place for the next connection, waited for at the limit.
    async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return permit;
        }
        if let Some(suppressed) = self.full.admit(Instant::now()) {
            let limit = self.limit;
            tracing::warn!(
                limit,
                suppressed,
                "the connection limit is reached: new clients wait until a connection ends"
            );
        }
        Arc::clone(&self.places)
            .acquire_owned()
            .await
            .expect("the semaphore is private and never closed")
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        let stream = stream.into_std()?;
        if let Err(error) = set_options(&stream) {
            // The connection works without, or its first read tells that it is gone.
            tracing::debug!(%peer, %error, "socket options could not be set");
        }
        Ok((stream, peer))
    }

    /// Out of file descriptors or memory: accepting again at once would only burn the processor.
    async fn back_off(&mut self, error: &io::Error) {
        if let Some(suppressed) = self.failures.admit(Instant::now()) {
            tracing::warn!(%error, suppressed, "connections cannot be accepted; trying again");
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether a failed accept says something of that one client only.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::sync::mpsc;

    use super::*;

    fn loopback() -> Listener {
        Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port")
    }

    #[tokio::test]
    async fn options_are_set_and_the_limit_holds() {
        let listener = loopback();
        let address = listener.address();
        let stop = CancellationToken::new();
        let (send, mut accepted) = mpsc::unbounded_channel();
        let ended = stop.clone();
        let accepting = tokio::spawn(async move {
            listener.accept_until(&ended, 1, |new| send.send(new).expect("received")).await
        });
        let _first = tokio::net::TcpStream::connect(address).await.expect("connects");
        let _second = tokio::net::TcpStream::connect(address).await.expect("waits in the queue");
        let first = accepted.recv().await.expect("accepted");
        let socket = SockRef::from(&first.stream);
        assert!(socket.tcp_nodelay().expect("readable"));
        assert!(socket.keepalive().expect("readable"));
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_notsent_lowat().expect("readable"), NOT_SENT_LOW_WATER);
            assert_eq!(socket.tcp_user_timeout().expect("readable"), Some(USER_TIMEOUT));
        }
        let waited = tokio::time::timeout(Duration::from_millis(30), accepted.recv()).await;
        assert!(waited.is_err(), "the second waits while the first holds the only place");
        drop(first);
        assert!(accepted.recv().await.is_some());
        stop.cancel();
        accepting.await.expect("no panic").expect("ends by the stop");
    }

    #[test]
    fn a_taken_address_is_named() {
        let first = loopback();
        let error = Listener::bind(first.address()).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let error = error.to_string();
        assert!(error.contains(&first.address().to_string()), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn failing_accepts_are_tried_again_ever_more_slowly() {
        let listener = TcpListener::from_std(loopback().listener).expect("registers");
        let mut accepting = Accepting::new(listener, 1, |_| ());
        let started = tokio::time::Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let before = started.elapsed();
            accepting.back_off(&io::Error::from_raw_os_error(24)).await;
            pauses.push((started.elapsed() - before).as_millis());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn running_out_of_descriptors_is_not_one_clients_fault() {
        assert!(!concerns_one_connection(&io::Error::from_raw_os_error(24)));
        assert!(concerns_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    }
}
