//! Lists of the latest state of a quiet resource, which nothing proves in time: one answer for all, but only for those who may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::{join_all, try_join_all};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster, Response};

use crate::stage::{self, Stage, configmap, marks, version};
use crate::stand_in::Sort;

/// Lists that are released together.
const LISTS: usize = 500;

/// Enough for no probe to see all of them.
const OBJECTS: usize = 1_000;

const COLLAPSED: &str = "watchgate; fwd=stale; collapsed; detail=coalesced";

pub(crate) async fn quiet_lists_share_an_answer(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, path) = quiet(cluster, "shared", OBJECTS).await?;
    let direct = stage::direct(&stage.cluster)?;
    let before = version(&direct.get(&format!("{path}?limit=1")).send().await?)?;
    let clients = stage.clients(20, "admin", &format!("{path}?resourceVersion=0&limit=1")).await?;
    let count = |sort| stage.stand_in.count(sort);
    stage.write_elsewhere().await?;
    stage.stand_in.reset();
    together(&clients, LISTS, &path).await?;
    println!("{LISTS} lists of {OBJECTS} objects: {:?}", stage.stand_in.counts());
    for sort in [Sort::List, Sort::Probe] {
        ensure!(count(sort).at_once == 1, "{:?}", stage.stand_in.counts());
    }
    // As soon as upstream takes longer than the requests to arrive, those before its answers are all.
    for sort in [Sort::List, Sort::Probe] {
        stage.stand_in.delay(sort, Duration::from_secs(1));
    }
    stage.write_elsewhere().await?;
    stage.stand_in.reset();
    let answers = together(&clients, LISTS, &path).await?;
    println!("the same, upstream slowed: {:?}", stage.stand_in.counts());
    for sort in [Sort::List, Sort::Probe] {
        ensure!(count(sort).all <= 2, "{:?}", stage.stand_in.counts());
        stage.stand_in.delay(sort, Duration::ZERO);
    }
    ensure!(count(Sort::Forwarded).all == 0, "{:?}", stage.stand_in.counts());
    ensure!(count(Sort::Auxiliary).all == 0, "lists don't wait for that");
    let own = direct.get(&path).send().await?.json()?;
    are_as_upstreams(&answers, &own, before)?;
    others_are_apart(&stage, &clients[0], &direct, &path).await?;
    stage.strike().await
}

/// Every answer is a whole one of its own, from after `before`.
fn are_as_upstreams(answers: &[Response], own: &Value, before: u64) -> Result<()> {
    let (mut audits, mut bodies) = (BTreeSet::new(), BTreeSet::new());
    for answer in answers {
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        ensure!(marks(answer) == COLLAPSED, "{:?}", marks(answer));
        if bodies.insert(answer.body.clone()) {
            ensure!(version(answer)? >= before, "an answer from before the request");
            ensure!(answer.json()?["items"] == own["items"], "other objects than upstream's");
        }
        ensure!(answer.header("content-type") == Some("application/json"));
        ensure!(answer.header("content-encoding").is_none());
        audits.insert(answer.header("audit-id").unwrap_or_default().to_owned());
    }
    ensure!(audits.len() == answers.len(), "every answer has an Audit-Id of its own");
    Ok(())
}

/// Nothing that makes another answer is shared.
async fn others_are_apart(
    stage: &Stage,
    client: &Client,
    direct: &Client,
    path: &str,
) -> Result<()> {
    let json = "application/json";
    let variants = [
        (format!("{path}?labelSelector=half%3D0"), json, ""),
        (format!("{path}?limit=7"), json, ""),
        (path.to_owned(), "application/vnd.kubernetes.protobuf", ""),
        (path.to_owned(), json, "gzip"),
        (path.to_owned(), "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", ""),
        ("/api/v1/configmaps".to_owned(), json, ""),
    ];
    stage.write_elsewhere().await?;
    stage.stand_in.reset();
    for (target, accept, encoding) in &variants {
        let ask = |client: &Client| {
            let request = client.get(target).header("accept", accept);
            if encoding.is_empty() { request } else { request.header("accept-encoding", encoding) }
        };
        let (shared, own) = (ask(client).send().await?, ask(direct).send().await?);
        ensure!(marks(&shared) == COLLAPSED, "{target} {accept}: {:?}", marks(&shared));
        for name in ["content-type", "content-encoding", "vary"] {
            ensure!(shared.header(name) == own.header(name), "{target} {accept}: {name}");
        }
        // All but the digits of the list's own version.
        let lengths = (shared.body.len(), own.body.len());
        ensure!(*encoding == "gzip" || lengths.0 == lengths.1, "{target} {accept}: {lengths:?}");
    }
    let lists = stage.stand_in.count(Sort::List).all;
    ensure!(lists == variants.len(), "{:?}", stage.stand_in.counts());
    Ok(())
}

pub(crate) async fn only_who_may_shares(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, path) = quiet(cluster, "rights", 150).await?;
    let direct = stage::direct(&stage.cluster)?;
    for user in ["alice", "carol"] {
        grant(&direct, "rights", user).await?;
    }
    allowed(&stage.cluster, "carol", &path, StatusCode::OK).await?;
    let ask = |user| {
        let client = stage.client(user);
        let path = &path;
        async move { client?.get(path).send().await }
    };
    for user in ["alice", "bob", "carol"] {
        ask(user).await?;
    }
    stage.write_elsewhere().await?;
    stage.stand_in.reset();
    stage.stand_in.hold(Sort::List);
    let released = async {
        // The first list is held; the second, shared, waits for it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.stand_in.release(Sort::List);
        Ok(())
    };
    let users = ["alice", "carol", "bob", "alice", "carol", "bob"];
    let (answers, ()) = tokio::try_join!(try_join_all(users.map(ask)), released)?;
    for (user, answer) in users.iter().zip(&answers) {
        if *user == "bob" {
            ensure!(answer.status == StatusCode::FORBIDDEN, "{answer:?}");
            ensure!(marks(answer).ends_with("detail=denied"), "{answer:?}");
        } else {
            ensure!(answer.status == StatusCode::OK && marks(answer) == COLLAPSED, "{answer:?}");
        }
    }
    ensure!(stage.stand_in.count(Sort::List).all <= 2, "{:?}", stage.stand_in.counts());
    ensure!(stage.stand_in.count(Sort::Forwarded).all == 2, "{:?}", stage.stand_in.counts());
    stage.strike().await
}

pub(crate) async fn a_withdrawn_permission(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, path) = quiet(cluster, "withdrawn", 150).await?;
    let direct = stage::direct(&stage.cluster)?;
    for user in ["alice", "carol"] {
        grant(&direct, "withdrawn", user).await?;
    }
    allowed(&stage.cluster, "carol", &path, StatusCode::OK).await?;
    let (leaving, staying) = (stage.client("alice")?, stage.client("carol")?);
    for client in [&leaving, &staying] {
        ensure!(client.get(&path).send().await?.status == StatusCode::OK);
    }
    stage.write_elsewhere().await?;
    stage.stand_in.hold(Sort::List);
    let withdrawn = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/withdrawn/rolebindings/alice";
        ensure!(direct.request(Method::DELETE, binding).send().await?.status == StatusCode::OK);
        // A decision counts nine seconds.
        tokio::time::sleep(Duration::from_secs(10)).await;
        stage.stand_in.release(Sort::List);
        anyhow::Ok(())
    };
    let (left, stayed) = (leaving.get(&path).send(), staying.get(&path).send());
    let (left, stayed, ()) = tokio::try_join!(left, stayed, withdrawn)?;
    ensure!(stayed.status == StatusCode::OK && marks(&stayed) == COLLAPSED, "{stayed:?}");
    ensure!(left.status == StatusCode::FORBIDDEN, "{left:?}");
    ensure!(marks(&left).ends_with("detail=denied"), "{left:?}");
    stage.strike().await
}

/// What upstream tells the gateway is not for its clients: they ask themselves, few at a time.
pub(crate) async fn refusals_are_not_shared(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, path) = quiet(cluster, "refused", 150).await?;
    let clients = stage.clients(10, "admin", &format!("{path}?resourceVersion=0&limit=1")).await?;
    stage.write_elsewhere().await?;
    stage.stand_in.refuse(Sort::List);
    stage.stand_in.delay(Sort::Forwarded, Duration::from_millis(50));
    stage.stand_in.reset();
    let answers = together(&clients, 100, &path).await?;
    println!("100 lists with the gateway refused: {:?}", stage.stand_in.counts());
    for answer in &answers {
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        ensure!(marks(answer).ends_with("fwd=stale; detail=not-proven"), "{:?}", marks(answer));
    }
    let forwarded = stage.stand_in.count(Sort::Forwarded);
    // The gateway has an answer's end, and gives its place away, before the stand-in has noticed.
    ensure!(forwarded.all == 100 && forwarded.at_once <= 8 + 4, "{forwarded:?}");
    stage.strike().await
}

/// Upstream waits three seconds for a version that it has not got; the gateway doesn't before.
pub(crate) async fn a_version_to_come_is_upstreams(cluster: Arc<Cluster>) -> Result<()> {
    let (stage, path) = quiet(cluster, "to-come", 150).await?;
    let direct = stage::direct(&stage.cluster)?;
    let now = version(&direct.get(&format!("{path}?limit=1")).send().await?)?;
    let ahead = now + 1_000_000;
    let target = format!("{path}?resourceVersion={ahead}&resourceVersionMatch=NotOlderThan");
    stage.stand_in.reset();
    let begun = Instant::now();
    let answer = stage.client("admin")?.get(&target).send().await?;
    let took = begun.elapsed();
    println!("a version to come took {took:.1?}: {:?}", stage.stand_in.counts());
    ensure!(answer.status == StatusCode::GATEWAY_TIMEOUT, "{answer:?}");
    ensure!(took < Duration::from_millis(4_500), "{took:?}");
    ensure!(stage.stand_in.count(Sort::Auxiliary).all == 0, "{:?}", stage.stand_in.counts());
    stage.strike().await
}

/// A gateway that holds a namespace's ConfigMaps, while the store goes on.
async fn quiet(cluster: Arc<Cluster>, name: &str, objects: usize) -> Result<(Stage, String)> {
    stage::namespace(&cluster, name).await?;
    let path = format!("/api/v1/namespaces/{name}/configmaps");
    stage::create(&cluster, &path, objects, configmap).await?;
    let stage = Stage::set(cluster, "configmaps").await?;
    for accept in ["application/json", "application/vnd.kubernetes.protobuf"] {
        stage.warm(&format!("{path}?resourceVersion=0&limit=1"), accept).await?;
    }
    Ok((stage, path))
}

async fn together(clients: &[Client], count: usize, target: &str) -> Result<Vec<Response>> {
    let asked = (0..count).map(|number| {
        let request = clients[number % clients.len()].get(target);
        tokio::spawn(request.send())
    });
    let mut answers = Vec::new();
    for answer in join_all(asked).await {
        answers.push(answer??);
    }
    Ok(answers)
}

/// Lets a user read ConfigMaps of a namespace.
async fn grant(direct: &Client, namespace: &str, user: &str) -> Result<()> {
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let metadata = json!({ "name": user });
    let (kind, group) = ("User", "rbac.authorization.k8s.io");
    let rules: Value = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"] }]);
    let api_version = "rbac.authorization.k8s.io/v1";
    let role =
        json!({ "apiVersion": api_version, "kind": "Role", "metadata": metadata, "rules": rules });
    stage::post(direct, &format!("{path}/roles"), &role).await?;
    let binding = json!({
        "apiVersion": api_version, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": { "apiGroup": group, "kind": "Role", "name": user },
        "subjects": [{ "apiGroup": group, "kind": kind, "name": user }],
    });
    stage::post(direct, &format!("{path}/rolebindings"), &binding).await
}

/// Waits until upstream itself answers so: its authorizer learns of changes by a watch.
async fn allowed(cluster: &Cluster, user: &str, target: &str, status: StatusCode) -> Result<()> {
    let client = cluster.client().token(cluster.token(user)).build()?;
    let started = Instant::now();
    while client.get(target).send().await?.status != status {
        ensure!(started.elapsed() < stage::PATIENCE, "{target}: upstream never answers {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
