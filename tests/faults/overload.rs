//! Clients that ask for much and take nothing, beside others that take what they get.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::json;
use watchgate_cluster::{Client, Cluster, Protocol, Streaming};

use crate::front::{self, Front, PATIENCE, is_hit, version_of, versions, warm, watch_from_memory};
use crate::leaving::Resources;

/// The state: 16 objects of 500 KB, which every round replaces.
const OBJECTS: usize = 16;
const OBJECT_BYTES: usize = 500_000;

const ROUNDS: usize = 10;

/// Of these, at most a quarter may be kept alive by readers alone.
const CACHE_MEMORY: &str = "32Mi";
const HISTORY_MEMORY: &str = "17M";

/// Ten states are 80 MB, and the history is more. What the bounds allow: a quarter of the memory for
/// objects, the history, two states between two looks at memory, and what the allocator keeps.
const MEMORY_MORE: u64 = 60 << 20;

const COLLECTION: &str = "/api/v1/namespaces/overload/configmaps";

/// Each round opens readers that take nothing of a list and of a watch's initial state, which
/// thereby keep the state of that moment, and then replaces the state. The readers are cut off; who
/// reads is served, and a watcher misses nothing.
pub(crate) async fn readers_that_take_nothing(cluster: Arc<Cluster>) -> Result<()> {
    let direct = cluster.client().token(cluster.token("admin")).shared().build()?;
    front::namespace(&direct, "overload").await?;
    replace(&direct, 0).await?;
    let bounds = ["--cache-max-bytes", CACHE_MEMORY, "--history-max-bytes", HISTORY_MEMORY];
    let mut front = Front::start_bounded(&cluster, &bounds).await?;
    let client = front.client_with(&cluster, Protocol::Http2)?;
    let after = version_of(&warm(&client, COLLECTION).await?)?;
    let pid = front.gateway.process().pid();
    let before = Resources::of(pid)?;

    let watcher = watch_from_memory(&client, COLLECTION, after).await?;
    let watching = tokio::spawn(watch_all(watcher));
    let begun = Instant::now();
    let (mut stalled, mut most) = (Vec::new(), before.memory);
    for round in 1..=ROUNDS {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            stalled.extend(stall(&front, &cluster, protocol).await?);
        }
        replace(&direct, round).await?;
        let listed = client.get(&format!("{COLLECTION}?resourceVersion=0")).send().await?;
        ensure!(listed.status.is_success(), "round {round}: {listed:?}");
        ensure!(listed.body.len() > OBJECTS * OBJECT_BYTES, "{} bytes", listed.body.len());
        ensure!(is_hit(&listed), "round {round} is answered from memory: {:?}", listed.headers);
        most = most.max(Resources::of(pid)?.memory);
        eprintln!("round {round} after {:.1} s", begun.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let seen = watching.await??;
    ensure!(seen.is_sorted_by(|left, right| left < right), "{seen:?}");
    ensure!(most < before.memory + MEMORY_MORE, "before {before:?}, at most {most}");

    let readers = stalled.len();
    let cut = cut_off(stalled).await?;
    eprintln!(
        "{cut} of {readers} readers were cut off; before {before:?}, at most {} MiB more, now {:?}",
        (most - before.memory) >> 20,
        Resources::of(pid)?
    );
    ensure!(cut >= readers / 2, "{cut} of {readers} were cut off");
    Ok(())
}

/// Everything that the rounds write.
async fn watch_all(mut watcher: Streaming) -> Result<Vec<u64>> {
    versions(&mut watcher, ROUNDS * OBJECTS).await
}

/// Writes all objects anew, with other bytes than ever before.
async fn replace(direct: &Client, round: usize) -> Result<()> {
    for number in 0..OBJECTS {
        let name = format!("large-{number}");
        let filling = format!("{round:02}").repeat(OBJECT_BYTES / 2);
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "filling": filling },
        });
        if round == 0 {
            front::send(direct, Method::POST, COLLECTION, &object).await?;
        } else {
            let path = format!("{COLLECTION}/{name}");
            front::send(direct, Method::PUT, &path, &object).await?;
        }
    }
    Ok(())
}

/// A list and a watch with the state, of which only the heads are read.
async fn stall(front: &Front, cluster: &Cluster, protocol: Protocol) -> Result<[Streaming; 2]> {
    let client = front.client_with(cluster, protocol)?;
    let list = client.get(&format!("{COLLECTION}?resourceVersion=0")).stream().await?;
    let target = format!(
        "{COLLECTION}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&\
         resourceVersion=0&resourceVersionMatch=NotOlderThan"
    );
    let watch = client.get(&target).stream().await?;
    for answer in [&list, &watch] {
        let status = answer.headers.get("cache-status").map(http::HeaderValue::as_bytes);
        ensure!(status == Some(b"watchgate; hit"), "{:?}", answer.headers);
    }
    Ok([list, watch])
}

/// Reads on, and counts answers that break off.
async fn cut_off(stalled: Vec<Streaming>) -> Result<usize> {
    let mut cut = 0;
    for mut answer in stalled {
        let deadline = Instant::now() + PATIENCE;
        let mut length = 0;
        loop {
            let chunk = tokio::time::timeout_at(deadline.into(), answer.chunk()).await;
            match chunk.context("neither the end nor more of it")? {
                Ok(Some(chunk)) => length += chunk.len(),
                Ok(None) => break,
                Err(_) => {
                    cut += 1;
                    break;
                }
            }
            // A watch that was not cut off goes on when its state is there.
            if length > OBJECTS * OBJECT_BYTES {
                break;
            }
        }
    }
    Ok(cut)
}
