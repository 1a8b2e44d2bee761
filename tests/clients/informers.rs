//! client-go's informers, directly and through the gateway, while several writers change the cluster
//! and the gateway loses its upstream.
//!
//! What counts as the same is said in the Go package `compare`: equal stores, and equal states of each
//! object from the later of the two points at which the runs first saw it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::time::sleep;
use watchgate_cluster::{Client, Cluster, Cutter, Gateway, Process};

use crate::front::{self, Front, USER};
use crate::recording::Reads;

const PODS_AND_MORE: &[&str] = &["pods", "configmaps", "widgets.example.com"];

/// How a set of informers lists and watches.
#[derive(Clone, Copy, Debug)]
struct Mode {
    client: &'static str,
    content_type: &'static str,
    watch_list: bool,
}

impl Mode {
    const fn new(client: &'static str, content_type: &'static str, watch_list: bool) -> Self {
        Self { client, content_type, watch_list }
    }
}

/// Every client, form, and way of listing at least once.
const SOME: &[Mode] = &[
    Mode::new("typed", "protobuf", true),
    Mode::new("typed", "json", false),
    Mode::new("dynamic", "json", true),
    Mode::new("metadata", "protobuf", false),
    Mode::new("metadata", "json", true),
];

/// What [`SOME`] leaves out.
const REST: &[Mode] = &[
    Mode::new("typed", "protobuf", false),
    Mode::new("typed", "json", true),
    Mode::new("dynamic", "json", false),
    Mode::new("metadata", "protobuf", true),
    Mode::new("metadata", "json", false),
];

/// A gateway between two cutters.
struct Between<'a> {
    cluster: &'a Cluster,
    upstream: Cutter,
    gateway: Gateway,
    clients: Cutter,
    direct: PathBuf,
    through: PathBuf,
}

/// The same informers directly and through the gateway.
struct Pair {
    mode: Mode,
    direct: (Process, PathBuf),
    gateway: (Process, PathBuf),
}

impl<'a> Between<'a> {
    /// The widgets must be defined by now, or the gateway would have to find them first.
    async fn start(cluster: &'a Cluster) -> Result<Self> {
        let upstream = Cutter::start(cluster.api_server_address()).await?;
        let kubeconfig =
            cluster.kubeconfig_for_identity(cluster.admin(), &upstream.url(), cluster.ca_pem())?;
        let gateway = front::start_gateway(&kubeconfig).await?;
        let ca = front::authority(&gateway)?;
        let address: SocketAddr =
            gateway.url().strip_prefix("https://").context("no https URL")?.parse()?;
        let clients = Cutter::start(address).await?;
        let direct =
            cluster.kubeconfig_for_token(USER, &cluster.api_server_url(), cluster.ca_pem())?;
        let through = cluster.kubeconfig_for_token(USER, &clients.url(), &ca)?;
        let client = Client::builder(gateway.url(), &ca).token(cluster.token(USER)).build()?;
        let between = Self { cluster, upstream, gateway, clients, direct, through };
        fill(&client).await?;
        Ok(between)
    }

    async fn pair(&self, mode: Mode) -> Result<Pair> {
        let direct = self.record(&self.direct, mode);
        let gateway = self.record(&self.through, mode);
        let (direct, gateway) = tokio::try_join!(direct, gateway)?;
        Ok(Pair { mode, direct, gateway })
    }

    async fn record(&self, kubeconfig: &Path, mode: Mode) -> Result<(Process, PathBuf)> {
        let out = self.cluster.new_path("informers", "jsonl");
        let Mode { client, content_type, watch_list } = mode;
        let args = [
            &*format!("--mode={client}"),
            &*format!("--content-type={content_type}"),
            &*format!("--watch-list={watch_list}"),
        ];
        let process = self.cluster.start_informers(kubeconfig, PODS_AND_MORE, &out, &args).await?;
        Ok((process, out))
    }

    /// Ends the pair and holds one against the other; adds the gateway's requests to `reads`.
    async fn compare(&self, pair: Pair, extra: &[&str], reads: &mut Reads) -> Result<u64> {
        let Pair { mode, direct: (direct, direct_out), gateway: (gateway, gateway_out) } = pair;
        for process in [direct, gateway] {
            let log = process.log().to_owned();
            let status = process.terminate(Duration::from_secs(15)).await?;
            ensure!(status.success(), "{mode:?}: {}", std::fs::read_to_string(log)?);
        }
        reads.add(&gateway_out)?;
        let output = self.cluster.compare(&direct_out, &gateway_out, extra).await?;
        ensure!(output.status.success(), "{mode:?} {}\n{}\n{reads}", output.stdout, output.stderr);
        let summary: Value = serde_json::from_str(&output.stdout)?;
        ensure!(summary["equal"] == true, "{mode:?}: {summary}");
        summary["comparedStates"].as_u64().context("no number of states")
    }

    /// Waits until the gateway's memory has what the API server has: after a long time without its
    /// upstream it does not ask at once again.
    async fn until_same(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(45);
        for target in ["/api/v1/pods", "/api/v1/configmaps", "/apis/example.com/v1/widgets"] {
            let raw = format!("{target}?resourceVersion=0");
            let args = ["get", "--raw", &raw];
            loop {
                let ours = self.cluster.kubectl(&self.through, &args).await?;
                let theirs = self.cluster.kubectl(&self.direct, &args).await?.success()?;
                if ours.status.success() && items(&ours.stdout)? == items(&theirs)? {
                    break;
                }
                ensure!(Instant::now() < deadline, "{target}: not the same");
                sleep(Duration::from_millis(500)).await;
            }
        }
        Ok(())
    }

    async fn cut_three_ways(&self, apart: Duration) -> Result<()> {
        self.upstream.cut();
        sleep(apart).await;
        self.upstream.refuse().await;
        sleep(Duration::from_millis(1500)).await;
        self.upstream.resume().await?;
        sleep(apart).await;
        self.upstream.pause();
        sleep(Duration::from_secs(1)).await;
        self.upstream.cut();
        self.upstream.resume().await?;
        sleep(apart).await;
        Ok(())
    }
}

fn items(list: &str) -> Result<Value> {
    let mut list: Value = serde_json::from_str(list)?;
    Ok(list["items"].take())
}

/// Asks for every form that the informers ask for, until memory answers: what counts is what comes
/// after a shard's first fill.
async fn fill(client: &Client) -> Result<()> {
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    const METADATA: &str = "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let metadata = format!("{PROTOBUF};{METADATA}");
    let targets = ["/api/v1/pods", "/api/v1/configmaps", "/apis/example.com/v1/widgets"];
    let forms = ["application/json", &*metadata, PROTOBUF];
    let mut tries = 0;
    for target in targets {
        for accept in forms.iter().take(if target.starts_with("/api/") { 3 } else { 2 }) {
            let deadline = Instant::now() + Duration::from_secs(15);
            loop {
                tries += 1;
                let target = format!("{target}?resourceVersion=0");
                let response = client.get(&target).header("accept", accept).send().await?;
                if response.header("cache-status") == Some("watchgate; hit") {
                    break;
                }
                ensure!(Instant::now() < deadline, "{target} as {accept}: {response:?}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    eprintln!("8 shards filled after {tries} lists");
    Ok(())
}

/// Every watch goes on over every cut of the upstream: nobody notices.
pub(crate) async fn see_the_same(front: Arc<Front>) -> Result<()> {
    let cluster = &front.cluster;
    let long = std::env::var("WATCHGATE_LONG").is_ok_and(|value| value == "1");
    let (seconds, apart) = if long { (60, 5) } else { (15, 1) };
    let admin = cluster.admin_kubeconfig()?;
    let duration = format!("--duration={seconds}s");
    let churn = [&*duration, "--rate=60", "--writers=4"];
    let mut churn = cluster.start_churn(&admin, &churn).await?;
    let started = Instant::now();
    let between = Between::start(cluster).await?;
    let modes = if long { [SOME, REST].concat() } else { SOME.to_vec() };
    let mut pairs = try_join_all(modes.iter().map(|&mode| between.pair(mode))).await?;
    eprintln!("{} pairs of informers after {:.1?}", pairs.len(), started.elapsed());

    let mut cuts = 0;
    let apart = Duration::from_secs(apart);
    while cuts == 0 || started.elapsed() + 4 * apart < Duration::from_secs(seconds - 10) {
        between.cut_three_ways(apart).await?;
        cuts += 3;
        // Clients which come back continue where they were.
        between.clients.cut();
        sleep(apart).await;
    }
    // Clients which come late see what the others see.
    pairs.extend(try_join_all(SOME[..2].iter().map(|&mode| between.pair(mode))).await?);
    ensure!(churn.exited()?.is_none(), "the churn was over before the cuts were");
    ensure!(churn.wait(Duration::from_secs(90)).await?.success(), "{}", churn.log_tail());
    let written = std::fs::read_to_string(churn.log())?;
    sleep(Duration::from_secs(1)).await;

    let (mut reads, mut states) = (Reads::default(), 0);
    for pair in pairs {
        states += between.compare(pair, &[], &mut reads).await?;
    }
    let written = written.lines().last().unwrap_or_default().to_owned();
    eprintln!("{cuts} cuts of the upstream, {states} equal states, written {written}\n{reads}");
    let (all, hits) = reads.hits();
    ensure!(states > 1000, "{states} states");
    ensure!(all == hits, "not all from memory: {reads}");
    ensure!(between.gateway.stop().await?.success());
    Ok(())
}

/// Clients which lose the gateway while the gateway has lost its upstream: whether they still may,
/// nobody can say after a while, so they are told to come again, and in the end nothing is lost.
pub(crate) async fn come_back(front: Arc<Front>) -> Result<()> {
    let cluster = &front.cluster;
    let churn = ["--duration=26s", "--rate=20", "--seed=2"];
    let mut churn = cluster.start_churn(&cluster.admin_kubeconfig()?, &churn).await?;
    let between = Between::start(cluster).await?;
    let modes = &SOME[..3];
    let pairs = try_join_all(modes.iter().map(|&mode| between.pair(mode))).await?;
    between.upstream.refuse().await;
    // Decisions of the upstream on these watches are no longer remembered then.
    sleep(Duration::from_secs(11)).await;
    between.clients.cut();
    sleep(Duration::from_secs(3)).await;
    between.upstream.resume().await?;
    ensure!(churn.wait(Duration::from_secs(60)).await?.success(), "{}", churn.log_tail());
    let churned = Instant::now();
    between.until_same().await?;
    let late = churned.elapsed();
    // client-go waits before it comes back, longer each time.
    sleep(Duration::from_secs(5)).await;
    let (mut reads, mut states) = (Reads::default(), 0);
    for pair in pairs {
        states += between.compare(pair, &["--subsequence"], &mut reads).await?;
    }
    eprintln!("{states} equal states, caught up {late:.1?} after the last write\n{reads}");
    let unasked = |outcome: &str| outcome.contains("503 fwd=bypass; detail=review");
    let (all, hits) = reads.hits();
    ensure!(reads.number(unasked) > 0, "no client came while the upstream was away: {reads}");
    ensure!(all == hits + reads.number(unasked), "{reads}");
    Ok(())
}
