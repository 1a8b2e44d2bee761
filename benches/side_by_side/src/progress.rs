//! What a run is at, on standard error, so that standard output is the result alone.

use std::time::Instant;

/// Says what happens, with the time since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    started: Instant,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub(crate) fn say(&self, what: impl AsRef<str>) {
        eprintln!("[{:>6.1} s] {}", self.started.elapsed().as_secs_f64(), what.as_ref());
    }
}
