//! Towards the API server: requests by lane and what came of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::StatusCode;

use super::{
    definition::{Definition, Samples},
    requests::{bounded, code_label},
};

/// Requests sent.
pub static REQUESTS: Definition = Definition::counter(
    "watchgate_upstream_requests_total",
    "Requests to the API server, by lane and status code; code none where no answer came. Lanes: \
     gateway (its own watches, proofs and discovery), client and client-brief (forwarded requests and \
     access reviews with a token that was valid before: watches, writes and reviews; and reads that end soon), unproven (those with any other credential or none), and \
     upgrade (exec, attach, port-forward). What is sent again after a broken connection counts once.",
    &["lane", "code"],
);

/// Open connections.
pub static CONNECTIONS: Definition = Definition::gauge(
    "watchgate_upstream_connections",
    "Connections to the API server, those being opened included.",
    &["lane"],
);

/// Open streams.
pub static STREAMS: Definition = Definition::gauge(
    "watchgate_upstream_streams",
    "Requests under way on HTTP/2 connections to the API server, watches included.",
    &["lane"],
);

/// All of them.
pub(super) static ALL: [&Definition; 3] = [&REQUESTS, &CONNECTIONS, &STREAMS];

/// Counts requests by lane.
#[derive(Debug)]
pub struct Upstream {
    lanes: [Lane; 5],
}

/// The lanes' names.
const LANES: [&str; 5] = ["client", "client-brief", "gateway", "unproven", "upgrade"];

/// Requests of one lane.
#[derive(Debug)]
struct Lane {
    /// By status code from 100 on; the last are those without a name, and those without an answer.
    codes: Box<[AtomicU64; CODES]>,
}

/// Codes 100 to 599 and two more.
const CODES: usize = 502;
const UNNAMED: usize = 500;
const UNANSWERED: usize = 501;

// === impl Upstream ===

impl Upstream {
    pub(super) fn new() -> Self {
        let lane = || Lane { codes: Box::new(std::array::from_fn(|_| AtomicU64::new(0))) };
        Self { lanes: std::array::from_fn(|_| lane()) }
    }

    /// A request on this lane was answered, or not.
    pub fn count(&self, lane: &str, answer: Option<StatusCode>) {
        let place = LANES.iter().position(|name| *name == lane);
        debug_assert!(place.is_some(), "{lane} is no lane that is counted");
        let Some(lane) = place.and_then(|place| self.lanes.get(place)) else { return };
        let place = match answer.map(bounded) {
            None => UNANSWERED,
            Some(code) => usize::from(code).checked_sub(100).unwrap_or(UNNAMED).min(UNNAMED),
        };
        lane.codes[place].fetch_add(1, Relaxed);
    }

    pub(super) fn sample(&self, samples: &mut Samples) {
        for (name, lane) in LANES.iter().zip(&self.lanes) {
            for (place, count) in lane.codes.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    let code = match place {
                        UNANSWERED => "none".to_owned(),
                        UNNAMED => code_label(0),
                        place => (place + 100).to_string(),
                    };
                    samples.count(&REQUESTS, &[name, &code], count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_bounded_label() {
        let upstream = Upstream::new();
        for code in 100..1000 {
            upstream.count("client", StatusCode::from_u16(code).ok());
        }
        upstream.count("gateway", None);
        let mut samples = Samples::default();
        upstream.sample(&mut samples);
        let families = samples.into_families();
        let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!((50..70).contains(&series), "{series}");
        assert!(text.contains(r#"{lane="client",code="404"} 1"#), "{text}");
        assert!(text.contains(r#"{lane="client",code="other"}"#), "{text}");
        assert!(text.contains(r#"{lane="gateway",code="none"} 1"#), "{text}");
    }
}
