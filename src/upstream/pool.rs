//! The connections of one lane: which to use, when to open another, when to close one.
//!
//! Guarantees: no more connections than the lane's bound, counted until their sockets are closed;
//! no more streams on an HTTP/2 connection than its budget; a place taken is given back when its
//! holder is dropped, whatever the reason. Requests that find an HTTP/2 connection being opened
//! wait for it and share its failure, instead of opening one each.
//!
//! A connection is driven by the runtime that opened it. In a lane of clients a request takes one of
//! its own runtime where it can, so that nothing of it changes thread; the bounds are those of the
//! process, and at the bound a connection of another runtime is as good.
//! Locks: one per pool, never held across an await.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use parking_lot::Mutex;
use tokio::{
    runtime::{self, Handle},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

mod idle;
mod lease;
mod opener;

#[cfg(test)]
mod tests;

pub(super) use self::lease::{Kept, Lease, StreamPermit};
use self::{
    idle::{Idle, IdleConnections},
    lease::Keeper,
    opener::{Opener, Opening},
};
use super::{
    connection::{Connector, Established, STREAM_BUDGET},
    error::UpstreamError,
    transport::body::SentBody,
};

/// How long an HTTP/2 connection may serve nobody before it is closed, as Go's client does. Upstream
/// says beforehand when it closes one, and which requests it will not have seen.
const IDLE_LIMIT: Duration = Duration::from_secs(90);
/// How often idle connections are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// The connections of one lane.
pub(super) struct Pool {
    lane: &'static str,
    limit: usize,
    affinity: Affinity,
    connector: Connector,
    places: Arc<Semaphore>,
    /// How many connections were opened so far.
    opened: watch::Sender<u64>,
    state: Mutex<State>,
}

/// Whether requests keep to the connections of their own runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    /// Every runtime has connections of its own: for what clients wait for.
    OwnRuntime,
    /// All runtimes share: for few requests, whose connections are watched for being new.
    None,
}

/// The runtime that drives a connection; the same for all where that does not matter.
type Home = Option<runtime::Id>;

/// Which connections a request may take.
#[derive(Clone, Copy)]
enum Choice {
    Of(Home),
    Any,
}

struct State {
    /// HTTP/2 connections, oldest first, so that the youngest run empty and are closed.
    shared: Vec<Shared>,
    /// HTTP/1.1 connections that wait for a request.
    idle: IdleConnections,
    openings: Vec<Opening>,
    next: u64,
    /// Connections and openings from before are not given out again.
    generation: u64,
    /// Whether upstream may choose HTTP/2; learned from its first connection.
    http2: bool,
    sweeping: bool,
}

struct Shared {
    number: u64,
    home: Home,
    sender: http2::SendRequest<SentBody>,
    /// What upstream's SETTINGS allow at a time.
    allowed: Arc<AtomicUsize>,
    streams: usize,
    idle_since: Instant,
}

enum Step {
    Take(Lease),
    Open(Opener, OwnedSemaphorePermit),
    Wait(watch::Receiver<Option<Result<(), UpstreamError>>>),
}

struct SweepMark(Weak<Pool>);

// === impl Pool ===

impl Pool {
    pub(super) fn new(
        lane: &'static str,
        limit: usize,
        affinity: Affinity,
        connector: Connector,
    ) -> Arc<Self> {
        let state = State {
            shared: Vec::new(),
            idle: IdleConnections::default(),
            openings: Vec::new(),
            next: 0,
            generation: 0,
            http2: connector.offers_http2(),
            sweeping: false,
        };
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(limit));
        let (opened, state) = (watch::Sender::new(0), Mutex::new(state));
        Arc::new(Self { lane, limit, affinity, connector, places, opened, state })
    }

    /// `host:port` of the endpoint.
    pub(super) const fn host(&self) -> &Arc<str> {
        self.connector.host()
    }

    /// Open connections, those being opened included.
    pub(super) fn connections(&self) -> usize {
        self.limit - self.places.available_permits()
    }

    /// The lane's name.
    pub(super) const fn lane(&self) -> &'static str {
        self.lane
    }

    /// Open streams of HTTP/2 connections.
    pub(super) fn streams(&self) -> usize {
        self.state.lock().shared.iter().map(|connection| connection.streams).sum()
    }

    /// Counts the connections that were opened, one after the other.
    pub(super) fn opened(&self) -> watch::Receiver<u64> {
        self.opened.subscribe()
    }

    /// Finds a place for one request, on a connection that exists or on a new one.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, UpstreamError> {
        loop {
            // The binding ends the lock before anything is awaited.
            let step = self.step()?;
            match step {
                Step::Take(lease) => return Ok(lease),
                Step::Open(opener, permit) => return opener.open(permit).await,
                Step::Wait(mut outcome) => match outcome.wait_for(Option::is_some).await {
                    Ok(known) => {
                        if let Some(Err(error)) = &*known {
                            return Err(error.clone());
                        }
                    }
                    // The opener was dropped; look again.
                    Err(_) => continue,
                },
            }
        }
    }

    /// A new connection that nobody shares and that is not kept.
    pub(super) async fn dedicated(
        self: &Arc<Self>,
    ) -> Result<http1::SendRequest<SentBody>, UpstreamError> {
        match self.connector.open(self.place()?).await? {
            Established::Http1(sender) => Ok(sender),
            // Not reachable while the lane's TLS offers HTTP/1.1 only; an answer all the same.
            Established::Http2(..) => Err(UpstreamError::Handshake {
                host: Arc::clone(self.host()),
                cause: Arc::new(std::io::Error::other("upstream chose HTTP/2 unasked")),
            }),
        }
    }

    /// Gives no connection of now out again; requests on them go on to their end.
    pub(super) fn retire(&self) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.shared.clear();
        state.idle.clear();
        state.openings.clear();
    }

    /// Keeps an HTTP/1.1 connection for the next request. It may not be through with its last one
    /// yet, and is not given out before; one that was cut short closes instead.
    fn keep(&self, sender: http1::SendRequest<SentBody>, home: Home, generation: u64) {
        let mut state = self.state.lock();
        if state.generation == generation && !sender.is_closed() {
            state.idle.keep(sender, home);
        }
    }

    fn home(&self) -> Home {
        match self.affinity {
            Affinity::OwnRuntime => Some(Handle::current().id()),
            Affinity::None => None,
        }
    }

    fn step(self: &Arc<Self>) -> Result<Step, UpstreamError> {
        let home = self.home();
        let mut state = self.state.lock();
        let state = &mut *state;
        state.shared.retain(|connection| !connection.sender.is_closed());
        if let Some(step) = self.existing(state, Choice::Of(home)) {
            return Ok(step);
        }
        let permit = match self.place() {
            Ok(permit) => permit,
            // A connection of another thread is better than none.
            Err(exhausted) => return self.existing(state, Choice::Any).ok_or(exhausted),
        };
        let number = state.next;
        state.next += 1;
        let outcome = state.http2.then(|| {
            let (sender, outcome) = watch::channel(None);
            state.openings.push(Opening { number, home, expected: 1, outcome });
            sender
        });
        self.sweep(state);
        let generation = state.generation;
        let pool = Arc::clone(self);
        Ok(Step::Open(Opener { pool, number, home, generation, outcome }, permit))
    }

    /// A place on a connection that is open, or being opened.
    fn existing(self: &Arc<Self>, state: &mut State, choice: Choice) -> Option<Step> {
        let mut shared = state.shared.iter_mut();
        if let Some(connection) = shared.find(|one| choice.allows(one.home) && one.has_room()) {
            return Some(Step::Take(connection.lease(self, true)));
        }
        if let Some(Idle { sender, home, .. }) = state.idle.take(choice, Instant::now()) {
            let keeper = Keeper { pool: Arc::downgrade(self), home, generation: state.generation };
            return Some(Step::Take(Lease::Http1 { sender, reused: true, keeper }));
        }
        if !state.http2 {
            return None;
        }
        let mut openings = state.openings.iter_mut();
        let opening =
            openings.find(|one| choice.allows(one.home) && one.expected < STREAM_BUDGET)?;
        opening.expected += 1;
        Some(Step::Wait(opening.outcome.clone()))
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, UpstreamError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| UpstreamError::Exhausted {
            host: Arc::clone(self.host()),
            lane: self.lane,
            limit: self.limit,
        })
    }

    /// Sees to it that idle connections are closed, as long as there are any.
    fn sweep(self: &Arc<Self>, state: &mut State) {
        if std::mem::replace(&mut state.sweeping, true) {
            return;
        }
        let mark = SweepMark(Arc::downgrade(self));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                let Some(pool) = mark.0.upgrade() else { return };
                if pool.close_idle(Instant::now()) {
                    return;
                }
            }
        });
    }

    /// Closes what has been idle for too long; whether the pool is empty then.
    fn close_idle(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let expired = |since: Instant| now.saturating_duration_since(since) >= IDLE_LIMIT;
        state.idle.close_expired(now);
        state.shared.retain(|connection| {
            let idle = connection.streams == 0 && expired(connection.idle_since);
            !connection.sender.is_closed() && !idle
        });
        let empty = self.connections() == 0;
        if empty {
            state.sweeping = false;
        }
        empty
    }
}

// === impl Choice ===

impl Choice {
    fn allows(self, home: Home) -> bool {
        match self {
            Self::Of(wanted) => home == wanted,
            Self::Any => true,
        }
    }
}

// === impl Shared ===

impl Shared {
    fn has_room(&self) -> bool {
        self.streams < STREAM_BUDGET.min(self.allowed.load(Ordering::Relaxed))
    }

    fn lease(&mut self, pool: &Arc<Pool>, reused: bool) -> Lease {
        self.streams += 1;
        let permit = StreamPermit { pool: Arc::downgrade(pool), connection: self.number };
        Lease::Http2 { sender: self.sender.clone(), reused, permit }
    }
}

// === impl SweepMark ===

impl Drop for SweepMark {
    /// A sweep that ends with its runtime leaves the next one to whoever opens a connection.
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.state.lock().sweeping = false;
        }
    }
}
