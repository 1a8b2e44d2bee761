//! What a row gave.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    servers::Side,
    spread::{Spread, ratios},
};

/// Everything that was measured of one row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) row: String,
    /// What was measured: the commit of the working tree.
    pub(crate) commit: String,
    pub(crate) title: String,
    /// What the samples count, such as "CPU-ms per request".
    pub(crate) unit: String,
    pub(crate) sides: BTreeMap<Side, Figures>,
    pub(crate) ratio: Option<Ratio>,
    pub(crate) checks: Vec<Check>,
    /// What one must know to read the figures.
    pub(crate) notes: Vec<String>,
    /// What makes the row wrong, whatever its figures.
    pub(crate) failures: Vec<String>,
}

/// One side's samples, one for each round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) samples: Vec<f64>,
    /// Of one body as it came over the wire.
    pub(crate) wire_bytes: Option<u64>,
    /// Median of the rounds' medians.
    pub(crate) p50_milliseconds: Option<f64>,
}

/// How many times one side costs what another does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) of: Side,
    pub(crate) to: Side,
    pub(crate) rounds: Vec<f64>,
    /// At least this.
    pub(crate) goal: Option<f64>,
}

/// A figure with a bound of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) at_most: f64,
}

// === impl Report ===

impl Report {
    pub(crate) fn new(row: &str, title: impl Into<String>, unit: &str) -> Self {
        Self {
            row: row.to_owned(),
            commit: String::new(),
            title: title.into(),
            unit: unit.to_owned(),
            sides: BTreeMap::new(),
            ratio: None,
            checks: Vec::new(),
            notes: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(crate) fn side(&mut self, side: Side) -> &mut Figures {
        self.sides.entry(side).or_default()
    }

    /// Compares two sides, round by round.
    pub(crate) fn compare(&mut self, of: Side, to: Side, goal: Option<f64>) {
        let samples = |side| self.sides.get(&side).map_or(&[][..], |it| &it.samples);
        let rounds = ratios(samples(of), samples(to));
        if !rounds.is_empty() {
            self.ratio = Some(Ratio { of, to, rounds, goal });
        }
    }

    pub(crate) fn check(&mut self, what: impl Into<String>, value: f64, at_most: f64) {
        self.checks.push(Check { what: what.into(), value, at_most });
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn fail(&mut self, failure: impl Into<String>) {
        self.failures.push(failure.into());
    }

    /// Whether the goals are met; `None` where there are none.
    pub(crate) fn met(&self) -> Option<bool> {
        let ratio = self.ratio.as_ref().and_then(Ratio::met);
        let mut all = ratio.into_iter().chain(self.checks.iter().map(Check::met)).peekable();
        all.peek()?;
        Some(all.all(|met| met))
    }
}

// === impl Figures ===

impl Figures {
    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(&self.samples)
    }
}

// === impl Ratio ===

impl Ratio {
    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(&self.rounds)
    }

    /// By the median of the rounds.
    pub(crate) fn met(&self) -> Option<bool> {
        Some(self.spread()?.median >= self.goal?)
    }
}

// === impl Check ===

impl Check {
    pub(crate) fn met(&self) -> bool {
        self.value <= self.at_most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(goal: Option<f64>) -> Report {
        let mut report = Report::new("row", "a row", "CPU-ms");
        report.side(Side::A).samples = vec![100.0, 300.0, 200.0];
        report.side(Side::B).samples = vec![10.0, 10.0, 10.0];
        report.compare(Side::A, Side::B, goal);
        report
    }

    #[test]
    fn a_goal_is_met_by_the_median_of_the_rounds() {
        assert_eq!(report(Some(20.0)).met(), Some(true));
        assert_eq!(report(Some(20.1)).met(), Some(false));
        assert_eq!(report(None).met(), None);
    }

    #[test]
    fn every_check_counts() {
        let mut report = report(Some(20.0));
        report.check("size", 1.1, 1.1);
        assert_eq!(report.met(), Some(true));
        report.check("delay", 2.0, 1.0);
        assert_eq!(report.met(), Some(false));
    }
}
