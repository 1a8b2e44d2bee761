//! Versions from before upstream's own history.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use watchgate_cluster::{Client, Cluster, Streaming};

use crate::front::{self, Front, GATEWAY, is_hit};

const PATIENCE: Duration = Duration::from_secs(20);

/// One refusal by upstream is enough: later ones come from memory, in its words and bytes.
pub(crate) async fn are_refused_as_upstream_does(cluster: Arc<Cluster>) -> Result<()> {
    let direct = front::direct(&cluster)?;
    front::namespace(&direct, "old").await?;
    let collection = "/api/v1/namespaces/old/configmaps";
    for step in 0..20 {
        front::write(&direct, collection, "kept", step).await?;
    }
    // A restarted API server has no history from before.
    cluster.restart_api_server().await?;
    let front = Front::start(&cluster).await?;
    let client = front.client(&cluster)?;
    front::warm(&client, collection).await?;
    let first = refused(&client, collection, 5, JSON).await?;
    let began = cluster.audit().position()?;
    for (accept, content_type) in [JSON, METADATA, PROTOBUF, PROTOBUF_METADATA] {
        // Each form is a shard of its own; they share what is known.
        let warm = client.get(&format!("{collection}?resourceVersion=0"));
        let started = std::time::Instant::now();
        while !is_hit(&warm.clone().header("accept", &list_of(accept)).send().await?) {
            ensure!(started.elapsed() < PATIENCE, "{accept} is never served");
        }
        for version in [1, 5, 7] {
            let expected = refused(&direct, collection, version, (accept, content_type)).await?;
            let found = refused(&client, collection, version, (accept, content_type)).await?;
            ensure!(found.1 == expected.1, "{accept}: {found:?} instead of {expected:?}");
            ensure!(found.0 == "watchgate; hit", "{accept} at {version}: {}", found.0);
        }
    }
    let asked = cluster.audit().events_since(began)?;
    let asked = asked.iter().filter(|event| {
        event["verb"] == "watch"
            && event["objectRef"]["resource"] == "configmaps"
            && event["stage"] == "ResponseStarted"
            && event["user"]["username"] == GATEWAY
            && !event["requestURI"].as_str().unwrap_or_default().contains("sendInitialEvents")
    });
    ensure!(asked.count() == 0, "known, but asked again");
    ensure!(first.1.starts_with(b"{\"type\":\"ERROR\""), "{first:?}");
    front.gateway.stop().await?;
    Ok(())
}

type Form = (&'static str, &'static str);

const JSON: Form = ("application/json", "application/json");
const METADATA: Form =
    ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", "application/json");
const PROTOBUF: Form =
    ("application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf;stream=watch");
const PROTOBUF_METADATA: Form = (
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    "application/vnd.kubernetes.protobuf;stream=watch",
);

fn list_of(accept: &str) -> String {
    accept.replace("PartialObjectMetadata", "PartialObjectMetadataList")
}

/// The whole stream of a watch from `version`, with its `Cache-Status`.
async fn refused(
    client: &Client,
    collection: &str,
    version: u64,
    (accept, content_type): Form,
) -> Result<(String, Vec<u8>)> {
    let target = format!("{collection}?watch=true&resourceVersion={version}&timeoutSeconds=30");
    let stream: Streaming = client.get(&target).header("accept", accept).stream().await?;
    ensure!(stream.status == StatusCode::OK, "{stream:?}");
    let header = |name| stream.headers.get(name).and_then(|value| value.to_str().ok());
    ensure!(header("content-type") == Some(content_type), "{:?}", stream.headers);
    ensure!(header("content-length").is_none(), "{:?}", stream.headers);
    let status = header("cache-status").unwrap_or_default().to_owned();
    let response = tokio::time::timeout(PATIENCE, stream.collect()).await;
    let response = response.context("the refused watch goes on")??;
    Ok((status, response.body.to_vec()))
}
