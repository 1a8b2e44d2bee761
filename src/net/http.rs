//! One HTTP connection, from its first byte to its graceful end.
//!
//! Guarantees kube-apiserver's limits on request headers (1 MiB, answered with 431 above it), a
//! bound on streams and receive windows, pings that find dead HTTP/2 peers, and a drain: HTTP/2
//! clients get a GOAWAY, HTTP/1.1 connections close after the answer at hand. Answers come from
//! a [`Handler`]; nothing here looks into requests.
//!
//! hyper's and h2's protections against reset floods and bad frames stay at their defaults.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    ops::ControlFlow,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use ::http::{Request, Response};
use hyper::{
    body::Incoming,
    rt::{Executor, Read},
    server::conn::{http1, http2},
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioTimer;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    cork::cork,
    cutter::cuttable,
    gather::Gather,
    handler::{ConnectionInfo, Handler, Protocol},
};
use crate::runtime::Tasks;

/// The largest DATA frame to hand to HTTP/2 over TLS. With its head of 9 bytes it fills one TLS
/// record of 2^14 bytes; a frame of 16,384 needs two (crates §0.4: overhead 0.33 % → 0.20 %).
pub const TLS_DATA_FRAME: usize = 16_384 - 9;

/// kube-apiserver's `MaxHeaderBytes`, and the slack that Go's server adds for HTTP/1.1.
const MAX_HEADER_BYTES: u32 = 1 << 20;
const HEADER_SLACK: u32 = 4096;

/// Go counts no header lines; hyper does. 4,096 admits a user in thousands of groups, sent one
/// `Impersonate-Group` line each, and stays below the 24,576 that a `HeaderMap` takes without a
/// panic. It costs 3.1 µs a request (hyper 1.12, glibc: 1.0 µs in all with the default of 100
/// lines, 4.1 with 4,096); twice as many would cost 140, as the parser's tables are mapped anew
/// for each request then.
const MAX_HEADER_LINES: usize = 4096;

/// kube-apiserver's `ReadHeaderTimeout`. hyper applies it to idle connections, too.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(32);

/// client-go puts all watches of a program on one connection; fairness bounds them by user.
const MAX_CONCURRENT_STREAMS: u32 = 1000;

/// Uploads only: kube-apiserver's stream window, and four of them per connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What one stream may have waiting to be written. hyper's 400 KiB would be 400 MB for a thousand
/// slow readers of small objects; a turn of a body is no longer than this.
const SEND_BUFFER: usize = 64 * 1024;

/// A silent peer is pinged after the interval and given up after the timeout.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the last bytes of a finished connection may take.
const LAST_BYTES: Duration = Duration::from_secs(10);

/// Why a connection ended other than by itself.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The protocol was broken, or the peer left in the middle of something.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// An HTTP/2 connection on which nothing was asked in time.
    #[error("no request within {HEADER_READ_TIMEOUT:?}")]
    NoRequest,
    /// Its reader was cut off.
    #[error("cut off: the client reads too slowly")]
    Cut,
    /// The peer did not take the end of the last answer.
    #[error("the last bytes were not taken within {LAST_BYTES:?}")]
    LastBytes,
}

/// Serves a connection by the version it agreed on, until it ends. Runs on one thread; HTTP/2
/// streams become tasks of `tasks` on that same thread.
///
/// # Errors
/// How the connection ended if not well; for logs at debug level, nothing is left to be done.
pub async fn serve<T, H>(
    io: T,
    info: Arc<ConnectionInfo>,
    tasks: Tasks,
    handler: H,
) -> Result<(), ConnectionError>
where
    T: Read + Gather + Send + Unpin + 'static,
    H: Handler,
{
    match info.protocol {
        Protocol::Http1 => serve_http1(io, info, handler).await,
        Protocol::Http2 => serve_http2(io, info, tasks, handler).await,
    }
}

async fn serve_http1<T, H>(
    io: T,
    info: Arc<ConnectionInfo>,
    handler: H,
) -> Result<(), ConnectionError>
where
    T: Read + Gather + Send + Unpin + 'static,
    H: Handler,
{
    let draining = info.draining.clone();
    let asked = Asked::default();
    let header_limit = (MAX_HEADER_BYTES + HEADER_SLACK) as usize;
    let connection = http1::Builder::new()
        // With half-closed connections hyper would not read during an answer and so never learn
        // that the client of a watch has left.
        .half_close(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_headers(MAX_HEADER_LINES)
        .max_header_size(header_limit)
        .max_buf_size(header_limit)
        .serve_connection(io, answers(handler, info, asked.clone()))
        .with_upgrades();
    let finish = |connection: Pin<&mut http1::UpgradeableConnection<_, _>>| {
        connection.graceful_shutdown();
        // hyper waits for the first request of a fresh connection; nobody has one to lose.
        if asked.get() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let connection = pin!(connection);
    let driven = drive(connection, &draining, finish, |_| Ok(()));
    cuttable(driven).await.unwrap_or(Err(ConnectionError::Cut))
}

async fn serve_http2<T, H>(
    io: T,
    info: Arc<ConnectionInfo>,
    tasks: Tasks,
    handler: H,
) -> Result<(), ConnectionError>
where
    T: Read + Gather + Send + Unpin + 'static,
    H: Handler,
{
    let draining = info.draining.clone();
    let asked = Asked::default();
    let (corked, drain) = cork(io);
    let connection = http2::Builder::new(StreamTasks(tasks))
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(corked, answers(handler, info, asked.clone()));
    // hyper bounds neither the preface nor the time to the first request.
    let mut first_request = Some(Box::pin(sleep(HEADER_READ_TIMEOUT)));
    let after_poll = |cx: &mut Context<'_>| {
        check_first_request(&mut first_request, &asked, cx)?;
        match drain.poll_drain(cx) {
            Poll::Ready(Err(error)) => Err(error.into()),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    };
    let finish = |connection: Pin<&mut http2::Connection<_, _, _>>| {
        connection.graceful_shutdown();
        ControlFlow::Continue(())
    };
    let ended = drive(pin!(connection), &draining, finish, after_poll).await;
    // A GOAWAY, or the end of the last answer, may still be held.
    let rest = timeout(LAST_BYTES, poll_fn(|cx| drain.poll_drain(cx))).await;
    ended?;
    rest.map_err(|_| ConnectionError::LastBytes)??;
    Ok(())
}

/// Fails when nothing was asked until the timer ends; drops the timer with the first request.
fn check_first_request(
    timer: &mut Option<Pin<Box<Sleep>>>,
    asked: &Asked,
    cx: &mut Context<'_>,
) -> Result<(), ConnectionError> {
    if let Some(running) = timer {
        if asked.get() {
            *timer = None;
        } else if running.as_mut().poll(cx).is_ready() {
            return Err(ConnectionError::NoRequest);
        }
    }
    Ok(())
}

/// Polls a connection to its end. `finish` is called once, when the drain begins, and may end it
/// at once; `after_poll` follows every poll of the connection.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    draining: &CancellationToken,
    finish: impl Fn(Pin<&mut C>) -> ControlFlow<()>,
    mut after_poll: impl FnMut(&mut Context<'_>) -> Result<(), ConnectionError>,
) -> Result<(), ConnectionError>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut told = pin!(draining.cancelled());
    let mut finishing = false;
    poll_fn(|cx| {
        if !finishing && told.as_mut().poll(cx).is_ready() {
            finishing = true;
            if finish(connection.as_mut()).is_break() {
                return Poll::Ready(Ok(()));
            }
        }
        let polled = connection.as_mut().poll(cx);
        let after = after_poll(cx);
        match polled {
            Poll::Ready(ended) => Poll::Ready(ended.map_err(ConnectionError::from)),
            Poll::Pending => after.map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending),
        }
    })
    .await
}

/// Whether anything has been asked on a connection yet.
#[derive(Clone, Debug, Default)]
struct Asked(Arc<AtomicBool>);

// === impl Asked ===

impl Asked {
    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The handler in the form that hyper calls.
fn answers<H: Handler>(
    handler: H,
    info: Arc<ConnectionInfo>,
    asked: Asked,
) -> impl HttpService<
    Incoming,
    ResBody = H::Body,
    Error = Infallible,
    Future: Future<Output = Result<Response<H::Body>, Infallible>> + Send + 'static,
> {
    service_fn(move |request: Request<Incoming>| {
        asked.set();
        let (handler, info) = (handler.clone(), Arc::clone(&info));
        async move { Ok(handler.handle(request, &info).await) }
    })
}

/// Runs the streams of an HTTP/2 connection as tracked tasks on the connection's own thread.
#[derive(Clone, Debug)]
struct StreamTasks(Tasks);

impl<F> Executor<F> for StreamTasks
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("HTTP/2 stream", cuttable(future));
    }
}

#[cfg(test)]
mod tests;
