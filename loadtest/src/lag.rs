//! How late this process's own event loop runs its tasks.
//!
//! A sleep that ends late tells that the workers were busy or the machine had no core for them; then
//! delays measured here are partly our own. Measures one task's wake-ups, not every worker.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::delay::{DelaySummary, Delays};

const INTERVAL: Duration = Duration::from_millis(10);

/// Measures until dropped.
pub struct LagMeter {
    delays: Arc<Delays>,
    _task: AbortOnDropHandle<()>,
}

// === impl LagMeter ===

impl LagMeter {
    /// Starts to measure in the current runtime.
    pub fn start() -> Self {
        let delays = Arc::new(Delays::new());
        let recorded = Arc::clone(&delays);
        let task = tokio::spawn(async move {
            loop {
                let due = Instant::now() + INTERVAL;
                sleep(INTERVAL).await;
                recorded.record(0, due.elapsed());
            }
        });
        Self { delays, _task: AbortOnDropHandle::new(task) }
    }

    /// So far.
    pub fn summary(&self) -> DelaySummary {
        self.delays.summary()
    }
}
