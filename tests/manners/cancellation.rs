//! Leaving in the middle, in both directions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use watchgate_cluster::Protocol;

use crate::{
    front::{Front, answer, until_ready},
    scripted::Scripted,
};

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
const SOON: Duration = Duration::from_secs(5);

/// A client that leaves a forwarded watch ends it at upstream, which the audit log tells.
pub(crate) async fn of_a_watch(front: Arc<Front>) -> Result<()> {
    for protocol in BOTH {
        let before = front.cluster.audit().position()?;
        let client = front.client().token(front.cluster.token("leaver")).protocol(protocol);
        let client = client.build()?;
        let watch = client.get("/api/v1/events?watch=true").stream().await?;
        ensure!(watch.status == StatusCode::OK, "{watch:?}");
        ensure!(!answer::is_hit(&watch.headers), "{watch:?}");
        let stages = || -> Result<Vec<String>> {
            let events = front.cluster.audit().events_since(before)?;
            let of_leaver = events.iter().filter(|event| {
                event["user"]["username"] == "leaver" && event["objectRef"]["resource"] == "events"
            });
            Ok(of_leaver.filter_map(|event| Some(event["stage"].as_str()?.to_owned())).collect())
        };
        until(|| Ok(stages()? == ["ResponseStarted"])).await.context("the watch begins")?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(stages()?.len() == 1, "the watch ended by itself: {:?}", stages()?);
        drop((watch, client));
        let ended = |stages: Vec<String>| stages.iter().any(|stage| stage == "ResponseComplete");
        until(|| Ok(ended(stages()?))).await.context("the watch ends upstream")?;
    }
    Ok(())
}

async fn until(holds: impl Fn() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !holds()? {
        ensure!(started.elapsed() < SOON, "not in {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A body that breaks off at the client breaks off at upstream: it must not look complete.
pub(crate) async fn of_an_upload(front: Arc<Front>) -> Result<()> {
    let scripted = Scripted::start(&front).await?;
    for (target, framing) in [
        ("/half-length", "Content-Length: 100\r\n\r\nabc"),
        ("/half-chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ] {
        let mut wire = scripted.wire().await?;
        wire.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\n{framing}")).await?;
        until(|| Ok(!scripted.seen(target).is_empty())).await.context("the head arrives")?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(wire);
        until(|| Ok(scripted.seen(target).iter().any(|seen| seen.body == b"abc")))
            .await
            .context("upstream sees the end")?;
        let seen = scripted.seen(target);
        ensure!(seen.len() == 1 && !seen[0].complete, "{seen:?}");
    }
    scripted.stop().await
}

/// An answer that upstream breaks off must not look complete to the client.
pub(crate) async fn of_an_answer(front: Arc<Front>) -> Result<()> {
    let scripted = Scripted::start(&front).await?;
    for protocol in BOTH {
        for target in ["/cut-length", "/cut-chunks"] {
            let answer = scripted.client(protocol)?.get(target).stream().await;
            // The break may overtake the head.
            let Ok(mut answer) = answer else { continue };
            ensure!(answer.status == StatusCode::OK, "{answer:?}");
            let ended = loop {
                match answer.chunk().await {
                    Ok(Some(_)) => {}
                    ended => break ended,
                }
            };
            ensure!(ended.is_err(), "{protocol:?} {target}: the body looks complete");
        }
    }
    scripted.stop().await
}

/// A killed API server: forwarded watches break off, those from memory go on.
pub(crate) async fn by_a_killed_upstream(front: Arc<Front>) -> Result<()> {
    let mut forwarded = Vec::new();
    let mut served = Vec::new();
    for protocol in BOTH {
        let client = front.client().token(front.cluster.token("admin")).protocol(protocol);
        let client = client.build()?;
        forwarded.push(client.get("/api/v1/events?watch=true").stream().await?);
        let target = "/api/v1/configmaps?watch=true&resourceVersion=0";
        front.warm(&client, target).await?;
        served.push(client.get(target).stream().await?);
    }
    front.cluster.kill_api_server().await?;
    for watch in &mut forwarded {
        let ended = loop {
            match tokio::time::timeout(SOON, watch.chunk()).await.context("it goes on")? {
                Ok(Some(_)) => {}
                ended => break ended,
            }
        };
        ensure!(ended.is_err(), "a watch that was cut off looks complete");
    }
    front.cluster.start_api_server().await?;
    until_ready(&front.client().build()?).await?;
    for watch in &mut served {
        loop {
            let next = tokio::time::timeout(Duration::from_millis(100), watch.chunk()).await;
            let Ok(next) = next else { break };
            ensure!(next?.is_some(), "a watch from memory ended with upstream");
        }
    }
    Ok(())
}
