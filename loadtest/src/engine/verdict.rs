//! The end of a run: the server's state, every watcher's verdict, the report.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;

use super::{Run, opening::Watched};
use crate::{
    accounting::Costs,
    audience::RUN_LABEL,
    board::{AskBoard, ChurnBoard, Group},
    event::MARK_ANNOTATION,
    fill::Filled,
    history::{Faults, Final},
    ledger::Outcome,
    paging::Paging,
    plan::Write,
    report::{AskReport, ChurnReport, GroupReport, PhaseReport, RunReport},
    resource::Resource,
    sampler::Series,
    transport::{TransportError, Windows, open},
    watcher::Progress,
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

/// An object's own metadata, as far as the end needs it.
#[derive(Deserialize)]
struct Marked {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Run<'_> {
    /// What the watchers should have seen: from the ledger, and from the server.
    pub(super) async fn known(&self) -> Final {
        let ledger = Arc::clone(&self.stage.board.ledger);
        let begun = (0..ledger.plan.slots()).map(|slot| ledger.begun(slot)).collect();
        let state = self.state().await.map_err(|error| {
            self.problem(format!("the server's state at the end could not be read: {error}"));
        });
        Final { ledger, begun, state: state.ok() }
    }

    /// The generation of each slot's object on the server, by a connection of its own, as one that
    /// was there before may have died under load.
    async fn state(&self) -> Result<Vec<Option<u32>>, TransportError> {
        let run = &self.stage.board.run;
        let mut state = vec![None; self.stage.board.ledger.plan.slots() as usize];
        let kinds: BTreeSet<_> =
            self.stage.board.churns.iter().filter_map(|it| it.spec.resource.kind).collect();
        let transport = open(&self.stage.target, self.stage.scenario.protocol, Windows::LIST);
        for kind in kinds {
            let connection = transport.connect().await?;
            let selector = format!("{RUN_LABEL}={run}");
            let paging = Paging {
                connection: &*connection,
                resource: &Resource::of(kind),
                label_selector: &selector,
                page: PAGE,
                patience: PATIENCE,
            };
            let take = |item: Marked| {
                let mark = item.annotations.get(MARK_ANNOTATION);
                let write = mark.and_then(|mark| Write::from_mark(run, mark));
                if let Some(write) = write
                    && let Some(place) = state.get_mut(write.slot as usize)
                {
                    *place = Some(write.generation);
                }
            };
            paging.metadata(take).await?;
        }
        Ok(state)
    }

    pub(super) fn report(&self, ended: Ended) -> RunReport {
        let stage = self.stage;
        let board = &stage.board;
        let Ended { filled, open_seconds, phases, watchers, known, costs, series } = ended;
        let mut found: Vec<_> = board.groups.iter().map(|_| Found::default()).collect();
        for Watched { group, watcher, broken } in watchers {
            let of_group = &mut found[group];
            of_group.begun += 1;
            of_group.reopened += watcher.opened.saturating_sub(1);
            let progress = watcher.progress();
            if broken.is_none() {
                of_group.waiting += u64::from(progress == Progress::Waiting);
                // A slow reader may take longer than the run for its initial state.
                of_group.syncing +=
                    u64::from(progress == Progress::Syncing && !watcher.identity.slow);
            }
            // Of one that is not synced nothing was due yet, unless it gave up.
            if progress == Progress::Synced || broken.is_some() {
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
        let groups = board.groups.iter().zip(found);
        let watches = groups.map(|(group, found)| self.group(group, found)).collect();
        let churns = board.churns.iter().enumerate();
        RunReport {
            server: stage.target.endpoint().label().to_string(),
            scenario: stage.scenario.clone(),
            run: board.run.clone(),
            interrupted: self.stop.is_cancelled(),
            problems: self.problems.lock().iter().cloned().collect(),
            filled,
            open_seconds,
            watches,
            writes: churns.map(|(index, churn)| self.churn(index, churn)).collect(),
            requests: board.askings.iter().map(|it| asking(it)).collect(),
            phases,
            costs,
            series,
        }
    }

    fn group(&self, group: &Group, found: Found) -> GroupReport {
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
            // Those of a workload that did not begin at all were not even made.
            not_begun: u64::from(group.spec.count) - found.begun + found.waiting,
            not_synced: found.syncing,
            refused: group.refused.all(),
            reopened: found.reopened,
            broken: found.broken,
            faulty: found.faulty,
            faults: found.faults,
            deliveries,
            deliveries_per_second: per_second(deliveries, group.span(&self.stage.board)),
            foreign: group.foreign.count(),
            touched: group.touched.count(),
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
        let (succeeded, failed) = (churn.succeeded.count(), churn.failures.count());
        ChurnReport {
            name: churn.spec.name.clone(),
            due: plan.writes,
            attempted: begun,
            succeeded,
            failed,
            cut_off: begun.saturating_sub(succeeded + failed),
            failures: churn.failures.all(),
            latency: churn.latency.summary(),
            steps: churn.latency.steps(),
        }
    }
}

fn asking(board: &AskBoard) -> AskReport {
    let answers = board.answers.count();
    AskReport {
        name: board.spec.name.clone(),
        protocol: board.protocol,
        clients: board.spec.clients,
        due: board.due.count(),
        answers,
        failed: board.failures.count(),
        unanswered: board.unanswered.count(),
        answers_per_second: per_second(answers, board.span.get().copied().unwrap_or_default()),
        bytes: board.bytes.count(),
        latency: board.latency.summary(),
        steps: board.latency.steps(),
        failures: board.failures.all(),
    }
}

/// Zero of what took no time.
fn per_second(count: u64, span: Duration) -> f64 {
    if span.is_zero() { 0.0 } else { count as f64 / span.as_secs_f64() }
}

/// What the watchers of one group found.
#[derive(Default)]
struct Found {
    /// Watchers that were made.
    begun: u64,
    reopened: u64,
    waiting: u64,
    syncing: u64,
    broken: BTreeMap<String, u64>,
    faulty: u64,
    faults: Faults,
}
