//! What a run comes to, in figures.

use std::collections::BTreeMap;
use std::fmt;

use crate::checker::record::{End, Recording, Seen, Step};
use crate::checker::recording::ends;
use crate::ground::Side;
use crate::injector::Fault;
use crate::watcher::Brought;

/// Where answers came from: verb and `Cache-Status`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(BTreeMap<String, usize>);

impl Origins {
    pub(crate) fn add(&mut self, verb: &str, status: Option<&str>) {
        let status = status.unwrap_or("no Cache-Status");
        let status = status.strip_prefix("watchgate; ").unwrap_or(status);
        *self.0.entry(format!("{verb} {status}")).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (origin, count) in &other.0 {
            *self.0.entry(origin.clone()).or_default() += count;
        }
    }

    /// The share of a verb's answers that came from memory.
    pub(crate) fn share(&self, verb: &str) -> f64 {
        let of_verb = |origin: &&String| origin.starts_with(verb);
        let all: usize = self.0.iter().filter(|(o, _)| of_verb(o)).map(|(_, count)| count).sum();
        let hits = self.0.get(&format!("{verb} hit")).copied().unwrap_or_default();
        if all == 0 { 0.0 } else { hits as f64 / all as f64 }
    }
}

/// Counts of one side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) watchers: usize,
    pub(crate) watches: usize,
    pub(crate) lists: usize,
    pub(crate) events: usize,
    pub(crate) bookmarks: usize,
    pub(crate) broken: usize,
    pub(crate) refused: usize,
    pub(crate) failures: usize,
}

impl Counts {
    fn add(&mut self, recording: &Recording, failures: usize) {
        self.watchers += 1;
        self.failures += failures;
        self.broken += ends(recording, |end| end == End::Broken);
        self.refused += ends(recording, |end| matches!(end, End::Refused(_)));
        for step in &recording.steps {
            let Step::Watch(session) = step else {
                self.lists += 1;
                continue;
            };
            self.watches += 1;
            let marks = session.seen.iter().filter(|seen| matches!(seen, Seen::Bookmark { .. }));
            let marks = marks.count();
            self.bookmarks += marks;
            self.events += session.seen.len() - marks;
        }
    }
}

/// Everything that is printed, and asserted.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) direct: Counts,
    pub(crate) through: Counts,
    pub(crate) origins: Origins,
    pub(crate) writes: usize,
    pub(crate) unknown_writes: usize,
    pub(crate) concurrent: usize,
    pub(crate) replayed: usize,
    pub(crate) violations: usize,
    /// ERROR events that weren't upstream's own.
    pub(crate) refused_from_memory: usize,
    pub(crate) injected: BTreeMap<Fault, usize>,
    pub(crate) found: usize,
    pub(crate) failures: BTreeMap<String, usize>,
}

impl Figures {
    pub(crate) fn add(&mut self, brought: &Brought) {
        let counts = match brought.side {
            Side::Direct => &mut self.direct,
            Side::Through => &mut self.through,
        };
        counts.add(&brought.recording, brought.failures.len());
        if brought.side == Side::Through {
            self.origins.merge(&brought.origins);
        }
        for failure in brought.failures.iter().chain(&brought.refusals) {
            let short = failure.split(": /").next().unwrap_or_default();
            *self.failures.entry(format!("{:?}: {short}", brought.side)).or_default() += 1;
        }
        let own = |refusal: &&String| refusal.contains("hit");
        self.refused_from_memory += brought.refusals.iter().filter(own).count();
    }

    pub(crate) fn events(&self) -> usize {
        self.direct.events + self.through.events
    }

    pub(crate) fn injected(&self) -> usize {
        self.injected.values().sum()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, of: fn(&Counts) -> usize| {
            let (through, direct) = (of(&self.through), of(&self.direct));
            writeln!(f, "{name:<28}{through:>10}{direct:>10}{:>10}", through + direct)
        };
        writeln!(f, "{:<28}{:>10}{:>10}{:>10}", "", "gateway", "direct", "all")?;
        row(f, "watchers", |counts| counts.watchers)?;
        row(f, "watches", |counts| counts.watches)?;
        row(f, "  of these restarts", |counts| counts.watches - counts.watchers)?;
        row(f, "  of these broken off", |counts| counts.broken)?;
        row(f, "  of these refused (ERROR)", |counts| counts.refused)?;
        row(f, "events recorded", |counts| counts.events)?;
        row(f, "bookmarks recorded", |counts| counts.bookmarks)?;
        row(f, "lists", |counts| counts.lists)?;
        row(f, "failed requests", |counts| counts.failures)?;
        writeln!(f, "watches open at once         {}", self.concurrent)?;
        writeln!(
            f,
            "writes                       {} ({} unknown)",
            self.writes, self.unknown_writes
        )?;
        writeln!(f, "lists replayed               {}", self.replayed)?;
        let [watches, lists] = ["watch", "list"].map(|verb| 100.0 * self.origins.share(verb));
        writeln!(
            f,
            "from memory                  {watches:.1} % of watches, {lists:.1} % of lists"
        )?;
        writeln!(f, "violations                   {}", self.violations)?;
        writeln!(f, "faults injected / found      {} / {}", self.injected(), self.found)?;
        writeln!(f, "{:?}\n{:?}", self.origins.0, self.injected)?;
        for (failure, count) in &self.failures {
            writeln!(f, "{count:>6} x {failure}")?;
        }
        Ok(())
    }
}
