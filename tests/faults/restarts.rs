//! An upstream that dies and comes back, with its history or without.
//!
//! The objects are LimitRanges, which no part of the control plane writes by itself: what the watch sees is what the test did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use watchgate_cluster::{Client, Cluster, Cutter, Streaming};

use crate::front::{self, Front, PATIENCE, version_of, versions, warm, watch_from_memory, write};

/// The reflector's longest wait is 45 s.
const RECOVERY: Duration = Duration::from_secs(50);

/// Watches of the gateway outlive an upstream that is killed: every event once, in order.
pub(crate) async fn a_killed_upstream_comes_back(cluster: Arc<Cluster>) -> Result<()> {
    let collection = collection(&cluster, "killed").await?;
    let direct = front::direct(&cluster)?;
    let front = Front::start(&cluster).await?;
    let client = front.client(&cluster)?;
    let after = version_of(&warm(&client, &collection).await?)?;
    let mut watch = watch_from_memory(&client, &collection, after).await?;
    let from_memory = format!("{collection}?resourceVersion=0");
    for round in 0..3 {
        let mut written = Vec::new();
        for name in ["a", "b"] {
            written.push(write(&direct, &collection, name, round).await?);
        }
        let seen = versions(&mut watch, 2).await?;
        ensure!(seen == written, "written {written:?}, seen {seen:?}");
        cluster.kill_api_server().await?;
        let down = client.get(&collection).send().await?;
        ensure!(down.status == StatusCode::SERVICE_UNAVAILABLE, "{down:?}");
        ensure!(front::is_hit(&client.get(&from_memory).send().await?), "memory is gone");
        cluster.start_api_server().await?;
        let took = follows(&client, &collection).await?;
        eprintln!("the shard follows {:.1} s after upstream was back", took.as_secs_f64());
        let written = write(&direct, &collection, "c", round).await?;
        let seen = versions(&mut watch, 1).await?;
        ensure!(seen == [written], "written {written}, seen {seen:?}");
    }
    nothing_more(&mut watch).await?;
    agree(&cluster, &front, &collection).await
}

/// Writes right before the kill and right after the start: what the shard missed may cost a watch its life, as it would
/// upstream, but a client that then lists and watches on sees every object's last state, and nothing twice.
pub(crate) async fn writes_race_with_a_kill(cluster: Arc<Cluster>) -> Result<()> {
    let collection = collection(&cluster, "races").await?;
    let direct = front::direct(&cluster)?;
    let front = Front::start(&cluster).await?;
    let client = front.client(&cluster)?;
    let mut seen = version_of(&warm(&client, &collection).await?)?;
    let mut watch = watch_from_memory(&client, &collection, seen).await?;
    let mut ends = 0;
    for round in 0..3 {
        write(&direct, &collection, "a", round).await?;
        write(&direct, &collection, "b", round).await?;
        cluster.kill_api_server().await?;
        cluster.start_api_server().await?;
        let last = write(&direct, &collection, "c", round).await?;
        let deadline = Instant::now() + RECOVERY;
        while seen < last {
            ensure!(Instant::now() < deadline, "silence after {seen}, {last} was written");
            match watch.event(RECOVERY).await? {
                Some(event) if event["type"] == "BOOKMARK" => {}
                Some(event) => {
                    let version = version_of(&event["object"])?;
                    ensure!(version > seen, "{version} after {seen}: {event}");
                    seen = version;
                }
                None => {
                    ends += 1;
                    // As client-go does: list, then watch from there.
                    let list = client.get(&collection).send().await?;
                    ensure!(list.status == StatusCode::OK, "{list:?}");
                    let version = version_of(&list.json()?)?;
                    ensure!(version >= seen, "{version} after {seen}: {list:?}");
                    seen = version;
                    watch = front::watch(&client, &collection, seen).await?;
                }
            }
        }
        follows(&client, &collection).await?;
        agree(&cluster, &front, &collection).await?;
    }
    eprintln!("3 kills amid writes: the watch had to be opened again {ends} times");
    Ok(())
}

/// Waits until the shard's stream is proven to be at the store's present version, and tells how long it took.
async fn follows(client: &Client, collection: &str) -> Result<Duration> {
    let started = Instant::now();
    while !front::is_hit(&client.get(collection).send().await?) {
        ensure!(started.elapsed() < RECOVERY, "the shard doesn't follow upstream again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(started.elapsed())
}

/// A quiet shard loses its history to a restart: nothing changed, so its watches go on.
pub(crate) async fn history_is_lost_without_a_change(cluster: Arc<Cluster>) -> Result<()> {
    let collection = collection(&cluster, "quiet").await?;
    let direct = front::direct(&cluster)?;
    write(&direct, &collection, "kept", 0).await?;
    let front = Front::start(&cluster).await?;
    let client = front.client(&cluster)?;
    let before = version_of(&warm(&client, &collection).await?)?;
    let mut watch = watch_from_memory(&client, &collection, before).await?;
    // Others write, so that the restarted server's history begins after the shard's version.
    for step in 0..20 {
        write(&direct, "/api/v1/namespaces/quiet/configmaps", "noise", step).await?;
    }
    cluster.restart_api_server().await?;
    let log = logged(&front, "history lost, nothing changed", "limitranges.v1").await?;
    let after = write(&direct, &collection, "kept", 1).await?;
    let seen = versions(&mut watch, 1).await?;
    ensure!(seen == [after], "written {after}, seen {seen:?}");
    nothing_more(&mut watch).await?;
    agree(&cluster, &front, &collection).await?;
    eprintln!("{log}");
    Ok(())
}

/// The same, but something changed meanwhile: the watch ends, and who asks anew sees it.
pub(crate) async fn history_is_lost_with_a_change(cluster: Arc<Cluster>) -> Result<()> {
    let collection = collection(&cluster, "changed").await?;
    let direct = front::direct(&cluster)?;
    write(&direct, &collection, "kept", 0).await?;
    let cutter = Cutter::start(cluster.api_server_address()).await?;
    let front = Front::start_before(&cluster, &cutter.url()).await?;
    front.ready().await?;
    let client = front.client(&cluster)?;
    let before = version_of(&warm(&client, &collection).await?)?;
    let mut watch = watch_from_memory(&client, &collection, before).await?;
    cutter.refuse().await;
    let missed = write(&direct, &collection, "kept", 1).await?;
    for step in 0..20 {
        write(&direct, "/api/v1/namespaces/changed/configmaps", "noise", step).await?;
    }
    cluster.restart_api_server().await?;
    cutter.resume().await?;
    let started = Instant::now();
    let next = watch.event(RECOVERY).await?;
    if let Some(event) = &next {
        // To go on is as good as to end, if nothing is left out.
        ensure!(version_of(&event["object"])? == missed, "{event}");
    } else {
        eprintln!(
            "the watch ended {:.1} s after upstream was back",
            started.elapsed().as_secs_f64()
        );
    }
    let list = warm(&client, &collection).await?;
    ensure!(list["items"][0]["metadata"]["labels"]["step"] == "1", "{list}");
    // A client that resumes where it was gets the event or is told to list: never silence.
    let mut resumed = front::watch(&client, &collection, before).await?;
    let event = resumed.event(PATIENCE).await?.context("an end without a word")?;
    let is_gone = event["type"] == "ERROR" && event["object"]["code"] == 410;
    ensure!(is_gone || version_of(&event["object"])? == missed, "{event}");
    agree(&cluster, &front, &collection).await
}

async fn collection(cluster: &Cluster, namespace: &str) -> Result<String> {
    front::namespace(&front::direct(cluster)?, namespace).await?;
    Ok(format!("/api/v1/namespaces/{namespace}/limitranges"))
}

/// The same objects, byte by byte, from memory and from upstream.
async fn agree(cluster: &Cluster, front: &Front, collection: &str) -> Result<()> {
    let direct = front::direct(cluster)?.get(collection).send().await?;
    let client = front.client(cluster)?;
    warm(&client, collection).await?;
    let newest = version_of(&direct.json()?)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let target = format!("{collection}?resourceVersion=0");
        let memory = client.get(&target).send().await?;
        if front::items(&memory)? == front::items(&direct)? {
            break;
        }
        ensure!(version_of(&memory.json()?)? < newest, "{memory:?}\n{direct:?}");
        ensure!(Instant::now() < deadline, "memory stays behind: {memory:?}\n{direct:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let latest = client.get(collection).send().await?;
    ensure!(front::items(&latest)? == front::items(&direct)?, "{latest:?}\n{direct:?}");
    Ok(())
}

/// No event is repeated later, and the watch hasn't ended.
async fn nothing_more(watch: &mut Streaming) -> Result<()> {
    match watch.event(Duration::from_secs(2)).await {
        Err(_) => Ok(()),
        Ok(None) => anyhow::bail!("the watch ended"),
        Ok(Some(event)) if event["type"] == "BOOKMARK" => Ok(()),
        Ok(Some(event)) => anyhow::bail!("one event too many: {event}"),
    }
}

async fn logged(front: &Front, message: &str, about: &str) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = front.gateway.log()?;
        if let Some(line) = log.lines().find(|line| line.contains(message) && line.contains(about))
        {
            return Ok(line.to_owned());
        }
        ensure!(Instant::now() < deadline, "{message} about {about} is not logged:\n{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
