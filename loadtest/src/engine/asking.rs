//! The clients of a list storm, or of gets.
//!
//! Without a rate a closed loop: at most one request per client is under way, so latency is that of
//! this many clients and a slow server is asked less often. With a rate an open loop: a request is
//! due whether or not the one before it was answered, and its latency counts from then. Answers are
//! read to their end and not looked into.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    board::AskBoard,
    calls::Reading,
    slot::Slot,
    transport::{Call, Transport, TransportError, drain},
};

/// Longest for one answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long before its first request a client connects.
const AHEAD: Duration = Duration::from_secs(5);
/// After a failure, so that a refusing server is not hammered.
const PAUSE: Duration = Duration::from_millis(100);

/// Clients that are about to begin.
pub(super) struct Askers {
    /// What they do and what came of it.
    pub(super) board: Arc<AskBoard>,
    /// How connections are opened.
    pub(super) transport: Arc<dyn Transport>,
    /// The run's name.
    pub(super) run: String,
}

// === impl Askers ===

impl Askers {
    /// Asks from `begin` to `end`, or until `stop` is cancelled. What is under way then is not
    /// counted.
    pub(super) async fn run(self, begin: Instant, end: Instant, stop: CancellationToken) {
        let clients = self.board.spec.clients;
        let askers = Arc::new(self);
        let next = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let (askers, next) = (Arc::clone(&askers), Arc::clone(&next));
            tasks.spawn(async move { askers.client(number, begin, end, &next).await });
        }
        let ended = async {
            sleep_until(end.into()).await;
        };
        let _stopped = stop.run_until_cancelled(ended).await;
        tasks.shutdown().await;
    }

    /// Which request is next is shared: in an open loop whoever is free takes the next one due.
    async fn client(&self, number: u32, begin: Instant, end: Instant, next: &AtomicU64) {
        let slot = Slot::new(Arc::clone(&self.transport));
        let mut lost = None;
        // Not part of any request's time; a failure shows with the first one. Not long before it
        // either: servers close connections on which nothing was ever asked.
        sleep_until(begin.checked_sub(AHEAD).unwrap_or(begin).into()).await;
        let _opened = slot.connection(None).await;
        sleep_until(begin.into()).await;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let due = match self.board.spec.rate {
                Some(rate) => begin + Duration::from_secs_f64(index as f64 / rate),
                None => Instant::now(),
            };
            if due >= end {
                return;
            }
            sleep_until(due.into()).await;
            let result = match slot.connection(lost.take().as_ref()).await {
                Ok(connection) => {
                    let result = drain(&*connection, self.call(index), PATIENCE).await;
                    let dead = matches!(&result, Err(error) if !matches!(error, TransportError::Status { .. }));
                    lost = Some(connection).filter(|_| dead);
                    result
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(bytes) => {
                    self.board.latency.record(number as usize, due.elapsed());
                    self.board.bytes.add(bytes);
                    self.board.answers.add(1);
                }
                Err(error) => {
                    self.board.failures.add(&error);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn call(&self, index: u64) -> Call {
        let spec = &self.board.spec;
        let render = |template: &Option<crate::scenario::template::Template>| {
            template.as_ref().map(|template| template.render(index, &self.run))
        };
        let namespace = render(&spec.namespace);
        let (labels, fields) = (render(&spec.label_selector), render(&spec.field_selector));
        let reading = Reading {
            resource: &spec.resource,
            namespace: namespace.as_deref(),
            label_selector: labels.as_deref(),
            field_selector: fields.as_deref(),
            representation: spec.representation,
            gzip: spec.gzip,
        };
        let revision = spec.resource_version.as_deref();
        match render(&spec.object) {
            Some(name) => reading.get(&name, revision),
            None => reading.list(spec.limit, "", revision),
        }
    }
}
