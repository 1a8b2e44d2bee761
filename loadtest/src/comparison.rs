//! The same watch scenario against two endpoints in turn, and how they compare.
//!
//! A B A B …, so that what else the machine does falls on both. Ratios are B to A within each
//! round; of all rounds the least, the median and the greatest are given. Memory is not compared: it
//! means something in the first round only, as servers keep what they once had.

use std::{fmt, sync::Arc};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    accounting::Accounting,
    report::WatchReport,
    scenario::WatchScenario,
    table::Table,
    target::Target,
    watch_run::{self, RunError},
};

/// One of the two.
pub struct Side {
    /// The endpoint.
    pub target: Arc<Target>,
    /// Its processes.
    pub accounting: Accounting,
}

/// The result of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The reports of A and B of each round.
    pub rounds: Vec<[WatchReport; 2]>,
    /// B to A, by figure.
    pub ratios: Vec<Ratio>,
}

/// A figure of B divided by that of A, over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Which figure.
    pub figure: &'static str,
    /// The least.
    pub min: f64,
    /// The middle; of an even number of rounds the mean of the two in the middle.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

type Figure = fn(&WatchReport) -> Option<f64>;

const FIGURES: [(&str, Figure); 5] = [
    ("deliveries per CPU-second, first server", |report| {
        report.costs.servers.first()?.deliveries_per_cpu_second
    }),
    ("deliveries per CPU-second, all servers", |report| {
        let seconds: f64 = report.costs.servers.iter().map(|server| server.cpu_seconds).sum();
        Some(report.watches.deliveries as f64 / seconds)
    }),
    ("deliveries per second", |report| Some(report.watches.deliveries_per_second)),
    ("delivery delay p50", |report| Some(report.watches.delay.p50_ms)),
    ("delivery delay p99", |report| Some(report.watches.delay.p99_ms)),
];

/// Runs `rounds` rounds, fewer if `stop` is cancelled.
///
/// # Errors
/// When a run has no result.
pub async fn run(
    sides: &[Side; 2],
    scenario: &WatchScenario,
    rounds: u32,
    stop: &CancellationToken,
) -> Result<Comparison, RunError> {
    let [a, b] = sides;
    let mut done = Vec::new();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}: A, {}", a.target.endpoint().label());
        let of_a = Box::pin(watch_run::run(&a.target, scenario, &a.accounting, stop)).await?;
        if stop.is_cancelled() {
            break;
        }
        eprintln!("round {round} of {rounds}: B, {}", b.target.endpoint().label());
        let of_b = Box::pin(watch_run::run(&b.target, scenario, &b.accounting, stop)).await?;
        if stop.is_cancelled() {
            break;
        }
        done.push([of_a, of_b]);
    }
    Ok(Comparison::of(done))
}

// === impl Comparison ===

impl Comparison {
    fn of(rounds: Vec<[WatchReport; 2]>) -> Self {
        let ratios = FIGURES
            .iter()
            .filter_map(|(figure, read)| {
                let ratios = rounds.iter().filter_map(|[a, b]| Some(read(b)? / read(a)?));
                Ratio::of(figure, ratios.filter(|ratio| ratio.is_finite()).collect())
            })
            .collect();
        Self { rounds, ratios }
    }

    /// Whether all runs passed.
    pub fn passed(&self) -> bool {
        !self.rounds.is_empty() && self.rounds.iter().flatten().all(WatchReport::passed)
    }
}

impl Ratio {
    fn of(figure: &'static str, mut ratios: Vec<f64>) -> Option<Self> {
        ratios.sort_by(f64::total_cmp);
        let (min, max) = (*ratios.first()?, *ratios.last()?);
        let middle = ratios.len() / 2;
        let median = if ratios.len() % 2 == 1 {
            ratios[middle]
        } else {
            f64::midpoint(ratios[middle - 1], ratios[middle])
        };
        Some(Self { figure, min, median, max })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (round, sides) in self.rounds.iter().enumerate() {
            for (side, report) in ["A", "B"].iter().zip(sides) {
                writeln!(f, "── round {}, {side} ──\n{report}", round + 1)?;
            }
        }
        let mut table = Table::default();
        table.row("B to A", format!("min, median, max of {} rounds", self.rounds.len()));
        for Ratio { figure, min, median, max } in &self.ratios {
            table.row(*figure, format!("{min:.2}, {median:.2}, {max:.2}"));
        }
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_summed_up_by_order_and_not_by_mean() {
        let of = |ratios: &[f64]| {
            Ratio::of("x", ratios.to_vec()).map(|ratio| [ratio.min, ratio.median, ratio.max])
        };
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some([1.0, 2.0, 9.0]));
        assert_eq!(of(&[4.0, 2.0]), Some([2.0, 3.0, 4.0]));
        assert_eq!(of(&[]), None);
    }
}
