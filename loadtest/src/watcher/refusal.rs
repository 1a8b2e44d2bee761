//! A server that says no, and what an informer then does: it waits and asks again, unless that is
//! useless.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::transport::{Answer, TransportError};

/// Longest for the text of an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Without `Retry-After`, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];
/// Longest `Retry-After` that is heeded.
const LONGEST: Duration = Duration::from_secs(300);

/// An answer other than 200, or an event of type `ERROR`.
#[derive(Debug, thiserror::Error)]
#[error("{status} {message}")]
pub struct Refusal {
    /// The status, or the event's code.
    pub status: u16,
    /// The beginning of what the server says.
    pub message: String,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

// === impl Refusal ===

impl Refusal {
    /// Reads the answer that refuses.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn of(answer: Answer) -> Result<Self, TransportError> {
        let (head, body) = answer.into_parts();
        let body = timeout(PATIENCE, body.collect()).await;
        let body = body.map_err(|_| TransportError::Timeout(PATIENCE))??.to_bytes();
        let message = String::from_utf8_lossy(&body).chars().take(300).collect();
        let retry_after = retry_after(&head.headers);
        Ok(Self { status: head.status.as_u16(), message, retry_after })
    }

    /// Whether the same request may be answered later: the server was too busy, or it failed. All
    /// others, such as 401, 403 and 410, it will be refused again.
    pub fn may_pass(&self) -> bool {
        let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        (500..600).contains(&self.status) || passing.iter().any(|it| *it == self.status)
    }

    /// How long to wait after so many refusals in a row.
    pub(super) fn pause(&self, refusals: u32) -> Duration {
        let [first, longest] = PAUSES;
        let doubled = first.saturating_mul(1 << refusals.clamp(1, 16).saturating_sub(1));
        self.retry_after.map_or_else(|| doubled.min(longest), |it| it.clamp(first, LONGEST))
    }
}

/// In seconds; the form with a date is not what API servers send.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, retry_after: Option<u64>) -> Refusal {
        let retry_after = retry_after.map(Duration::from_secs);
        Refusal { status, message: String::new(), retry_after }
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        assert!([408, 429, 500, 503, 504].iter().all(|it| refusal(*it, None).may_pass()));
        assert!(![400, 401, 403, 404, 410].iter().any(|it| refusal(*it, None).may_pass()));
    }

    #[test]
    fn waits_as_told_or_longer_each_time() {
        let pause = |retry_after, refusals| refusal(429, retry_after).pause(refusals).as_millis();
        assert_eq!(
            [pause(Some(3), 9), pause(Some(0), 9), pause(Some(9999), 1)],
            [3000, 200, 300_000]
        );
        assert_eq!([pause(None, 1), pause(None, 3), pause(None, 99)], [200, 800, 10_000]);
    }
}
