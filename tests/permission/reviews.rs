//! The access reviews that upstream sees: how many, whose, and about what.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::{Value, json};
use watchgate_cluster::{AuditPosition, Client, Protocol};

use crate::front::{Front, answer, behind_cutter::BehindCutter, rights};

/// A user that the Node authorizer lets list its own pods.
pub(crate) const NODE: &str = "system:node:reviewed";

/// How long an audit event may take to be written.
const WRITTEN: Duration = Duration::from_millis(500);

/// 200 reads at once are one question; another 200 right after are none.
pub(crate) async fn are_shared(front: Arc<Front>) -> Result<()> {
    let namespace = "counted";
    let (client, target) = reader(&front, namespace, "counted").await?;
    let admin = front.client().token(front.cluster.token("admin")).build()?;
    front.warm(&admin, &target).await?;
    let before = front.cluster.audit().position()?;
    for _ in 0..2 {
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let request = client.get(&target);
            reads.spawn(async move { request.send().await });
        }
        while let Some(read) = reads.join_next().await {
            let answer = read??;
            ensure!(answer.status == StatusCode::OK, "{answer:?}");
            ensure!(answer::is_hit(&answer.headers), "{answer:?}");
        }
    }
    let reviews = reviews(&front, before, "counted").await?;
    ensure!(reviews.len() == 1, "{} reviews: {reviews:?}", reviews.len());
    let reads = audited(&front, before, "counted", "configmaps")?;
    ensure!(reads.is_empty(), "reads that reached upstream: {reads:?}");
    Ok(())
}

/// The review travels with the user's own token, and says everything that an authorizer looks at.
pub(crate) async fn have_every_attribute(front: Arc<Front>) -> Result<()> {
    let namespace = "asking";
    let (client, _) = reader(&front, namespace, "asking").await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let deprecated = path.replace("/v1/", "/v1/watch/");
    let plain = |verb: &str| json!({ "verb": verb, "version": "v1", "resource": "configmaps", "namespace": namespace });
    let with = |verb: &str, more: Value| {
        let (mut whole, Value::Object(more)) = (plain(verb), more) else { return Value::Null };
        if let Some(whole) = whole.as_object_mut() {
            whole.extend(more);
        }
        whole
    };
    let cases = [
        (format!("{path}/kept?resourceVersion=0"), with("get", json!({ "name": "kept" }))),
        (format!("{path}?resourceVersion=0"), plain("list")),
        (format!("{path}?watch=true&resourceVersion=0"), plain("watch")),
        // A name that a selector demands is a name.
        (
            format!("{path}?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dgone"),
            with("watch", json!({ "name": "gone" })),
        ),
        // With the verb in the path a name counts, and selectors do not.
        (
            format!("{deprecated}/kept?resourceVersion=0&labelSelector=app%3Dkept"),
            with("watch", json!({ "name": "kept" })),
        ),
    ];
    for (target, expected) in cases {
        let before = front.cluster.audit().position()?;
        front.warm(&client, &target).await?;
        let reviews = reviews(&front, before, "asking").await?;
        let [review] = &reviews[..] else { anyhow::bail!("{target}: {reviews:?}") };
        ensure!(review["user"]["username"] == "asking", "{review}");
        ensure!(review["impersonatedUser"].is_null(), "{review}");
        let asked = &review["requestObject"]["spec"];
        ensure!(asked["nonResourceAttributes"].is_null(), "{review}");
        let asked = &asked["resourceAttributes"];
        ensure!(*asked == expected, "{target}:\n asked {asked}\n expected {expected}");
    }
    Ok(())
}

/// Where the whole collection is denied, its selectors are part of the question. A node may list its
/// own pods, and no others.
pub(crate) async fn have_selectors_where_they_decide(front: Arc<Front>) -> Result<()> {
    let direct = front.cluster.client().token(front.cluster.token(NODE)).build()?;
    let client = front.client().token(front.cluster.token(NODE)).build()?;
    let list = |node: &str, labels: &str| {
        format!(
            "/api/v1/pods?resourceVersion=0&labelSelector={labels}&fieldSelector=spec.nodeName%3D{node}"
        )
    };
    let own = list("reviewed", "app%20in%20(kept,b),!c");
    rights::until(&direct, &own, StatusCode::OK).await?;
    tokio::time::sleep(WRITTEN).await;
    let before = front.cluster.audit().position()?;
    front.warm(&client, &own).await?;
    for node in ["another", "reviewed,spec.nodeName!%3Dreviewed2"] {
        let answer = client.get(&list(node, "app")).send().await?;
        let expected = direct.get(&list(node, "app")).send().await?;
        ensure!(answer.status == expected.status, "{node}: {answer:?} and {expected:?}");
        ensure!(
            (answer.status == StatusCode::OK) == answer::is_hit(&answer.headers),
            "{node}: {answer:?}"
        );
    }
    let reviews = reviews(&front, before, NODE).await?;
    let asked: Vec<_> = reviews
        .iter()
        .map(|review| &review["requestObject"]["spec"]["resourceAttributes"])
        .collect();
    let whole = json!({ "verb": "list", "version": "v1", "resource": "pods" });
    let part = json!({
        "verb": "list", "version": "v1", "resource": "pods",
        "labelSelector": { "rawSelector": "app in (kept,b),!c" },
        "fieldSelector": { "rawSelector": "spec.nodeName=reviewed" },
    });
    ensure!(asked.len() == 4 && *asked[0] == whole && *asked[1] == part, "{asked:?}");
    let others = &asked[2..];
    ensure!(others.iter().all(|asked| !asked["fieldSelector"].is_null()), "{asked:?}");
    Ok(())
}

/// An answer to one question is none to another: verb, name and place each count. A part is no new
/// question to whom the whole is allowed.
pub(crate) async fn are_apart(front: Arc<Front>) -> Result<()> {
    let namespace = "apart";
    let (client, list) = reader(&front, namespace, "apart").await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let before = front.cluster.audit().position()?;
    let targets = [
        list,
        format!("{path}/kept?resourceVersion=0"),
        format!("{path}?watch=true&resourceVersion=0"),
        format!("{path}?resourceVersion=0&labelSelector=app%3Dkept"),
        format!("{path}?resourceVersion=0&labelSelector=app%3Dother"),
        format!("{path}?resourceVersion=0&fieldSelector=metadata.name%3Dkept"),
    ];
    for target in &targets {
        for _ in 0..3 {
            front.warm(&client, target).await?;
        }
    }
    let reviews = reviews(&front, before, "apart").await?;
    let parts = targets.iter().filter(|target| target.contains("labelSelector")).count();
    ensure!(reviews.len() == targets.len() - parts, "{} reviews: {reviews:?}", reviews.len());
    Ok(())
}

/// While upstream can't be asked, memory answers those it was told about a moment ago and nobody else.
pub(crate) async fn are_needed(front: Arc<Front>) -> Result<()> {
    let namespace = "unheard";
    let (_, list) = reader(&front, namespace, "unheard").await?;
    let behind = BehindCutter::start(&front).await?;
    let (known, unheard) = (behind.client("admin")?, behind.client("unheard")?);
    front.warm(&known, &list).await?;
    behind.cutter.refuse().await;
    let answer = known.get(&list).send().await?;
    ensure!(answer::is_hit(&answer.headers), "{answer:?}");
    for target in [list.clone(), list.replace('?', "?watch=true&")] {
        let answer = unheard.get(&target).send().await?;
        ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        ensure!(!answer::is_hit(&answer.headers), "{answer:?}");
    }
    // What upstream said counts for 10 s, not for as long as it is silent.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let answer = known.get(&list).send().await?;
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    ensure!(!answer::is_hit(&answer.headers), "{answer:?}");
    behind.cutter.resume().await?;
    front.warm(&unheard, &list).await?;
    behind.stop().await
}

/// A user who may read ConfigMaps in a namespace of its own, and the list that it reads.
async fn reader(front: &Front, namespace: &str, user: &str) -> Result<(Client, String)> {
    rights::namespace(front, namespace).await?;
    rights::configmap(front, namespace, "kept").await?;
    rights::grant(front, namespace, user, rights::read_configmaps()).await?;
    let target = format!("/api/v1/namespaces/{namespace}/configmaps?resourceVersion=0");
    let token = front.cluster.token(user);
    let direct = front.cluster.client().token(token).build()?;
    rights::until(&direct, &target, StatusCode::OK).await?;
    // The audit log is written behind the answers.
    tokio::time::sleep(WRITTEN).await;
    let client = front.client().token(token).protocol(Protocol::Http2).shared().build()?;
    Ok((client, target))
}

async fn reviews(front: &Front, since: AuditPosition, user: &str) -> Result<Vec<Value>> {
    tokio::time::sleep(WRITTEN).await;
    audited(front, since, user, "selfsubjectaccessreviews")
}

fn audited(front: &Front, since: AuditPosition, user: &str, resource: &str) -> Result<Vec<Value>> {
    let events = front.cluster.audit().events_since(since).context("the audit log")?;
    let is_wanted = |event: &Value| {
        event["stage"] == "ResponseComplete"
            && event["user"]["username"] == user
            && event["objectRef"]["resource"] == resource
    };
    Ok(events.into_iter().filter(is_wanted).collect())
}
