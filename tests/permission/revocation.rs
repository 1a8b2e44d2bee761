//! What is allowed now may be forbidden in a moment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout_at;
use watchgate_cluster::{Client, Protocol, Streaming};

use crate::front::{Front, answer, rights};

/// How long memory may go on after upstream has begun to refuse.
const LIMIT: Duration = Duration::from_secs(10);

/// A deleted binding refuses new reads and ends open watches in time, those of others go on.
pub(crate) async fn ends_reads_and_watches(front: Arc<Front>) -> Result<()> {
    let (namespace, user) = ("leaving", "leaving");
    rights::namespace(&front, namespace).await?;
    rights::configmap(&front, namespace, "kept").await?;
    rights::grant(&front, namespace, user, rights::read_configmaps()).await?;
    let token = front.cluster.token(user);
    let direct = front.cluster.client().token(token).build()?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let list = format!("{path}?resourceVersion=0");
    rights::until(&direct, &list, StatusCode::OK).await?;

    let first = front.client().token(token).build()?;
    let second = front.client().token(token).protocol(Protocol::Http2).shared().build()?;
    let get = format!("{path}/kept?resourceVersion=0");
    let targets = [
        format!("{path}?watch=true&resourceVersion=0"),
        format!("{path}?watch=true&resourceVersion=0&labelSelector=app%3Dkept"),
        format!("{path}?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dkept"),
    ];
    front.warm(&first, &list).await?;
    let mut watches = Vec::new();
    for client in [&first, &second] {
        for target in &targets {
            front.warm(client, target).await?;
            let watch = client.get(target).stream().await?;
            ensure!(answer::is_hit(&watch.headers), "{watch:?}");
            watches.push(watch);
        }
    }
    let admin = front.client().token(front.cluster.token("admin")).build()?;
    let mut stays = admin.get(&targets[0]).stream().await?;
    ensure!(answer::is_hit(&stays.headers), "{stays:?}");
    for watch in &mut watches {
        let event = watch.event(LIMIT).await?.context("an allowed watch ended")?;
        ensure!(event["type"] == "ADDED", "{event}");
    }
    // Longer than one check: what stays allowed goes on.
    tokio::time::sleep(Duration::from_secs(11)).await;
    for watch in &mut watches {
        ensure_open(watch).await?;
    }

    rights::revoke(&front, namespace, user).await?;
    rights::until(&direct, &list, StatusCode::FORBIDDEN).await?;
    let denied = Instant::now();
    for watch in &mut watches {
        ensure_ends(watch, denied + LIMIT).await?;
    }
    eprintln!("watches ended {:.1} s after upstream denied", denied.elapsed().as_secs_f64());
    tokio::time::sleep_until((denied + LIMIT).into()).await;
    for client in [&first, &second] {
        for target in [&list, &get, &targets[0], &targets[1], &targets[2]] {
            let answer = client.get(target).send().await?;
            ensure!(answer.status == StatusCode::FORBIDDEN, "{target}: {answer:?}");
            ensure!(!answer::is_hit(&answer.headers), "{target}: {answer:?}");
        }
    }
    ensure_open(&mut stays).await
}

/// A service account's token dies with the account, and what it opened with it.
pub(crate) async fn of_a_deleted_account(front: Arc<Front>) -> Result<()> {
    let namespace = "accounts";
    rights::namespace(&front, namespace).await?;
    rights::configmap(&front, namespace, "kept").await?;
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "short-lived" },
    });
    front.create(&accounts, &account).await?;
    let user = format!("system:serviceaccount:{namespace}:short-lived");
    rights::grant(&front, namespace, &user, rights::read_configmaps()).await?;
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {},
    });
    let token = front.create(&format!("{accounts}/short-lived/token"), &request).await?.json()?;
    let bearer = format!("Bearer {}", token["status"]["token"].as_str().context("no token")?);

    let target = format!("/api/v1/namespaces/{namespace}/configmaps?watch=true&resourceVersion=0");
    let through = front.client().build()?;
    let ask =
        async |client: &Client| client.get(&target).header("authorization", &bearer).stream().await;
    let started = Instant::now();
    let mut watch = loop {
        let watch = ask(&through).await?;
        if answer::is_hit(&watch.headers) {
            break watch;
        }
        ensure!(started.elapsed() < LIMIT, "an account's watch is never served: {watch:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    ensure_open(&mut watch).await?;
    let account = format!("{accounts}/short-lived");
    front.admin()?.request(Method::DELETE, &account).send().await?;
    let direct = front.cluster.client().build()?;
    // Upstream itself trusts a token for 10 s after it was checked.
    let deleted = Instant::now();
    while ask(&direct).await?.status != StatusCode::UNAUTHORIZED {
        ensure!(deleted.elapsed() < 2 * LIMIT, "upstream goes on taking the token");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = Instant::now();
    ensure_ends(&mut watch, refused + LIMIT).await?;
    tokio::time::sleep_until((refused + LIMIT).into()).await;
    let answer = ask(&through).await?;
    ensure!(answer.status == StatusCode::UNAUTHORIZED, "{answer:?}");
    ensure!(!answer::is_hit(&answer.headers), "{answer:?}");
    Ok(())
}

async fn ensure_open(watch: &mut Streaming) -> Result<()> {
    loop {
        match tokio::time::timeout(Duration::from_millis(50), watch.line()).await {
            Err(_) => return Ok(()),
            Ok(line) => ensure!(line?.is_some(), "a watch that is allowed ended"),
        }
    }
}

/// The end must be that of a complete body: client-go then asks anew, and is told.
async fn ensure_ends(watch: &mut Streaming, deadline: Instant) -> Result<()> {
    loop {
        let line = timeout_at(deadline.into(), watch.line()).await;
        if line.context("a watch outlives its permission")??.is_none() {
            return Ok(());
        }
    }
}
