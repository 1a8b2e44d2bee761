//! The clients of a list storm, or of gets.
//!
//! Without a rate a closed loop: at most one request per client is under way, so latency is that of
//! this many clients and a slow server is asked less often. With a rate an open loop: a request is
//! due whether or not the one before it was answered, and its latency counts from then. Answers are
//! read to their end and not looked into.
//!
//! Every request that was due is accounted for: answered, failed, or unanswered. At the end those
//! that were due get [`GRACE`] to be answered; what is then unanswered counts with the time that it
//! had waited, so that a server cannot hide what it never answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until, timeout_at},
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
/// How long after the end answers are waited for.
const GRACE: Duration = Duration::from_secs(30);
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

/// A request that was begun; if it is dropped before its end, it is unanswered.
struct UnderWay<'a> {
    board: &'a AskBoard,
    recorder: usize,
    due: Instant,
    ended: bool,
}

// === impl Askers ===

impl Askers {
    /// Asks from `begin` to `end` and waits for the answers, or until `stop` is cancelled.
    pub(super) async fn run(self, begin: Instant, end: Instant, stop: CancellationToken) {
        let clients = self.board.spec.clients;
        let askers = Arc::new(self);
        let next = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let (askers, next) = (Arc::clone(&askers), Arc::clone(&next));
            tasks.spawn(async move { askers.client(number, begin, end, &next).await });
        }
        let ended = async { while tasks.join_next().await.is_some() {} };
        let patient = timeout_at((end + GRACE).into(), ended);
        // Whatever ended it, what is under way is counted when it is dropped.
        let _in_time = stop.run_until_cancelled(patient).await;
        tasks.shutdown().await;
        let now = Instant::now();
        let board = &askers.board;
        board.span.get_or_init(|| now.saturating_duration_since(begin));
        if let Some(rate) = board.spec.rate {
            // What no client was free for.
            let until = end.min(now);
            let mut index = next.load(Ordering::Relaxed);
            while let Some(due) = Some(due(begin, rate, index)).filter(|due| *due < until) {
                board.due.add(1);
                board.left_unanswered(0, due);
                index += 1;
            }
        }
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
                Some(rate) => due(begin, rate, index),
                None => Instant::now(),
            };
            if due >= end {
                return;
            }
            let request = UnderWay::new(&self.board, number, due);
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
            let failed = result.is_err();
            request.end(result);
            if failed {
                sleep(PAUSE).await;
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

/// When a request of an open loop is due.
fn due(begin: Instant, rate: f64, index: u64) -> Instant {
    begin + Duration::from_secs_f64(index as f64 / rate)
}

// === impl UnderWay ===

impl<'a> UnderWay<'a> {
    fn new(board: &'a AskBoard, number: u32, due: Instant) -> Self {
        Self { board, recorder: number as usize, due, ended: false }
    }

    fn end(mut self, result: Result<u64, TransportError>) {
        self.ended = true;
        self.board.due.add(1);
        match result {
            Ok(bytes) => {
                self.board.latency.record(self.recorder, self.due.elapsed());
                self.board.bytes.add(bytes);
                self.board.answers.add(1);
            }
            Err(error) => self.board.failures.add(&error),
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // One that was taken early may not have been due.
        if !self.ended && self.due <= Instant::now() {
            self.board.due.add(1);
            self.board.left_unanswered(self.recorder, self.due);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use http::Response;
    use http_body_util::{BodyExt as _, Empty};

    use super::*;
    use crate::{
        resource::{Kind, Resource},
        scenario::workload::Asking,
        transport::{Answer, Connection, Protocol},
    };

    /// Answers so many requests at once, and the others never.
    struct Hanging(Arc<AtomicU64>);

    impl Transport for Hanging {
        fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, TransportError>> {
            let connection: Arc<dyn Connection> = Arc::new(Self(Arc::clone(&self.0)));
            Box::pin(async { Ok(connection) })
        }
    }

    impl Connection for Hanging {
        fn send(&self, _call: Call) -> BoxFuture<'_, Result<Answer, TransportError>> {
            let left = self.0.fetch_sub(1, Ordering::Relaxed);
            Box::pin(async move {
                if left == 0 || left > 1 << 60 {
                    std::future::pending::<()>().await;
                }
                let empty = Empty::new().map_err(|never| match never {});
                Ok(Response::new(empty.boxed_unsync()))
            })
        }

        fn is_open(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn what_is_never_answered_is_counted_with_the_time_that_it_waited() {
        let mut spec = Asking::new("paced", Resource::of(Kind::Pod));
        (spec.rate, spec.clients) = (Some(100.0), 3);
        let board = Arc::new(AskBoard::new(spec, Protocol::Http2));
        let transport = Arc::new(Hanging(Arc::new(AtomicU64::new(20))));
        let askers = Askers { board: Arc::clone(&board), transport, run: "run".to_owned() };
        // A stop, as nobody wants to wait for the grace here.
        let stop = CancellationToken::new();
        let cancelled = stop.clone();
        let (begin, lasting) = (Instant::now(), Duration::from_millis(400));
        tokio::spawn(async move {
            sleep(Duration::from_millis(900)).await;
            cancelled.cancel();
        });
        askers.run(begin, begin + lasting, stop).await;
        let [due, answers, unanswered] =
            [&board.due, &board.answers, &board.unanswered].map(|it| it.count());
        assert_eq!((due, answers, unanswered), (40, 20, 20));
        let latency = board.latency.summary();
        assert_eq!(latency.count, 40);
        assert!(latency.p90_ms > 400.0 && latency.max_ms >= 650.0, "{latency:?}");
    }
}
