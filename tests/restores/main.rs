//! What comes after something was lost: a gateway that restarts under thousands of watches, and a store that is set back.
//!
//! `WATCHGATE_RESTORES_WATCHES` sets the number of watches of the first; CI takes fewer than the 2,000 it is meant for.

mod churn;
#[path = "../faults/front.rs"]
#[allow(dead_code, reason = "another suite uses the rest")]
mod front;
mod herd;
mod old_versions;
mod store;
mod watcher;

use std::process::ExitCode;

use watchgate_cluster::{Cluster, Suite};

fn main() -> ExitCode {
    let cluster = || {
        let users = [front::GATEWAY, herd::REFERENCE];
        let builder = Cluster::builder();
        users.iter().fold(builder, |builder, user| builder.user(user, &["system:masters"])).start()
    };
    Suite::new(cluster)
        .exclusive("a_restart_under_many_watches", herd::a_restart_under_many_watches)
        .exclusive(
            "versions_that_upstream_no_longer_has",
            old_versions::are_refused_as_upstream_does,
        )
        .exclusive("a_store_that_went_back", store::that_went_back)
        .exclusive("a_store_that_went_back_and_grew", store::that_went_back_and_grew)
        .exclusive("a_store_that_went_back_and_was_raised", store::that_went_back_and_was_raised)
        .run()
}
