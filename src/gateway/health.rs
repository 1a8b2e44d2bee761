//! The gateway's own health, open to everyone: `/watchgate/livez` and `/watchgate/readyz`.
//!
//! Shaped like kube-apiserver's (semantics §11): `ok`, or with `?verbose` a line per check; 500 and
//! always verbose when a check fails. Says nothing that a stranger may not know.

use http::{Response, StatusCode, header};

use super::body::ResponseBody;

/// The path prefix that belongs to the gateway; everything else is upstream's.
pub const PREFIX: &str = "/watchgate/";

/// One named condition of being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is called.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
}

/// The answer for `endpoint` (`livez`, `readyz`).
pub fn answer(endpoint: &str, checks: &[Check], verbose: bool) -> Response<ResponseBody> {
    let healthy = checks.iter().all(|check| check.holds);
    let text = if healthy && !verbose {
        "ok".to_owned()
    } else {
        let lines = checks.iter().map(|check| match check.holds {
            true => format!("[+]{} ok\n", check.name),
            false => format!("[-]{} failed\n", check.name),
        });
        let outcome = if healthy { "passed" } else { "failed" };
        lines.collect::<String>() + &format!("{endpoint} check {outcome}\n")
    };
    let status = if healthy { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    plain(status, text)
}

/// The answer for any other path under the prefix.
pub fn unknown() -> Response<ResponseBody> {
    let text =
        "404: watchgate serves /watchgate/livez, /watchgate/readyz and /watchgate/metrics here\n";
    plain(StatusCode::NOT_FOUND, text.to_owned())
}

fn plain(status: StatusCode, text: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::text(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache, private"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, http::HeaderValue::from_static("nosniff"));
    response
}
