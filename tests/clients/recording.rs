//! The requests in a recording of the informers program: which ones memory answered.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Lists and watches of a run by verb and outcome, such as "watch hit": 12.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    outcomes: BTreeMap<String, usize>,
}

impl Reads {
    /// Adds the requests in the recording at `path`.
    pub(crate) fn add(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line)?;
            if line["type"] == "request" && line["verb"] != "other" {
                self.count(&line["verb"], &line);
            }
        }
        Ok(())
    }

    fn count(&mut self, verb: &Value, line: &Value) {
        let cache = line["cacheStatus"].as_str().unwrap_or("no Cache-Status");
        let cache = cache.strip_prefix("watchgate; ").unwrap_or(cache);
        let outcome = match line["error"].as_str() {
            Some(_) => "broken".to_owned(),
            None => format!("{} {cache}", line["status"]),
        };
        let verb = verb.as_str().unwrap_or_default();
        *self.outcomes.entry(format!("{verb} {outcome}")).or_default() += 1;
    }

    /// How many there were with a response, and how many of these were answered from memory.
    pub(crate) fn hits(&self) -> (usize, usize) {
        let answered = self.outcomes.iter().filter(|(outcome, _)| !outcome.ends_with(" broken"));
        let hit = |outcome: &str| outcome.ends_with(" 200 hit");
        answered.fold((0, 0), |(all, hits), (outcome, count)| {
            (all + count, hits + if hit(outcome) { *count } else { 0 })
        })
    }

    /// How many had an outcome which `pick` takes.
    pub(crate) fn number(&self, pick: impl Fn(&str) -> bool) -> usize {
        self.outcomes.iter().filter(|(outcome, _)| pick(outcome)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, hits) = self.hits();
        write!(f, "{hits} of {all} lists and watches from memory {:?}", self.outcomes)
    }
}
