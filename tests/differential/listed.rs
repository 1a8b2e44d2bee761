//! The differences that `docs/COMPATIBILITY.md` lists, each by its heading there.
//!
//! None of them is about an object: a rule here must not match where both servers answered 200.

use crate::case::Case;
use crate::judge::Answers;

/// The headings.
pub(crate) const HEADINGS: [&str; 2] = ["Requests that are no HTTP", "Targets in absolute form"];

/// What the generator puts in front of a path.
const ABSOLUTE: &str = "https://example.com";

/// The heading of the difference between these answers, if it is a listed one.
pub(crate) fn listed(case: &Case, answers: &Answers) -> Option<&'static str> {
    let [no_http, absolute] = HEADINGS;
    let Answers { before, ours, .. } = answers;
    if ours.status == 400 && ours.header("cache-status").is_none() && !is_http(case) {
        return Some(no_http);
    }
    let quotes = case.path.starts_with(ABSOLUTE) && before.status >= 400;
    let quoted = || String::from_utf8_lossy(&before.body).replace(ABSOLUTE, "").into_bytes();
    (quotes && ours.status == before.status && ours.body != before.body && ours.body == quoted())
        .then_some(absolute)
}

/// Whether the request line is one that the gateway's HTTP library reads.
fn is_http(case: &Case) -> bool {
    let target = case.target();
    let has_path = target.starts_with('/') || target.starts_with("https://");
    has_path && target.parse::<http::Uri>().is_ok()
}
