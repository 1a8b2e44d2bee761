//! Many types and many deletions: what a gateway costs that holds thousands of nearly empty shards, and what one log and its
//! watchers go through when most of a resource goes at once.
//!
//! Counts and exactness are asserted; memory and CPU are printed, since they are those of a machine. The sizes are for CI:
//! `WATCHGATE_TYPES=2000` and `WATCHGATE_STORM=100000` are the whole.

mod collector;
mod fills;
mod ground;
mod storm;

use std::process::ExitCode;

use watchgate_cluster::{Cluster, Suite};

fn main() -> ExitCode {
    Suite::new(|| {
        Cluster::builder()
            .user(ground::GATEWAY, &["system:masters"])
            .user(ground::CONTROLLERS, &["system:masters"])
            .start()
    })
    .exclusive("a_garbage_collector_watches_every_type", collector::watches_every_type)
    .exclusive("most_of_a_resource_is_deleted", storm::most_of_a_resource_is_deleted)
    .run()
}
