//! A thousand informers start: each opens a watch with the state at an unset resourceVersion, as client-go does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Barrier;
use watchgate_cluster::{Client, Cluster};

use crate::stage::{self, PATIENCE, Stage};
use crate::stand_in::Sort;

const INFORMERS: usize = 1_000;

/// Connections that they share.
const CONNECTIONS: usize = 20;

/// How long each probe is held.
const HELD: Duration = Duration::from_millis(500);

/// The time over which they start without the barrier.
const SPREAD: Duration = Duration::from_secs(5);

/// What an informer is told at the end of the state.
const END: &[u8] = b"k8s.io/initial-events-end";

/// What controllers ask for.
const ACCEPT: &str = "application/vnd.kubernetes.protobuf";

const PODS: &str = "/api/v1/pods";

const START: &str = "/api/v1/pods?watch=true&allowWatchBookmarks=true&sendInitialEvents=true\
                     &resourceVersionMatch=NotOlderThan&timeoutSeconds=300";

pub(crate) async fn a_thousand_informers_start(cluster: Arc<Cluster>) -> Result<()> {
    let pods = std::env::var("WATCHGATE_HERD_PODS").map_or(Ok(500), |count| count.parse())?;
    stage::namespace(&cluster, "starts").await?;
    let begun = Instant::now();
    stage::create(&cluster, "/api/v1/namespaces/starts/pods", pods, |number| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("p{number:05}") },
            "spec": { "containers": [{ "name": "c", "image": "i" }] },
        })
    })
    .await?;
    println!("{pods} pods made in {:.1?}", begun.elapsed());
    let stage = Stage::set(cluster, "pods").await?;
    stage.warm(&format!("{PODS}?resourceVersion=0"), ACCEPT).await?;

    // The store goes on while the pods are quiet: only an auxiliary watch can prove anything.
    stage.write_elsewhere().await?;
    stage.stand_in.delay(Sort::Probe, HELD);
    stage.stand_in.reset();
    let slowest = start_all(&stage, Duration::ZERO).await?;
    println!("released together: {slowest:.1?} to the heads; {:?}", stage.stand_in.counts());
    let count = |sort| stage.stand_in.count(sort);
    let proofs = count(Sort::Probe).all + count(Sort::List).all + count(Sort::Fill).all;
    ensure!(proofs <= 2, "{proofs} proofs: {:?}", stage.stand_in.counts());
    ensure!(count(Sort::Auxiliary).all <= 3, "{:?}", stage.stand_in.counts());
    ensure!(count(Sort::Forwarded).all == 0, "{:?}", stage.stand_in.counts());

    stage.write_elsewhere().await?;
    stage.stand_in.reset();
    let slowest = start_all(&stage, SPREAD).await?;
    println!("over {SPREAD:?}: {slowest:.1?} to the heads; {:?}", stage.stand_in.counts());
    ensure!(count(Sort::Probe).at_once <= 1, "{:?}", stage.stand_in.counts());
    // One that was cancelled after its bookmark may be on its way out while the next comes in.
    ensure!(count(Sort::Auxiliary).at_once <= 2, "{:?}", stage.stand_in.counts());
    ensure!(count(Sort::List).all + count(Sort::Fill).all == 0, "{:?}", stage.stand_in.counts());
    ensure!(count(Sort::Forwarded).all == 0, "{:?}", stage.stand_in.counts());
    stage.strike().await
}

/// Starts all, spread over a time; returns the longest wait for a head. All must get the whole state.
async fn start_all(stage: &Stage, spread: Duration) -> Result<Duration> {
    let clients = stage.clients(CONNECTIONS, "admin", "/version").await?;
    // The same permission as the starts'.
    let warm = format!("{PODS}?watch=true&timeoutSeconds=1&resourceVersion={}", u64::MAX / 4);
    clients[0].get(&warm).header("accept", ACCEPT).send().await?;
    let barrier = Arc::new(Barrier::new(INFORMERS));
    let informers = (0..INFORMERS).map(|number| {
        let (client, barrier) = (clients[number % CONNECTIONS].clone(), Arc::clone(&barrier));
        let wait = spread.mul_f64(number as f64 / INFORMERS as f64);
        tokio::spawn(async move {
            barrier.wait().await;
            tokio::time::sleep(wait).await;
            start(&client).await
        })
    });
    let mut slowest = Duration::ZERO;
    let mut failures = Vec::new();
    for started in join_all(informers).await {
        match started? {
            Ok(waited) => slowest = slowest.max(waited),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    ensure!(failures.is_empty(), "{} failures, such as {}", failures.len(), failures[0]);
    Ok(slowest)
}

/// One informer's start; returns how long the head took.
async fn start(client: &Client) -> Result<Duration> {
    let begun = Instant::now();
    let mut watch = client.get(START).header("accept", ACCEPT).stream().await?;
    let waited = begun.elapsed();
    ensure!(watch.status == StatusCode::OK, "{}", watch.status);
    let mark = watch.headers.get("cache-status").and_then(|mark| mark.to_str().ok());
    ensure!(mark == Some("watchgate; hit"), "{mark:?}");
    let mut end = Vec::new();
    while !contains(&end, END) {
        let chunk = tokio::time::timeout(PATIENCE * 4, watch.chunk()).await??;
        let Some(chunk) = chunk else { anyhow::bail!("the watch ended within the state") };
        // The mark may be split between two chunks.
        let kept = end.len().saturating_sub(END.len());
        end.drain(..kept);
        end.extend_from_slice(&chunk[chunk.len().saturating_sub(2048)..]);
    }
    Ok(waited)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
