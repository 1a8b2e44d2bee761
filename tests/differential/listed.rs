//! The differences that `docs/COMPATIBILITY.md` lists, each by its heading there.
//!
//! None of them is about an object: a rule here must not match where both servers answered 200.

use crate::answer::Answer;
use crate::case::Case;
use crate::essence::find;
use crate::judge::Answers;

/// The headings.
pub(crate) const HEADINGS: [&str; 2] = ["Requests that are no HTTP", "Targets in absolute form"];

/// How a text begins that goes on with the request's target.
const QUOTING: &[u8] = b"Internal Server Error: ";

/// The heading of the difference between these answers, if it is a listed one.
pub(crate) fn listed(case: &Case, answers: &Answers) -> Option<&'static str> {
    let [no_http, absolute] = HEADINGS;
    let refused = answers.ours.status == 400 && answers.ours.header("cache-status").is_none();
    if refused && !is_http(case) {
        return Some(no_http);
    }
    let quotes = |answer: &Answer| answer.status == 500 && find(&answer.body, QUOTING).is_some();
    let both = quotes(&answers.ours) && quotes(&answers.before);
    (both && case.target().contains("://")).then_some(absolute)
}

/// Whether the request line is one that the gateway's HTTP library reads.
fn is_http(case: &Case) -> bool {
    let target = case.target();
    let has_path = target.starts_with('/') || target.starts_with("https://");
    has_path && target.parse::<http::Uri>().is_ok()
}
