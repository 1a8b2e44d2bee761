//! The differences that `docs/COMPATIBILITY.md` lists, each by its heading there.
//!
//! None of them is about an object: a rule here must not match where both servers answered 200.

use crate::case::Case;
use crate::judge::Answers;

/// The headings.
pub(crate) const HEADINGS: [&str; 1] = ["Requests that are no HTTP"];

/// The heading of the difference between these answers, if it is a listed one.
pub(crate) fn listed(case: &Case, answers: &Answers) -> Option<&'static str> {
    let [no_http] = HEADINGS;
    let refused = answers.ours.status == 400 && answers.ours.header("cache-status").is_none();
    (refused && !is_http(case)).then_some(no_http)
}

/// Whether the request line is one that the gateway's HTTP library reads.
fn is_http(case: &Case) -> bool {
    let target = case.target();
    let has_path = target.starts_with('/') || target.starts_with("https://");
    has_path && target.parse::<http::Uri>().is_ok()
}
