//! Rows that are measured at several sizes.

use super::{
    fanout::Fanout,
    lists,
    row::{Row, Work},
};
use crate::writes::Pace;

/// Deliveries of a sample: of kube-apiserver, and how many times as many of the others.
const DELIVERIES: usize = 60_000;
const FASTER: usize = 4;
const FEWEST_WRITES: usize = 4;
/// Watches that are concerned while others are not.
const CONCERNED: usize = 100;

/// Rows whose cost may grow with the number of pods.
pub(crate) fn over_objects() -> Vec<Row> {
    let wanted = [
        ("list-json", "growth-list-json"),
        ("list-json-gzip", "growth-list-gzip"),
        ("list-json-gzip-changes", "growth-list-gzip-changes"),
        ("list-node", "growth-list-node"),
    ];
    let mut rows: Vec<Row> = lists::rows()
        .into_iter()
        .filter_map(|row| {
            let (_, name) = wanted.iter().find(|(known, _)| *known == row.name)?;
            Some(Row { name, ..row })
        })
        .collect();
    rows.push(fanout("growth-delivery-by-pods", "delivery to 1,000 watches of all pods", 1000, 0));
    rows
}

/// Delivery to ever more watches.
pub(crate) fn over_watchers() -> Vec<(usize, Row)> {
    let row = |watchers| {
        (
            watchers,
            fanout("growth-delivery-by-watchers", "delivery to watches of all pods", watchers, 0),
        )
    };
    [100, 1000, 10_000, 50_000].map(row).into()
}

/// Delivery to a few, beside ever more that are not concerned.
pub(crate) fn over_bystanders() -> Vec<(usize, Row)> {
    let title = "delivery to 100 watches of all pods beside watches of other nodes";
    let row = |others| (others, fanout("growth-delivery-by-bystanders", title, CONCERNED, others));
    [0, 1000, 10_000].map(row).into()
}

fn fanout(name: &'static str, title: &'static str, watchers: usize, bystanders: usize) -> Row {
    let fanout = Fanout {
        watchers,
        by_node: false,
        bystanders,
        pace: Pace::Delivered(2),
        writes: (DELIVERIES / watchers).max(FEWEST_WRITES),
        faster: if watchers * FEWEST_WRITES > DELIVERIES { 1 } else { FASTER },
        goal: None,
        check: None,
    };
    Row { name, title, work: Work::Fanout(fanout) }
}
