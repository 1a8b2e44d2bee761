//! A gateway that holds nothing yet, and many who read at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use http::StatusCode;
use watchgate_cluster::{Client, Cluster, Response};

use crate::stage::{self, Stage, configmap, marks};
use crate::stand_in::Sort;

const READERS: usize = 500;

/// Reads of one resource that may run upstream at the same time.
const PLACES: usize = 8;

/// A fill that takes two seconds: nobody is let past it, all are served from memory.
pub(crate) async fn readers_wait_for_the_fill(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, clients) = cold(cluster, "cold-waiting").await?;
    stage.stand_in.delay(Sort::Fill, Duration::from_secs(2));
    let (answers, slowest) = read_all(&clients).await?;
    println!("{READERS} readers, a fill of 2 s: {slowest:.1?}; {:?}", stage.stand_in.counts());
    for answer in &answers {
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        ensure!(marks(answer) == "watchgate; hit", "{:?}", marks(answer));
    }
    ensure!(stage.stand_in.count(Sort::Forwarded).all == 0, "{:?}", stage.stand_in.counts());
    stage.strike().await
}

/// A fill that doesn't come, and forwarded reads that take long: as many as there are places run, the others are told to come
/// again, and are served from memory when they do.
pub(crate) async fn readers_are_told_to_come_again(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, clients) = cold(cluster, "cold-refused").await?;
    stage.stand_in.hold(Sort::Fill);
    stage.stand_in.delay(Sort::Forwarded, Duration::from_secs(5));
    let (answers, slowest) = read_all(&clients).await?;
    println!("{READERS} readers, no fill: {slowest:.1?}; {:?}", stage.stand_in.counts());
    let (forwarded, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == StatusCode::OK);
    ensure!(forwarded.len() == PLACES, "{} were let past", forwarded.len());
    for answer in forwarded {
        ensure!(marks(answer).ends_with("detail=cold"), "{:?}", marks(answer));
    }
    for answer in refused {
        ensure!(answer.status == StatusCode::TOO_MANY_REQUESTS, "{answer:?}");
        ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
        let status = answer.json()?;
        ensure!(status["message"] == "storage is (re)initializing", "{status}");
        ensure!(status["details"]["retryAfterSeconds"] == 1, "{status}");
        ensure!(status["reason"] == "TooManyRequests" && status["code"] == 429, "{status}");
    }
    let count = stage.stand_in.count(Sort::Forwarded);
    ensure!(count.all == PLACES && count.at_once == PLACES, "{count:?}");
    stage.stand_in.release(Sort::Fill);
    stage.stand_in.reset();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (answers, _) = read_all(&clients).await?;
    ensure!(answers.iter().all(|answer| marks(answer) == "watchgate; hit"));
    ensure!(stage.stand_in.count(Sort::Forwarded).all == 0, "{:?}", stage.stand_in.counts());
    stage.strike().await
}

/// Upstream refuses the fill for load. That is no reason to send it everybody.
pub(crate) async fn an_overloaded_upstream_is_spared(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, clients) = cold(cluster, "cold-overloaded").await?;
    stage.stand_in.refuse(Sort::Fill);
    stage.stand_in.refuse(Sort::List);
    stage.stand_in.delay(Sort::Forwarded, Duration::from_millis(200));
    let (answers, slowest) = read_all(&clients).await?;
    println!("{READERS} readers, fills refused: {slowest:.1?}; {:?}", stage.stand_in.counts());
    for answer in &answers {
        let told = answer.status == StatusCode::TOO_MANY_REQUESTS
            && answer.header("retry-after") == Some("1");
        ensure!(answer.status == StatusCode::OK || told, "{answer:?}");
    }
    let count = stage.stand_in.count(Sort::Forwarded);
    // The gateway has an answer's end, and gives its place away, before the stand-in has noticed.
    ensure!(count.at_once <= PLACES + 4 && count.all >= PLACES, "{count:?}");
    stage.strike().await
}

/// A forwarded watch keeps its place for longer than others wait for it.
pub(crate) async fn watchers_do_not_pass(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, clients) = cold(cluster, "cold-watching").await?;
    stage.stand_in.hold(Sort::Fill);
    let target = "/api/v1/configmaps?watch=true&resourceVersion=0&timeoutSeconds=60";
    let watching = (0..50).map(|number| clients[number % clients.len()].get(target).stream());
    let mut watches = Vec::new();
    for watch in join_all(watching).await {
        watches.push(watch?);
    }
    let running = watches.iter().filter(|watch| watch.status == StatusCode::OK).count();
    let refused = watches.iter().filter(|watch| watch.status == StatusCode::TOO_MANY_REQUESTS);
    ensure!(running == PLACES && refused.count() == 50 - PLACES, "{running} run");
    // Watchers that leave make place.
    watches.clear();
    let started = Instant::now();
    while stage.stand_in.count(Sort::Forwarded).running > 0 {
        ensure!(started.elapsed() < stage::PATIENCE, "{:?}", stage.stand_in.counts());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let watch = clients[0].get(target).stream().await?;
    ensure!(watch.status == StatusCode::OK, "{watch:?}");
    stage.stand_in.release(Sort::Fill);
    stage.strike().await
}

/// Watches resumed at a version from before the log, which can't be extended: those without a place are not told to try
/// the same again, but that the version is too old.
pub(crate) async fn resumed_watches_begin_anew(cluster: Arc<Cluster>) -> Result<()> {
    let before = stage::version_now(&cluster, "/api/v1/configmaps?limit=1").await?;
    let (stage, clients) = cold(cluster, "cold-resuming").await?;
    stage.stand_in.refuse(Sort::Auxiliary);
    stage.warm("/api/v1/configmaps?resourceVersion=0", "application/json").await?;
    let target = format!("/api/v1/configmaps?watch=true&resourceVersion={before}");
    let watching = (0..50).map(|number| clients[number % clients.len()].get(&target).stream());
    let (mut running, mut refused) = (0, 0);
    for watch in join_all(watching).await {
        let mut watch = watch?;
        ensure!(watch.status == StatusCode::OK, "{watch:?}");
        let event = watch.event(stage::PATIENCE).await?.context("a watch without an event")?;
        if event["type"] == "ADDED" {
            running += 1;
            continue;
        }
        let (status, text) = (&event["object"], format!("too old resource version: {before} ("));
        ensure!(event["type"] == "ERROR" && status["code"] == 410, "{event}");
        ensure!(status["message"].as_str().is_some_and(|it| it.starts_with(&text)), "{status}");
        ensure!(watch.line().await?.is_none(), "the stream goes on");
        refused += 1;
    }
    ensure!(running == PLACES && refused == 50 - PLACES, "{running} run, {refused} are refused");
    // Watches don't keep lists from upstream.
    let exact = format!("/api/v1/configmaps?resourceVersion={before}&resourceVersionMatch=Exact");
    let list = clients[0].get(&exact).send().await?;
    ensure!(list.status == StatusCode::OK, "{list:?}");
    stage.strike().await
}

/// A gateway that nobody asked for ConfigMaps yet, and clients on open connections.
async fn cold(cluster: Arc<Cluster>, name: &str) -> Result<(Stage, Vec<Client>)> {
    stage::namespace(&cluster, name).await?;
    let path = format!("/api/v1/namespaces/{name}/configmaps");
    stage::create(&cluster, &path, 20, configmap).await?;
    let stage = Stage::set(cluster, "configmaps").await?;
    let clients = stage.clients(20, "admin", "/version").await?;
    Ok((stage, clients))
}

/// Every reader lists at whatever version, which memory answers at once when it is warm.
async fn read_all(clients: &[Client]) -> Result<(Vec<Response>, Duration)> {
    let begun = Instant::now();
    let asked = (0..READERS).map(|number| {
        let request = clients[number % clients.len()].get("/api/v1/configmaps?resourceVersion=0");
        tokio::spawn(request.send())
    });
    let mut answers = Vec::new();
    for answer in join_all(asked).await {
        answers.push(answer??);
    }
    Ok((answers, begun.elapsed()))
}
