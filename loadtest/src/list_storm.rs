//! A storm of lists: clients that each ask again as soon as they have read the answer.
//!
//! A closed loop: at most one request per client is under way, so latency is that of this many
//! clients, and a slow server is asked less often. Answers are read to their end and not looked
//! into. Writes nothing.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, header};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    accounting::{Accounting, Costs, Work},
    board::Counter,
    delay::{DelaySummary, Delays},
    lag::LagMeter,
    scenario::ListScenario,
    scratch,
    slot::Slot,
    table::Table,
    target::Target,
    transport::{Call, Tcp, Transport, TransportError, exchange},
    watch_run::RunError,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// After a failure, so that a refusing server is not hammered.
const PAUSE: Duration = Duration::from_millis(100);
const MAX_REASONS: usize = 10;

/// The result of a storm.
#[derive(Clone, Debug, Serialize)]
pub struct ListReport {
    /// `host:port` of the endpoint.
    pub server: String,
    /// What was asked for.
    pub scenario: ListScenario,
    /// The user ended it early.
    pub interrupted: bool,
    /// Complete answers with success.
    pub answers: u64,
    /// The same per second.
    pub answers_per_second: f64,
    /// Bytes of their bodies, as they came.
    pub bytes: u64,
    /// From the request to the end of the answer.
    pub latency: DelaySummary,
    /// Other answers and none at all, by reason.
    pub failures: BTreeMap<String, u64>,
    /// CPU and memory; a delivery is an answer here.
    pub costs: Costs,
}

/// What all clients share.
#[derive(Default)]
struct Shared {
    latency: Delays,
    answers: Counter,
    bytes: Counter,
    failures: Mutex<BTreeMap<String, u64>>,
}

/// Runs a storm until it ends or `stop` is cancelled.
///
/// # Errors
/// When there is no result. Failed lists are results.
pub async fn run(
    target: &Arc<Target>,
    scenario: &ListScenario,
    accounting: &Accounting,
    stop: &CancellationToken,
) -> Result<ListReport, RunError> {
    scenario.check()?;
    let transport: Arc<dyn Transport> = Arc::new(Tcp::new(Arc::clone(target), scenario.protocol));
    let before = accounting.sample()?;
    let slots: Vec<_> =
        (0..scenario.clients).map(|_| Arc::new(Slot::new(Arc::clone(&transport)))).collect();
    for slot in &slots {
        slot.connection(None).await?;
    }
    let idle = accounting.sample()?;
    let lag = LagMeter::start();
    let shared = Arc::new(Shared::default());
    let mut clients = JoinSet::new();
    for (number, slot) in slots.into_iter().enumerate() {
        clients.spawn(ask(number, slot, call(scenario), Arc::clone(&shared)));
    }
    let deadline = Instant::now() + scenario.duration;
    while Instant::now() < deadline && !stop.is_cancelled() {
        let second = Duration::from_secs(1).min(deadline.saturating_duration_since(Instant::now()));
        let answers = shared.answers.count();
        let _stopped = stop.run_until_cancelled(sleep(second)).await;
        let now = shared.answers.count();
        eprintln!("answers {now} (+{})  failures {}", now - answers, shared.failed());
    }
    let end = accounting.sample()?;
    clients.shutdown().await;
    let work = Work { watches: 0, deliveries: shared.answers.count() };
    let costs = accounting.costs(&[before, idle, end], work, lag.summary());
    Ok(ListReport {
        server: target.endpoint().label().to_string(),
        scenario: scenario.clone(),
        interrupted: stop.is_cancelled(),
        answers: shared.answers.count(),
        answers_per_second: shared.answers.count() as f64 / costs.seconds.max(0.001),
        bytes: shared.bytes.count(),
        latency: shared.latency.summary(),
        failures: shared.failures.lock().clone(),
        costs,
    })
}

/// One client; ends by being dropped.
async fn ask(number: usize, slot: Arc<Slot>, call: Call, shared: Arc<Shared>) {
    let mut lost = None;
    loop {
        let started = Instant::now();
        let connection = slot.connection(lost.take().as_ref()).await;
        let answer = match &connection {
            Ok(connection) => exchange(&**connection, call.clone(), PATIENCE).await,
            Err(error) => {
                shared.fail(error);
                sleep(PAUSE).await;
                continue;
            }
        };
        match answer {
            Ok(body) => {
                shared.latency.record(number, started.elapsed());
                shared.bytes.add(body.len() as u64);
                shared.answers.add(1);
            }
            Err(error) => {
                shared.fail(&error);
                let dead = !matches!(error, TransportError::Status { .. });
                lost = connection.ok().filter(|_| dead);
                sleep(PAUSE).await;
            }
        }
    }
}

fn call(scenario: &ListScenario) -> Call {
    let version = scenario.resource_version.as_deref().map(|it| ("resourceVersion", it));
    let selector = scenario.label_selector.as_deref().map(|it| ("labelSelector", it));
    let query: Vec<_> = version.into_iter().chain(selector).collect();
    let namespace = scenario.namespace.as_deref();
    let mut call = Call::get(scratch::collection(scenario.resource, namespace, &query));
    let accept =
        if scenario.protobuf { "application/vnd.kubernetes.protobuf" } else { "application/json" };
    call.headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let encoding = if scenario.gzip { "gzip" } else { "identity" };
    call.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    call
}

// === impl Shared ===

impl Shared {
    fn fail(&self, error: &TransportError) {
        let reason = error.to_string();
        let mut failures = self.failures.lock();
        let full = failures.len() >= MAX_REASONS && !failures.contains_key(&reason);
        *failures.entry(if full { "others".to_owned() } else { reason }).or_default() += 1;
    }

    fn failed(&self) -> u64 {
        self.failures.lock().values().sum()
    }
}

// === impl ListReport ===

impl ListReport {
    /// Whether there were answers, and only good ones.
    pub fn passed(&self) -> bool {
        self.answers > 0 && self.failures.is_empty()
    }
}

impl fmt::Display for ListReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("server", &self.server);
        table.row("clients", self.scenario.clients);
        let (answers, rate) = (self.answers, self.answers_per_second);
        let megabytes = self.bytes as f64 / 1e6;
        table.row("answers", format!("{answers}, {rate:.1}/s, {megabytes:.1} MB"));
        table.row("latency", self.latency);
        for (reason, count) in &self.failures {
            table.row("failed", format!("{count} × {reason}"));
        }
        self.costs.rows(&mut table, "answer");
        table.row("verdict", if self.passed() { "passed" } else { "FAILED" });
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scratch::Resource, transport::Protocol};

    #[test]
    fn asks_for_what_the_scenario_says() {
        let scenario = ListScenario {
            resource: Resource::Configmaps,
            namespace: None,
            label_selector: Some("a=b".to_owned()),
            protocol: Protocol::Http2,
            clients: 1,
            resource_version: Some("0".to_owned()),
            gzip: true,
            protobuf: true,
            duration: Duration::from_secs(1),
        };
        let asked = call(&scenario);
        assert_eq!(asked.target, "/api/v1/configmaps?resourceVersion=0&labelSelector=a%3Db");
        assert_eq!(asked.headers[header::ACCEPT], "application/vnd.kubernetes.protobuf");
        assert_eq!(asked.headers[header::ACCEPT_ENCODING], "gzip");
        let consistent = ListScenario {
            namespace: Some("kube-system".to_owned()),
            label_selector: None,
            resource_version: None,
            ..scenario
        };
        assert_eq!(call(&consistent).target, "/api/v1/namespaces/kube-system/configmaps");
    }
}
