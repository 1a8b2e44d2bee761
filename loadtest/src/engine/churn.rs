//! The writers of a churn: each does its share of the plan, each write when it is due or as soon
//! after as it can.
//!
//! An object's writes never overlap: one writer does them all. A writer that the server keeps
//! waiting is late for the next writes; it then sends without pause, and what it could not begin
//! before the end stays undone and is reported.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, header};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    audience::SlotObject,
    board::{Board, ChurnBoard},
    event::{MARK_ANNOTATION, json},
    manifest::Manifest,
    plan::{Operation, Write},
    resource::Resource,
    slot::Slot,
    transport::{Call, Connection, Protocol, Transport, TransportError, exchange},
};

/// Longest for one write.
const PATIENCE: Duration = Duration::from_secs(30);
/// Writers on one HTTP/2 connection.
const WRITERS_PER_CONNECTION: u32 = 50;

/// A churn that is about to begin.
pub(super) struct Churning {
    /// The run.
    pub(super) board: Arc<Board>,
    /// The slots' objects, of all churns.
    pub(super) objects: Arc<Vec<SlotObject>>,
    /// Which churn of the board.
    pub(super) index: usize,
    /// How connections are opened.
    pub(super) transport: Arc<dyn Transport>,
    /// What chance comes from.
    pub(super) seed: u64,
}

struct Writer {
    churning: Arc<Churning>,
    number: u32,
    slot: Arc<Slot>,
}

// === impl Churning ===

impl Churning {
    /// Writes from `begin` on for as long as the churn is to last, or until `stop` is cancelled; a
    /// write under way then counts as uncertain.
    pub(super) async fn run(self, begin: Instant, stop: CancellationToken) {
        let churning = Arc::new(self);
        let board = churning.churn();
        board.started.get_or_init(|| begin);
        let writers = board.spec.writers.min(board.spec.objects);
        let per_connection = match board.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 => WRITERS_PER_CONNECTION,
        };
        let mut slot = Arc::new(Slot::new(Arc::clone(&churning.transport)));
        let mut tasks = JoinSet::new();
        for number in 0..writers {
            if number % per_connection == 0 {
                slot = Arc::new(Slot::new(Arc::clone(&churning.transport)));
            }
            let writer =
                Writer { churning: Arc::clone(&churning), number, slot: Arc::clone(&slot) };
            let stop = stop.clone();
            tasks.spawn(async move {
                let _stopped = stop.run_until_cancelled(writer.run(begin, writers)).await;
            });
        }
        tasks.join_all().await;
    }

    fn churn(&self) -> &ChurnBoard {
        &self.board.churns[self.index]
    }
}

// === impl Writer ===

impl Writer {
    async fn run(&self, begin: Instant, writers: u32) {
        let board = &self.churning.board;
        let plan = board.ledger.plan.churns()[self.churning.index];
        let churn = self.churning.churn();
        let end = begin + plan.due(plan.writes);
        let mut lost = None;
        for round in 0.. {
            for local in (self.number..plan.slots).step_by(writers as usize) {
                let index = round * u64::from(plan.slots) + u64::from(local);
                let due = begin + plan.due(index);
                if index >= plan.writes {
                    return;
                }
                sleep_until(due.into()).await;
                if Instant::now() > end {
                    return;
                }
                let write = plan.write(index);
                board.ledger.begin(write);
                match self.write(write, &mut lost).await {
                    Ok(revision) => {
                        board.ledger.done(write, revision);
                        churn.wrote(self.number as usize, due);
                    }
                    Err(TransportError::Status { method, status, .. }) => {
                        churn.failures.add(&format!("{method}: {status}"));
                    }
                    Err(error) => churn.failures.add(&error),
                }
            }
        }
    }

    /// Does one write; gives the resource version that it has by the answer.
    async fn write(
        &self,
        write: Write,
        lost: &mut Option<Arc<dyn Connection>>,
    ) -> Result<Option<u64>, TransportError> {
        let connection = self.slot.connection(lost.take().as_ref()).await?;
        let operation = self.churning.board.ledger.plan.operation(write);
        let result = exchange(&*connection, self.call(write, operation), PATIENCE).await;
        if matches!(result, Err(TransportError::Http(_))) {
            *lost = Some(connection);
        }
        let answer = result?;
        // A deletion's answer is a status, or the object as it was.
        if operation == Operation::Delete {
            return Ok(None);
        }
        Ok(json::object(&answer).ok().and_then(|object| object.revision.parse().ok()))
    }

    fn call(&self, write: Write, operation: Operation) -> Call {
        let churning = &self.churning;
        let object = &churning.objects[write.slot as usize];
        let resource = Resource::of(object.kind);
        let namespace = Some(object.key.namespace()).filter(|it| !it.is_empty());
        let mark = write.mark(&churning.board.run);
        match operation {
            Operation::Create => {
                let body = Manifest {
                    kind: object.kind,
                    key: &object.key,
                    labels: &object.labels,
                    annotations: &[(MARK_ANNOTATION, &mark)],
                    node: &object.node,
                    seed: churning.seed,
                    number: u64::from(write.slot),
                    size: churning.churn().spec.object_size.0,
                };
                Call::new(Method::POST, resource.collection(namespace, &[]), body.json())
            }
            Operation::Update => {
                let patch = json!({"metadata": {"annotations": {MARK_ANNOTATION: mark}}});
                let target = resource.object(namespace, object.key.name(), &[]);
                let mut call = Call::new(Method::PATCH, target, Bytes::from(patch.to_string()));
                let merge = header::HeaderValue::from_static("application/merge-patch+json");
                call.headers.insert(header::CONTENT_TYPE, merge);
                call
            }
            Operation::Delete => {
                let now = [("gracePeriodSeconds", "0")];
                let target = resource.object(namespace, object.key.name(), &now);
                Call::new(Method::DELETE, target, Bytes::new())
            }
        }
    }
}
