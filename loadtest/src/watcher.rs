//! One generated watcher: keeps a watch open and checks what comes.
//!
//! A watch that ends in order, breaks or is ended by a herd is opened again where it stopped, as an
//! informer does; a server that refuses because it is busy or fails (408, 429, 5xx) is asked again,
//! after its `Retry-After`, for as long as the run lasts. The watcher gives up when it is refused
//! otherwise (410, 401, 403 …), when what comes is no watch, or after five failures of connections in
//! a row; everything it then misses is counted as lost.

mod listing;
mod refusal;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::{
    sync::watch,
    time::{sleep, sleep_until, timeout},
};

pub use self::refusal::Refusal;
use crate::{
    board::{Board, Group, Herding},
    calls::Reading,
    event::{BadEvent, WHOLE_EVERY, WatchEvent, frames::Frames},
    history::{History, Sight},
    scenario::workload::Start,
    slot::Slot,
    transport::{Answer, Call, Connection, TransportError},
};

/// Longest wait for the head of a watch: the server sends it before the first event.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// A watcher.
pub struct Watcher {
    /// What it is.
    pub identity: Identity,
    board: Arc<Board>,
    /// Where the next watch begins; `None` for the state.
    revision: Option<u64>,
    /// When it is to begin.
    due: Instant,
    progress: Progress,
    /// What it saw.
    pub history: History,
    /// How often it opened its watch.
    pub opened: u64,
    frames: u64,
}

/// What a watcher is.
pub struct Identity {
    /// Its number in its group.
    pub number: u32,
    /// The group.
    pub group: Arc<Group>,
    /// Its connection, which others may share.
    pub slot: Arc<Slot>,
    /// Where it watches.
    pub namespace: Option<String>,
    /// Which labels.
    pub label_selector: Option<String>,
    /// Which fields.
    pub field_selector: Option<String>,
    /// Whether it reads slowly.
    pub slow: bool,
}

/// How far a watcher came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It asked for nothing yet.
    Waiting,
    /// It asked, and does not have everything there was then.
    Syncing,
    /// It has, and follows.
    Synced,
}

/// Why a watch cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// What came is no watch.
    #[error(transparent)]
    Event(#[from] BadEvent),
    /// The server ended it with an `ERROR` event, or answered with an error.
    #[error("the server ended the watch: {0}")]
    Refused(Refusal),
    /// The answer is compressed in a way that was not asked for, or does not decompress.
    #[error("the answer's encoding: {0}")]
    Encoding(String),
    /// The connection failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

enum End {
    Herd(Herding),
    Server,
}

// === impl Watcher ===

impl Watcher {
    /// A watcher that begins at `due`, after a resource version or with the state.
    pub fn new(
        identity: Identity,
        board: Arc<Board>,
        history: History,
        revision: Option<u64>,
        due: Instant,
    ) -> Self {
        let progress = Progress::Waiting;
        let mut watcher =
            Self { identity, board, revision, due, progress, history, opened: 0, frames: 0 };
        if revision.is_none() {
            watcher.history.begin_with_state();
        }
        watcher
    }

    /// How far it came.
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Watches until it has to give up; gives the reason. Drop the future to stop it: the watcher
    /// keeps what it saw.
    pub async fn run(&mut self) -> WatchError {
        sleep_until(self.due.into()).await;
        let group = Arc::clone(&self.identity.group);
        let mut herd = group.herded.then(|| group.herd.subscribe());
        let (mut failures, mut refusals) = (0, 0);
        let mut lost = None;
        // When a herd ended the watch, until it is open again.
        let mut since = None;
        loop {
            let opened = self.opened;
            let (connection, ended) = self.watch(lost.as_ref(), &mut since, &mut herd).await;
            if self.opened > opened {
                (failures, refusals) = (0, 0);
            }
            match ended {
                Ok(End::Server) => lost = None,
                Ok(End::Herd(herding)) => {
                    since = Some(herding.at);
                    lost = connection.filter(|_| herding.connections);
                    continue;
                }
                Err(WatchError::Transport(error)) => {
                    failures += 1;
                    if failures >= MAX_FAILURES {
                        return error.into();
                    }
                    lost = connection;
                }
                Err(WatchError::Refused(refusal)) if refusal.may_pass() => {
                    refusals += 1;
                    lost = None;
                    self.wait_after(&refusal, refusals).await;
                    continue;
                }
                Err(error) => return error,
            }
            sleep(PAUSE).await;
        }
    }

    /// One watch to its end.
    async fn watch(
        &mut self,
        lost: Option<&Arc<dyn Connection>>,
        since: &mut Option<Instant>,
        herd: &mut Option<watch::Receiver<Herding>>,
    ) -> (Option<Arc<dyn Connection>>, Result<End, WatchError>) {
        let group = Arc::clone(&self.identity.group);
        // A herd is all at once; the semaphore is never closed.
        let first = self.opened == 0;
        let turn = if first { group.opening.acquire().await.ok() } else { None };
        let connection = match self.identity.slot.connection(lost).await {
            Ok(connection) => connection,
            Err(error) => return (None, Err(error.into())),
        };
        let result = match self.open(&*connection).await {
            Ok(answer) => {
                drop(turn);
                if let Some(since) = since.take() {
                    group.reopen.record(self.identity.number as usize, since.elapsed());
                }
                self.follow(answer, herd).await
            }
            Err(error) => Err(error),
        };
        (Some(connection), result)
    }

    async fn open(&mut self, connection: &dyn Connection) -> Result<Answer, WatchError> {
        let group = Arc::clone(&self.identity.group);
        if self.progress == Progress::Waiting {
            self.progress = Progress::Syncing;
        }
        if self.revision.is_none() {
            self.history.begin_with_state();
            if group.start == Start::List {
                self.revision = Some(self.list(connection).await?);
            }
        }
        let revision = self.revision.map(|revision| revision.to_string());
        let call = self.reading().watch(revision.as_deref());
        let answer = self.ask(connection, call).await?;
        if let Some(encoding) = answer.headers().get(header::CONTENT_ENCODING)
            && encoding != "identity"
        {
            let encoding = format!("{encoding:?} of a watch, which no API server compresses");
            return Err(WatchError::Encoding(encoding));
        }
        group.opened.add(1);
        self.opened += 1;
        if !self.history.is_initial() {
            self.synced();
        }
        Ok(answer)
    }

    /// Sends a request until it is answered with success, or refused for good.
    async fn ask(&self, connection: &dyn Connection, call: Call) -> Result<Answer, WatchError> {
        let mut refusals = 0;
        loop {
            let answer = timeout(PATIENCE, connection.send(call.clone())).await;
            let answer = answer.unwrap_or(Err(TransportError::Timeout(PATIENCE)))?;
            if answer.status() == StatusCode::OK {
                return Ok(answer);
            }
            let refusal = Refusal::of(answer).await?;
            if !refusal.may_pass() {
                return Err(WatchError::Refused(refusal));
            }
            refusals += 1;
            self.wait_after(&refusal, refusals).await;
        }
    }

    async fn wait_after(&self, refusal: &Refusal, refusals: u32) {
        self.identity.group.refused.add(refusal);
        sleep(refusal.pause(refusals)).await;
    }

    fn reading(&self) -> Reading<'_> {
        let spec = &self.identity.group.spec;
        Reading {
            resource: &spec.resource,
            namespace: self.identity.namespace.as_deref(),
            label_selector: self.identity.label_selector.as_deref(),
            field_selector: self.identity.field_selector.as_deref(),
            representation: spec.representation,
            gzip: spec.gzip,
        }
    }

    /// It has everything there was when it began.
    fn synced(&mut self) {
        if self.progress != Progress::Synced {
            self.progress = Progress::Synced;
            let group = &self.identity.group;
            group.synced.add(1);
            group.sync.record(self.identity.number as usize, self.due.elapsed());
        }
    }

    async fn follow(
        &mut self,
        answer: Answer,
        herd: &mut Option<watch::Receiver<Herding>>,
    ) -> Result<End, WatchError> {
        let spec = &self.identity.group.spec;
        let (number, count) = (self.identity.number, spec.count);
        let pace = spec.slow.filter(|_| self.identity.slow).map(|slow| slow.bytes_per_second.0);
        let mut frames = Frames::new(spec.representation.binary());
        let mut body = answer.into_body();
        let mut ended = pin!(called(herd, number, count));
        loop {
            let frame = tokio::select! {
                herding = &mut ended => return Ok(End::Herd(herding)),
                frame = body.frame() => frame,
            };
            let Some(frame) = frame else {
                if frames.within() {
                    return Err(BadEvent::Shape("the watch ends within it").into());
                }
                return Ok(End::Server);
            };
            let Ok(data) = frame?.into_data() else { continue };
            let now = Instant::now();
            self.identity.group.bytes.add(data.len() as u64);
            frames.push(&data, |frame| self.take(frame, now))?;
            if let Some(pace) = pace {
                sleep(Duration::from_secs_f64(data.len() as f64 / pace.max(1) as f64)).await;
            }
        }
    }

    fn take(&mut self, frame: &[u8], now: Instant) -> Result<(), WatchError> {
        let group = &self.identity.group;
        let binary = group.spec.representation.binary();
        self.frames += 1;
        if !binary && self.frames.is_multiple_of(WHOLE_EVERY) {
            WatchEvent::read_whole(frame)?;
        }
        match WatchEvent::read(&self.board.run, frame, binary)? {
            WatchEvent::Ours(seen) => match self.history.see(seen) {
                Sight::First(write) => {
                    let Identity { number, slow, .. } = self.identity;
                    group.delivered(&self.board, number as usize, slow, write, now);
                }
                Sight::Foreign => group.touched.add(1),
                Sight::Nothing => {}
            },
            WatchEvent::Foreign(operation, revision) => {
                group.foreign.add(1);
                self.history.pass(operation, revision);
            }
            WatchEvent::Bookmark { revision, initial_end } => {
                self.history.bookmark(revision, initial_end);
                if !self.history.is_initial() {
                    self.synced();
                }
            }
            WatchEvent::Error(status, message) => {
                let refusal = Refusal { status, message, retry_after: None };
                return Err(WatchError::Refused(refusal));
            }
        }
        if !self.history.is_initial() {
            self.revision = Some(self.history.revision());
        }
        Ok(())
    }
}

/// Waits for a herd that takes this watch.
async fn called(herd: &mut Option<watch::Receiver<Herding>>, number: u32, count: u32) -> Herding {
    if let Some(receiver) = herd {
        while receiver.changed().await.is_ok() {
            let herding = *receiver.borrow_and_update();
            if herding.takes(number, count) {
                return herding;
            }
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests;
