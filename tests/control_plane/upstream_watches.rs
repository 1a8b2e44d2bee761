//! What the API server's audit log says of the gateway's own requests.
//!
//! A long watch fills a shard; an auxiliary watch (`timeoutSeconds=3`) proves the freshness of a quiet one. The audit log
//! doesn't show `Accept`, so watches are counted per resource, against the number of that resource's shards.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::access_log::AccessLog;

/// The end of a watch is stamped once upstream's handler is done with it, which may be a little after the client has seen it
/// and asked anew.
const HANDOVER: Duration = Duration::milliseconds(100);

/// Three seconds, and what it takes to stamp the end.
const AUXILIARY_LIMIT: Duration = Duration::milliseconds(3_250);

/// The watches of one resource.
#[derive(Debug, Default)]
struct Watches {
    long: Vec<Interval>,
    auxiliary: Vec<Interval>,
    probes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    begin: OffsetDateTime,
    /// `None` while it is open.
    end: Option<OffsetDateTime>,
}

/// Checks the watches of `user` against the shards of its log, and returns the figures as a table.
pub(crate) fn check(events: &[Value], user: &str, log: &AccessLog) -> Result<String> {
    let by_resource = watches(events, user)?;
    let mut text = format!(
        "{:<58} {:>6} {:>6} {:>10} {:>9} {:>11} {:>9} {:>7}\n",
        "resource", "shards", "long", "at a time", "auxiliary", "at a time", "longest", "probes"
    );
    let (mut all_long, mut all_auxiliary, mut all_probes) = (0, 0, 0);
    for (resource, watches) in &by_resource {
        let shards = log.shards().get(resource).map_or(0, std::collections::BTreeSet::len);
        let long = at_a_time(&watches.long);
        let auxiliary = at_a_time(&watches.auxiliary);
        let longest =
            watches.auxiliary.iter().filter_map(Interval::length).max().unwrap_or_default();
        let _ = writeln!(
            text,
            "{resource:<58} {shards:>6} {:>6} {long:>10} {:>9} {auxiliary:>11} {:>7.2} s {:>7}",
            watches.long.len(),
            watches.auxiliary.len(),
            longest.as_seconds_f64(),
            watches.probes,
        );
        all_long += watches.long.len();
        all_auxiliary += watches.auxiliary.len();
        all_probes += watches.probes;
        ensure!(long <= shards, "{resource}: {long} long watches for {shards} shards\n{text}");
        ensure!(auxiliary <= shards, "{resource}: {auxiliary} auxiliary watches at once\n{text}");
        ensure!(longest <= AUXILIARY_LIMIT, "{resource}: an auxiliary watch of {longest}\n{text}");
    }
    ensure!(all_long > 0, "the audit log has no watch of {user}");
    let _ = writeln!(
        text,
        "in all: {} shards, {all_long} long watches, {all_auxiliary} auxiliary watches, {all_probes} probes",
        log.shards().values().map(std::collections::BTreeSet::len).sum::<usize>(),
    );
    Ok(text)
}

fn watches(events: &[Value], user: &str) -> Result<BTreeMap<String, Watches>> {
    let mut begun: BTreeMap<&str, (&Value, Interval)> = BTreeMap::new();
    let mut probes: BTreeMap<String, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| event["user"]["username"] == user) {
        let id = event["auditID"].as_str().context("an audit event without id")?;
        match (event["verb"].as_str(), event["stage"].as_str()) {
            (Some("watch"), Some("ResponseStarted")) => {
                let interval =
                    Interval { begin: moment(event, "requestReceivedTimestamp")?, end: None };
                begun.insert(id, (event, interval));
            }
            (Some("watch"), Some("ResponseComplete")) => {
                let end = Some(moment(event, "stageTimestamp")?);
                // Refused before it began: there is only this stage.
                let begin = moment(event, "requestReceivedTimestamp")?;
                begun.entry(id).or_insert((event, Interval { begin, end })).1.end = end;
            }
            (Some("list"), Some("ResponseComplete")) if query(event).contains("limit=1") => {
                *probes.entry(resource(event)).or_default() += 1;
            }
            _ => {}
        }
    }
    let mut by_resource: BTreeMap<String, Watches> = BTreeMap::new();
    for (event, interval) in begun.into_values() {
        let watches = by_resource.entry(resource(event)).or_default();
        let is_auxiliary = query(event).split('&').any(|pair| pair == "timeoutSeconds=3");
        if is_auxiliary { &mut watches.auxiliary } else { &mut watches.long }.push(interval);
    }
    for (resource, count) in probes {
        by_resource.entry(resource).or_default().probes = count;
    }
    Ok(by_resource)
}

impl Interval {
    fn length(&self) -> Option<Duration> {
        self.end.map(|end| end - self.begin)
    }
}

/// The greatest number of intervals that were open at one moment.
fn at_a_time(intervals: &[Interval]) -> usize {
    let is_open_at = |interval: &&Interval, moment: OffsetDateTime| {
        interval.begin <= moment && interval.end.is_none_or(|end| end - HANDOVER > moment)
    };
    let open_at = |moment| intervals.iter().filter(|interval| is_open_at(interval, moment)).count();
    intervals.iter().map(|interval| open_at(interval.begin)).max().unwrap_or(0)
}

fn moment(event: &Value, field: &str) -> Result<OffsetDateTime> {
    let text = event[field].as_str().with_context(|| format!("no {field} in {event}"))?;
    OffsetDateTime::parse(text, &Rfc3339).with_context(|| format!("{field}: {text}"))
}

fn query(event: &Value) -> &str {
    event["requestURI"].as_str().and_then(|uri| uri.split_once('?')).map_or("", |(_, query)| query)
}

/// As the gateway's log writes it.
fn resource(event: &Value) -> String {
    let text = |name: &str| event["objectRef"][name].as_str().unwrap_or_default();
    match text("apiGroup") {
        "" => format!("{}.{}", text("resource"), text("apiVersion")),
        group => format!("{}.{}.{group}", text("resource"), text("apiVersion")),
    }
}
