//! Another release of the API server takes over, on the same store and at the same address.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::json;
use watchgate_cluster::{Client, Cluster, Fixture, Release};

use crate::front::{Front, Side, answer};

/// A set that is read by one release and refused by the other.
const DISPUTED: &str =
    "/api/v1/namespaces/default/configmaps?resourceVersion=0&labelSelector=a+in+(x,,)";
const LIST: &str = "/api/v1/namespaces/default/configmaps?resourceVersion=0";
const WATCH: &str = "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0";

/// To notice, settle and fill again after the server is back.
const PATIENCE: Duration = Duration::from_secs(20);

/// From the newest release to the older and back again.
pub(crate) async fn are_noticed() -> Result<()> {
    let front = Front::start(Cluster::builder().release(Release::V1_36)).await?;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "kept", "labels": { "a": "x" } },
    });
    front.create("/api/v1/namespaces/default/configmaps", &object).await?;
    for release in [Release::V1_34, Release::V1_36] {
        if let Err(error) = becomes(&front, release).await {
            return Err(error.context(front.report()));
        }
    }
    Box::pin(front.stop()).await
}

async fn becomes(front: &Front, release: Release) -> Result<()> {
    let client = |side| front.client_of(side).token(front.cluster.token("admin")).build();
    let (direct, through) = (client(Side::Direct)?, client(Side::Through)?);
    front.warm(&through, LIST).await?;
    let mut watch = through.get(WATCH).stream().await?;
    ensure!(answer::is_hit(&watch.headers), "{watch:?}");
    ensure!(watch.line().await?.is_some(), "no initial event");

    front.cluster.replace_api_server(release).await?;
    let back = Instant::now();
    // The shard is filled anew, so its watch ends, as the API server's own watches have.
    let ended = async {
        while watch.line().await?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, ended).await.context("the watch goes on")??;
    let after_watch = back.elapsed();

    until_alike(&direct, &through, release).await?;
    front.warm(&through, LIST).await?;
    let (theirs, ours) = (direct.get(LIST).send().await?, through.get(LIST).send().await?);
    ensure!(answer::is_hit(&ours.headers), "{ours:?}");
    ensure!(ours.json()?["items"] == theirs.json()?["items"], "{ours:?} in place of {theirs:?}");
    eprintln!(
        "{}: watches ended {:.1} s after the server was ready, all read by its rules after {:.1} s",
        release.name(),
        after_watch.as_secs_f64(),
        back.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Waits until the disputed list is answered as upstream does, and from memory where it is valid.
async fn until_alike(direct: &Client, through: &Client, release: Release) -> Result<()> {
    let started = Instant::now();
    let (status, hit) = match release {
        Release::V1_36 => (StatusCode::OK, true),
        Release::V1_34 => (StatusCode::BAD_REQUEST, false),
    };
    let theirs = direct.get(DISPUTED).send().await?;
    ensure!(theirs.status == status, "{theirs:?}");
    loop {
        let ours = through.get(DISPUTED).send().await?;
        if ours.status == theirs.status && answer::is_hit(&ours.headers) == hit {
            return Ok(());
        }
        ensure!(started.elapsed() < PATIENCE, "{ours:?} in place of {theirs:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
