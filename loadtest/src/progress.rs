//! A line each second on standard error while a run goes on.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::{accounting::Accounting, board::Board};

/// Prints until dropped.
pub struct Progress {
    _task: AbortOnDropHandle<()>,
}

// === impl Progress ===

impl Progress {
    /// Of a watch run.
    pub fn start(board: Arc<Board>, accounting: Accounting) -> Self {
        Self { _task: AbortOnDropHandle::new(tokio::spawn(print(board, accounting))) }
    }
}

async fn print(board: Arc<Board>, accounting: Accounting) {
    let started = Instant::now();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = accounting.sample().ok();
    let (mut at, mut deliveries) = (started, 0);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let seconds = now.duration_since(at).as_secs_f64();
        let total = board.deliveries.count();
        let sample = accounting.sample().ok();
        let cpu = sample.as_ref().zip(last.as_ref()).map_or_else(String::new, |(now, then)| {
            let (server, own) = now.cpu_since(then);
            let percent = |cpu: Duration| cpu.as_secs_f64() / seconds * 100.0;
            let server =
                server.map_or_else(String::new, |cpu| format!("server {:.0} %, ", percent(cpu)));
            format!("  CPU {server}own {:.0} %", percent(own))
        });
        let line = format!(
            "{:>5.0} s  watches {}  written {} ({} failed)  deliveries {total} ({:.0}/s){cpu}",
            started.elapsed().as_secs_f64(),
            board.opened.count(),
            board.written.count(),
            board.failed.count(),
            (total - deliveries) as f64 / seconds,
        );
        // Nobody may be reading; the run goes on.
        let _unread = writeln!(std::io::stderr(), "{line}");
        (at, deliveries, last) = (now, total, sample);
    }
}
