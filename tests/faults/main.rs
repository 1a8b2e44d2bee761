//! What goes wrong around a gateway, done to real processes: configuration, upstream, bytes, types, clients.
//!
//! In every case the gateway must stay up, must not give an answer that the API server wouldn't have given, and must come back
//! by itself; only what the operator has to mend may end it.

mod definitions;
mod frames;
mod front;
mod leaving;
mod mangler;
mod overload;
mod restarts;
mod starting;

use std::process::ExitCode;

use watchgate_cluster::{Cluster, Suite};

fn main() -> ExitCode {
    Suite::new(|| Cluster::builder().user(front::GATEWAY, &["system:masters"]).start())
        .test("kubeconfigs_that_lead_nowhere", starting::kubeconfigs_that_lead_nowhere)
        .test("an_authority_that_did_not_sign", starting::an_authority_that_did_not_sign)
        .test("an_upstream_that_comes_later", starting::an_upstream_that_comes_later)
        .test("command_lines_that_are_refused", starting::command_lines_that_are_refused)
        .test("garbage_and_broken_frames", frames::garbage_and_broken_frames)
        .test("an_object_that_cannot_be_read", frames::an_object_that_cannot_be_read)
        .test("a_definition_changes", definitions::a_definition_changes)
        .test("a_definition_goes_and_comes_back", definitions::a_definition_goes_and_comes_back)
        .test("a_type_lives", definitions::a_type_lives)
        .test("a_conversion_webhook_fails", definitions::a_conversion_webhook_fails)
        .test("a_group_is_taken_over", definitions::a_group_is_taken_over)
        .test("clients_that_go_away", leaving::clients_that_go_away)
        .test("an_end_with_open_watches", leaving::an_end_with_open_watches)
        .exclusive("readers_that_take_nothing", overload::readers_that_take_nothing)
        .exclusive("watchers_beside_a_list_storm", overload::watchers_beside_a_list_storm)
        .exclusive("a_killed_upstream_comes_back", restarts::a_killed_upstream_comes_back)
        .exclusive("writes_race_with_a_kill", restarts::writes_race_with_a_kill)
        .exclusive("history_is_lost_without_a_change", restarts::history_is_lost_without_a_change)
        .exclusive("history_is_lost_with_a_change", restarts::history_is_lost_with_a_change)
        .run()
}
