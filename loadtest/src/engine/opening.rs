//! Opens a workload's watches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{POLL, Run, RunError};
use crate::{
    event::json,
    history::History,
    scenario::workload::Start,
    slot::Slot,
    transport::{Call, TransportError, Windows, exchange, open},
    watcher::{Identity, WatchError, Watcher},
};

/// A watcher's end.
pub(super) struct Watched {
    pub(super) group: usize,
    pub(super) watcher: Watcher,
    pub(super) broken: Option<WatchError>,
}

impl Run<'_> {
    /// Begins all watches of a group, from `begin` on.
    pub(super) async fn open(
        &self,
        index: usize,
        begin: Instant,
        watched: &mut JoinSet<Watched>,
    ) -> Result<(), RunError> {
        let board = &self.stage.board;
        let group = &board.groups[index];
        let spec = &group.spec;
        let first = self.stage.begins_first(index);
        let revision = match group.start {
            Start::Now => Some(self.revision(index).await?),
            Start::List | Start::WatchList => None,
        };
        group.begun.get_or_init(|| begin);
        let prompt = open(&self.stage.target, group.protocol, Windows::WATCH);
        let stalling = open(&self.stage.target, group.protocol, Windows::SLOW);
        let (streams, slow) = (spec.streams(group.protocol), spec.slow_count());
        let spread = spec.spread.unwrap_or_default().0;
        let mut slot = Arc::new(Slot::new(Arc::clone(&prompt)));
        for (number, member) in (0..).zip(&self.stage.members[index]) {
            // Slow ones have connections of their own: what they leave unread stops the others'.
            let within = if number < slow { number } else { number - slow };
            if within % streams == 0 {
                let transport = if number < slow { &stalling } else { &prompt };
                slot = Arc::new(Slot::new(Arc::clone(transport)));
            }
            let mut history = History::new(Arc::clone(&board.ledger), Arc::clone(&member.audience));
            if let Some(revision) = revision.filter(|_| !first) {
                history.begin_at(revision);
            }
            let identity = Identity {
                number,
                group: Arc::clone(group),
                slot: Arc::clone(&slot),
                namespace: member.namespace.clone(),
                label_selector: member.label_selector.clone(),
                field_selector: member.field_selector.clone(),
                slow: number < slow,
            };
            let due = begin + spread * number / spec.count;
            let mut watcher = Watcher::new(identity, Arc::clone(board), history, revision, due);
            let (done, group) = (self.done.clone(), Arc::clone(group));
            watched.spawn(async move {
                let broken = done.run_until_cancelled(watcher.run()).await;
                if broken.is_some() {
                    group.broken.add(1);
                }
                Watched { group: index, watcher, broken }
            });
        }
        Ok(())
    }

    /// Waits until all watches of the groups that begin first are open. Informers take their time as
    /// part of the load.
    pub(super) async fn wait_until_open(
        &self,
        watched: &mut JoinSet<Watched>,
    ) -> Result<(), RunError> {
        let groups = self.stage.board.groups.iter().enumerate();
        let first: Vec<_> = groups
            .filter(|(index, group)| self.stage.begins_first(*index) && !group.informers)
            .map(|(index, group)| (index, Arc::clone(group)))
            .collect();
        let missing =
            || first.iter().find(|(_, it)| it.synced.count() < u64::from(it.spec.count)).cloned();
        let broken = || first.iter().any(|(_, group)| group.broken.count() > 0);
        let wanted: u64 = first.iter().map(|(_, group)| u64::from(group.spec.count)).sum();
        let spread = first.iter().filter_map(|(_, group)| group.spec.spread).max();
        let patience = Duration::from_secs(60 + wanted / 100) + spread.unwrap_or_default().0;
        let all = async {
            while missing().is_some() && !broken() && !self.stop.is_cancelled() {
                sleep(POLL).await;
            }
        };
        // The counts say how it ended.
        let _in_time = timeout(patience, all).await;
        let failed = first.iter().find(|(_, group)| group.broken.count() > 0).cloned();
        let Some((index, group)) = failed.or_else(missing) else { return Ok(()) };
        let mut reason = match group.refused.all().into_keys().next() {
            _ if self.stop.is_cancelled() => "stopped".to_owned(),
            Some(refusal) => format!("refused until the end: {refusal}"),
            None => "no answer in time".to_owned(),
        };
        while let Some(ended) = watched.try_join_next() {
            if let Watched { group, broken: Some(error), .. } = ended?
                && group == index
            {
                reason = error.to_string();
            }
        }
        Err(RunError::NotOpened {
            workload: group.spec.name.clone(),
            opened: group.synced.count(),
            watchers: group.spec.count,
            streams: group.spec.streams(group.protocol),
            reason,
        })
    }

    /// The resource version that the server has now.
    async fn revision(&self, group: usize) -> Result<u64, RunError> {
        let spec = &self.stage.board.groups[group].spec;
        let transport = open(&self.stage.target, self.stage.scenario.protocol, Windows::LIST);
        let connection = transport.connect().await?;
        let list = spec.resource.collection(None, &[("limit", "1")]);
        let body = exchange(&*connection, Call::get(list), Duration::from_secs(60)).await?;
        let revision = json::list(&body).ok().and_then(|(revision, _)| revision.parse().ok());
        revision.ok_or_else(|| {
            let reason = "the list has no resourceVersion that is a number".to_owned();
            TransportError::Left(format!("{}: {reason}", spec.resource)).into()
        })
    }
}
