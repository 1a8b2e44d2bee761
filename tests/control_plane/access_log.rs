//! The gateway's own figures: its access log, counted.
//!
//! Which reads memory may answer is judged here from the request (semantics §16), not taken from the gateway: a reason of the
//! gateway excuses a forwarded read only where the log can't show what the request asked for (its `Accept` and options, what
//! upstream's authorization said) or where the operator's policy forbids the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

/// Reasons which excuse a forwarded read. `quorum` is here as a second word for a GET without resourceVersion.
const EXCUSES: &[&str] = &["accept", "options", "denied", "policy", "quorum"];

/// Never cached: their own store, or no store at all.
const UNCACHED: &[&str] = &["events", "componentstatuses"];

/// The log, read to its end.
#[derive(Debug)]
pub(crate) struct AccessLog {
    rows: BTreeMap<Row, usize>,
    shards: BTreeMap<String, BTreeSet<String>>,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    verb: String,
    resource: String,
    may_hit: bool,
    cache: String,
}

/// How many reads memory may answer, and how many it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hits {
    pub(crate) of: usize,
    pub(crate) hits: usize,
}

impl AccessLog {
    /// Reads the gateway's JSON log.
    pub(crate) fn read(log: &str) -> Result<Self> {
        let (mut rows, mut shards) = (BTreeMap::new(), BTreeMap::<_, BTreeSet<_>>::new());
        // Standard output, which is no JSON, is in the same file.
        let lines = log.lines().filter(|line| line.starts_with('{'));
        for line in lines {
            let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if event["target"] == "watchgate::access" {
                *rows.entry(Row::of(&event)).or_default() += 1;
            }
            if event["message"] == "asking upstream"
                && let Some((resource, form)) =
                    event["shard"].as_str().and_then(|shard| shard.split_once(" as "))
            {
                shards.entry(resource.to_owned()).or_default().insert(form.to_owned());
            }
        }
        Ok(Self { rows, shards })
    }

    /// The representations of each resource that were opened, by `pods.v1`, `deployments.v1.apps`.
    pub(crate) fn shards(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.shards
    }

    /// Of the reads that memory may answer, how many it did.
    pub(crate) fn hits(&self) -> Hits {
        let count = |wanted: fn(&Row) -> bool| {
            self.rows.iter().filter(|(row, _)| wanted(row)).map(|(_, count)| count).sum()
        };
        Hits { of: count(|row| row.may_hit), hits: count(|row| row.may_hit && row.cache == "hit") }
    }

    /// Reads, by verb, resource and `Cache-Status`; everything else in one line.
    pub(crate) fn table(&self) -> String {
        let mut text =
            format!("{:<6} {:<34} {:<9} {:<34} count\n", "verb", "resource", "may hit", "cache");
        let mut others = 0;
        for (row, count) in &self.rows {
            if !matches!(&*row.verb, "get" | "list" | "watch") || row.resource.is_empty() {
                others += count;
                continue;
            }
            let may_hit = if row.may_hit { "yes" } else { "no" };
            let _ = writeln!(
                text,
                "{:<6} {:<34} {may_hit:<9} {:<34} {count}",
                row.verb, row.resource, row.cache
            );
        }
        let _ = writeln!(text, "writes and requests of no resource: {others}");
        text
    }
}

impl Row {
    fn of(event: &Value) -> Self {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (verb, group, mut resource) = (text("verb"), text("group"), text("resource"));
        let (cache, subresource) = (text("cache"), text("subresource"));
        let reason = cache.rsplit("detail=").next().unwrap_or_default();
        let is_quorum = verb == "get" && text("resource_version") == "unset";
        let may_hit = matches!(&*verb, "get" | "list" | "watch")
            && !resource.is_empty()
            && subresource.is_empty()
            && !UNCACHED.contains(&&*resource)
            && !is_quorum
            && !EXCUSES.contains(&reason);
        if !group.is_empty() {
            resource = format!("{resource}.{group}");
        }
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        Self { verb, resource, may_hit, cache }
    }
}
