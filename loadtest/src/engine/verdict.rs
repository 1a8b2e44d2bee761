//! The end of a run: the server's state, every watcher's verdict, the report.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;

use super::{Run, RunError, opening::Watched};
use crate::{
    accounting::Costs,
    audience::RUN_LABEL,
    board::{AskBoard, ChurnBoard, Group},
    calls::Reading,
    event::MARK_ANNOTATION,
    fill::Filled,
    history::{Faults, Final},
    ledger::Outcome,
    plan::Write,
    report::{AskReport, ChurnReport, GroupReport, PhaseReport, RunReport},
    resource::Resource,
    sampler::Series,
    scenario::workload::Representation,
    transport::{Windows, exchange, open},
};

/// Longest for one page of the final state.
const PATIENCE: Duration = Duration::from_secs(120);
const PAGE: u32 = 2000;
const MAX_REASONS: usize = 10;

/// What is left when a run is over.
pub(super) struct Ended {
    pub(super) filled: Vec<Filled>,
    pub(super) open_seconds: f64,
    pub(super) phases: Vec<PhaseReport>,
    pub(super) watchers: Vec<Watched>,
    pub(super) known: Final,
    pub(super) costs: Costs,
    pub(super) series: Series,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMetadata,
    /// `null` in an empty list of metadata.
    #[serde(default)]
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    token: String,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMetadata,
}

#[derive(Deserialize)]
struct ItemMetadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Run<'_> {
    /// What the watchers should have seen: from the ledger, and from the server by a connection of
    /// its own, as one that was there before may have died under load.
    pub(super) async fn known(&self) -> Result<Final, RunError> {
        let ledger = Arc::clone(&self.stage.board.ledger);
        let slots = ledger.plan.slots();
        let mut state = vec![None; slots as usize];
        let kinds: std::collections::BTreeSet<_> =
            self.stage.board.churns.iter().filter_map(|it| it.spec.resource.kind).collect();
        let transport = open(&self.stage.target, self.stage.scenario.protocol, Windows::LIST);
        for kind in kinds {
            let connection = transport.connect().await?;
            let resource = Resource::of(kind);
            let selector = format!("{RUN_LABEL}={}", self.stage.board.run);
            let reading = Reading {
                resource: &resource,
                namespace: None,
                label_selector: Some(&selector),
                field_selector: None,
                representation: Representation::Metadata,
                gzip: false,
            };
            let mut token = String::new();
            loop {
                let call = reading.list(Some(PAGE), &token, None);
                let body = exchange(&*connection, call, PATIENCE).await?;
                let list: List = serde_json::from_slice(&body)
                    .map_err(crate::transport::TransportError::Form)?;
                for item in list.items.iter().flatten() {
                    let mark = item.metadata.annotations.get(MARK_ANNOTATION);
                    let write = mark.and_then(|mark| Write::from_mark(&self.stage.board.run, mark));
                    if let Some(write) = write
                        && let Some(place) = state.get_mut(write.slot as usize)
                    {
                        *place = Some(write.generation);
                    }
                }
                token = list.metadata.token;
                if token.is_empty() {
                    break;
                }
            }
        }
        let begun = (0..slots).map(|slot| ledger.begun(slot)).collect();
        Ok(Final { ledger, begun, state })
    }

    pub(super) fn report(&self, ended: Ended) -> RunReport {
        let stage = self.stage;
        let board = &stage.board;
        let Ended { filled, open_seconds, phases, watchers, known, costs, series } = ended;
        let mut found: Vec<_> = board.groups.iter().map(|_| Found::default()).collect();
        for Watched { group, watcher, broken } in watchers {
            let of_group = &mut found[group];
            let began = watcher.opened > 0;
            of_group.reopened += watcher.opened.saturating_sub(1);
            of_group.not_begun += u64::from(!began && broken.is_none());
            if began || broken.is_some() {
                let faults = watcher.history.finish(&known, watcher.identity.slow);
                of_group.faulty += u64::from(!faults.none());
                of_group.faults.add(&faults);
            }
            if let Some(reason) = broken.map(|reason| reason.to_string()) {
                let reasons = &mut of_group.broken;
                let full = reasons.len() >= MAX_REASONS && !reasons.contains_key(&reason);
                *reasons.entry(if full { "others".to_owned() } else { reason }).or_default() += 1;
            }
        }
        let seconds = costs.seconds;
        let groups = board.groups.iter().zip(found);
        let watches = groups.map(|(group, found)| self.group(group, found, seconds)).collect();
        let churns = board.churns.iter().enumerate();
        RunReport {
            server: stage.target.endpoint().label().to_string(),
            scenario: stage.scenario.clone(),
            run: board.run.clone(),
            interrupted: self.stop.is_cancelled(),
            filled,
            open_seconds,
            watches,
            writes: churns.map(|(index, churn)| self.churn(index, churn)).collect(),
            requests: board.askings.iter().map(|it| asking(it, seconds)).collect(),
            phases,
            costs,
            series,
        }
    }

    fn group(&self, group: &Group, found: Found, seconds: f64) -> GroupReport {
        let plan = &self.stage.board.ledger.plan;
        // Which slot a position is of.
        let watchers = |position: u64| {
            let mut first = 0;
            for churn in plan.churns() {
                if position < first + churn.writes {
                    return group.watchers_of[churn.write(position - first).slot as usize];
                }
                first += churn.writes;
            }
            0
        };
        let deliveries = group.deliveries.count();
        GroupReport {
            name: group.spec.name.clone(),
            informers: group.informers,
            watches: group.spec.count,
            slow: group.spec.slow_count(),
            protocol: group.protocol,
            connections: group.spec.count.div_ceil(group.spec.streams(group.protocol)),
            synced: group.synced.count(),
            not_begun: found.not_begun,
            reopened: found.reopened,
            broken: found.broken,
            faulty: found.faulty,
            faults: found.faults,
            deliveries,
            deliveries_per_second: deliveries as f64 / seconds.max(0.001),
            foreign: group.foreign.count(),
            bytes: group.bytes.count(),
            delay: group.delay.summary(),
            delay_steps: group.delay.steps(),
            last_watcher_delay: group.last_watcher.summary(watchers),
            sync: group.sync.summary(),
            sync_steps: group.sync.steps(),
            reopen: group.reopen.summary(),
        }
    }

    fn churn(&self, index: usize, churn: &ChurnBoard) -> ChurnReport {
        let ledger = &self.stage.board.ledger;
        let plan = ledger.plan.churns()[index];
        let begun = (0..plan.writes)
            .filter(|index| ledger.outcome(plan.write(*index)) != Outcome::NotBegun)
            .count() as u64;
        ChurnReport {
            name: churn.spec.name.clone(),
            due: plan.writes,
            attempted: begun,
            succeeded: churn.succeeded.count(),
            failed: begun - churn.succeeded.count().min(begun),
            failures: churn.failures.all(),
            latency: churn.latency.summary(),
            steps: churn.latency.steps(),
        }
    }
}

fn asking(board: &AskBoard, seconds: f64) -> AskReport {
    let answers = board.answers.count();
    AskReport {
        name: board.spec.name.clone(),
        protocol: board.protocol,
        clients: board.spec.clients,
        answers,
        answers_per_second: answers as f64 / seconds.max(0.001),
        bytes: board.bytes.count(),
        latency: board.latency.summary(),
        steps: board.latency.steps(),
        failures: board.failures.all(),
    }
}

/// What the watchers of one group found.
#[derive(Default)]
struct Found {
    reopened: u64,
    not_begun: u64,
    broken: BTreeMap<String, u64>,
    faulty: u64,
    faults: Faults,
}
