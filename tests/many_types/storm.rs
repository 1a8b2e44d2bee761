//! Most of a resource is deleted, as fast as the API server does it, with a history that holds a part of it only.
//!
//! The deletions come in portions of which the log holds two, and the next one is not begun before every watcher that reads
//! was told of the last. So none of them is ever behind by more than the log holds, and none may be ended: each must be told
//! of every deletion, once and in order. One watcher reads nothing until all is over. The log has gone past it by then: it
//! must be told a part, from the beginning and without a gap, and then that its watch has ended. A list shows the survivors,
//! and the log stays within its budget, which it fills, all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster, Streaming};

use crate::ground::{self, Ground, create, direct, listed, text, until};

const NAMESPACE: &str = "storm";
const SURVIVORS: usize = 50;
const SURVIVOR_LENGTH: usize = 1_600;
const WATCHERS: usize = 20;

/// The smallest history there is.
const HISTORY: u64 = 16 << 20;

const CONFIG_MAPS: &str = r#"resource="configmaps""#;

/// What an object has beside its text, at most: its metadata with `managedFields`, and what it takes in memory.
const BESIDE_TEXT: usize = 1_000;

/// What is deleted.
#[derive(Clone, Copy, Debug)]
struct Doomed {
    count: usize,
    /// Characters of each object's text: many small objects, or few large ones, so that the deletions take three times
    /// the history, in which each has the object as it was and as it went.
    length: usize,
    /// How many are deleted at once.
    portion: usize,
}

/// What one watcher was told.
struct Seen {
    /// Names, in order.
    deleted: Vec<String>,
    is_ended: bool,
}

pub(crate) async fn most_of_a_resource_is_deleted(cluster: Arc<Cluster>) -> Result<()> {
    let doomed = Doomed::new(ground::size("WATCHGATE_STORM", 2_000)?);
    let patience =
        Duration::from_secs(60) + Duration::from_millis(10) * u32::try_from(doomed.count)?;
    let all = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    make_objects(&cluster, &all, doomed).await?;

    let history = format!("{}Mi", HISTORY >> 20);
    let flags = ["--history-max-bytes", &history];
    let url = cluster.api_server_url();
    let mut ground = Ground::start(Arc::clone(&cluster), &url, &flags).await?;
    let empty = ground.usage()?;
    let (admin, through) = (direct(&cluster)?, ground.client("admin")?);
    until("memory answers", patience, || async {
        Ok(ground.metric("watchgate_cache_objects", CONFIG_MAPS).await?
            >= (doomed.count + SURVIVORS) as f64
            || listed(&through, &format!("{all}?limit=1&resourceVersion=0")).await?.is_empty())
    })
    .await?;
    let before = ground.usage()?;

    let target = format!("{all}?watch=true&resourceVersion={}", version(&through, &all).await?);
    let told: Arc<[AtomicUsize]> = (0..WATCHERS).map(|_| AtomicUsize::new(0)).collect();
    let mut watchers = Vec::new();
    for number in 0..WATCHERS {
        let (stream, told) = (watch(&ground, &target).await?, Arc::clone(&told));
        let note = move |count| told[number].store(count, Ordering::Relaxed);
        watchers.push(tokio::spawn(read(stream, doomed.count, patience, note)));
    }
    let sleeper = watch(&ground, &target).await?;

    let all_were_told = |count: usize| {
        let told = Arc::clone(&told);
        until("all are told of a portion", patience, move || {
            let is_so = told.iter().all(|told| told.load(Ordering::Relaxed) >= count);
            async move { Ok(is_so) }
        })
    };
    delete_beside_a_look_at_the_log(&ground, &admin, &all, doomed, all_were_told).await?;
    let watchers = try_join_all(watchers).await?.into_iter().collect::<Result<Vec<_>>>()?;
    every_watcher_was_told(&watchers, doomed)?;
    the_survivors_are_there(&listed(&through, &all).await?, &listed(&admin, &all).await?)?;

    tokio::time::sleep(Duration::from_secs(5)).await;
    who_slept_was_ended(&read(sleeper, doomed.count, patience, |_| ()).await?, &watchers[0])?;
    let late = through.get(&target).stream().await?;
    let origin = late.headers.get("cache-status").map(http::HeaderValue::as_bytes);
    ensure!(origin != Some(b"watchgate; hit"), "the log still has all: {:?}", late.headers);
    let log = ground.metric("watchgate_cache_history_bytes", "").await?;
    ensure!(log <= HISTORY as f64, "the logs hold {log} bytes");
    let objects = ground.metric("watchgate_cache_object_bytes", CONFIG_MAPS).await?;
    ensure!(objects <= 400_000.0, "{SURVIVORS} survivors take {objects} bytes");
    println!(
        "resident: {} KiB empty, {} KiB filled, {} KiB after; objects {objects} bytes, log {log} bytes",
        empty.memory >> 10,
        before.memory >> 10,
        ground.usage()?.memory >> 10
    );
    ground.end().await
}

impl Doomed {
    fn new(count: usize) -> Self {
        let history = usize::try_from(HISTORY).unwrap_or(usize::MAX);
        let length = (3 * history / (2 * count.max(1))).max(SURVIVOR_LENGTH);
        Self { count, length, portion: (history / 2 / (2 * (length + BESIDE_TEXT))).max(1) }
    }
}

/// The namespace with what is to go and what is to stay.
async fn make_objects(cluster: &Cluster, all: &str, doomed: Doomed) -> Result<()> {
    let started = Instant::now();
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    create(cluster, 1, |_| ("/api/v1/namespaces".to_owned(), namespace.clone())).await?;
    let count = doomed.count + SURVIVORS;
    create(cluster, count, |number| (all.to_owned(), object(number, doomed))).await?;
    println!("{count} objects made in {:.1?}; {doomed:?}", started.elapsed());
    Ok(())
}

/// Deletes what is to go; the log must stay within its budget meanwhile, and fill it.
async fn delete_beside_a_look_at_the_log<W: Future<Output = Result<()>>>(
    ground: &Ground,
    admin: &Client,
    all: &str,
    doomed: Doomed,
    all_were_told: impl Fn(usize) -> W,
) -> Result<()> {
    let started = Instant::now();
    let over = AtomicBool::new(false);
    let portions = async {
        for portion in 0..doomed.count.div_ceil(doomed.portion) {
            delete(admin, all, portion).await?;
            all_were_told(((portion + 1) * doomed.portion).min(doomed.count)).await?;
        }
        anyhow::Ok(())
    };
    let (deleted, peak) = tokio::join!(
        async {
            let deleted = portions.await;
            over.store(true, Ordering::Relaxed);
            deleted
        },
        log_bytes_until(ground, &over)
    );
    deleted?;
    let peak = peak?;
    println!(
        "deleted in {:.1?}; the log held at most {:.1} MiB",
        started.elapsed(),
        peak as f64 / f64::from(1 << 20)
    );
    // It lets events go in chunks of at most an eighth of the budget and a little more.
    ensure!(peak >= HISTORY / 4 * 3, "the log never was full");
    Ok(())
}

/// Whoever reads is told of every deletion, all in the same order, and is not ended.
fn every_watcher_was_told(watchers: &[Seen], doomed: Doomed) -> Result<()> {
    let first = watchers.first().context("no watcher")?;
    let mut names = first.deleted.clone();
    names.sort_unstable();
    let wanted = (0..doomed.count).map(|number| format!("doomed-{number:06}"));
    for (number, seen) in watchers.iter().enumerate() {
        let told = seen.deleted.len();
        ensure!(!seen.is_ended, "watcher {number} was ended after {told} deletions");
        ensure!(
            seen.deleted == first.deleted,
            "watcher {number} and the first were told otherwise"
        );
    }
    ensure!(names.into_iter().eq(wanted), "not every deletion was told once");
    println!("{} watchers were told of every deletion", watchers.len());
    Ok(())
}

/// Who took nothing for so long is told what there still was, from the beginning and without a gap, and is ended then.
fn who_slept_was_ended(slept: &Seen, awake: &Seen) -> Result<()> {
    ensure!(slept.is_ended, "it was told all, which the log can't have had");
    ensure!(awake.deleted.starts_with(&slept.deleted), "not from the beginning, or with gaps");
    println!("who took nothing was told of {} deletions, and ended", slept.deleted.len());
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

async fn watch(ground: &Ground, target: &str) -> Result<Streaming> {
    let stream = ground.client("admin")?.get(target).stream().await?;
    ensure!(stream.status == StatusCode::OK, "{target}: {}", stream.status);
    let origin = stream.headers.get("cache-status").map(http::HeaderValue::as_bytes);
    ensure!(origin == Some(b"watchgate; hit"), "{:?}", stream.headers);
    Ok(stream)
}

/// Reads until every deletion was told or the watch ends; `note` gets how many were told.
async fn read(
    mut stream: Streaming,
    doomed: usize,
    patience: Duration,
    note: impl Fn(usize),
) -> Result<Seen> {
    let (mut deleted, mut last) = (Vec::new(), 0);
    while deleted.len() < doomed {
        let Some(event) = stream.event(patience).await? else {
            return Ok(Seen { deleted, is_ended: true });
        };
        if event["type"] == "ERROR" {
            ensure!(event["object"]["code"] == 410, "{event}");
            return Ok(Seen { deleted, is_ended: true });
        }
        ensure!(event["type"] == "DELETED", "{event}");
        let metadata = &event["object"]["metadata"];
        let name = metadata["name"].as_str().context("no name")?.to_owned();
        let version: u64 = metadata["resourceVersion"].as_str().context("no version")?.parse()?;
        ensure!(version > last, "{name} at {version} after {last}");
        last = version;
        deleted.push(name);
        note(deleted.len());
    }
    Ok(Seen { deleted, is_ended: false })
}

async fn delete(client: &Client, all: &str, portion: usize) -> Result<()> {
    let target = format!("{all}?labelSelector=portion%3D{portion}");
    let answer = client.request(Method::DELETE, &target).send().await?;
    ensure!(answer.status == StatusCode::OK, "{target}: {}", answer.status);
    Ok(())
}

/// The most that the logs held, looked at four times a second; never more than they may.
async fn log_bytes_until(ground: &Ground, over: &AtomicBool) -> Result<u64> {
    let mut peak = 0.0_f64;
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let held = ground.metric("watchgate_cache_history_bytes", CONFIG_MAPS).await?;
        ensure!(held <= HISTORY as f64, "the log holds {held} bytes");
        peak = peak.max(held);
    }
    Ok(peak as u64)
}

async fn version(client: &Client, path: &str) -> Result<String> {
    let list = client.get(&format!("{path}?limit=1&resourceVersion=0")).send().await?.json()?;
    Ok(list["metadata"]["resourceVersion"].as_str().context("no version")?.to_owned())
}

fn object(number: usize, doomed: Doomed) -> Value {
    let (name, portion, length) = match number.checked_sub(doomed.count) {
        Some(survivor) => (format!("survivor-{survivor:06}"), "none".to_owned(), SURVIVOR_LENGTH),
        None => {
            let portion = (number / doomed.portion).to_string();
            (format!("doomed-{number:06}"), portion, doomed.length)
        }
    };
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": { "portion": portion, "app": format!("app-{}", number % 200) } },
        "data": { "settings": text(number, length) },
    })
}
