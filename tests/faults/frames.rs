//! Bytes from upstream that are no events, or events of objects that can't be kept.
//!
//! The oracle is the API server itself: whatever the gateway answers meanwhile, of whatever origin, must have the same objects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use watchgate_cluster::{Client, Cluster, Response, Streaming};

use crate::front::{
    self, Front, PATIENCE, is_hit, items, version_of, versions, warm, watch_from_memory, write,
};
use crate::mangler::{Fault, Mangler};

/// The gateway behind a mangler, and both ways to the objects.
struct Setting {
    mangler: Mangler,
    front: Front,
    client: Client,
    direct: Client,
    collection: String,
    other: String,
}

impl Setting {
    async fn start(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let direct = front::direct(cluster)?;
        front::namespace(&direct, namespace).await?;
        let name = format!("mangler-{namespace}");
        let mangler = Mangler::start(cluster, &name, "limitranges").await?;
        let front = Front::start_before(cluster, mangler.url()).await?;
        front.ready().await?;
        let client = front.client(cluster)?;
        let collection = format!("/api/v1/namespaces/{namespace}/limitranges");
        let other = format!("/api/v1/namespaces/{namespace}/configmaps");
        Ok(Self { mangler, front, client, direct, collection, other })
    }

    /// Another resource is none the worse: its watch goes on, its lists are hits.
    async fn others_are_well(&self, watch: &mut Streaming, step: usize) -> Result<()> {
        let written = write(&self.direct, &self.other, "well", step).await?;
        let seen = versions(watch, 1).await?;
        ensure!(seen == [written], "written {written}, seen {seen:?}");
        let list = self.client.get(&format!("{}?resourceVersion=0", self.other)).send().await?;
        ensure!(is_hit(&list), "{list:?}");
        ensure!(self.front.readiness().await? == StatusCode::OK);
        Ok(())
    }

    /// A consistent list is the API server's, or honestly none.
    async fn latest_is_true(&self) -> Result<Response> {
        let direct = self.direct.get(&self.collection).send().await?;
        let answer = self.client.get(&self.collection).send().await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        ensure!(items(&answer)? == items(&direct)?, "{answer:?}\n{direct:?}");
        Ok(answer)
    }

    /// Memory has the present state again.
    async fn recovers(&self) -> Result<Duration> {
        let started = Instant::now();
        let direct = self.direct.get(&self.collection).send().await?;
        loop {
            let list = self.client.get(&format!("{}?resourceVersion=0", self.collection)).send();
            let list = list.await?;
            if is_hit(&list) && items(&list)? == items(&direct)? {
                return Ok(started.elapsed());
            }
            ensure!(started.elapsed() < PATIENCE * 2, "memory stays behind: {list:?}\n{direct:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Garbage, noise, a half frame with and without an end: the shard is filled anew, and no event is lost without a word.
pub(crate) async fn garbage_and_broken_frames(cluster: Arc<Cluster>) -> Result<()> {
    let it = Setting::start(&cluster, "garbage").await?;
    let after = version_of(&warm(&it.client, &it.other).await?)?;
    let mut other = watch_from_memory(&it.client, &it.other, after).await?;
    let faults = [Fault::Garbage, Fault::Noise, Fault::Truncated, Fault::BrokenOff];
    for (step, fault) in faults.into_iter().enumerate() {
        write(&it.direct, &it.collection, "spoilt", 10 * step).await?;
        it.recovers().await?;
        let first = version_of(&warm(&it.client, &it.collection).await?)?;
        let mut watch = watch_from_memory(&it.client, &it.collection, first).await?;
        let before = it.mangler.spoilt();
        it.mangler.set(fault);
        let spoilt = write(&it.direct, &it.collection, "spoilt", 10 * step + 1).await?;
        let deadline = Instant::now() + PATIENCE;
        while it.mangler.spoilt() == before {
            ensure!(Instant::now() < deadline, "{fault:?}: nothing was spoilt");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        it.others_are_well(&mut other, step).await?;
        it.mangler.set(Fault::None);
        it.latest_is_true().await.with_context(|| format!("{fault:?}"))?;
        let took = it.recovers().await.with_context(|| format!("{fault:?}"))?;
        let outcome = match watch.event(PATIENCE).await.with_context(|| format!("{fault:?}"))? {
            None => "ended",
            Some(event) => {
                ensure!(version_of(&event["object"])? == spoilt, "{fault:?}: {event}");
                "went on"
            }
        };
        eprintln!(
            "{fault:?}: memory is true again after {:.2} s, the watch {outcome}",
            took.as_secs_f64()
        );
    }
    Ok(())
}

/// An object without resourceVersion, again and again: its resource is forwarded, and memory says nothing old for long.
pub(crate) async fn an_object_that_cannot_be_read(cluster: Arc<Cluster>) -> Result<()> {
    let it = Setting::start(&cluster, "unreadable").await?;
    let after = version_of(&warm(&it.client, &it.other).await?)?;
    let mut other = watch_from_memory(&it.client, &it.other, after).await?;
    write(&it.direct, &it.collection, "spoilt", 0).await?;
    it.recovers().await?;
    let first = version_of(&warm(&it.client, &it.collection).await?)?;
    let mut watch = watch_from_memory(&it.client, &it.collection, first).await?;

    it.mangler.set(Fault::Unversioned);
    write(&it.direct, &it.collection, "spoilt", 1).await?;
    // What is forwarded passes the mangler, too, so the forwarded list is spoilt: only what memory says is judged here.
    let started = Instant::now();
    let ended = front::ends(&mut watch, PATIENCE).await;
    eprintln!(
        "the watch of an unreadable object: {ended:?} after {:.1} s",
        started.elapsed().as_secs_f64()
    );
    ended.context("a watch that can't be told of changes must end")?;
    it.others_are_well(&mut other, 0).await?;
    let list = it.client.get(&format!("{}?resourceVersion=0", it.collection)).send().await?;
    ensure!(!is_hit(&list), "memory shows what it can't keep up to date: {list:?}");

    it.mangler.set(Fault::None);
    let took = it.recovers().await?;
    it.latest_is_true().await?;
    eprintln!("memory is true again {:.1} s after the object could be read", took.as_secs_f64());
    Ok(())
}
