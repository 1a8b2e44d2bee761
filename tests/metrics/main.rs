//! The metrics, from outside: who may read them, whether they say what happened, and whether Prometheus,
//! the dashboard and the rules find in them what they look for.

mod counts;
mod exposition;
#[path = "../front/mod.rs"]
mod front;
mod labels;
mod permission;
mod programs;
mod prometheus;
mod setup;

use std::process::ExitCode;

use watchgate_cluster::{Cluster, Suite};

use front::Front;

fn main() -> ExitCode {
    Suite::new(|| async {
        let front = Front::start(options()).await?;
        setup::prepare(&front).await?;
        Ok(front)
    })
    .test("who_may_read_the_metrics", permission::matrix)
    .test("a_scrape_is_reviewed_as_the_scraper", permission::is_reviewed)
    .test("without_a_review_there_are_no_metrics", permission::needs_a_review)
    .exclusive("requests_are_counted", counts::requests)
    .exclusive("counts_agree_with_cache_status", counts::agree_with_cache_status)
    .exclusive("watches_are_counted", counts::watches)
    .exclusive("clients_cannot_grow_the_labels", labels::are_bounded)
    .test_unless(programs::missing("promtool"), "promtool_finds_no_fault", prometheus::promtool)
    .test_unless(
        programs::missing("prometheus"),
        "prometheus_finds_what_dashboard_and_rules_use",
        prometheus::scrapes,
    )
    .run()
}

fn options() -> watchgate_cluster::Builder {
    setup::USERS
        .into_iter()
        .fold(Cluster::builder(), |options, user| options.user(user, &[]))
        .audit_bodies("authorization.k8s.io", "selfsubjectaccessreviews")
}
