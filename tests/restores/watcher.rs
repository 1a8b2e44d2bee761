//! A client that watches for as long as it takes: it resumes at the last version it saw, with a back-off as client-go's.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use http::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use watchgate_cluster::{Client, Streaming};

/// The first wait of client-go's reflector, and its longest.
const FIRST_WAIT: Duration = Duration::from_millis(800);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Where a server is to be found at present.
#[derive(Debug, Default)]
pub(crate) struct Way {
    clients: Mutex<Vec<Client>>,
    over: AtomicBool,
}

/// One watcher and what it has seen.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Path and query without what changes between attempts.
    pub(crate) target: String,
    number: usize,
    log: Mutex<Log>,
}

/// What a watcher has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Every event's version and a digest of its bytes.
    pub(crate) events: Vec<(u64, u64)>,
    /// The version to go on after.
    pub(crate) last: u64,
    /// When the last watch was opened, by way of which `Cache-Status`.
    pub(crate) opened: Vec<(Instant, String)>,
    /// Attempts without an answer.
    pub(crate) unanswered: usize,
    /// What a client must not get when only a gateway restarts.
    pub(crate) errors: Vec<String>,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    resource_version: String,
}

// === impl Way ===

impl Way {
    /// These clients' servers, or none.
    pub(crate) fn lead_to(&self, clients: Vec<Client>) {
        *self.clients.lock() = clients;
    }

    /// All watchers end.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn client(&self, number: usize) -> Option<Client> {
        let clients = self.clients.lock();
        (!clients.is_empty()).then(|| clients[number % clients.len()].clone())
    }
}

// === impl Watcher ===

impl Watcher {
    /// Will watch `target` from `after` on.
    pub(crate) fn new(number: usize, target: &str, after: u64) -> Arc<Self> {
        let log = Mutex::new(Log { last: after, ..Log::default() });
        Arc::new(Self { target: target.to_owned(), number, log })
    }

    /// What it has seen so far.
    pub(crate) fn log(&self) -> Log {
        self.log.lock().clone()
    }

    /// When its last stream was opened.
    pub(crate) fn last_opened(&self) -> Option<Instant> {
        self.log.lock().opened.last().map(|(opened, _)| *opened)
    }

    /// How many events, and the last version.
    pub(crate) fn progress(&self) -> (usize, u64) {
        let log = self.log.lock();
        (log.events.len(), log.last)
    }

    /// Watches until all is over.
    pub(crate) async fn run(self: Arc<Self>, way: Arc<Way>) {
        let mut wait = FIRST_WAIT;
        while !way.over.load(Ordering::Relaxed) {
            let attempt = async {
                match way.client(self.number) {
                    Some(client) => self.open(&client).await,
                    None => bail!("nobody listens"),
                }
            };
            match attempt.await {
                Ok(stream) => {
                    wait = FIRST_WAIT;
                    self.follow(stream, &way).await;
                }
                Err(_) => self.log.lock().unanswered += 1,
            }
            sleep(wait.mul_f64(1.0 + random())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn open(&self, client: &Client) -> Result<Streaming> {
        let last = self.log.lock().last;
        let target = format!("{}&watch=true&resourceVersion={last}", self.target);
        let stream = client.get(&target).stream().await?;
        if stream.status != StatusCode::OK {
            // Answers of a gateway that is not there yet are no worse than none.
            let starting = stream.status == StatusCode::SERVICE_UNAVAILABLE;
            let error = format!("{target}: {}", stream.status);
            if !starting {
                self.log.lock().errors.push(error.clone());
            }
            bail!(error);
        }
        let status = stream.headers.get("cache-status").and_then(|value| value.to_str().ok());
        let status = status.unwrap_or("direct").to_owned();
        self.log.lock().opened.push((Instant::now(), status));
        Ok(stream)
    }

    /// Reads a stream to its end, however it ends.
    async fn follow(&self, mut stream: Streaming, way: &Way) {
        while !way.over.load(Ordering::Relaxed) {
            match timeout(Duration::from_secs(1), stream.line()).await {
                Err(_) => {}
                Ok(Ok(Some(line))) => {
                    if let Err(error) = self.take(&line) {
                        self.log.lock().errors.push(error.to_string());
                        return;
                    }
                }
                // A killed gateway cuts its streams anywhere; what was cut comes again.
                Ok(Ok(None) | Err(_)) => return,
            }
        }
    }

    fn take(&self, line: &[u8]) -> Result<()> {
        let event: Event = serde_json::from_slice(line)?;
        ensure!(event.r#type != "ERROR", "{}: {}", self.target, event.object.message);
        let version: u64 = event.object.metadata.resource_version.parse()?;
        let mut log = self.log.lock();
        ensure!(version >= log.last, "{}: {version} after {}", self.target, log.last);
        if event.r#type != "BOOKMARK" {
            ensure!(version > log.last, "{}: {version} twice", self.target);
            let mut digest = DefaultHasher::new();
            line.hash(&mut digest);
            log.events.push((version, digest.finish()));
        }
        log.last = version;
        Ok(())
    }
}

/// In [0, 1), good enough to spread waits.
fn random() -> f64 {
    let mut hasher = DefaultHasher::new();
    Instant::now().hash(&mut hasher);
    std::thread::current().id().hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}
