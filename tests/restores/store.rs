//! A store that is set back to a snapshot, under readers and watchers of several types.
//!
//! Three ways: its versions go back with it; they go back and grow beyond what was shown before anybody can look; they are
//! raised, as etcd's manual advises. In all of them, within seconds, no answer is from before the restore, and every watch from
//! before it has ended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use watchgate_cluster::{Client, Cluster, Cutter, Streaming};

use crate::front::{self, Front};

/// How long after the API server is back an answer may still be from before. The reflector tries every 5 s at the latest.
const SECONDS: Duration = Duration::from_secs(10);
/// Objects per type.
const OBJECTS: usize = 5;

/// Collections of one namespace, below their group's path.
const TYPES: [&str; 5] = [
    "/api/v1/namespaces/NAMESPACE/configmaps",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/NAMESPACE/roles",
    "/api/v1/namespaces/NAMESPACE/serviceaccounts",
    "/api/v1/namespaces/NAMESPACE/limitranges",
    "/apis/coordination.k8s.io/v1/namespaces/NAMESPACE/leases",
];

/// The versions go back with the store.
pub(crate) async fn that_went_back(cluster: Arc<Cluster>) -> Result<()> {
    let scene = Scene::set(&cluster, "back").await?;
    cluster.kill_api_server().await?;
    cluster.restore_snapshot(&scene.snapshot, 0).await?;
    cluster.start_api_server().await?;
    scene.judge(Instant::now()).await
}

/// The gateway is cut off until the restored store has gone beyond what it shows.
pub(crate) async fn that_went_back_and_grew(cluster: Arc<Cluster>) -> Result<()> {
    let scene = Scene::set(&cluster, "grew").await?;
    // Knows one type, in which things were only added: nothing that it holds is contradicted.
    let cutter = Cutter::start(cluster.api_server_address()).await?;
    let narrow = Front::start_before(&cluster, &cutter.url()).await?;
    narrow.ready().await?;
    let added = "/api/v1/namespaces/grew/resourcequotas";
    let client = narrow.client(&cluster)?;
    front::write(&scene.direct, added, "added", 2).await?;
    let list = front::warm(&client, added).await?;
    ensure!(list["items"].as_array().is_some_and(|items| items.len() == 1), "{list}");
    let last = front::version_of(&list)?;
    let mut watch = front::watch_from_memory(&client, added, last).await?;

    scene.cutter.refuse().await;
    cutter.refuse().await;
    cluster.kill_api_server().await?;
    cluster.restore_snapshot(&scene.snapshot, 0).await?;
    cluster.start_api_server().await?;
    let beyond = scene.last.max(last) + 50;
    let mut grown = 0;
    while grown < beyond {
        grown = front::write(&scene.direct, &scene.collections[0], "noise", grown as usize).await?;
    }
    scene.cutter.resume().await?;
    cutter.resume().await?;
    let back = Instant::now();
    let narrow_ended = async {
        // What it waits for is that nothing comes: three seconds after it has found its way back.
        let patience = SECONDS + Duration::from_secs(5);
        front::ends(&mut watch, patience).await.context("a watch of what was only added to")?;
        anyhow::Ok(back.elapsed())
    };
    let (judged, narrow_ended) = tokio::join!(scene.judge(back), narrow_ended);
    judged?;
    let took = narrow_ended?.as_secs_f64();
    eprintln!("where things were only added: the watch ended {took:.1} s after upstream was back");
    let list = front::warm(&client, added).await?;
    ensure!(list["items"].as_array().is_some_and(Vec::is_empty), "{list}");
    for line in narrow.gateway.log()?.lines().filter(|line| line.contains("resourcequotas")) {
        eprintln!("{line}");
    }
    narrow.gateway.stop().await?;
    Ok(())
}

/// The versions are raised beyond all that were ever given out, and the past is compacted.
pub(crate) async fn that_went_back_and_was_raised(cluster: Arc<Cluster>) -> Result<()> {
    let scene = Scene::set(&cluster, "raised").await?;
    cluster.kill_api_server().await?;
    cluster.restore_snapshot(&scene.snapshot, 1_000_000).await?;
    cluster.start_api_server().await?;
    scene.judge(Instant::now()).await
}

/// A gateway with readers and watchers of every type, in front of a store that has gone on since a snapshot.
struct Scene {
    direct: Client,
    front: Front,
    client: Client,
    cutter: Cutter,
    collections: Vec<String>,
    snapshot: PathBuf,
    /// The last version written.
    last: u64,
    watches: Vec<Streaming>,
    readers: Readers,
}

impl Scene {
    async fn set(cluster: &Arc<Cluster>, namespace: &str) -> Result<Self> {
        let direct = front::direct(cluster)?;
        front::namespace(&direct, namespace).await?;
        let collections: Vec<_> =
            TYPES.iter().map(|path| path.replace("NAMESPACE", namespace)).collect();
        for collection in &collections {
            for number in 0..OBJECTS {
                front::write(&direct, collection, &format!("kept-{number}"), 1).await?;
            }
        }
        let cutter = Cutter::start(cluster.api_server_address()).await?;
        let front = Front::start_before(cluster, &cutter.url()).await?;
        front.ready().await?;
        let client = front.client(cluster)?;
        let snapshot: PathBuf = cluster.save_snapshot().await?;
        ensure!(Path::new(&snapshot).is_file(), "{snapshot:?}");
        let mut last = 0;
        for collection in &collections {
            for number in 0..OBJECTS {
                // Some change, one goes, some come.
                let path = format!("{collection}/kept-{number}");
                match number {
                    0 => front::delete(&direct, &path).await?,
                    1 => {}
                    _ => {
                        front::write(&direct, collection, &format!("kept-{number}"), 2).await?;
                    }
                }
                last = front::write(&direct, collection, &format!("later-{number}"), 2).await?;
            }
        }
        for step in 0..300 {
            last = front::write(&direct, &collections[0], "noise", 1000 + step).await?;
        }
        let mut watches = Vec::new();
        for collection in &collections {
            let list = front::warm(&client, collection).await?;
            ensure!(list.to_string().contains(r#""step":"2""#), "{list}");
            let version = front::version_of(&list)?;
            watches.push(front::watch_from_memory(&client, collection, version).await?);
        }
        let readers = Readers::start(&client, &collections);
        sleep(Duration::from_secs(1)).await;
        Ok(Self { direct, front, client, cutter, collections, snapshot, last, watches, readers })
    }

    /// `back` is when the API server was there again.
    async fn judge(mut self, back: Instant) -> Result<()> {
        let started = Instant::now();
        for (watch, collection) in self.watches.iter_mut().zip(&self.collections) {
            let left = (SECONDS * 2).saturating_sub(started.elapsed());
            front::ends(watch, left).await.with_context(|| format!("a watch of {collection}"))?;
        }
        let ended = back.elapsed();
        sleep((back + SECONDS).saturating_duration_since(Instant::now())).await;
        let read = self.readers.reads.load(Ordering::Relaxed);
        for collection in &self.collections {
            front::warm(&self.client, collection).await?;
            for query in ["?resourceVersion=0", ""] {
                let target = format!("{collection}{query}");
                let expected = self.direct.get(&target).send().await?;
                let found = self.client.get(&target).send().await?;
                ensure!(found.status == StatusCode::OK, "{target}: {found:?}");
                let (found, expected) = (front::items(&found)?, front::items(&expected)?);
                ensure!(found == expected, "{target}: {found}\ninstead of\n{expected}");
                ensure!(!found.contains(r#""step":"2""#) && found.contains("kept-0"), "{found}");
            }
        }
        // What happens from now on is seen.
        let collection = &self.collections[0];
        let list = front::warm(&self.client, collection).await?;
        let after = front::version_of(&list)?;
        let mut watch = front::watch_from_memory(&self.client, collection, after).await?;
        let written = front::write(&self.direct, collection, "after", 3).await?;
        ensure!(front::versions(&mut watch, 1).await? == [written], "written {written}");

        let Readers { over, last_before, reads, errors, tasks } = self.readers;
        sleep(Duration::from_secs(1)).await;
        over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await?;
        }
        let late = last_before.lock().map(|last| last.saturating_duration_since(back));
        eprintln!(
            "watches ended {:.1} s after the API server was back; the last of {} answers from before the restore came {:.1} s \
             after it ({} answers after the judgement, {} errors)",
            ended.as_secs_f64(),
            reads.load(Ordering::Relaxed),
            late.unwrap_or_default().as_secs_f64(),
            reads.load(Ordering::Relaxed) - read,
            errors.load(Ordering::Relaxed),
        );
        for line in self.front.gateway.log()?.lines().filter(|line| line.contains("went back")) {
            eprintln!("{line}");
        }
        ensure!(late.is_none_or(|late| late < SECONDS), "answers from before the restore");
        self.front.gateway.stop().await?;
        Ok(())
    }
}

/// Clients that read all the time, with and without a resourceVersion.
struct Readers {
    over: Arc<AtomicBool>,
    /// When the last answer from before the restore came.
    last_before: Arc<Mutex<Option<Instant>>>,
    reads: Arc<AtomicUsize>,
    errors: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Readers {
    fn start(client: &Client, collections: &[String]) -> Self {
        let (over, last_before) = (Arc::<AtomicBool>::default(), Arc::<Mutex<_>>::default());
        let (reads, errors) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let targets = collections
            .iter()
            .flat_map(|collection| [format!("{collection}?resourceVersion=0"), collection.clone()]);
        let tasks = targets.map(|target| {
            let (client, over, last_before) =
                (client.clone(), Arc::clone(&over), Arc::clone(&last_before));
            let (reads, errors) = (Arc::clone(&reads), Arc::clone(&errors));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    match client.get(&target).send().await {
                        Ok(answer) if answer.status == StatusCode::OK => {
                            reads.fetch_add(1, Ordering::Relaxed);
                            if answer.body.windows(10).any(|text| text == br#""step":"2""#) {
                                *last_before.lock() = Some(Instant::now());
                            }
                        }
                        _ => {
                            errors.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            })
        });
        let tasks = tasks.collect();
        Self { over, last_before, reads, errors, tasks }
    }
}
