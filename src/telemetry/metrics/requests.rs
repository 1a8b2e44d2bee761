//! Requests of clients: what they asked, who answered, how soon.
//!
//! Every core counts in a tally of its own, under a lock that only a scrape ever contends for. Labels
//! are bounded whatever clients send: verbs, sources and reasons are words of this program (`&'static
//! str` cannot come off the wire), codes without a name count as `other`, and resources are those that
//! the caller found among the types it knows. Should those be too many, later ones count as `other`,
//! too.

use std::time::Duration;

use hashbrown::{Equivalent, HashMap};
use http::StatusCode;
use parking_lot::Mutex;

use super::{
    definition::{Definition, Samples},
    histogram::{Histogram, Observations, REQUESTS},
    per_core::PerCore,
    resource::{OTHER, Resource},
};

/// Answered requests.
pub static TOTAL: Definition = Definition::counter(
    "watchgate_requests_total",
    "Requests that were answered, by what was asked (resource is \"other\" for types that are not \
     known, and empty for paths that name none), by status code, and by who answered: memory, \
     upstream, collapsed (one upstream answer shared by many), or own (the gateway itself: health, \
     metrics, and 429 while there is no place upstream). A watch counts when it begins.",
    &["verb", "group", "resource", "code", "source"],
);

/// Forwarded requests by reason.
pub static FORWARDED: Definition = Definition::counter(
    "watchgate_requests_forwarded_total",
    "Requests that were forwarded to the API server, by why memory did not answer: the words behind \
     detail= in Cache-Status.",
    &["reason"],
);

/// Time to the head of the answer.
pub static DURATION: Definition = Definition::histogram(
    "watchgate_request_duration_seconds",
    "Time from a request's arrival to the head of its answer. The body is not in it: a large list \
     takes as long as the client's link does, a watch as long as it lives.",
    &["verb", "source"],
);

/// Bytes that upstream did not have to send.
pub static SAVED: Definition = Definition::counter(
    "watchgate_saved_bytes_total",
    "Bytes of objects and lists answered from memory, which the API server did not have to send, as \
     the client gets them: plain (identity) or compressed (gzip). Bytes of watches are \
     watchgate_watch_delivered_bytes_total.",
    &["verb", "encoding"],
);

/// All of them.
pub(super) static ALL: [&Definition; 4] = [&TOTAL, &FORWARDED, &DURATION, &SAVED];

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Memory.
    Memory,
    /// The API server, or nobody in its stead.
    Upstream,
    /// The API server, once for many.
    Collapsed,
    /// The gateway itself.
    Own,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// What was to be done, in a word of Kubernetes.
    pub verb: &'static str,
    /// With what, if it is a resource that is known.
    pub resource: Resource<'a>,
    /// The status of the answer.
    pub status: StatusCode,
    /// Who answered.
    pub source: Source,
    /// Why memory did not, if the request was forwarded.
    pub reason: Option<&'static str>,
    /// The time to the head of the answer.
    pub took: Duration,
    /// The length of the body, where it is known beforehand.
    pub length: Option<u64>,
    /// Whether the body is compressed.
    pub gzip: bool,
}

/// Counts answered requests.
#[derive(Debug)]
pub struct Requests {
    cores: PerCore<Mutex<Tally>>,
}

#[derive(Debug, Default)]
struct Tally {
    counts: HashMap<Key, u64>,
    kinds: HashMap<(&'static str, Source), Kind>,
    reasons: HashMap<&'static str, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    verb: &'static str,
    source: Source,
    code: u16,
    group: String,
    resource: String,
}

/// A key that is not owned; hashes like one that is.
#[derive(Hash)]
struct Asked<'a> {
    verb: &'static str,
    source: Source,
    code: u16,
    group: &'a str,
    resource: &'a str,
}

#[derive(Debug)]
struct Kind {
    durations: Histogram,
    plain: u64,
    compressed: u64,
}

/// Series that one core keeps. Ten verbs on each of a thousand types fit; what comes later counts as of
/// other resources.
const MAX_SERIES: usize = 16_384;

// === impl Source ===

impl Source {
    /// The word in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Upstream => "upstream",
            Self::Collapsed => "collapsed",
            Self::Own => "own",
        }
    }
}

// === impl Requests ===

impl Requests {
    pub(super) fn new(cores: usize) -> Self {
        Self { cores: PerCore::new(cores, Mutex::default) }
    }

    /// Counts a request that was answered on this core.
    pub fn count(&self, core: usize, answered: &Answered<'_>) {
        self.cores.of(core).lock().count(answered);
    }

    pub(super) fn sample(&self, samples: &mut Samples) {
        let mut counts: HashMap<Key, u64> = HashMap::new();
        let mut reasons: HashMap<&str, u64> = HashMap::new();
        let mut kinds: HashMap<(&str, Source), (Observations, u64, u64)> = HashMap::new();
        for tally in self.cores.iter() {
            let tally = tally.lock();
            for (key, count) in &tally.counts {
                *counts.entry(key.clone()).or_insert(0) += count;
            }
            for (reason, count) in &tally.reasons {
                *reasons.entry(reason).or_insert(0) += count;
            }
            for ((verb, source), kind) in &tally.kinds {
                let sum = kinds
                    .entry((verb, *source))
                    .or_insert_with(|| (Observations::none(REQUESTS), 0, 0));
                sum.0.add(&kind.durations);
                sum.1 += kind.plain;
                sum.2 += kind.compressed;
            }
        }
        for (Key { verb, source, code, group, resource }, count) in &counts {
            let code = code_label(*code);
            samples.count(&TOTAL, &[verb, group, resource, &code, source.name()], *count);
        }
        for (reason, count) in reasons {
            samples.count(&FORWARDED, &[reason], count);
        }
        for ((verb, source), (durations, plain, compressed)) in kinds {
            samples.observations(&DURATION, &[verb, source.name()], &durations);
            if source == Source::Memory && verb != "watch" {
                samples.count(&SAVED, &[verb, "identity"], plain);
                samples.count(&SAVED, &[verb, "gzip"], compressed);
            }
        }
    }
}

// === impl Tally ===

impl Tally {
    fn count(&mut self, answered: &Answered<'_>) {
        let Answered { verb, status, source, reason, took, length, gzip, .. } = *answered;
        let mut resource = answered.resource;
        let code = bounded(status);
        if self.counts.len() >= MAX_SERIES
            && !self.counts.contains_key(&Asked::of(answered, resource, code))
        {
            resource = OTHER;
        }
        let asked = Asked::of(answered, resource, code);
        match self.counts.get_mut(&asked) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(Key::from(&asked), 1)),
        }
        if let Some(reason) = reason {
            *self.reasons.entry(reason).or_insert(0) += 1;
        }
        let kind = self.kinds.entry((verb, source)).or_insert_with(|| Kind {
            durations: Histogram::new(REQUESTS),
            plain: 0,
            compressed: 0,
        });
        kind.durations.observe(took);
        let bytes = if gzip { &mut kind.compressed } else { &mut kind.plain };
        *bytes += length.unwrap_or_default();
    }
}

// === impl Asked ===

impl<'a> Asked<'a> {
    fn of(answered: &Answered<'_>, resource: Resource<'a>, code: u16) -> Self {
        let Resource { group, resource } = resource;
        Self { verb: answered.verb, source: answered.source, code, group, resource }
    }
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.verb, self.source, self.code) == (key.verb, key.source, key.code)
            && (self.group, self.resource) == (&*key.group, &*key.resource)
    }
}

impl From<&Asked<'_>> for Key {
    fn from(asked: &Asked<'_>) -> Self {
        let Asked { verb, source, code, group, resource } = *asked;
        Self { verb, source, code, group: group.to_owned(), resource: resource.to_owned() }
    }
}

/// The code, 0 for one that nobody has named: who stands behind a forwarded path may make them up.
pub(super) fn bounded(status: StatusCode) -> u16 {
    status.canonical_reason().map_or(0, |_| status.as_u16())
}

pub(super) fn code_label(code: u16) -> String {
    if code == 0 { "other".to_owned() } else { code.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(resource: &'static str, status: u16) -> Answered<'static> {
        Answered {
            verb: "list",
            resource: Resource { group: "", resource },
            status: StatusCode::from_u16(status).unwrap(),
            source: Source::Memory,
            reason: None,
            took: Duration::from_millis(1),
            length: Some(10),
            gzip: false,
        }
    }

    fn exposed(requests: &Requests) -> String {
        let mut samples = Samples::default();
        requests.sample(&mut samples);
        prometheus::TextEncoder::new().encode_to_string(&samples.into_families()).unwrap()
    }

    #[test]
    fn cores_are_added_up() {
        let requests = Requests::new(2);
        for core in [0, 1, 1] {
            requests.count(core, &answered("pods", 200));
        }
        requests.count(0, &Answered { gzip: true, ..answered("pods", 200) });
        let forwarded =
            Answered { source: Source::Upstream, reason: Some("cold"), ..answered("pods", 299) };
        requests.count(1, &forwarded);
        let text = exposed(&requests);
        for line in [
            r#"watchgate_requests_total{verb="list",group="",resource="pods",code="200",source="memory"} 4"#,
            r#"watchgate_requests_total{verb="list",group="",resource="pods",code="other",source="upstream"} 1"#,
            r#"watchgate_requests_forwarded_total{reason="cold"} 1"#,
            r#"watchgate_request_duration_seconds_bucket{verb="list",source="memory",le="0.001"} 4"#,
            r#"watchgate_request_duration_seconds_count{verb="list",source="memory"} 4"#,
            r#"watchgate_saved_bytes_total{verb="list",encoding="identity"} 30"#,
            r#"watchgate_saved_bytes_total{verb="list",encoding="gzip"} 10"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(text.matches("watchgate_saved_bytes_total{").count(), 2, "only from memory");
    }

    #[test]
    fn series_are_bounded() {
        let requests = Requests::new(1);
        for number in 0..MAX_SERIES + 100 {
            let resource = format!("r{number}");
            let resource = Resource { group: "g", resource: &resource };
            requests.count(0, &Answered { resource, ..answered("", 200) });
        }
        // Those that are known go on.
        let first = Resource { group: "g", resource: "r0" };
        requests.count(0, &Answered { resource: first, ..answered("", 200) });
        let tally = requests.cores.of(0).lock();
        assert_eq!(tally.counts.len(), MAX_SERIES + 1);
        let of = |resource: Resource<'_>| {
            *tally.counts.get(&Asked::of(&answered("", 200), resource, 200)).unwrap()
        };
        assert_eq!((of(OTHER), of(first)), (100, 2));
    }
}
