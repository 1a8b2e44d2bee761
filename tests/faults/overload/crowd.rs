//! Many watches beside a storm of lists that nobody takes: the watches lose nothing and stay, the oldest of the others go,
//! and memory stays within its bounds.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinHandle;
use watchgate_cluster::{Client, Cluster, Protocol, Streaming, Usage};

use super::{MEMORY_MORE, ROUNDS, SETTLED, STATE, Stalled};
use super::{bounded, fates, list, replace, the_oldest_were_cut};
use crate::front::{self, Front, is_hit, version_of, versions, warm};

const COLLECTION: &str = "/api/v1/namespaces/crowd/configmaps";

/// What the watches select: the small objects among the large ones.
const SMALL: &str = "labelSelector=tick%3Dyes";
const SMALL_OBJECTS: usize = 4;

const CONNECTIONS: usize = 10;
const WATCHES: usize = 500;

/// In each round.
const READERS: usize = 10;
const TICKS: usize = 10;

/// In each round and of each kind: more than may go upstream at a time.
const REQUESTS_EACH: usize = 20;

/// Beside what [`MEMORY_MORE`] is of: the gateway's and TLS's buffers of a stalled reader on its own connection, and a
/// watch that shares one.
const READER_BYTES: u64 = 128 << 10;
const WATCH_BYTES: u64 = 16 << 10;
const MOST_MORE: u64 =
    MEMORY_MORE + (ROUNDS * READERS) as u64 * READER_BYTES + WATCHES as u64 * WATCH_BYTES;

/// Of which none was read before the storm.
const COLD: [&str; ROUNDS] = [
    "/api/v1/services",
    "/api/v1/endpoints",
    "/api/v1/nodes",
    "/api/v1/pods",
    "/api/v1/serviceaccounts",
    "/api/v1/limitranges",
    "/api/v1/resourcequotas",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/batch/v1/jobs",
];

/// How further requests were answered.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    served: usize,
    /// 429, with the word when to ask again.
    refused: usize,
}

// The states alone that 100 readers of ten rounds would keep are more than that.
const _: () = assert!((ROUNDS * STATE) as u64 > MOST_MORE);

pub(crate) async fn watchers_beside_a_list_storm(cluster: Arc<Cluster>) -> Result<()> {
    let direct = cluster.client().token(cluster.token("admin")).shared().build()?;
    front::namespace(&direct, "crowd").await?;
    replace(&direct, COLLECTION, 0).await?;
    for number in 0..SMALL_OBJECTS {
        let labels = json!({ "tick": "yes" });
        let object = json!({ "metadata": { "name": small(number), "labels": labels } });
        front::send(&direct, Method::POST, COLLECTION, &object).await?;
    }
    let mut front = bounded(&cluster).await?;
    let client = front.client_with(&cluster, Protocol::Http2)?;
    let after = version_of(&warm(&client, COLLECTION).await?)?;
    let pid = front.gateway.process().pid();
    let before = Usage::of(pid)?;

    let watching = watch(&front, &cluster, after).await?;
    let (mut stalled, mut ticks, mut most) = (Vec::new(), Vec::new(), before.memory);
    let mut answers = Answers::default();
    for (round, cold) in (1..=ROUNDS).zip(COLD) {
        for number in 0..READERS {
            let protocol = [Protocol::Http1, Protocol::Http2][number % 2];
            let target = list(COLLECTION);
            stalled.push(Stalled::open(&front, &cluster, protocol, &target, round).await?);
        }
        let (replaced, ticked, asked) = tokio::join!(
            replace(&direct, COLLECTION, round),
            tick(&cluster, round),
            ask(&front, &cluster, cold),
        );
        replaced?;
        ticks.extend(ticked?);
        answers.add(asked?);
        most = most.max(Usage::of(pid)?.memory);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(SETTLED).await;
    ticks.push(front::write(&direct, COLLECTION, &small(0), ROUNDS * TICKS).await?);
    for watch in watching {
        let seen = watch.await?.context("a watch beside the storm")?;
        ensure!(seen == ticks, "a watch saw {seen:?}, written was {ticks:?}");
    }
    eprintln!(
        "{WATCHES} watches saw all of {} events; beside the storm {answers:?}; {} MiB more of {}",
        ticks.len(),
        (most - before.memory) >> 20,
        MOST_MORE >> 20,
    );
    ensure!(most < before.memory + MOST_MORE, "before {before:?}, at most {most}");
    the_oldest_were_cut(&fates(stalled, STATE).await?)?;
    all_is_served_again(&front, &cluster, &direct).await?;
    // Other tests count on what they themselves put there.
    front::delete(&direct, COLLECTION).await
}

/// Opens the watches, each read by a task: every event of the storm and one after it, in order.
async fn watch(
    front: &Front,
    cluster: &Cluster,
    after: u64,
) -> Result<Vec<JoinHandle<Result<Vec<u64>>>>> {
    let mut watching = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = shared(front, cluster)?;
        for _ in 0..WATCHES / CONNECTIONS {
            let mut watch = watch_small(&client, after).await?;
            watching
                .push(tokio::spawn(async move { versions(&mut watch, ROUNDS * TICKS + 1).await }));
        }
    }
    Ok(watching)
}

async fn watch_small(client: &Client, after: u64) -> Result<Streaming> {
    let target =
        format!("{COLLECTION}?watch=true&{SMALL}&resourceVersion={after}&timeoutSeconds=600");
    let watch = client.get(&target).stream().await?;
    let status = watch.headers.get("cache-status").map(http::HeaderValue::as_bytes);
    ensure!(status == Some(b"watchgate; hit"), "{:?}", watch.headers);
    Ok(watch)
}

/// Changes small objects, and tells the versions.
async fn tick(cluster: &Cluster, round: usize) -> Result<Vec<u64>> {
    let direct = cluster.client().token(cluster.token("admin")).shared().build()?;
    let mut versions = Vec::new();
    for number in 0..TICKS {
        let (name, step) = (small(number % SMALL_OBJECTS), (round - 1) * TICKS + number);
        versions.push(front::write(&direct, COLLECTION, &name, step).await?);
    }
    Ok(versions)
}

/// Asks for what memory has, for what it must prove to be new, and for what it does not have yet.
async fn ask(front: &Front, cluster: &Cluster, cold: &str) -> Result<Answers> {
    let client = shared(front, cluster)?;
    let targets = [
        format!("{COLLECTION}?{SMALL}&resourceVersion=0"),
        format!("{COLLECTION}/{}?resourceVersion=0", small(0)),
        format!("{COLLECTION}?{SMALL}"),
        cold.to_owned(),
    ];
    let asked = targets.iter().flat_map(|target| std::iter::repeat_n(target, REQUESTS_EACH));
    let mut answers = Answers::default();
    for answer in try_join_all(asked.map(|target| client.get(target).send())).await? {
        match answer.status {
            StatusCode::OK => answers.served += 1,
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u32>().ok());
                ensure!(wait.is_some_and(|wait| wait > 0), "{answer:?}");
                answers.refused += 1;
            }
            _ => anyhow::bail!("neither served nor told to wait: {answer:?}"),
        }
    }
    Ok(answers)
}

/// Lists of what was and of what was not cached before, and a watch; all from memory.
async fn all_is_served_again(front: &Front, cluster: &Cluster, direct: &Client) -> Result<()> {
    let client = shared(front, cluster)?;
    let listed = client.get(&list(COLLECTION)).send().await?;
    ensure!(is_hit(&listed) && listed.body.len() > STATE, "{:?}", listed.headers);
    for cold in COLD {
        warm(&client, cold).await?;
    }
    let mut watch = watch_small(&client, version_of(&listed.json()?)?).await?;
    let written = front::write(direct, COLLECTION, &small(1), 0).await?;
    ensure!(versions(&mut watch, 1).await? == [written]);
    Ok(())
}

impl Answers {
    fn add(&mut self, other: Self) {
        self.served += other.served;
        self.refused += other.refused;
    }
}

fn shared(front: &Front, cluster: &Cluster) -> Result<Client> {
    let client = Client::builder(front.gateway.url(), &front.ca_pem);
    client.token(cluster.token("admin")).protocol(Protocol::Http2).shared().build()
}

fn small(number: usize) -> String {
    format!("tick-{number}")
}
