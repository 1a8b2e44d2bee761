//! Good proxy manners: what HTTP and kube-apiserver's clients may expect of whoever stands between.
//!
//! Nearly all of it runs against a real cluster and is compared with its own answers. Where the API
//! server cannot be made to behave in some way, such as to send trailers or to hang up, a scripted
//! server takes its place.

mod bodies;
mod cancellation;
mod conditions;
mod continuing;
mod cross_origin;
mod encodings;
#[path = "../front/mod.rs"]
mod front;
mod limits;
mod marks;
mod paths;
mod replay;
mod scripted;
mod sockets;

use std::process::ExitCode;

use watchgate_cluster::{Cluster, Suite};

use front::Front;

fn main() -> ExitCode {
    Suite::new(|| Front::start(options()))
        .test("a_client_that_waits_is_told_to_continue", continuing::is_told)
        .test("a_refused_client_keeps_its_body", continuing::is_refused)
        .test("chunked_uploads_pass", bodies::chunked_uploads_pass)
        .test("too_large_uploads_get_upstreams_refusal", bodies::too_large_uploads)
        .test("trailers_pass_both_ways", bodies::trailers_pass)
        .test("heads_have_no_body", bodies::heads_have_no_body)
        .test("a_leaving_client_ends_its_watch_upstream", cancellation::of_a_watch)
        .test("a_leaving_client_ends_its_upload_upstream", cancellation::of_an_upload)
        .test("a_cut_answer_is_cut", cancellation::of_an_answer)
        .exclusive("a_killed_upstream_cuts_its_watches", cancellation::by_a_killed_upstream)
        .test("etags_are_compared_upstream", conditions::etags)
        .test("ranges_are_cut_upstream", conditions::ranges)
        .test("timeouts_are_upstreams", conditions::timeouts)
        .test("preflights_are_upstreams", cross_origin::preflights)
        .test("cross_origin_reads_are_marked", cross_origin::reads)
        .test("curl_gets_pretty_json", encodings::pretty)
        .test("large_lists_are_compressed", encodings::compressed)
        .test("long_heads_pass", limits::long_heads_pass)
        .test("too_long_heads_are_refused", limits::too_long_heads)
        .test("every_answer_is_marked", marks::every_answer)
        .test("the_way_is_recorded", marks::the_way)
        .test("odd_paths_are_never_served", paths::never_served)
        .test("odd_heads_are_never_served", paths::odd_heads)
        .test("targets_arrive_byte_for_byte", paths::byte_for_byte)
        .test("what_was_sent_is_not_sent_again", replay::not_after_the_body)
        .test("writes_without_a_body_are_not_sent_again", replay::not_after_the_head)
        .test("what_was_not_sent_is_sent_anew", replay::of_what_was_not_sent)
        .test("websockets_watch", sockets::websockets_watch)
        .test("kubectl_proxy_works_in_front", sockets::kubectl_proxy)
        .run()
}

fn options() -> watchgate_cluster::Builder {
    Cluster::builder()
        .user("leaver", &["system:masters"])
        .extra_apiserver_arg("--cors-allowed-origins=^https://console\\.example\\.com$")
}
