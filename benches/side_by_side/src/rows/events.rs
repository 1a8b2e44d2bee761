//! Events of pods: what watches of all pods are told, who causes it, and whether both sides tell the same.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use watchgate_cluster::{Protocol, Streaming};

use crate::{
    crowd::Crowd,
    report::Report,
    servers::{Side, Stage},
    writes::{Pace, Writer},
};

/// Events that are compared byte by byte.
const COMPARED: usize = 20;

/// A watch of all pods from now on.
pub(super) async fn all_pods(stage: &Stage) -> Result<String> {
    let newest = stage
        .api_server
        .client(Protocol::Http2)?
        .get("/api/v1/pods?limit=1")
        .send()
        .await?
        .json()?;
    let version = newest["metadata"]["resourceVersion"]
        .as_str()
        .context("a list without version")?
        .to_owned();
    Ok(format!(
        "/api/v1/pods?watch=1&resourceVersion={version}&allowWatchBookmarks=false&timeoutSeconds=3500"
    ))
}

/// Who writes for a side's watches: of all pods, or each of its node.
pub(super) fn writer(stage: &Stage, side: Side, by_node: bool) -> Result<Writer> {
    if side != Side::Limit {
        let client = stage.api_server.client(Protocol::Http2)?;
        let salt =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as u64;
        return Ok(Writer::Pods { client, pods: stage.options.pods, salt: salt % 100_000_000 });
    }
    let client = stage.server(Side::Limit)?.client(Protocol::Http2)?;
    Ok(Writer::Limit { client, by_node: by_node.then_some(stage.options.pods) })
}

/// Opens a watch at both and compares what they tell of the same writes; gives the limit server one of the events.
pub(super) async fn compare_events(stage: &Stage, report: &mut Report) -> Result<()> {
    let path = all_pods(stage).await?;
    let mut watches: Vec<Streaming> = Vec::new();
    for side in [Side::A, Side::B] {
        let request = stage.server(side)?.client(Protocol::Http2)?.get(&path);
        let watch = Box::pin(request.header("accept", "application/json").stream()).await?;
        ensure!(watch.status == http::StatusCode::OK, "{side}: {path}: {}", watch.status);
        watches.push(watch);
    }
    let status =
        watches[1].headers.get("cache-status").and_then(|it| it.to_str().ok()).unwrap_or("none");
    report.cache_status = Some(status.to_owned());
    if status != "watchgate; hit" {
        report.fail(format!("the watch is not from memory: Cache-Status is {status:?}"));
    }
    let writer = writer(stage, Side::A, false)?;
    let nobody = Crowd::open(&stage.api_server.endpoint, &[], 1, false).await?;
    writer.run(&nobody, COMPARED, Pace::Rate(100.0), 0).await?;
    let mut event = None;
    for _ in 0..COMPARED {
        let mut lines = Vec::new();
        for watch in &mut watches {
            let line = tokio::time::timeout(Duration::from_secs(30), watch.line()).await;
            lines.push(line.context("no event within 30 s")??.context("the watch ended")?);
        }
        if lines[0] != lines[1] {
            report.fail(format!(
                "events differ: A {:?}, B {:?}",
                String::from_utf8_lossy(&lines[0][..lines[0].len().min(300)]),
                String::from_utf8_lossy(&lines[1][..lines[1].len().min(300)])
            ));
        }
        event = lines.pop();
    }
    let mut event = event.context("no event")?.to_vec();
    event.push(b'\n');
    report.note(format!("events of {} bytes", event.len()));
    let limit = stage.server(Side::Limit)?.client(Protocol::Http2)?;
    let put = limit.request(http::Method::PUT, "/event").body(event).send().await?;
    ensure!(put.status == http::StatusCode::OK, "the limit server takes no event: {}", put.status);
    Ok(())
}
