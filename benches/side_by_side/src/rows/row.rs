//! One row, and all of them.

use std::{fs::File, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{
    fanout::Fanout,
    forward::Forward,
    memory::{MemoryRow, fresh},
    mix::Mix,
    reading::Reading,
};
use crate::{progress::Progress, report::Report, servers::Stage};

/// What holds for all rows of a run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    /// Requests at the same time in rows of small answers.
    pub(crate) concurrency: usize,
    pub(crate) progress: Progress,
    /// Locked around each round.
    pub(crate) lock: Option<PathBuf>,
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// By which it is selected.
    pub(crate) name: &'static str,
    /// As in the table.
    pub(crate) title: &'static str,
    pub(super) work: Work,
}

/// What is to be done for it.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Fanout(Fanout),
    Memory(MemoryRow),
    Mix(Mix),
    Reading(Reading),
    Forward(Forward),
}

/// All rows in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    use super::{fanout, forward, lists, memory, mix};

    [lists::rows(), mix::rows(), fanout::rows(), memory::rows(), forward::rows()].concat()
}

// === impl Settings ===

impl Settings {
    /// Waits until no other run on this machine measures; the file unlocks when it is dropped.
    pub(crate) async fn exclusive(&self) -> Result<Option<File>> {
        let Some(path) = &self.lock else { return Ok(None) };
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("--lock-file {}", path.display()))?;
        // Blocks for as long as the others measure.
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?;
        Ok(Some(locked.with_context(|| format!("--lock-file {}", path.display()))?))
    }
}

// === impl Row ===

impl Row {
    /// Measures it.
    ///
    /// # Errors
    /// When there is no figure. Wrong answers are in the report.
    pub(crate) async fn measure(&self, stage: &mut Stage, settings: &Settings) -> Result<Report> {
        match &self.work {
            Work::Fanout(fanout) => {
                // One that other rows made hold protobuf, too, would take every event in twice.
                fresh(stage, true).await?;
                Box::pin(fanout.measure(self, stage, settings)).await
            }
            Work::Memory(memory) => Box::pin(memory.measure(self, stage, settings)).await,
            Work::Mix(mix) => Box::pin(mix.measure(self, stage, settings)).await,
            Work::Reading(reading) => Box::pin(reading.measure(self, stage, settings)).await,
            Work::Forward(forward) => Box::pin(forward.measure(self, stage, settings)).await,
        }
        .with_context(|| format!("row {}", self.name))
    }
}
