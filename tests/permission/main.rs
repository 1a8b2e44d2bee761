//! No read without permission: who may not read at the API server gets nothing from memory, and the
//! gateway lends its rights to nobody.
//!
//! Everything runs against a real cluster, with a gateway whose own credential is the
//! administrator's client certificate.

#[path = "../front/mod.rs"]
mod front;
mod lending;
mod reviews;
mod revocation;
mod scope;
mod strangers;

use std::process::ExitCode;

use watchgate_cluster::{Cluster, Suite};

use front::Front;

fn main() -> ExitCode {
    Suite::new(|| Front::start(options()))
        .test("strangers_get_upstreams_answer", strangers::get_upstreams_answer)
        .test("odd_spellings_are_not_served", strangers::odd_spellings_are_not_served)
        .test("impersonation_cannot_be_nominated_away", strangers::cannot_nominate_away)
        .test("a_withdrawn_permission_ends", revocation::ends_reads_and_watches)
        .test("a_deleted_account_ends", revocation::of_a_deleted_account)
        .test("a_name_is_all_that_is_allowed", scope::of_one_name)
        .test("a_namespace_is_all_that_is_allowed", scope::of_one_namespace)
        .test("what_one_warmed_another_does_not_get", scope::of_another_user)
        .test("secrets_are_never_served", scope::without_secrets)
        .test("reads_of_one_kind_share_a_review", reviews::are_shared)
        .test("a_review_has_every_attribute", reviews::have_every_attribute)
        .test("selectors_are_reviewed_where_they_decide", reviews::have_selectors_where_they_decide)
        .test("a_review_is_about_one_verb_and_place", reviews::are_apart)
        .test("without_a_review_nothing_is_served", reviews::are_needed)
        .test("nobody_is_anonymous", lending::nobody_is_anonymous)
        .test("a_weak_token_stays_weak", lending::a_weak_token_stays_weak)
        .test("upgrades_have_their_own_rights", lending::upgrades_have_their_own_rights)
        .test("a_gateway_with_a_token_lends_nothing", lending::a_token_is_not_lent)
        .test("client_certificates_are_not_requested", lending::no_certificate_is_requested)
        .run()
}

fn options() -> watchgate_cluster::Builder {
    let users = ["keeper", "named", "local", "leaving", "counted", "asking", "apart", "unheard"];
    users
        .into_iter()
        .fold(Cluster::builder(), |options, user| options.user(user, &[]))
        .user(reviews::NODE, &["system:nodes"])
        .audit_bodies("authorization.k8s.io", "selfsubjectaccessreviews")
}
