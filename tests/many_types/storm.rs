//! Most of a resource is deleted at once, with a history that holds a part of it only.
//!
//! Every watcher must either be told of every deletion, once and in order, or its watch must end, and a list then show it the
//! survivors. The log stays within its budget all the time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster};

use crate::ground::{self, Ground, create, direct, listed, text, until};

const NAMESPACE: &str = "storm";
const SURVIVORS: usize = 50;
const WATCHERS: usize = 20;

/// The smallest history there is: that of some thousand deletions of 2 KB.
const HISTORY: u64 = 16 << 20;

/// What one watcher has seen.
struct Seen {
    deleted: BTreeSet<String>,
    ended: bool,
}

pub(crate) async fn most_of_a_resource_is_deleted(cluster: Arc<Cluster>) -> Result<()> {
    let doomed = ground::size("WATCHGATE_STORM", 2_000)?;
    let patience = Duration::from_secs(60) + Duration::from_millis(10) * u32::try_from(doomed)?;
    let all = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    make_objects(&cluster, &all, doomed).await?;

    let history = format!("{}Mi", HISTORY >> 20);
    let flags = ["--history-max-bytes", &history];
    let url = cluster.api_server_url();
    let mut ground = Ground::start(Arc::clone(&cluster), &url, &flags).await?;
    let empty = ground.resident()?;
    let (admin, through) = (direct(&cluster)?, ground.client("admin")?);
    until("memory answers", patience, || async {
        Ok(ground.metric("watchgate_cache_objects", r#"resource="configmaps""#).await?
            >= (doomed + SURVIVORS) as f64
            || listed(&through, &format!("{all}?limit=1&resourceVersion=0")).await?.is_empty())
    })
    .await?;
    let before = ground.resident()?;

    let target = format!("{all}?watch=true&resourceVersion={}", version(&through, &all).await?);
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let client = ground.client("admin")?;
        watchers.push(tokio::spawn(watch(client, target.clone(), doomed, patience)));
    }
    until("all watch", Duration::from_secs(30), || async {
        Ok(ground.metric("watchgate_watches", r#"resource="configmaps""#).await? >= WATCHERS as f64)
    })
    .await?;

    delete_beside_a_look_at_the_log(&ground, &admin, &all).await?;
    let (mut told, mut ended) = (0, 0);
    for seen in try_join_all(watchers).await? {
        let seen = seen?;
        if seen.ended {
            ended += 1;
        } else {
            ensure!(seen.deleted.len() == doomed, "{} of {doomed} deletions", seen.deleted.len());
            told += 1;
        }
    }
    println!("{told} watchers were told of every deletion, {ended} were ended");
    the_survivors_are_there(&listed(&through, &all).await?, &listed(&admin, &all).await?)?;

    tokio::time::sleep(Duration::from_secs(5)).await;
    let log = ground.metric("watchgate_cache_history_bytes", "").await?;
    ensure!(log <= HISTORY as f64, "the logs hold {log} bytes");
    let objects = ground.metric("watchgate_cache_object_bytes", r#"resource="configmaps""#).await?;
    ensure!(objects <= 400_000.0, "{SURVIVORS} survivors take {objects} bytes");
    println!(
        "resident: {empty} KiB empty, {before} KiB filled, {} KiB after; objects {objects} bytes, log {log} bytes",
        ground.resident()?
    );
    ground.end().await
}

/// The namespace with what is to go and what is to stay.
async fn make_objects(cluster: &Cluster, all: &str, doomed: usize) -> Result<()> {
    let started = Instant::now();
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    create(cluster, 1, |_| ("/api/v1/namespaces".to_owned(), namespace.clone())).await?;
    create(cluster, doomed + SURVIVORS, |number| (all.to_owned(), object(number, doomed))).await?;
    println!("{} objects made in {:.1?}", doomed + SURVIVORS, started.elapsed());
    Ok(())
}

/// Deletes what is to go; the log must stay within its budget meanwhile.
async fn delete_beside_a_look_at_the_log(ground: &Ground, admin: &Client, all: &str) -> Result<()> {
    let started = Instant::now();
    let over = AtomicBool::new(false);
    let (deleted, peak) = tokio::join!(
        async {
            let deleted = delete(admin, all).await;
            over.store(true, Ordering::Relaxed);
            deleted
        },
        log_bytes_until(ground, &over)
    );
    deleted?;
    println!(
        "deleted in {:.1?}; the log held at most {:.1} MiB",
        started.elapsed(),
        peak? as f64 / f64::from(1 << 20)
    );
    Ok(())
}

/// What memory lists is what the store lists, and all that was to stay.
fn the_survivors_are_there(memory: &[(String, String)], store: &[(String, String)]) -> Result<()> {
    ensure!(memory == store, "memory shows {} objects, the store {}", memory.len(), store.len());
    let names: Vec<_> = (0..SURVIVORS).map(|number| format!("survivor-{number:06}")).collect();
    ensure!(
        memory.iter().map(|(name, _)| name).filter(|name| name.starts_with("survivor")).eq(&names)
    );
    Ok(())
}

/// Watches until every deletion was seen or the watch ends.
async fn watch(client: Client, target: String, doomed: usize, patience: Duration) -> Result<Seen> {
    let mut stream = client.get(&target).stream().await?;
    ensure!(stream.status == StatusCode::OK, "{target}: {}", stream.status);
    let (mut deleted, mut last) = (BTreeSet::new(), 0);
    while deleted.len() < doomed {
        let Some(event) = stream.event(patience).await? else {
            return Ok(Seen { deleted, ended: true });
        };
        let metadata = &event["object"]["metadata"];
        if event["type"] == "ERROR" {
            return Ok(Seen { deleted, ended: true });
        }
        ensure!(event["type"] == "DELETED", "{event}");
        let name = metadata["name"].as_str().context("no name")?.to_owned();
        let version: u64 = metadata["resourceVersion"].as_str().context("no version")?.parse()?;
        ensure!(version > last, "{name} at {version} after {last}");
        last = version;
        ensure!(name.starts_with("doomed"), "{name} was to survive");
        ensure!(deleted.insert(name), "told twice: {metadata}");
    }
    Ok(Seen { deleted, ended: false })
}

async fn delete(client: &Client, all: &str) -> Result<()> {
    let target = format!("{all}?labelSelector=fate%3Ddoomed");
    let answer = client.request(Method::DELETE, &target).send().await?;
    ensure!(answer.status == StatusCode::OK, "{target}: {}", answer.status);
    Ok(())
}

/// The most that the logs held, looked at four times a second; never more than they may.
async fn log_bytes_until(ground: &Ground, over: &AtomicBool) -> Result<u64> {
    let mut peak = 0.0_f64;
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let held =
            ground.metric("watchgate_cache_history_bytes", r#"resource="configmaps""#).await?;
        ensure!(held <= HISTORY as f64, "the log holds {held} bytes");
        peak = peak.max(held);
    }
    Ok(peak as u64)
}

async fn version(client: &Client, path: &str) -> Result<String> {
    let list = client.get(&format!("{path}?limit=1&resourceVersion=0")).send().await?.json()?;
    Ok(list["metadata"]["resourceVersion"].as_str().context("no version")?.to_owned())
}

fn object(number: usize, doomed: usize) -> Value {
    let (name, fate) = match number.checked_sub(doomed) {
        Some(survivor) => (format!("survivor-{survivor:06}"), "none"),
        None => (format!("doomed-{number:06}"), "doomed"),
    };
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": { "fate": fate, "app": format!("app-{}", number % 200) } },
        "data": { "settings": text(number, 1_600) },
    })
}
