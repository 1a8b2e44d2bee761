//! Clients that leave in the middle, and a gateway that leaves its clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::json;
use watchgate_cluster::{Cluster, Protocol, Usage};

use crate::front::{self, Front, PATIENCE, ends, version_of, warm, watch_from_memory};

/// What is written: 24 objects of 200 KB, more than any buffer on the way holds.
const OBJECTS: usize = 24;
const OBJECT_BYTES: usize = 200_000;

const ROUNDS: usize = 30;

/// What may stay: allocators keep some, but not 30 lists of 5 MB.
const MEMORY_LEFT: u64 = 40 << 20;

/// Files and memory of clients that go away in the middle of a large list or of a watch come back.
pub(crate) async fn clients_that_go_away(cluster: Arc<Cluster>) -> Result<()> {
    let direct = front::direct(&cluster)?;
    front::namespace(&direct, "leaving").await?;
    let collection = "/api/v1/namespaces/leaving/configmaps";
    for number in 0..OBJECTS {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("large-{number}") },
            "data": { "filling": "x".repeat(OBJECT_BYTES) },
        });
        front::send(&direct, Method::POST, collection, &object).await?;
    }
    let mut front = Front::start(&cluster).await?;
    let after = version_of(&warm(&front.client(&cluster)?, collection).await?)?;
    let pid = front.gateway.process().pid();

    leave(&front, &cluster, collection, after).await?;
    let before = settled(pid).await?;
    for _ in 0..ROUNDS {
        leave(&front, &cluster, collection, after).await?;
    }
    let during = Usage::of(pid)?;
    let deadline = Instant::now() + PATIENCE;
    let left = loop {
        let now = Usage::of(pid)?;
        if now.files <= before.files + 2 && now.memory <= before.memory + MEMORY_LEFT {
            break now;
        }
        ensure!(Instant::now() < deadline, "before {before:?}, now {now:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    eprintln!(
        "{ROUNDS} rounds of clients that go away: before {before:?}, then {during:?}, left {left:?}"
    );
    warm(&front.client(&cluster)?, collection).await?;
    // Other tests count on what they themselves put there.
    front::delete(&direct, collection).await
}

/// One list and one watch over each protocol, left after the first bytes.
async fn leave(front: &Front, cluster: &Cluster, collection: &str, after: u64) -> Result<()> {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = front.client_with(cluster, protocol)?;
        let mut list = client.get(&format!("{collection}?resourceVersion=0")).stream().await?;
        list.chunk().await?.context("an empty list")?;
        let target = format!("{collection}?watch=true&resourceVersion=0");
        let mut watch = client.get(&target).stream().await?;
        watch.chunk().await?.context("an empty watch")?;
        let _quiet = watch_from_memory(&client, collection, after).await?;
    }
    Ok(())
}

/// What it holds once the number of files hasn't changed for half a second.
async fn settled(pid: u32) -> Result<Usage> {
    let mut last = Usage::of(pid)?;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(500) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = Usage::of(pid)?;
        if now.files != last.files {
            since = Instant::now();
        }
        last = now;
    }
    Ok(last)
}

/// SIGTERM ends the streams of open watches in order and the program with 0, within seconds.
pub(crate) async fn an_end_with_open_watches(cluster: Arc<Cluster>) -> Result<()> {
    let front = Front::start(&cluster).await?;
    let collection = "/api/v1/namespaces/default/configmaps";
    let after = version_of(&warm(&front.client(&cluster)?, collection).await?)?;
    let mut watches = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = front.client_with(&cluster, protocol)?;
        for _ in 0..5 {
            watches.push(watch_from_memory(&client, collection, after).await?);
        }
        // One that upstream answers: events are never cached.
        let forwarded = front::watch(&client, "/api/v1/namespaces/default/events", 0).await?;
        watches.push(forwarded);
    }
    let asked = Instant::now();
    let readers = watches.into_iter().map(|mut watch| {
        tokio::spawn(async move {
            let forwarded = watch.headers["cache-status"] != "watchgate; hit";
            ends(&mut watch, PATIENCE).await.map(|orderly| (forwarded, orderly, asked.elapsed()))
        })
    });
    let readers: Vec<_> = readers.collect();
    let status = front.gateway.stop().await?;
    let took = asked.elapsed();
    let mut ended = Vec::new();
    for reader in readers {
        ended.push(reader.await??);
    }
    eprintln!(
        "ended in {:.2} s; watches (forwarded, in order, after): {ended:?}",
        took.as_secs_f64()
    );
    ensure!(status.code() == Some(0), "{status}");
    ensure!(ended.iter().all(|(forwarded, orderly, _)| *orderly || *forwarded), "{ended:?}");
    ensure!(took < Duration::from_secs(5), "it took {took:?}");
    Ok(())
}
