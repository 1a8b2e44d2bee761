//! Wires every part: build all, then run, then end in order.
//!
//! [`App::build`] touches files and binds the port but serves nothing; [`App::run`] starts the tasks
//! and returns when the program was asked to end. Every failure on the way says what to mend.

mod client_kubeconfig;
mod embedded;
mod memory;
mod sampled;
mod start_text;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Weak},
    thread,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use zeroize::Zeroizing;

use crate::{
    cache::{audience::CoreId, log::LogBudget},
    codec::object::Representation,
    config::{CertificateChoice, Config, UpstreamChoice},
    gateway::{Gateway, Parts, forward::Forwarder, health::Check, serve::Server, tunnel::Tunnels},
    identity::{access::Access, credential::NoRandomness},
    net::{
        listener::{BindError, Listener},
        self_signed::{self, SelfSignedError, ServingNames},
        server::{self, ServerOptions},
        tls::{PemPair, Tls, TlsError},
    },
    runtime::{Cores, Panicked},
    shards::{
        hub::Hub,
        pressure::Budgets,
        registry::{Need, Registry},
        shard::Shard,
    },
    telemetry::metrics::Metrics,
    upstream::{
        KubeApiserver, Upstream,
        discovery::{Types, driver::Discoverer},
        freshness::Proofs,
        history::{Floors, Histories},
        kubeconfig::{AccessError, ClusterAccess},
        reflector::{
            driver::{self, Surroundings, WentBack},
            fill_places::FillPlaces,
        },
        tls::TlsSetupError,
        transport::ConnectionLimits,
    },
};

use self::{client_kubeconfig::ClientKubeconfig, sampled::Sampled, start_text::Reader};

/// A program that is ready to run.
pub struct App {
    cores: Cores,
    listener: Listener,
    tls: Tls,
    gateway: Gateway,
    background: Background,
    fronts: String,
    kubeconfig: ClientKubeconfig,
}

/// What runs beside the connections.
struct Background {
    hubs: Arc<[Arc<Hub>]>,
    registry: Arc<Registry>,
    discoverer: Discoverer,
    types: Types,
    eager: Vec<(String, String)>,
    budgets: Budgets,
    stop: CancellationToken,
}

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The upstream's credentials or address.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The port.
    #[error("{0}{advice}", advice = bind_advice(.0))]
    Bind(#[from] BindError),
    /// The embedded store.
    #[error(transparent)]
    Embedded(#[from] embedded::EmbeddedError),
    /// A file that is written for clients.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The metrics can't be registered.
    #[error("the metrics can't be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The operating system gave no random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The self-signed certificate.
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
    /// Connections can't be accepted any more.
    #[error("the listener failed: {0}")]
    Listener(io::Error),
    /// Threads could not be started.
    #[error("the runtimes can't be started: {0}")]
    Runtime(io::Error),
    /// The serving certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS towards upstream.
    #[error(transparent)]
    UpstreamTls(#[from] TlsSetupError),
}

/// Open tunnels at most: each is two sockets and up to 128 KiB of buffers.
const MAX_TUNNELS: usize = 4096;

/// What is kept of a shard's past: at least the five minutes in which clients come back.
const LOG_AGE: Duration = Duration::from_secs(600);

/// How long connections may take to finish when the program ends.
const DRAIN: Duration = Duration::from_secs(10);

// === impl App ===

impl App {
    /// Makes everything that the configuration asks for.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn build(config: &Config) -> Result<Self, StartError> {
        let listener = Listener::bind(config.listen)?;
        let address = listener.address();
        // First of all that is kept in the data directory: whoever has its store open owns the rest.
        let metrics = Metrics::new(thread::available_parallelism().map_or(1, NonZeroUsize::get));
        let fronted = upstream(&config.upstream, &metrics)?;
        let (tls, ca_pem) = certificate(&config.certificate, address)?;
        let cores = Cores::start_all().map_err(StartError::Runtime)?;
        let kubeconfig = ClientKubeconfig::new(address, ca_pem, fronted.token);
        let hubs: Arc<[Arc<Hub>]> = (0..cores.placer().cores().len())
            .map(|core| Arc::new(Hub::new(CoreId(u16::try_from(core).unwrap_or(u16::MAX)))))
            .collect();
        let floors = Floors::default();
        let (registry, went_back) =
            registry(config, &cores, &fronted.upstream, (&hubs, &metrics), &floors);
        let types = Types::default();
        let access = Access::new(fronted.upstream.clone(), metrics.clone())?;
        let proofs = Arc::new(Proofs::new(fronted.upstream.clone(), went_back, metrics.clone()));
        let histories =
            Histories::new(fronted.upstream.clone(), floors, cores.background().clone());
        let stop = CancellationToken::new();
        let tunnels = Tunnels::new(MAX_TUNNELS, cores.draining().clone());
        let server = Server::new(
            types.clone(),
            Arc::clone(&registry),
            proofs,
            Arc::new(histories),
            hubs.clone(),
            access.clone(),
        );
        let gateway = Gateway::new(Parts {
            types: types.clone(),
            policies: config.resource_policies.clone(),
            access: access.clone(),
            server,
            forwarder: Forwarder::new(fronted.upstream.clone(), tunnels),
            metrics: metrics.clone(),
            exposition: metrics.exposition()?,
            readiness: readiness(types.clone()),
        });
        let budgets = memory::budgets(config);
        let sampled =
            Sampled { upstream: fronted.upstream.clone(), access, budgets: budgets.clone() };
        sampled.read_by(&metrics, &registry, &cores);
        let discoverer = Discoverer::new(fronted.upstream, Arc::clone(&registry), types.clone());
        let eager = config
            .resource_policies
            .eager()
            .map(|resource| (resource.group.clone(), resource.resource.clone()))
            .collect();
        let background = Background { hubs, registry, discoverer, types, eager, budgets, stop };
        Ok(Self { cores, listener, tls, gateway, background, fronts: fronted.name, kubeconfig })
    }

    /// Serves until SIGTERM or SIGINT, then lets connections finish.
    ///
    /// # Errors
    /// The kubeconfig can't be written, or the listener failed.
    pub fn run(self, config: &Config) -> Result<(), StartError> {
        let Self { cores, listener, tls, gateway, background, fronts, kubeconfig } = self;
        let path = kubeconfig
            .write(config.data_directory.as_deref(), &config.upstream)
            .map_err(|(path, source)| StartError::File { path, source })?;
        let embedded = matches!(config.upstream, UpstreamChoice::Embedded(_));
        announce(&start_text::start_text(
            listener.address(),
            &fronts,
            path.as_deref(),
            if embedded { Reader::OwnUser } else { Reader::BringsCredentials },
        ));
        let stop = background.stop.clone();
        background.start(&cores);
        let options = ServerOptions::new(Some(tls));
        let placer = cores.placer().clone();
        let serving = server::serve(listener, placer, options, gateway, stop.clone());
        let served = cores.block_on(async {
            tokio::select! {
                served = serving => served,
                name = ended() => {
                    info!(signal = name, "ending: connections may finish");
                    Ok(())
                }
            }
        });
        stop.cancel();
        let drained = cores.stop(DRAIN);
        if drained.unfinished > 0 {
            warn!(unfinished = drained.unfinished, "connections were cut at the end of the drain");
        }
        served.map_err(StartError::Listener)
    }
}

// === impl Background ===

impl Background {
    fn start(self, cores: &Cores) {
        let Self { hubs, registry, discoverer, types, eager, budgets, .. } = self;
        for (core, hub) in cores.placer().cores().iter().zip(hubs.iter()) {
            let hub = Arc::clone(hub);
            let draining = core.draining().clone();
            core.tasks().spawn_on("hub", core.runtime(), async move {
                draining.run_until_cancelled(hub.run()).await;
            });
        }
        let until_stopped = |name, task: BoxFuture<'static, ()>| {
            let stopping = cores.stopping().clone();
            cores.spawn_background(name, async move {
                stopping.run_until_cancelled(task).await;
            });
        };
        until_stopped("discovery", Box::pin(discoverer.run()));
        until_stopped("memory", Box::pin(memory::watch(Arc::clone(&registry), budgets)));
        if !eager.is_empty() {
            until_stopped("eager shards", Box::pin(open_eager(registry, types, eager)));
        }
    }
}

/// Opens the shards of eager resources as soon as their types are known, also later ones.
async fn open_eager(registry: Arc<Registry>, types: Types, eager: Vec<(String, String)>) {
    loop {
        for served in types.table().iter() {
            let gvr = &served.resource.gvr;
            let wanted =
                eager.iter().any(|(group, name)| *group == gvr.group && *name == gvr.resource);
            if wanted
                && let Err(error) = registry.open(
                    &served.resource,
                    served.fingerprint,
                    Representation::Json,
                    Need::Eager,
                )
            {
                debug!(resource = %gvr, %error, "an eager resource is not cached");
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What to do about an address that cannot be listened on.
fn bind_advice(error: &BindError) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has this port: end it, or give --secure-port another one, 0 for any \
             that is free"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; --bind-address must be an address of this machine, such as 127.0.0.1"
        }
        io::ErrorKind::PermissionDenied => "; give --secure-port a port above 1023",
        _ => "; see --bind-address and --secure-port",
    }
}

/// An upstream, what to call it, and the token of its only user if it is the embedded store.
struct Fronted {
    upstream: Upstream,
    name: String,
    token: Option<Zeroizing<String>>,
}

fn upstream(choice: &UpstreamChoice, metrics: &Metrics) -> Result<Fronted, StartError> {
    let access = match choice {
        UpstreamChoice::Embedded(storage) => {
            let (upstream, token) = embedded::open(storage, metrics.clone())?;
            let name = embedded::describe(storage);
            return Ok(Fronted { upstream, name, token: Some(token) });
        }
        UpstreamChoice::Kubeconfig(path) => ClusterAccess::from_kubeconfig(path, None)?,
        UpstreamChoice::Server { server, token_file, certificate_authority } => {
            ClusterAccess::from_flags(
                &server.to_string(),
                Some(token_file),
                Some(certificate_authority),
            )?
        }
        UpstreamChoice::InCluster { .. } => ClusterAccess::in_cluster()?,
    };
    let name = format!("the API server at {}", access.endpoint.label());
    let server = KubeApiserver::counting(access, ConnectionLimits::default(), metrics.clone())?;
    Ok(Fronted { upstream: server.into(), name, token: None })
}

fn certificate(
    choice: &CertificateChoice,
    address: SocketAddr,
) -> Result<(Tls, Option<String>), StartError> {
    match choice {
        CertificateChoice::Files { certificate, key } => {
            Ok((Tls::new(&PemPair::read(certificate, key)?)?, None))
        }
        CertificateChoice::SelfSigned(directory) => {
            let names = ServingNames::of_this_host(address.ip());
            let made = self_signed::ensure(directory, &names, SystemTime::now())?;
            Ok((Tls::new(&made.pair)?, Some(made.ca_pem)))
        }
    }
}

/// The registry whose shards are filled from `upstream` by tasks of the background runtime.
fn registry(
    config: &Config,
    cores: &Cores,
    upstream: &Upstream,
    (hubs, metrics): (&Arc<[Arc<Hub>]>, &Metrics),
    floors: &Floors,
) -> (Arc<Registry>, WentBack) {
    let budget = LogBudget { bytes: config.history_max_bytes.bytes(), age: LOG_AGE };
    let registry = Arc::new_cyclic(|registry: &Weak<Registry>| {
        let surroundings = Surroundings {
            upstream: upstream.clone(),
            places: FillPlaces::default(),
            went_back: when_it_went_back(Weak::clone(registry), floors.clone(), metrics.clone()),
            outgrown: memory::when_outgrown(Weak::clone(registry)),
        };
        let runtime = cores.background().clone();
        let (tasks, registry) = (cores.background_tasks().clone(), Weak::clone(registry));
        let stopping = cores.stopping().clone();
        let start = Box::new(move |shard: Arc<Shard>| {
            let id = shard.id();
            let reflector = driver::run(shard, surroundings.clone());
            let stopping = stopping.clone();
            let reflector = tasks.spawn_on("reflector", &runtime, async move {
                stopping.run_until_cancelled(reflector).await;
            });
            let aborted = reflector.abort_handle();
            let registry = Weak::clone(&registry);
            // A shard that nothing fills would be shown for ever.
            runtime.spawn(async move {
                if let Ok(Err(Panicked)) = reflector.await
                    && let Some(registry) = registry.upgrade()
                {
                    registry.close(|shard| shard.id() == id);
                }
            });
            aborted
        });
        Registry::new(Arc::clone(hubs), budget, start).counting(metrics.clone())
    });
    let went_back = when_it_went_back(Arc::downgrade(&registry), floors.clone(), metrics.clone());
    (registry, went_back)
}

/// Drops everything that is cached: the store behind is not the one that was shown.
fn when_it_went_back(registry: Weak<Registry>, floors: Floors, metrics: Metrics) -> WentBack {
    Arc::new(move |shard, violation| {
        metrics.cache.went_back();
        error!(shard = %shard.key(), %violation, "dropping everything that is cached");
        floors.forget();
        if let Some(registry) = registry.upgrade() {
            registry.clear_all();
        }
    })
}

/// Ready is who knows upstream's types: everything can then be answered or forwarded.
fn readiness(types: Types) -> Box<dyn Fn() -> Vec<Check> + Send + Sync> {
    Box::new(move || vec![Check { name: "upstream-types".into(), holds: types.table().is_read() }])
}

/// Tells where the program listens; on standard output, since scripts read it.
fn announce(start_text: &str) {
    if let Err(error) = io::stdout().write_all(start_text.as_bytes()) {
        warn!(%error, "standard output is closed; {start_text}");
    }
}

/// The signal that asks the program to end.
async fn ended() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        warn!("signals can't be handled: the program ends only when it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
