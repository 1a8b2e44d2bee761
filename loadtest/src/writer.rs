//! One writer: does its part of the plan, each write when it is due or as soon after as it can.
//!
//! Its writes never overlap, so the server orders them as the writer does. A writer that the server
//! keeps waiting is late for the next writes; it then sends without pause, and what it could not
//! begin before the end stays undone and is reported.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep_until;

use crate::{
    board::Board,
    plan::{Plan, Write},
    scratch::Scratch,
    slot::Slot,
    transport::{Connection, TransportError, exchange},
};

const PATIENCE: Duration = Duration::from_secs(30);
/// Kinds of failure kept; more are counted with the last.
const MAX_REASONS: usize = 5;

/// A writer.
pub struct Writer {
    number: u32,
    plan: Plan,
    slot: Arc<Slot>,
    scratch: Arc<Scratch>,
    board: Arc<Board>,
    /// What it did.
    pub log: WriterLog,
}

/// What a writer did.
#[derive(Debug, Default)]
pub struct WriterLog {
    /// Writes begun.
    pub attempted: u64,
    /// Those that may or may not have happened.
    pub uncertain: Vec<Write>,
    /// Why, and how often.
    pub reasons: BTreeMap<String, u64>,
}

// === impl Writer ===

impl Writer {
    /// The writer with this number.
    pub fn new(
        number: u32,
        plan: Plan,
        slot: Arc<Slot>,
        scratch: Arc<Scratch>,
        board: Arc<Board>,
    ) -> Self {
        Self { number, plan, slot, scratch, board, log: WriterLog::default() }
    }

    /// Writes what is due in `duration` from the board's start on. May be dropped: a write under
    /// way then counts as uncertain.
    pub async fn run(&mut self, duration: Duration) {
        let start = self.board.start();
        let mut lost = None;
        for sequence in 0..self.plan.count(self.number, duration) {
            let write = Write { writer: self.number, sequence };
            sleep_until((start + self.plan.due(write)).into()).await;
            if Instant::now() > start + duration {
                break;
            }
            self.log.attempted += 1;
            // Until the answer says otherwise.
            self.log.uncertain.push(write);
            match self.write(write, &mut lost).await {
                Ok(()) => {
                    self.log.uncertain.pop();
                    self.board.wrote(write);
                }
                Err(error) => self.log.failed(&error, &self.board),
            }
        }
    }

    async fn write(
        &self,
        write: Write,
        lost: &mut Option<Arc<dyn Connection>>,
    ) -> Result<(), TransportError> {
        let connection = self.slot.connection(lost.take().as_ref()).await?;
        let result = exchange(&*connection, self.scratch.write(write), PATIENCE).await;
        if matches!(result, Err(TransportError::Http(_))) {
            *lost = Some(connection);
        }
        result.map(drop)
    }
}

// === impl WriterLog ===

impl WriterLog {
    fn failed(&mut self, error: &TransportError, board: &Board) {
        board.failed.add(1);
        let reason = match error {
            TransportError::Status { method, status, .. } => format!("{method}: {status}"),
            other => other.to_string(),
        };
        let full = self.reasons.len() >= MAX_REASONS && !self.reasons.contains_key(&reason);
        let reason = if full { "others".to_owned() } else { reason };
        *self.reasons.entry(reason).or_default() += 1;
    }
}
