//! kube-rs' watcher, directly and through the gateway, in both of its ways to begin, while ConfigMaps
//! change and the gateway loses its upstream.
//!
//! All watchers are there before the first change, so that each must tell the same of every object.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::StreamExt as _;
use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Config, ResourceExt as _};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tower::{Layer, Service};
use watchgate_cluster::Cutter;

use crate::front::{self, Front, USER};

const NAMESPACE: &str = "churn-0";
const PATIENCE: Duration = Duration::from_secs(20);

/// One state of an object: its version, its content, and whether this was its end.
type State = (String, String, bool);

/// What a watcher told so far.
#[derive(Default)]
struct Told {
    states: BTreeMap<String, Vec<State>>,
    /// Complete initial states.
    complete: usize,
    errors: Vec<String>,
}

impl Told {
    fn add(&mut self, event: Event<ConfigMap>) -> Result<()> {
        match event {
            Event::Init => {}
            Event::InitDone => self.complete += 1,
            Event::InitApply(object) | Event::Apply(object) => self.push(&object, false)?,
            Event::Delete(object) => self.push(&object, true)?,
        }
        Ok(())
    }

    fn push(&mut self, object: &ConfigMap, deleted: bool) -> Result<()> {
        let version = object.resource_version().unwrap_or_default();
        let state = (version, serde_json::to_string(object)?, deleted);
        self.states.entry(object.name_any()).or_default().push(state);
        Ok(())
    }

    /// What is there at last.
    fn store(&self) -> BTreeMap<&str, &State> {
        let last = self.states.iter().filter_map(|(name, states)| Some((&**name, states.last()?)));
        last.filter(|(_, (_, _, deleted))| !deleted).collect()
    }
}

/// A running watcher; dropping it ends it.
struct Watching {
    what: &'static str,
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

impl Watching {
    fn start(what: &'static str, client: Client, config: watcher::Config) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let into = told.clone();
        let task = tokio::spawn(async move {
            let mut events = pin!(watcher::watcher(Api::namespaced(client, NAMESPACE), config));
            while let Some(event) = events.next().await {
                let mut told = into.lock();
                let added = match event {
                    Ok(event) => told.add(event),
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = added {
                    told.errors.push(format!("{error:#}"));
                }
            }
        });
        Self { what, told, task }
    }

    async fn until_complete(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.told.lock().complete == 0 {
            let errors = format!("{:?}", self.told.lock().errors);
            ensure!(Instant::now() < deadline, "{}: no complete state, {errors}", self.what);
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes down which requests memory answered.
#[derive(Clone, Default)]
struct Recording {
    outcomes: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A service under a [`Recording`].
struct Recorded<S> {
    inner: S,
    recording: Recording,
}

impl<S> Layer<S> for Recording {
    type Service = Recorded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Recorded { inner, recording: self.clone() }
    }
}

impl<S, B> Service<Request<Body>> for Recorded<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let outcomes = self.recording.outcomes.clone();
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            let verb = match (query.contains("watch=true"), query.contains("sendInitialEvents")) {
                (true, true) => "watch-list",
                (true, false) => "watch",
                (false, _) if query.contains("resourceVersion=0") => "list rv=0",
                (false, _) => "list",
            };
            let cache = response.headers().get("cache-status");
            let cache = cache.and_then(|value| value.to_str().ok()).unwrap_or("direct");
            let outcome = format!("{verb} {} {cache}", response.status().as_u16());
            *outcomes.lock().entry(outcome).or_default() += 1;
            Ok(response)
        })
    }
}

async fn client(kubeconfig: &Path, recording: &Recording) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(ClientBuilder::try_from(config)?.with_layer(recording).build())
}

pub(crate) async fn see_the_same(front: Arc<Front>) -> Result<()> {
    let cluster = &front.cluster;
    let admin = cluster.admin_kubeconfig()?;
    let args = ["--resources=configmaps", "--namespaces=1"];
    let prepare = [&args[..], &["--duration=10ms"]].concat();
    cluster.start_churn(&admin, &prepare).await?.wait(PATIENCE).await?;

    let upstream = Cutter::start(cluster.api_server_address()).await?;
    let identity = cluster.admin();
    let behind = cluster.kubeconfig_for_identity(identity, &upstream.url(), cluster.ca_pem())?;
    let gateway = front::start_gateway(&behind).await?;
    let ca = front::authority(&gateway)?;
    let through = cluster.kubeconfig_for_token(USER, gateway.url(), &ca)?;
    let (recording, unrecorded) = (Recording::default(), Recording::default());
    let through = client(&through, &recording).await?;
    let direct = client(&front.direct_kubeconfig()?, &unrecorded).await?;

    let streaming = || watcher::Config::default().streaming_lists();
    let listing = || watcher::Config::default().any_semantic();
    let theirs = Watching::start("direct", direct.clone(), streaming());
    let ours = [
        Watching::start("streaming list", through.clone(), streaming()),
        Watching::start("list and watch", through.clone(), listing()),
    ];
    for watching in ours.iter().chain([&theirs]) {
        watching.until_complete().await?;
    }

    let churn = [&args[..], &["--duration=8s", "--rate=60", "--seed=3"]].concat();
    let mut churn = cluster.start_churn(&admin, &churn).await?;
    sleep(Duration::from_secs(2)).await;
    upstream.cut();
    sleep(Duration::from_secs(1)).await;
    upstream.refuse().await;
    sleep(Duration::from_secs(1)).await;
    upstream.resume().await?;
    sleep(Duration::from_secs(2)).await;
    // Consistent lists, which are from memory as long as the proof of freshness takes no time.
    let late = [
        Watching::start("late list", through.clone(), watcher::Config::default()),
        Watching::start("late streaming list", through, streaming()),
    ];
    for watching in &late {
        watching.until_complete().await?;
    }
    ensure!(churn.exited()?.is_none(), "the churn was over too early");
    ensure!(churn.wait(PATIENCE).await?.success(), "{}", churn.log_tail());
    sleep(Duration::from_secs(1)).await;

    let count = hold_against(&theirs.told.lock(), &ours, &late)?;
    let outcomes = recording.outcomes.lock();
    eprintln!("kube-rs: {count} equal states, {outcomes:?}");
    ensure!(count > 200, "{count} states");
    let forwarded: Vec<_> =
        outcomes.keys().filter(|outcome| !outcome.ends_with(" 200 watchgate; hit")).collect();
    // What a consistent list cannot wait for.
    let excused = |outcome: &str| outcome == "list 200 watchgate; fwd=stale; detail=not-proven";
    ensure!(forwarded.iter().all(|outcome| excused(outcome)), "{outcomes:?}");
    Ok(())
}

/// All watchers end with the same store, and `ours`, which were there from the start, told of the same
/// states of every object. Returns how many these were.
fn hold_against(theirs: &Told, ours: &[Watching], late: &[Watching]) -> Result<usize> {
    for watching in ours.iter().chain(late) {
        let told = watching.told.lock();
        ensure!(told.errors.is_empty(), "{}: {:?}", watching.what, told.errors);
        ensure!(told.complete == 1, "{}: {} initial states", watching.what, told.complete);
        ensure!(told.store() == theirs.store(), "{}: another store", watching.what);
    }
    for watching in ours {
        let told = watching.told.lock();
        for (name, states) in &theirs.states {
            let ours = told.states.get(name);
            ensure!(ours == Some(states), "{}, {name}: {ours:?}, but {states:?}", watching.what);
        }
        ensure!(told.states.len() == theirs.states.len(), "{}: more objects", watching.what);
    }
    Ok(theirs.states.values().map(Vec::len).sum())
}
