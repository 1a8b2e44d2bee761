//! Real clients through the gateway: client-go's informers, kube-rs' watcher, kubectl.
//!
//! `WATCHGATE_LONG=1` makes the churn under the informers a minute long and runs them in all modes:
//! `WATCHGATE_LONG=1 cargo test --test clients informers`.

mod front;
mod informers;
mod kube_watchers;
mod kubectl;
mod recording;
mod streams;

use std::process::ExitCode;

use watchgate_cluster::Suite;

use crate::front::Front;

fn main() -> ExitCode {
    Suite::new(Front::start)
        .test("kubectl_reads", kubectl::reads)
        .test("kubectl_applies", kubectl::applies)
        .test("kubectl_changes", kubectl::changes)
        .test("kubectl_watches", kubectl::watches)
        .test("kubectl_streams", streams::streams)
        .test("kube_watchers_see_the_same", kube_watchers::see_the_same)
        .exclusive("informers_see_the_same_while_the_upstream_is_cut", informers::see_the_same)
        .exclusive("informers_come_back_while_the_upstream_is_away", informers::come_back)
        .run()
}
