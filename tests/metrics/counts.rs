//! Whether the numbers are those of what was sent.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use watchgate_cluster::{Client, RequestBuilder};

use crate::{
    exposition::Exposition,
    front::Front,
    setup::{admin, collection, touch},
};

const TOTAL: &str = "watchgate_requests_total";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const EVENT: Duration = Duration::from_secs(20);

/// What has grown between two scrapes.
struct Growth {
    before: Exposition,
    after: Exposition,
}

impl Growth {
    fn of(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.after.sum(name, labels) - self.before.sum(name, labels)
    }

    fn expect(&self, name: &str, labels: &[(&str, &str)], expected: u32) -> Result<()> {
        let grown = self.of(name, labels);
        ensure!(
            (grown - f64::from(expected)).abs() < 0.5,
            "{name} {labels:?}: {grown}, not {expected}"
        );
        Ok(())
    }
}

/// Each request of a known number has grown the right counters by one.
pub(crate) async fn requests(front: Arc<Front>) -> Result<()> {
    let client = admin(&front)?;
    let list = format!("{}?resourceVersion=0", collection());
    let before = Exposition::of(&client).await?;
    let mut bytes = 0;
    for _ in 0..7 {
        bytes += client.get(&list).send().await?.body.len();
    }
    for _ in 0..3 {
        client.get(&format!("{}/a?resourceVersion=0", collection())).send().await?;
        client.get(&format!("{}/absent?resourceVersion=0", collection())).send().await?;
    }
    for _ in 0..5 {
        // Without a version: a quorum read, which is forwarded.
        client.get(&format!("{}/a", collection())).send().await?;
    }
    for _ in 0..2 {
        client.get("/version").send().await?;
        client.get("/watchgate/livez").send().await?;
        client.get("/watchgate/none").send().await?;
    }
    let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "made" } });
    let create = crate::front::json_body(client.request(Method::POST, &collection()), &body);
    ensure!(create.send().await?.status == StatusCode::CREATED);
    let delete = client.request(Method::DELETE, &format!("{}/made", collection()));
    ensure!(delete.send().await?.status == StatusCode::OK);
    let grown = Growth { before, after: Exposition::of(&client).await? };

    let read = |verb, code, source| {
        [("verb", verb), ("code", code), ("source", source), ("resource", "configmaps")]
    };
    grown.expect(TOTAL, &read("list", "200", "memory"), 7)?;
    grown.expect(TOTAL, &read("get", "200", "memory"), 3)?;
    grown.expect(TOTAL, &read("get", "404", "memory"), 3)?;
    grown.expect(TOTAL, &read("get", "200", "upstream"), 5)?;
    grown.expect(TOTAL, &read("create", "201", "upstream"), 1)?;
    grown.expect(TOTAL, &read("delete", "200", "upstream"), 1)?;
    grown.expect(TOTAL, &[("resource", ""), ("source", "upstream")], 2)?;
    grown.expect(TOTAL, &[("source", "own"), ("code", "404")], 2)?;
    // Two of livez, and the first scrape: the second is counted when it is answered.
    grown.expect(TOTAL, &[("source", "own"), ("code", "200")], 3)?;
    grown.expect(TOTAL, &[("source", "collapsed")], 0)?;
    grown.expect("watchgate_requests_forwarded_total", &[("reason", "quorum")], 5)?;
    grown.expect("watchgate_requests_forwarded_total", &[("reason", "method")], 2)?;
    grown.expect("watchgate_requests_forwarded_total", &[("reason", "path")], 2)?;
    let duration = "watchgate_request_duration_seconds_count";
    grown.expect(duration, &[("verb", "list"), ("source", "memory")], 7)?;
    let saved = [("verb", "list"), ("encoding", "identity")];
    grown.expect("watchgate_saved_bytes_total", &saved, u32::try_from(bytes)?)?;
    let sent = |lane| grown.of("watchgate_upstream_requests_total", &[("lane", lane)]);
    // Reads by the brief lane; writes, and reviews, by the one that says what upstream has not seen.
    ensure!(sent("client-brief") == 7.0, "{} brief requests", sent("client-brief"));
    ensure!(sent("client") >= 2.0);
    Ok(())
}

/// Over a mix of requests the metrics say what `Cache-Status` said of each.
pub(crate) async fn agree_with_cache_status(front: Arc<Front>) -> Result<()> {
    let client = admin(&front)?;
    let mix = [
        format!("{}?resourceVersion=0", collection()),
        collection(),
        format!("{}/a?resourceVersion=0", collection()),
        format!("{}/a", collection()),
        format!("{}?limit=1", collection()),
        "/api/v1/pods?resourceVersion=0".to_owned(),
        "/api/v1/nodes".to_owned(),
        "/api/v1/secrets?resourceVersion=0".to_owned(),
        "/api/v1/events".to_owned(),
        "/apis/apps/v1/deployments?resourceVersion=0".to_owned(),
        "/apis/apps/v1/deployments?fieldSelector=nonsense".to_owned(),
        "/api/v1/nothing".to_owned(),
        "/openapi/v3".to_owned(),
    ];
    let before = Exposition::of(&client).await?;
    let (mut sources, mut reasons) = (BTreeMap::new(), BTreeMap::new());
    for target in mix.iter().cycle().take(mix.len() * 4) {
        let answer = client.get(target).send().await?;
        let status = answer.header("cache-status").context("no Cache-Status")?.to_owned();
        let detail = status.rsplit_once("detail=").map(|(_, detail)| detail);
        let source = match detail {
            _ if status == "watchgate; hit" => "memory",
            Some("coalesced") => "collapsed",
            Some("busy" | "own") => "own",
            Some(reason) => {
                *reasons.entry(reason.to_owned()).or_insert(0) += 1;
                "upstream"
            }
            None => anyhow::bail!("{target}: {status}"),
        };
        *sources.entry(source).or_insert(0) += 1;
    }
    let grown = Growth { before, after: Exposition::of(&client).await? };
    // The first scrape itself.
    *sources.entry("own").or_insert(0) += 1;
    for (source, count) in &sources {
        grown.expect(TOTAL, &[("source", source)], *count)?;
    }
    for (reason, count) in &reasons {
        grown.expect("watchgate_requests_forwarded_total", &[("reason", reason)], *count)?;
    }
    ensure!(sources["memory"] >= 12 && reasons.len() >= 4, "{sources:?} {reasons:?}");
    Ok(())
}

/// Watches are there while they are open, and events are counted on their way in and out.
pub(crate) async fn watches(front: Arc<Front>) -> Result<()> {
    const WATCHERS: u32 = 4;
    const EVENTS: u32 = 6;
    let client = admin(&front)?;
    let before = Exposition::of(&client).await?;
    let watch = format!("{}?watch=true&resourceVersion=0", collection());
    let mut open = Vec::new();
    for _ in 0..WATCHERS {
        let mut watch = client.get(&watch).stream().await?;
        // The state: three objects, or what was left of others by then.
        for _ in 0..3 {
            watch.event(EVENT).await?.context("an initial event")?;
        }
        open.push(watch);
    }
    let forwarded = table(&client, &watch).stream().await?;
    ensure!(forwarded.status == StatusCode::OK, "{forwarded:?}");
    for value in 0..EVENTS {
        touch(&front, "b", value).await?;
    }
    for watch in &mut open {
        for _ in 0..EVENTS {
            let event = watch.event(EVENT).await?.context("a live event")?;
            ensure!(event["type"] == "MODIFIED", "{event}");
        }
    }
    let grown = Growth { before, after: Exposition::of(&client).await? };
    let source = |source| [("resource", "configmaps"), ("source", source)];
    grown.expect("watchgate_watches", &source("memory"), WATCHERS)?;
    grown.expect("watchgate_watches", &source("upstream"), 1)?;
    let delivered = "watchgate_watch_events_delivered_total";
    let phase = |phase| [("resource", "configmaps"), ("phase", phase)];
    grown.expect(delivered, &phase("live"), WATCHERS * EVENTS)?;
    grown.expect(delivered, &phase("initial"), WATCHERS * 3)?;
    let received = [("resource", "configmaps"), ("representation", "json")];
    ensure!(grown.of("watchgate_watch_events_received_total", &received) >= f64::from(EVENTS));
    let bytes = grown.of("watchgate_watch_delivered_bytes_total", &[("resource", "configmaps")]);
    ensure!(bytes >= f64::from(WATCHERS * EVENTS) * 100.0, "{bytes}");
    // One in eight of 24; spread, so not less than two.
    let timed = grown.of("watchgate_watch_propagation_seconds_count", &[]);
    ensure!((2.0..=6.0).contains(&timed), "{timed} hand-overs timed");
    ensure!(grown.of("watchgate_access_grants", &[]) >= 1.0);
    let held = [("resource", "configmaps"), ("representation", "json")];
    ensure!(grown.after.sum("watchgate_cache_objects", &held) >= 3.0);
    ensure!(grown.after.sum("watchgate_cache_history_events", &held) >= f64::from(EVENTS));
    ensure!(grown.after.sum("watchgate_cache_filled", &held) >= 1.0);
    drop((open, forwarded));
    until_closed(&client).await
}

/// What ends is no longer counted as open.
async fn until_closed(client: &Client) -> Result<()> {
    for _ in 0..100 {
        let now = Exposition::of(client).await?;
        if now.sum("watchgate_watches", &[("resource", "configmaps")]) < 0.5 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("closed watches are still counted")
}

/// A watch in a form that memory does not have.
fn table(client: &Client, target: &str) -> RequestBuilder {
    client.get(target).header("accept", TABLE)
}
