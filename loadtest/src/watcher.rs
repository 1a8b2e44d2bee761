//! One generated watcher: keeps a watch open and checks what comes.
//!
//! A watch that ends in order or breaks is opened again where it stopped, as an informer does. It
//! gives up when the server no longer has that place (410), when what comes is no watch, or after
//! five failures in a row; everything it then misses is counted as lost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::time::{sleep, timeout};

use crate::{
    board::Board,
    event::{BadEvent, Lines, WatchEvent},
    history::History,
    scratch::Scratch,
    slot::Slot,
    transport::{Answer, Connection, TransportError},
};

/// Longest wait for the head of a watch: the server sends it before the first event.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// A watcher.
pub struct Watcher {
    number: usize,
    slot: Arc<Slot>,
    scratch: Arc<Scratch>,
    board: Arc<Board>,
    revision: String,
    /// What it saw.
    pub history: History,
    /// How often it opened its watch.
    pub opened: u64,
}

/// Why a watch cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// What came is no watch.
    #[error(transparent)]
    Event(#[from] BadEvent),
    /// The server ended it with an `ERROR` event, or answered with an error.
    #[error("the server ended the watch: {0} {1}")]
    Ended(u16, String),
    /// The connection failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

// === impl Watcher ===

impl Watcher {
    /// The `number`th watcher, from after a resource version on.
    pub fn new(
        number: usize,
        slot: Arc<Slot>,
        scratch: Arc<Scratch>,
        board: Arc<Board>,
        revision: String,
    ) -> Self {
        let history = History::new(board.plan.map_or(0, |plan| plan.writers()));
        Self { number, slot, scratch, board, revision, history, opened: 0 }
    }

    /// Watches until it has to give up; gives the reason. Drop the future to stop it: the watcher
    /// keeps what it saw.
    pub async fn run(&mut self) -> WatchError {
        let mut failures = 0;
        let mut lost = None;
        loop {
            let opened = self.opened;
            let (connection, ended) = self.watch(lost.as_ref()).await;
            match ended {
                Ok(()) => lost = None,
                Err(WatchError::Transport(error)) => {
                    failures = if self.opened > opened { 1 } else { failures + 1 };
                    if failures >= MAX_FAILURES {
                        return error.into();
                    }
                    lost = connection;
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
    ) -> (Option<Arc<dyn Connection>>, Result<(), WatchError>) {
        let connection = match self.slot.connection(lost).await {
            Ok(connection) => connection,
            Err(error) => return (None, Err(error.into())),
        };
        let result = self.follow(&*connection).await;
        (Some(connection), result)
    }

    async fn follow(&mut self, connection: &dyn Connection) -> Result<(), WatchError> {
        let answer = timeout(PATIENCE, connection.send(self.scratch.watch(&self.revision)))
            .await
            .unwrap_or(Err(TransportError::Timeout(PATIENCE)))?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(answer).await);
        }
        self.board.opened.add(1);
        self.opened += 1;
        let mut body = answer.into_body();
        let mut lines = Lines::default();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            let now = Instant::now();
            self.board.bytes.add(data.len() as u64);
            lines.push(&data)?;
            while let Some(line) = lines.next_line() {
                self.take(&line, now)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8], now: Instant) -> Result<(), WatchError> {
        let revision = match WatchEvent::parse(self.scratch.run(), line)? {
            WatchEvent::Ours(seen) => {
                if let Some(write) = self.history.see(seen) {
                    self.board.delivered(self.number, write, now);
                }
                seen.revision
            }
            WatchEvent::Foreign(revision) => {
                self.board.foreign.add(1);
                revision
            }
            WatchEvent::Bookmark(revision) => revision,
            WatchEvent::Error(code, message) => return Err(WatchError::Ended(code, message)),
        };
        self.revision = revision.to_string();
        Ok(())
    }
}

async fn refusal(answer: Answer) -> WatchError {
    let status = answer.status().as_u16();
    match timeout(PATIENCE, answer.into_body().collect()).await {
        Ok(Ok(body)) => {
            let text = String::from_utf8_lossy(&body.to_bytes()).chars().take(300).collect();
            WatchError::Ended(status, text)
        }
        Ok(Err(error)) => error.into(),
        Err(_) => TransportError::Timeout(PATIENCE).into(),
    }
}
