//! The same scenario against two endpoints in turn, and how they compare.
//!
//! A B A B …, so that what else the machine does falls on both. Ratios are B to A within each
//! round; of all rounds the least, the median and the greatest are given. Memory is not compared: it
//! means something in the first round only, as servers keep what they once had.

use std::{fmt, sync::Arc};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    accounting::Accounting,
    delay::DelaySummary,
    engine::{self, RunError},
    report::{RunReport, Verdict},
    scenario::Scenario,
    table::Table,
    target::Target,
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
    /// A and B.
    pub servers: [String; 2],
    /// Why there are fewer rounds than asked for; empty if there are not.
    pub problems: Vec<String>,
    /// The reports of A and B of each round.
    pub rounds: Vec<[RunReport; 2]>,
    /// B to A, by figure.
    pub ratios: Vec<Ratio>,
}

/// A figure of B divided by that of A, over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Which figure.
    pub figure: String,
    /// The least.
    pub min: f64,
    /// The middle; of an even number of rounds the mean of the two in the middle.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

/// Runs `rounds` rounds, fewer if `stop` is cancelled or a run has no result.
///
/// # Errors
/// When there is no whole round because a run has no result.
pub async fn run(
    sides: &[Side; 2],
    scenario: &Scenario,
    rounds: u32,
    stop: &CancellationToken,
) -> Result<Comparison, RunError> {
    let (mut done, mut problems) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        match one_round(sides, scenario, &format!("{round} of {rounds}"), stop).await {
            Ok(Some(both)) => done.push(both),
            Ok(None) => {
                problems.push(format!("ended in round {round} of {rounds}, which does not count"));
                break;
            }
            Err(error) if done.is_empty() => return Err(error),
            Err(error) => {
                problems.push(format!("round {round} of {rounds} has no result: {error}"));
                break;
            }
        }
    }
    let servers = sides.each_ref().map(|side| side.target.endpoint().label().to_string());
    Ok(Comparison::of(servers, done, problems))
}

/// A, then B; `None` if `stop` was cancelled meanwhile.
async fn one_round(
    sides: &[Side; 2],
    scenario: &Scenario,
    round: &str,
    stop: &CancellationToken,
) -> Result<Option<[RunReport; 2]>, RunError> {
    let mut reports = Vec::new();
    for (name, side) in ["A", "B"].iter().zip(sides) {
        eprintln!("round {round}: {name}, {}", side.target.endpoint().label());
        let run = engine::run(&side.target, scenario, &side.accounting, stop);
        reports.push(Box::pin(run).await?);
        if stop.is_cancelled() {
            return Ok(None);
        }
    }
    Ok(reports.try_into().ok())
}

/// What is compared of a run, by name.
fn figures(report: &RunReport) -> Vec<(String, f64)> {
    let mut figures = Vec::new();
    let mut add = |name: String, value: f64| {
        if value.is_finite() && value > 0.0 {
            figures.push((name, value));
        }
    };
    let costs = &report.costs;
    let unit = format!("CPU per {}", report.unit());
    if let Some(first) = costs.servers.first() {
        add(format!("{unit}, first server"), first.cpu_micros_per_delivery.unwrap_or(0.0));
        let micros = costs.servers.iter().filter_map(|server| server.cpu_micros_per_delivery);
        add(format!("{unit}, all servers"), micros.sum());
        add("CPU, first server".to_owned(), first.cpu_seconds);
        add("CPU, all servers".to_owned(), costs.servers.iter().map(|it| it.cpu_seconds).sum());
    }
    let mut delays = |name: &str, what: &str, delay: &DelaySummary| {
        add(format!("{name}: {what} p50"), delay.p50_ms);
        add(format!("{name}: {what} p99"), delay.p99_ms);
    };
    for group in &report.watches {
        delays(&group.name, "delay", &group.delay);
        if group.informers {
            delays(&group.name, "until synced", &group.sync);
        }
        delays(&group.name, "open again", &group.reopen);
    }
    for asking in &report.requests {
        delays(&asking.name, "latency", &asking.latency);
    }
    for group in &report.watches {
        add(format!("{}: deliveries per second", group.name), group.deliveries_per_second);
    }
    for asking in &report.requests {
        add(format!("{}: answers per second", asking.name), asking.answers_per_second);
    }
    figures
}

// === impl Comparison ===

impl Comparison {
    fn of(servers: [String; 2], rounds: Vec<[RunReport; 2]>, problems: Vec<String>) -> Self {
        let read: Vec<_> = rounds.iter().map(|[a, b]| (figures(a), figures(b))).collect();
        let ratios = read.first().map_or_else(Vec::new, |(first, _)| {
            let names = first.iter().map(|(name, _)| name);
            names
                .filter_map(|name| {
                    let find = |figures: &[(String, f64)]| {
                        figures.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
                    };
                    let ratios = read.iter().filter_map(|(a, b)| Some(find(b)? / find(a)?));
                    Ratio::of(name, ratios.collect())
                })
                .collect()
        });
        Self { servers, problems, rounds, ratios }
    }

    /// The worst of all runs; with fewer rounds than asked for, incomplete at best.
    pub fn verdict(&self) -> Verdict {
        let whole = self.problems.is_empty() && !self.rounds.is_empty();
        let rounds = if whole { Verdict::Passed } else { Verdict::Incomplete };
        self.rounds.iter().flatten().map(RunReport::verdict).fold(rounds, Verdict::max)
    }
}

impl Ratio {
    fn of(figure: &str, mut ratios: Vec<f64>) -> Option<Self> {
        ratios.sort_by(f64::total_cmp);
        let (min, max) = (*ratios.first()?, *ratios.last()?);
        let middle = ratios.len() / 2;
        let median = if ratios.len() % 2 == 1 {
            ratios[middle]
        } else {
            f64::midpoint(ratios[middle - 1], ratios[middle])
        };
        Some(Self { figure: figure.to_owned(), min, median, max })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (round, sides) in self.rounds.iter().enumerate() {
            for (side, report) in ["A", "B"].iter().zip(sides) {
                writeln!(f, "══ round {}, {side} ══\n{report}", round + 1)?;
            }
        }
        let mut table = Table::default();
        table.row("B to A", format!("min, median, max of {} rounds", self.rounds.len()));
        for Ratio { figure, min, median, max } in &self.ratios {
            table.row(figure, format!("{min:.4}, {median:.4}, {max:.4}"));
        }
        for problem in &self.problems {
            table.row("PROBLEM", problem);
        }
        table.row("verdict", self.verdict());
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

    #[test]
    fn fewer_rounds_than_asked_for_are_no_pass() {
        let servers = ["a", "b"].map(ToOwned::to_owned);
        let comparison = Comparison::of(servers, Vec::new(), vec!["ended in round 1".to_owned()]);
        assert_eq!(comparison.verdict(), Verdict::Incomplete);
        let text = comparison.to_string();
        assert!(text.contains("ended in round 1") && text.contains("INCOMPLETE"), "{text}");
    }
}
