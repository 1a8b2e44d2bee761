//! Connections over memory: how often they write, and what time does to silent ones.

use std::{
    sync::atomic::AtomicUsize,
    task::{Waker, ready},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Body, Frame},
    client::conn::http2 as client,
    rt::{ReadBufCursor, Write},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

/// The size of one event, as in the measurements of crates §3.4.
const EVENT: &[u8] = &[b'e'; 1200];

/// Answers every request with a watch on the same events.
#[derive(Clone, Debug, Default)]
struct Broadcast(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    events: usize,
    watchers: Vec<Waker>,
}

#[derive(Debug)]
struct Watch {
    log: Arc<Mutex<Log>>,
    seen: usize,
}

impl Broadcast {
    fn send(&self) {
        let mut log = self.0.lock();
        log.events += 1;
        log.watchers.drain(..).for_each(Waker::wake);
    }

    fn watchers(&self) -> usize {
        self.0.lock().watchers.len()
    }
}

impl Handler for Broadcast {
    type Body = Watch;

    async fn handle(&self, _: Request<Incoming>, _: &Arc<ConnectionInfo>) -> Response<Watch> {
        Response::new(Watch { log: Arc::clone(&self.0), seen: 0 })
    }
}

impl Body for Watch {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut log = self.log.lock();
        if log.events == self.seen {
            log.watchers.push(cx.waker().clone());
            return Poll::Pending;
        }
        drop(log);
        self.seen += 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(EVENT)))))
    }
}

/// One end of a connection, counting what is written to it.
struct Counted {
    inner: TokioIo<DuplexStream>,
    writes: Arc<AtomicUsize>,
}

impl Read for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl Write for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Gather for Counted {}

impl Gather for TokioIo<DuplexStream> {}

fn info(protocol: Protocol) -> Arc<ConnectionInfo> {
    let draining = CancellationToken::new();
    let peer = ([127, 0, 0, 1], 1).into();
    Arc::new(ConnectionInfo { peer, protocol, tls: false, core: 0, draining })
}

#[tokio::test]
async fn streams_woken_together_share_writes() {
    const STREAMS: usize = 100;
    const ROUNDS: usize = 20;
    let (near, far) = duplex(1 << 20);
    let (broadcast, writes) = (Broadcast::default(), Arc::new(AtomicUsize::new(0)));
    let io = Counted { inner: TokioIo::new(near), writes: Arc::clone(&writes) };
    tokio::spawn(serve(io, info(Protocol::Http2), Tasks::new(), broadcast.clone()));
    let (mut sender, connection) =
        client::handshake(TokioExecutor::new(), TokioIo::new(far)).await.expect("speaks");
    tokio::spawn(connection);
    let mut bodies = Vec::new();
    for _ in 0..STREAMS {
        let request = Request::get("http://localhost/").body(Empty::<Bytes>::new());
        let response = sender.send_request(request.expect("valid")).await.expect("served");
        bodies.push(response.into_body());
    }
    while broadcast.watchers() < STREAMS {
        tokio::task::yield_now().await;
    }
    writes.store(0, Ordering::Relaxed);
    for _ in 0..ROUNDS {
        broadcast.send();
        for body in &mut bodies {
            let mut received = 0;
            while received < EVENT.len() {
                let frame = body.frame().await.expect("goes on").expect("no error");
                received += frame.data_ref().map_or(0, Bytes::len);
            }
        }
    }
    let per_round = writes.load(Ordering::Relaxed) / ROUNDS;
    // 121 kB in pieces of at most 64 KiB; a write for each of the 100 frames without the cork.
    assert!((2..=6).contains(&per_round), "{per_round} writes a round");
}

#[tokio::test(start_paused = true)]
async fn silent_connections_are_given_up() {
    let (near, _far) = duplex(1 << 16);
    let io = TokioIo::new(near);
    let silent = serve(io, info(Protocol::Http2), Tasks::new(), Broadcast::default()).await;
    assert!(matches!(silent, Err(ConnectionError::NoRequest)), "{silent:?}");

    let (near, mut far) = duplex(1 << 16);
    let io = TokioIo::new(near);
    far.write_all(b"GET / HTTP/1.1\r\nho").await.expect("written");
    let half = serve(io, info(Protocol::Http1), Tasks::new(), Broadcast::default()).await;
    assert!(matches!(half, Err(ConnectionError::Http(error)) if error.is_timeout()));
}

#[tokio::test]
async fn a_watch_ends_when_its_http1_client_leaves() {
    let (near, mut far) = duplex(1 << 16);
    let (broadcast, tasks) = (Broadcast::default(), Tasks::new());
    let serving = serve(TokioIo::new(near), info(Protocol::Http1), tasks, broadcast.clone());
    let serving = tokio::spawn(serving);
    far.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
    let mut head = [0; 15];
    far.read_exact(&mut head).await.expect("answered");
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    drop(far);
    let ended = timeout(Duration::from_secs(5), serving).await.expect("in time");
    assert!(ended.expect("no panic").is_err(), "the answer was cut");
}
