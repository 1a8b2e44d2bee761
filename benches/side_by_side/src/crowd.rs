//! Many watches at once, each counted, over few connections or one each.
//!
//! Every event is a line; which write a line stands for follows from its place in the stream, so nothing has to be parsed.
//! What arrives when is kept and evaluated after the run. A stream that ends is counted, never opened again.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::wire::{Ask, Connection, Endpoint, Sink, Status};

/// Connections that are opened at the same time.
const OPENING: usize = 32;
/// What a stream has received before its window is given back.
const GRANT: u32 = 1 << 20;
/// Connections from one address of this machine, which has 28,000 ports.
const PER_ADDRESS: usize = 20_000;
const HEADS_PATIENCE: Duration = Duration::from_secs(120);

/// One watch: its path, and which writes it sees: `first`, `first + step`, and so on.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) path: Arc<str>,
    pub(crate) first: u32,
    pub(crate) step: u32,
}

/// An event that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) write: u32,
    /// Since the crowd's start.
    pub(crate) micros: u32,
}

/// Open watches.
pub(crate) struct Crowd {
    started: Instant,
    tallies: Vec<Arc<Mutex<Tally>>>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

/// What has come to all watches so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) heads: usize,
    pub(crate) refused: usize,
    pub(crate) ended: usize,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

/// What one connection has received.
struct Tally {
    started: Instant,
    /// In the order of the streams, which are 1, 3, 5, and so on.
    streams: Vec<Stream>,
    totals: Totals,
    /// `None` if nobody will ask for them.
    arrivals: Option<Vec<Arrival>>,
    grants: Vec<u32>,
}

struct Stream {
    next_write: u32,
    step: u32,
    events: u32,
    bytes: u64,
    owed: u32,
    headed: bool,
}

/// The tally as a connection's sink.
struct Shared<'a>(&'a Mutex<Tally>);

// === impl Crowd ===

impl Crowd {
    /// Opens the watches and waits until every one of them is answered.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        ask: &Ask,
        watches: &[Watch],
        streams_per_connection: usize,
        keep_arrivals: bool,
    ) -> Result<Self> {
        let started = Instant::now();
        let mut crowd = Self { started, tallies: Vec::new(), tasks: Vec::new() };
        let parts: Vec<&[Watch]> = watches.chunks(streams_per_connection).collect();
        for (batch, parts) in parts.chunks(OPENING).enumerate() {
            let from = Ipv4Addr::from(
                u32::from(Ipv4Addr::LOCALHOST) + (batch * OPENING / PER_ADDRESS) as u32,
            );
            let connect = |_| endpoint.connect_from(ask, Some(IpAddr::V4(from)));
            let connections = try_join_all(parts.iter().map(connect)).await?;
            for (mut connection, part) in connections.into_iter().zip(parts) {
                let tally = Arc::new(Mutex::new(Tally::new(started, part, keep_arrivals)));
                crowd.tallies.push(Arc::clone(&tally));
                connection.open_streams(part.iter().map(|watch| &*watch.path)).await?;
                crowd.tasks.push(tokio::spawn(read(connection, tally)));
            }
        }
        let opened = crowd.wait(HEADS_PATIENCE, |totals| totals.heads == watches.len()).await;
        let totals = crowd.totals();
        ensure!(
            totals.refused == 0,
            "{} of {} watches were refused",
            totals.refused,
            watches.len()
        );
        ensure!(
            opened,
            "only {} of {} watches were answered: {totals:?}",
            totals.heads,
            watches.len()
        );
        Ok(crowd)
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn totals(&self) -> Totals {
        self.tallies.iter().fold(Totals::default(), |sum, tally| sum.plus(&tally.lock().totals))
    }

    /// Each watch's number of events and bytes.
    pub(crate) fn counts(&self) -> Vec<(u32, u64)> {
        let counts = |tally: &Arc<Mutex<Tally>>| {
            tally.lock().streams.iter().map(|it| (it.events, it.bytes)).collect::<Vec<_>>()
        };
        self.tallies.iter().flat_map(counts).collect()
    }

    /// Waits until the totals are as wanted; says whether they are.
    pub(crate) async fn wait(&self, patience: Duration, wanted: impl Fn(&Totals) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            if wanted(&self.totals()) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Closes all connections and gives what arrived when.
    pub(crate) async fn close(self) -> Vec<Arrival> {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            // Ended by us, or by the server, which the totals show.
            let _ = task.await;
        }
        self.tallies
            .iter()
            .flat_map(|tally| tally.lock().arrivals.take().unwrap_or_default())
            .collect()
    }
}

async fn read(mut connection: Connection, tally: Arc<Mutex<Tally>>) -> Result<()> {
    loop {
        if let Err(error) = connection.pump(&mut Shared(&tally)).await {
            let mut tally = tally.lock();
            tally.totals.ended += tally.streams.len();
            return Err(error);
        }
        let grants = std::mem::take(&mut tally.lock().grants);
        for stream in grants {
            connection.grant(stream, GRANT).await?;
        }
    }
}

// === impl Totals ===

impl Totals {
    fn plus(self, other: &Self) -> Self {
        Self {
            heads: self.heads + other.heads,
            refused: self.refused + other.refused,
            ended: self.ended + other.ended,
            events: self.events + other.events,
            bytes: self.bytes + other.bytes,
        }
    }
}

// === impl Tally ===

impl Tally {
    fn new(started: Instant, watches: &[Watch], keep_arrivals: bool) -> Self {
        let stream = |watch: &Watch| Stream {
            next_write: watch.first,
            step: watch.step,
            events: 0,
            bytes: 0,
            owed: 0,
            headed: false,
        };
        Self {
            started,
            streams: watches.iter().map(stream).collect(),
            totals: Totals::default(),
            arrivals: keep_arrivals.then(Vec::new),
            grants: Vec::new(),
        }
    }

    fn data(&mut self, number: u32, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(number as usize / 2) else { return };
        stream.bytes += bytes.len() as u64;
        stream.owed += bytes.len() as u32;
        self.totals.bytes += bytes.len() as u64;
        if stream.owed >= GRANT {
            stream.owed -= GRANT;
            self.grants.push(number);
        }
        let events = memchr::memchr_iter(b'\n', bytes).count() as u32;
        if events == 0 {
            return;
        }
        stream.events += events;
        self.totals.events += u64::from(events);
        if let Some(arrivals) = &mut self.arrivals {
            let micros = self.started.elapsed().as_micros() as u32;
            for _ in 0..events {
                arrivals.push(Arrival { write: stream.next_write, micros });
                stream.next_write += stream.step;
            }
        }
    }
}

impl Sink for Shared<'_> {
    fn head(&mut self, stream: u32, status: Status) {
        let mut tally = self.0.lock();
        let Some(known) = tally.streams.get_mut(stream as usize / 2) else { return };
        if std::mem::replace(&mut known.headed, true) {
            return;
        }
        match status {
            Status::Ok => tally.totals.heads += 1,
            Status::Other => tally.totals.refused += 1,
        }
    }

    fn data(&mut self, stream: u32, bytes: &[u8]) {
        self.0.lock().data(stream, bytes);
    }

    fn end(&mut self, _: u32, _: Option<u32>) {
        self.0.lock().totals.ended += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(first: u32, step: u32) -> Watch {
        Watch { path: Arc::from("/"), first, step }
    }

    #[test]
    fn lines_are_told_apart_by_their_place() {
        let tally = Mutex::new(Tally::new(Instant::now(), &[watch(0, 1), watch(3, 10)], true));
        let mut sink = Shared(&tally);
        sink.head(1, Status::Ok);
        sink.data(1, b"one");
        sink.data(1, b"\ntwo\nthr");
        sink.data(3, b"a\n");
        sink.data(3, b"b\n");
        let tally = tally.lock();
        let writes: Vec<u32> = tally.arrivals.as_ref().unwrap().iter().map(|it| it.write).collect();
        assert_eq!(writes, [0, 1, 3, 13]);
        assert_eq!(tally.totals, Totals { heads: 1, events: 4, bytes: 15, ..Totals::default() });
        assert_eq!((tally.streams[0].events, tally.streams[1].bytes), (2, 4));
    }

    #[test]
    fn windows_are_given_back() {
        let mut tally = Tally::new(Instant::now(), &[watch(0, 1)], false);
        let part = vec![b'x'; 600_000];
        tally.data(1, &part);
        assert!(tally.grants.is_empty());
        tally.data(1, &part);
        assert_eq!(tally.grants, [1]);
        assert_eq!(tally.streams[0].owed, 1_200_000 - GRANT);
    }
}
