//! The process: what it was built from, and how busy its threads are. What every program tells about
//! itself (`process_…`) comes from the `prometheus` crate.

use super::definition::{Definition, Samples};

/// The build.
pub static BUILD: Definition = Definition::gauge(
    "watchgate_build_info",
    "Always 1. The version, and the commit if WATCHGATE_COMMIT was set when it was built.",
    &["version", "commit"],
);

/// Connections of clients.
pub static CONNECTIONS: Definition = Definition::gauge(
    "watchgate_connections",
    "Connections of clients by the core that serves them, for as long as they live.",
    &["core"],
);

/// Time that the cores worked.
pub static BUSY: Definition = Definition::counter(
    "watchgate_core_busy_seconds_total",
    "Time in which a core's thread did anything but wait for work. At a rate of 1 per second it is \
     saturated, and its connections wait for each other.",
    &["core"],
);

/// Tasks that panicked.
pub static PANICS: Definition = Definition::counter(
    "watchgate_task_panics_total",
    "Tasks that ended by a panic: each is a bug. The others go on.",
    &[],
);

/// All of them.
pub(super) static ALL: [&Definition; 4] = [&BUILD, &CONNECTIONS, &BUSY, &PANICS];

/// The commit, unless the build was not told.
const COMMIT: &str = match option_env!("WATCHGATE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

pub(super) fn sample(samples: &mut Samples) {
    samples.count(&BUILD, &[env!("CARGO_PKG_VERSION"), COMMIT], 1);
}
