//! How costs grow with objects and watchers: some rows again at several sizes, as curves.
//!
//! Each number of objects has a cluster of its own. A curve has the medians of the rounds.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{
    pods::Pods,
    report::Report,
    rows::{self, Row, Settings},
    servers::{Options, Side, Stage},
    table,
};

/// Numbers of pods.
const OBJECTS: [usize; 3] = [1000, 10_000, 100_000];

/// One figure over one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) title: String,
    /// What is along the bottom.
    pub(crate) size: String,
    pub(crate) unit: String,
    pub(crate) sides: BTreeMap<Side, Vec<(f64, f64)>>,
}

/// The curves so far: a run that is interrupted has them.
#[derive(Debug, Default)]
pub(crate) struct Curves(pub(crate) Vec<Curve>);

// === impl Curves ===

impl Curves {
    /// Measures all of them.
    ///
    /// # Errors
    /// As the rows that they consist of.
    pub(crate) async fn measure(&mut self, options: &Options, settings: &Settings) -> Result<()> {
        for count in OBJECTS {
            let pods = Pods { count, ..options.pods };
            let mut stage =
                Box::pin(Stage::set(Options { pods, ..options.clone() }, &settings.progress))
                    .await?;
            for row in rows::over_objects() {
                self.point(&row, "pods", count, &mut stage, settings).await?;
            }
            if count == options.pods.count {
                for (watchers, row) in rows::over_watchers() {
                    self.point(&row, "watchers", watchers, &mut stage, settings).await?;
                }
                for (bystanders, row) in rows::over_bystanders() {
                    self.point(
                        &row,
                        "watchers that are not concerned",
                        bystanders,
                        &mut stage,
                        settings,
                    )
                    .await?;
                }
            }
            stage.strike().await?;
        }
        Ok(())
    }

    async fn point(
        &mut self,
        row: &Row,
        size: &str,
        at: usize,
        stage: &mut Stage,
        settings: &Settings,
    ) -> Result<()> {
        let report = Box::pin(row.measure(stage, settings)).await?;
        settings.progress.say(format!("= {at} {size}: {}", table::summary(&report)));
        self.add(&report, size, at);
        Ok(())
    }

    fn add(&mut self, report: &Report, size: &str, at: usize) {
        let position = self.0.iter().position(|it| it.name == report.row).unwrap_or_else(|| {
            self.0.push(Curve {
                name: report.row.clone(),
                title: report.title.clone(),
                size: size.to_owned(),
                unit: report.unit.clone(),
                sides: BTreeMap::new(),
            });
            self.0.len() - 1
        });
        for (side, figures) in &report.sides {
            if let Some(spread) = figures.spread() {
                self.0[position].sides.entry(*side).or_default().push((at as f64, spread.median));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_of_one_row_are_one_curve() {
        let mut curves = Curves::default();
        for (at, cost) in [(1000, 5.0), (10_000, 50.0)] {
            let mut report = Report::new("growth-list", "LIST", "CPU-ms");
            report.side(Side::A).samples = vec![cost, cost, 100.0 * cost];
            curves.add(&report, "pods", at);
        }
        assert_eq!(curves.0.len(), 1);
        assert_eq!(curves.0[0].sides[&Side::A], [(1000.0, 5.0), (10_000.0, 50.0)]);
    }
}
