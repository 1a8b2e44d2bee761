//! Never a herd: many clients that want the same at once cost the API server no more than a few.
//!
//! Each test has a gateway of its own, before a real API server, with a stand-in between the two that counts what the gateway
//! asks and holds back what a test wants held. The sizes are for CI; `WATCHGATE_HERD_PODS` sets how many pods there are at
//! the starts.

mod cold;
mod lists;
mod stage;
mod stand_in;
mod starts;

use std::process::ExitCode;

use watchgate_cluster::{Cluster, Suite};

fn main() -> ExitCode {
    Suite::new(|| Cluster::builder().user(stage::GATEWAY, &["system:masters"]).start())
        .exclusive("a_thousand_informers_start", starts::a_thousand_informers_start)
        .exclusive("quiet_lists_share_an_answer", lists::quiet_lists_share_an_answer)
        .exclusive("only_who_may_shares", lists::only_who_may_shares)
        .exclusive("a_withdrawn_permission_does_not_share", lists::a_withdrawn_permission)
        .exclusive("refusals_are_not_shared", lists::refusals_are_not_shared)
        .exclusive("a_version_to_come_is_upstreams", lists::a_version_to_come_is_upstreams)
        .exclusive("cold_readers_wait_for_the_fill", cold::readers_wait_for_the_fill)
        .exclusive("cold_readers_are_told_to_come_again", cold::readers_are_told_to_come_again)
        .exclusive("an_overloaded_upstream_is_spared", cold::an_overloaded_upstream_is_spared)
        .exclusive("cold_watchers_do_not_pass", cold::watchers_do_not_pass)
        .exclusive("resumed_watches_begin_anew", cold::resumed_watches_begin_anew)
        .run()
}
