//! The compressed list once more, over pods of many shapes and sizes: what compresses well in one cluster doesn't in another.

use anyhow::Result;

use super::{
    reading::{Reading, compressed_list},
    row::{Row, Settings, Work},
};
use crate::{
    pods::{Pods, Profile},
    report::Report,
    servers::{Options, Stage},
};

/// Enough for the sizes to average out.
const MOST_PODS: usize = 5000;

/// The row on a cluster of its own.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    reading: Reading,
}

/// The row.
pub(super) fn rows() -> Vec<Row> {
    let work = Work::Mix(Mix { reading: compressed_list() });
    vec![Row {
        name: "list-json-gzip-mix",
        title: "LIST all of a realistic mix, JSON + gzip, unchanged",
        work,
    }]
}

// === impl Mix ===

impl Mix {
    pub(super) async fn measure(
        &self,
        row: &Row,
        stage: &Stage,
        settings: &Settings,
    ) -> Result<Report> {
        let pods = Pods {
            profile: Profile::Mix,
            count: stage.options.pods.count.min(MOST_PODS),
            ..stage.options.pods
        };
        let options = Options { pods, ..stage.options.clone() };
        let mixed = Box::pin(Stage::set(options, &settings.progress)).await?;
        let mut report = self.reading.measure(row, &mixed, settings).await?;
        report.note(format!("{} pods in a cluster of their own", pods.count));
        mixed.strike().await?;
        Ok(report)
    }
}
