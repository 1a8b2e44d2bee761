//! Many types and many deletions: what a gateway costs that holds thousands of nearly empty shards, and what one log and its
//! watchers go through when most of a resource goes at once.
//!
//! Counts, exactness, and what shards and the log may hold are asserted; CPU is printed, since it is that of a machine. The
//! sizes are for CI: `WATCHGATE_TYPES=2000` and `WATCHGATE_STORM=100000` are the whole.

mod collector;
mod fills;
mod ground;
mod storm;

use std::process::ExitCode;
use std::time::Duration;

use watchgate_cluster::{Cluster, Suite};

fn main() -> ExitCode {
    Suite::new(|| {
        Cluster::builder()
            .user(ground::GATEWAY, &["system:masters"])
            .user(ground::CONTROLLERS, &["system:masters"])
            .start()
    })
    .patience(patience())
    .exclusive("a_garbage_collector_watches_every_type", collector::watches_every_type)
    .exclusive("most_of_a_resource_is_deleted", storm::most_of_a_resource_is_deleted)
    .run()
}

/// For one test, of the size that is asked for. A size that is no number fails the test that has it.
fn patience() -> Duration {
    let types = ground::size("WATCHGATE_TYPES", 0).unwrap_or_default();
    let storm = ground::size("WATCHGATE_STORM", 0).unwrap_or_default();
    Duration::from_secs(180 + types as u64 / 2 + storm as u64 / 50)
}
