//! A gateway that is killed, or told to end, under many watches which all resume.
//!
//! Every watcher's whole stream, over all restarts, must be byte for byte that of a watch which stayed at the API server. And
//! upstream must not notice the herd: no watch of a client gets there, and the gateway opens two, one that fills the shard and one
//! that brings what happened before; rarely some more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::sleep;
use watchgate_cluster::{AuditPosition, Cluster, Protocol};

use crate::churn::{Churn, KINDS};
use crate::front::{self, Front, GATEWAY};
use crate::watcher::{Watcher, Way};

/// Watches in CI, and writes per second.
const WATCHES: usize = 400;
const RATE: u64 = 20;
/// Watches that the gateway may open: a fill and an extension; and now and then another extension, for a straggler who comes with
/// an older version than all who came together, or because upstream has just forgotten the margin below theirs. Where little else
/// runs there are two in all; on a machine busy with builds four were seen. What counts is that they are not 400.
const AT_MOST: usize = 5;
/// The user whose watches stay at the API server.
pub(crate) const REFERENCE: &str = "reference";
/// Watches on one connection.
const PER_CONNECTION: usize = 125;
/// How long all watchers may take to come back and catch up: back-offs of client-go reach this.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn a_restart_under_many_watches(cluster: Arc<Cluster>) -> Result<()> {
    let count = match std::env::var("WATCHGATE_RESTORES_WATCHES") {
        Ok(number) => number.parse().context("WATCHGATE_RESTORES_WATCHES")?,
        Err(_) => WATCHES,
    };
    let mut churn = Churn::prepare(&cluster).await?;
    let list = front::direct(&cluster)?.get("/api/v1/pods?limit=1").send().await?.json()?;
    let after = front::version_of(&list)?;
    let targets = targets();

    let direct = Arc::new(Way::default());
    let client = cluster.client().token(cluster.token(REFERENCE)).protocol(Protocol::Http2);
    direct.lead_to(vec![client.shared().build()?]);
    let references: Vec<_> = targets
        .iter()
        .enumerate()
        .map(|(number, target)| Watcher::new(number, target, after))
        .collect();
    for reference in &references {
        tokio::spawn(Arc::clone(reference).run(Arc::clone(&direct)));
    }

    let way = Arc::new(Way::default());
    let front = started(&cluster, &way, count).await?;
    // A few watch everything, the others a part each.
    let chosen = |number: usize| {
        if number.is_multiple_of(50) { 0 } else { 1 + number % (targets.len() - 1) }
    };
    let watchers: Vec<_> =
        (0..count).map(|number| Watcher::new(number, &targets[chosen(number)], after)).collect();
    let begun = Instant::now();
    for watcher in &watchers {
        tokio::spawn(Arc::clone(watcher).run(Arc::clone(&way)));
    }
    churn.start(RATE);
    until_open(&watchers, begun).await?;
    sleep(Duration::from_secs(10)).await;

    front.gateway_killed().await?;
    let began = cluster.audit().position()?;
    way.lead_to(Vec::new());
    sleep(Duration::from_secs(2)).await;
    let back = Instant::now();
    let front = started(&cluster, &way, count).await?;
    let took = until_open(&watchers, back).await?;
    sleep(Duration::from_secs(3)).await;
    let began = judge(&cluster, began, "killed", took, &watchers, &front)?;
    sleep(Duration::from_secs(5)).await;

    let ended = front.gateway.stop().await?;
    ensure!(ended.success(), "{ended}");
    way.lead_to(Vec::new());
    let back = Instant::now();
    let front = started(&cluster, &way, count).await?;
    let took = until_open(&watchers, back).await?;
    sleep(Duration::from_secs(3)).await;
    judge(&cluster, began, "ended", took, &watchers, &front)?;

    let writes = churn.stop().await?;
    same_as_references(&watchers, &references, chosen).await?;
    way.end();
    direct.end();
    report(&watchers, writes);
    front.gateway.stop().await?;
    Ok(())
}

/// What the watchers ask for: everything, a namespace, a label, a node, and what almost nothing is.
fn targets() -> Vec<String> {
    let marks = "allowWatchBookmarks=true&timeoutSeconds=600";
    let mut targets = vec![format!("/api/v1/pods?{marks}")];
    for kind in 0..KINDS {
        let namespaced = format!("/api/v1/namespaces/herd-{kind}/pods");
        targets.push(format!("{namespaced}?{marks}"));
        targets.push(format!("{namespaced}?{marks}&labelSelector=app%3Dapp-{kind}"));
        targets.push(format!("/api/v1/pods?{marks}&labelSelector=app%3Dapp-{kind}"));
        targets.push(format!("/api/v1/pods?{marks}&labelSelector=app+notin+(app-{kind}),step"));
        targets.push(format!("/api/v1/pods?{marks}&fieldSelector=spec.nodeName%3Dnode-{kind}"));
    }
    targets.push(format!(
        "{}?{marks}&fieldSelector=metadata.name%3Dpod-8",
        "/api/v1/namespaces/herd-0/pods"
    ));
    // These see nothing but the bookmarks before their end.
    let short = "allowWatchBookmarks=true&timeoutSeconds=15";
    targets.push(format!("/api/v1/pods?{short}&labelSelector=app%3Dnone"));
    targets.push("/api/v1/namespaces/herd-1/pods?timeoutSeconds=600".to_owned());
    targets
}

async fn started(cluster: &Cluster, way: &Way, watches: usize) -> Result<Front> {
    let url = cluster.api_server_url();
    let front = Front::start_before(cluster, &url).await?;
    let clients = (0..watches.div_ceil(PER_CONNECTION)).map(|_| {
        let client = watchgate_cluster::Client::builder(front.gateway.url(), &front.ca_pem);
        client.token(cluster.token("admin")).protocol(Protocol::Http2).shared().build()
    });
    way.lead_to(clients.collect::<Result<_>>()?);
    Ok(front)
}

impl Front {
    /// SIGKILL.
    async fn gateway_killed(mut self) -> Result<()> {
        self.gateway.process().signal("KILL").await?;
        self.gateway.process().wait(Duration::from_secs(10)).await?;
        Ok(())
    }
}

/// Waits until every watcher has had a stream since; how long the last took.
async fn until_open(watchers: &[Arc<Watcher>], since: Instant) -> Result<Duration> {
    loop {
        let opened = watchers.iter().filter_map(|watcher| watcher.last_opened());
        let open = opened.filter(|opened| *opened > since).count();
        if open == watchers.len() {
            return Ok(since.elapsed());
        }
        ensure!(since.elapsed() < PATIENCE, "{open} of {} are back", watchers.len());
        sleep(Duration::from_millis(200)).await;
    }
}

/// What upstream saw of the restart, and what the watchers were told.
fn judge(
    cluster: &Cluster,
    began: AuditPosition,
    how: &str,
    took: Duration,
    watchers: &[Arc<Watcher>],
    front: &Front,
) -> Result<AuditPosition> {
    let events = cluster.audit().events_since(began)?;
    let watches = events.iter().filter(|event| {
        event["verb"] == "watch"
            && event["objectRef"]["resource"] == "pods"
            && event["stage"] == "ResponseStarted"
    });
    let watches = watches.filter(|event| event["user"]["username"] != REFERENCE);
    let (own, foreign): (Vec<&Value>, Vec<&Value>) =
        watches.partition(|event| event["user"]["username"] == GATEWAY);
    let uris: Vec<_> = own.iter().map(|event| event["requestURI"].as_str().unwrap_or("")).collect();
    let mut served = BTreeMap::<String, usize>::new();
    for watcher in watchers {
        if let Some((_, status)) = watcher.log().opened.last() {
            *served.entry(status.clone()).or_default() += 1;
        }
    }
    eprintln!(
        "{how}: {} watches came back within {:.1} s ({served:?}); upstream saw {} of the gateway, {} of clients: {uris:#?}",
        watchers.len(),
        took.as_secs_f64(),
        own.len(),
        foreign.len(),
    );
    for line in front.gateway.log()?.lines().filter(|line| line.contains("history")) {
        eprintln!("{line}");
    }
    for (number, watcher) in watchers.iter().enumerate() {
        for (_, status) in
            watcher.log().opened.iter().filter(|(_, status)| !status.ends_with("hit"))
        {
            eprintln!("watcher {number}, {}: {status}", watcher.target);
        }
    }
    ensure!(foreign.is_empty(), "watches were forwarded: {foreign:#?}");
    ensure!(own.len() <= AT_MOST, "the gateway opened {}", own.len());
    ensure!(served.keys().all(|status| status == "watchgate; hit"), "{served:?}");
    cluster.audit().position()
}

/// Waits until every watcher has seen what its reference saw, and compares.
async fn same_as_references(
    watchers: &[Arc<Watcher>],
    references: &[Arc<Watcher>],
    chosen: impl Fn(usize) -> usize,
) -> Result<()> {
    // Whatever is still on its way has a second.
    sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    for (number, watcher) in watchers.iter().enumerate() {
        let reference = &references[chosen(number)];
        while watcher.progress().0 < reference.progress().0 && started.elapsed() < PATIENCE {
            sleep(Duration::from_millis(50)).await;
        }
        let (log, expected) = (watcher.log(), reference.log());
        ensure!(log.errors.is_empty(), "{:#?}", log.errors);
        ensure!(expected.errors.is_empty(), "{:#?}", expected.errors);
        let first = log.events.iter().zip(&expected.events).position(|(left, right)| left != right);
        ensure!(
            log.events == expected.events,
            "{}: {} events, the reference saw {}; they differ at {first:?}",
            watcher.target,
            log.events.len(),
            expected.events.len(),
        );
    }
    Ok(())
}

fn report(watchers: &[Arc<Watcher>], writes: usize) {
    let logs: Vec<_> = watchers.iter().map(|watcher| watcher.log()).collect();
    let events: usize = logs.iter().map(|log| log.events.len()).sum();
    let opened: usize = logs.iter().map(|log| log.opened.len()).sum();
    let hits =
        logs.iter().flat_map(|log| &log.opened).filter(|(_, status)| status.ends_with("hit"));
    let unanswered: usize = logs.iter().map(|log| log.unanswered).sum();
    eprintln!(
        "{} watchers, {writes} writes, {events} events delivered and equal to the references'; {opened} watches opened, {} of \
         them hits, {unanswered} attempts while nobody listened",
        logs.len(),
        hits.count(),
    );
}
