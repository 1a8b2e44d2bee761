//! A TCP proxy on loopback between a gateway and the API server, which can lose the connection in each of the ways in which
//! networks do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Connections with an older number are broken.
    generation: u64,
    paused: bool,
}

/// The proxy. Dropping it breaks its connections and stops listening.
#[derive(Debug)]
pub struct Cutter {
    target: SocketAddr,
    address: SocketAddr,
    state: watch::Sender<State>,
    accepting: parking_lot::Mutex<Option<JoinHandle<()>>>,
    accepted: Arc<AtomicUsize>,
}

impl Cutter {
    /// Listens on a free loopback port and leads connections to `target`.
    ///
    /// # Errors
    /// When it can't listen.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let cutter = Self {
            target,
            address: listener.local_addr()?,
            state: watch::Sender::new(State { generation: 0, paused: false }),
            accepting: parking_lot::Mutex::default(),
            accepted: Arc::default(),
        };
        cutter.accept(listener);
        Ok(cutter)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://` and the address, for a target which speaks TLS.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// How many connections it has taken so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Resets all connections; new ones are taken.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Resets all connections and refuses new ones, as a host does whose server is down, until [`Self::resume`].
    pub async fn refuse(&self) {
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Only once the task is gone, its listener is closed. It was cancelled on purpose.
            let _ = accepting.await;
        }
        self.cut();
    }

    /// Holds all bytes back without closing anything, as a network does which loses packets, until [`Self::resume`].
    pub fn pause(&self) {
        self.state.send_modify(|state| state.paused = true);
    }

    /// Ends [`Self::refuse`] and [`Self::pause`].
    ///
    /// # Errors
    /// When it can't listen at its port again.
    pub async fn resume(&self) -> Result<()> {
        self.state.send_modify(|state| state.paused = false);
        if self.accepting.lock().is_none() {
            self.accept(TcpListener::bind(self.address).await?);
        }
        Ok(())
    }

    fn accept(&self, listener: TcpListener) {
        let (target, state, accepted) = (self.target, self.state.clone(), self.accepted.clone());
        let task = tokio::spawn(async move {
            loop {
                // Errors here are of single connections which were gone before they were taken.
                if let Ok((client, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(join(client, target, state.subscribe()));
                }
            }
        });
        *self.accepting.lock() = Some(task);
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().take() {
            accepting.abort();
        }
        self.cut();
    }
}

/// Connects to the target and copies both ways until both have ended or the connection is cut.
async fn join(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let generation = state.borrow_and_update().generation;
    let copied = async {
        let mut server = TcpStream::connect(target).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let mut cut = state.clone();
        let ended = tokio::select! {
            both = async { tokio::try_join!(
                copy(&mut from_client, &mut to_server, state.clone()),
                copy(&mut from_server, &mut to_client, state.clone()),
            ) } => both.map(|_| ()),
            _ = cut.wait_for(|state| state.generation != generation) => {
                Err(std::io::ErrorKind::ConnectionReset.into())
            }
        };
        if ended.is_err() {
            // A broken connection is reset on both sides: whoever holds the other end must see a failure, not an end.
            client.set_zero_linger()?;
            server.set_zero_linger()?;
        }
        ended
    };
    // Whatever went wrong, the connection is closed by now, which is all that its ends can be told.
    let _ = copied.await;
}

async fn copy(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let gone = |_| std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    loop {
        let count = from.read(&mut buffer).await?;
        state.wait_for(|state| !state.paused).await.map_err(gone)?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn echoes(stream: &mut TcpStream) -> bool {
        let mut answer = [0; 4];
        stream.write_all(b"ping").await.is_ok()
            && matches!(
                timeout(Duration::from_millis(300), stream.read_exact(&mut answer)).await,
                Ok(Ok(_))
            )
            && &answer == b"ping"
    }

    #[tokio::test]
    async fn cut_connections_are_reset_and_new_ones_work() {
        let cutter = Cutter::start(echo().await).await.unwrap();
        let mut first = TcpStream::connect(cutter.address()).await.unwrap();
        assert!(echoes(&mut first).await);
        cutter.cut();
        let error = timeout(Duration::from_secs(5), first.read(&mut [0; 1])).await.unwrap();
        assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        let mut second = TcpStream::connect(cutter.address()).await.unwrap();
        assert!(echoes(&mut second).await);
        assert_eq!(cutter.accepted(), 2);
    }

    #[tokio::test]
    async fn refused_until_resumed() {
        let cutter = Cutter::start(echo().await).await.unwrap();
        cutter.refuse().await;
        let error = TcpStream::connect(cutter.address()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        cutter.resume().await.unwrap();
        let mut stream = TcpStream::connect(cutter.address()).await.unwrap();
        assert!(echoes(&mut stream).await);
    }

    #[tokio::test]
    async fn a_pause_loses_nothing() {
        let cutter = Cutter::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(cutter.address()).await.unwrap();
        assert!(echoes(&mut stream).await);
        cutter.pause();
        assert!(!echoes(&mut stream).await);
        cutter.resume().await.unwrap();
        let mut answer = [0; 4];
        timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"ping");
    }
}
