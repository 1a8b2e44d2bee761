//! The embedded default as users meet it: `watchgate` without an upstream, its start lines, its
//! kubeconfig, and a real kubectl. Not here: what the store answers in detail, which is tested
//! beside its code.

mod instance;
mod kubectl;
mod lifecycle;
mod reads;
mod refusals;

use std::process::ExitCode;

use watchgate_cluster::Suite;

use self::instance::Instance;

fn main() -> ExitCode {
    Suite::new(|| async { Instance::start_new(&[]).await })
        .test("the_cache_serves_kubectl", kubectl::the_cache_serves_kubectl)
        .test("files_are_applied_again_and_again", kubectl::files_are_applied_again_and_again)
        .test("typed_bodies_of_kubectl_create_are_read", kubectl::typed_bodies_are_read)
        .test("kubectl_watches", kubectl::kubectl_watches)
        .test("writes_are_seen_at_once", reads::writes_are_seen_at_once)
        .test("watches_go_on_over_writes", reads::watches_go_on_over_writes)
        .test("only_its_token_opens_it", reads::only_its_token_opens_it)
        .test("objects_outlive_the_program", lifecycle::objects_outlive_the_program)
        .test("in_memory_forgets", lifecycle::in_memory_forgets)
        .test("a_data_directory_has_one_program", lifecycle::a_data_directory_has_one_program)
        .test("a_taken_port_is_explained", lifecycle::a_taken_port_is_explained)
        .test("unusable_directories_are_explained", lifecycle::unusable_directories_are_explained)
        .test("no_embedded_store_by_accident", refusals::no_embedded_store_by_accident)
        .test("half_an_upstream_is_refused", refusals::half_an_upstream_is_refused)
        .run()
}
