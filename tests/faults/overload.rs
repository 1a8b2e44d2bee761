//! Clients that ask for much and take nothing, beside others that take what they get.

mod crowd;
mod stalled;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::Method;
use serde_json::json;
use watchgate_cluster::{Client, Cluster, Protocol, Streaming, Usage};

use crate::front::{self, Front, is_hit, version_of, versions, warm, watch_from_memory};

pub(crate) use self::crowd::watchers_beside_a_list_storm;
use self::stalled::{Stalled, fates, the_oldest_were_cut};

/// The state: 16 objects of 500 KB, which every round replaces.
const OBJECTS: usize = 16;
const OBJECT_BYTES: usize = 500_000;
const STATE: usize = OBJECTS * OBJECT_BYTES;

const ROUNDS: usize = 10;

const CACHE_MEMORY: u64 = 40 << 20;
const HISTORY_MEMORY: u64 = 17 << 20;

/// What readers alone may keep alive: there is room for one state, and not for two.
const KEPT_BY_READERS: u64 = CACHE_MEMORY / 4;

/// By how much memory may grow in the rounds: what readers and history keep, the states that come between two looks at
/// memory, and what the allocator holds back of all that, a quarter. Ten states are 80 MB, and the history is more.
const MEMORY_MORE: u64 = (KEPT_BY_READERS + HISTORY_MEMORY + 2 * STATE as u64) / 4 * 5;

/// Two looks at memory: after so long nothing is cut any more.
const SETTLED: Duration = Duration::from_secs(5);

/// Each round opens readers that take nothing of a list and of a watch's initial state, which
/// thereby keep the state of that moment, and then replaces the state. The oldest readers are cut off; who
/// reads is served, and a watcher misses nothing.
pub(crate) async fn readers_that_take_nothing(cluster: Arc<Cluster>) -> Result<()> {
    let collection = "/api/v1/namespaces/overload/configmaps";
    let direct = cluster.client().token(cluster.token("admin")).shared().build()?;
    front::namespace(&direct, "overload").await?;
    replace(&direct, collection, 0).await?;
    let mut front = bounded(&cluster).await?;
    let client = front.client_with(&cluster, Protocol::Http2)?;
    let after = version_of(&warm(&client, collection).await?)?;
    let pid = front.gateway.process().pid();
    let before = Usage::of(pid)?;

    let watcher = watch_from_memory(&client, collection, after).await?;
    let watching = tokio::spawn(watch_all(watcher));
    let begun = Instant::now();
    let (mut stalled, mut most) = (Vec::new(), before.memory);
    for round in 1..=ROUNDS {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            for target in [list(collection), watch_with_state(collection)] {
                stalled.push(Stalled::open(&front, &cluster, protocol, &target, round).await?);
            }
        }
        replace(&direct, collection, round).await?;
        let listed = client.get(&list(collection)).send().await?;
        ensure!(listed.status.is_success(), "round {round}: {listed:?}");
        ensure!(listed.body.len() > STATE, "{} bytes", listed.body.len());
        ensure!(is_hit(&listed), "round {round} is answered from memory: {:?}", listed.headers);
        most = most.max(Usage::of(pid)?.memory);
        eprintln!("round {round} after {:.1} s", begun.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let seen = watching.await??;
    ensure!(seen.is_sorted_by(|left, right| left < right), "{seen:?}");
    tokio::time::sleep(SETTLED).await;
    eprintln!(
        "before {before:?}, at most {} MiB more of {}, now {:?}",
        (most - before.memory) >> 20,
        MEMORY_MORE >> 20,
        Usage::of(pid)?
    );
    ensure!(most < before.memory + MEMORY_MORE, "before {before:?}, at most {most}");
    the_oldest_were_cut(&fates(stalled, STATE).await?)?;
    // Other tests count on what they themselves put there.
    front::delete(&direct, collection).await
}

/// A gateway with little memory.
async fn bounded(cluster: &Cluster) -> Result<Front> {
    let (cache, history) = (CACHE_MEMORY.to_string(), HISTORY_MEMORY.to_string());
    let bounds = ["--cache-max-bytes", &cache, "--history-max-bytes", &history];
    Front::start_bounded(cluster, &bounds).await
}

/// Everything that the rounds write.
async fn watch_all(mut watcher: Streaming) -> Result<Vec<u64>> {
    versions(&mut watcher, ROUNDS * OBJECTS).await
}

/// Writes all objects anew, with other bytes than ever before.
async fn replace(direct: &Client, collection: &str, round: usize) -> Result<()> {
    for number in 0..OBJECTS {
        let name = format!("large-{number}");
        let filling = format!("{round:02}").repeat(OBJECT_BYTES / 2);
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "filling": filling },
        });
        if round == 0 {
            front::send(direct, Method::POST, collection, &object).await?;
        } else {
            let path = format!("{collection}/{name}");
            front::send(direct, Method::PUT, &path, &object).await?;
        }
    }
    Ok(())
}

fn list(collection: &str) -> String {
    format!("{collection}?resourceVersion=0")
}

fn watch_with_state(collection: &str) -> String {
    format!(
        "{collection}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&\
         resourceVersion=0&resourceVersionMatch=NotOlderThan"
    )
}
