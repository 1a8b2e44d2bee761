//! Watch histories: what hundreds of watchers saw, held against what really happened.
//!
//! Watchers of several types, with all sorts of selectors, forms and begins, watch through the gateway and past it while
//! writers create, change, delete and create again. Everything they see is recorded and checked afterwards by `checker`,
//! which is itself checked: faults are injected into the recordings, and every one has to be found. The checker's own tests
//! are in `tests/history_checker`.
//!
//! `WATCHGATE_LONG=1` makes it a run of some minutes in which the way upstream is cut again and again and the gateway is
//! restarted: `WATCHGATE_LONG=1 cargo test --test history -- --nocapture`.

#[allow(dead_code, reason = "some of it is for tests/history_checker")]
mod checker;
mod course;
mod disturbance;
mod figures;
#[path = "../front/form.rs"]
mod form;
mod forms;
#[path = "../front/mod.rs"]
mod front;
mod ground;
mod histories;
mod injector;
mod kinds;
mod lists;
mod observer;
mod seeded;
mod stream;
#[path = "../front/varint.rs"]
mod varint;
mod verdict;
mod watcher;
mod writer;

use std::process::ExitCode;
use std::time::Duration;

use watchgate_cluster::Suite;

use crate::ground::Ground;

fn main() -> ExitCode {
    let patience = if histories::is_long() { 900 } else { 240 };
    Suite::new(Ground::start)
        .patience(Duration::from_secs(patience))
        .exclusive("watch_histories_hold", histories::hold)
        .run()
}
