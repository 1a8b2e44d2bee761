//! Permissions for one name, one namespace, one user.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::json;
use watchgate_cluster::{Client, Protocol};

use crate::front::{
    Front,
    answer::{self, Answer, ensure_relayed},
    rights,
};

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A role with `resourceNames` allows a collection by a selector of that name, and nothing else.
pub(crate) async fn of_one_name(front: Arc<Front>) -> Result<()> {
    let namespace = "names";
    rights::namespace(&front, namespace).await?;
    rights::configmap(&front, namespace, "kept").await?;
    rights::configmap(&front, namespace, "other").await?;
    let rules = json!([{
        "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["kept"],
        "verbs": ["get", "list", "watch"],
    }]);
    rights::grant(&front, namespace, "named", rules).await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let deprecated = format!("/api/v1/watch/namespaces/{namespace}/configmaps");
    let selected = "resourceVersion=0&fieldSelector=metadata.name%3Dkept";
    let allowed = [
        (format!("{path}/kept?resourceVersion=0"), false),
        (format!("{path}?{selected}"), false),
        (format!("{path}?watch=true&{selected}"), true),
        (format!("{deprecated}/kept?resourceVersion=0"), true),
    ];
    let refused = [
        (format!("{path}/other?resourceVersion=0"), false),
        // That there is no such object is not said either.
        (format!("{path}/absent?resourceVersion=0"), false),
        // With the verb in the path no selector gives a name.
        (format!("{deprecated}?{selected}"), true),
        (format!("{deprecated}/other?resourceVersion=0"), true),
        (format!("{path}?resourceVersion=0"), false),
        (format!("{path}?resourceVersion=0&fieldSelector=metadata.name%3Dother"), false),
        (format!("{path}?resourceVersion=0&fieldSelector=metadata.name!%3Dother"), false),
        (format!("{path}?resourceVersion=0&labelSelector=app%3Dkept"), false),
        (format!("{path}?watch=true&resourceVersion=0"), true),
        (format!("{path}?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dother"), true),
        (format!("/api/v1/configmaps?{selected}"), false),
        (format!("/api/v1/configmaps?watch=true&{selected}"), true),
    ];
    compare(&front, "named", &allowed, &refused).await
}

/// A role in a namespace does not reach others, nor all of them at once.
pub(crate) async fn of_one_namespace(front: Arc<Front>) -> Result<()> {
    for namespace in ["mine", "theirs"] {
        rights::namespace(&front, namespace).await?;
        rights::configmap(&front, namespace, "kept").await?;
    }
    rights::grant(&front, "mine", "local", rights::read_configmaps()).await?;
    let path = |namespace| format!("/api/v1/namespaces/{namespace}/configmaps");
    let allowed = [
        (format!("{}?resourceVersion=0", path("mine")), false),
        (format!("{}/kept?resourceVersion=0", path("mine")), false),
        (format!("{}?watch=true&resourceVersion=0", path("mine")), true),
    ];
    let refused = [
        (format!("{}?resourceVersion=0", path("theirs")), false),
        (format!("{}/kept?resourceVersion=0", path("theirs")), false),
        (format!("{}?watch=true&resourceVersion=0", path("theirs")), true),
        ("/api/v1/configmaps?resourceVersion=0".to_owned(), false),
        ("/api/v1/configmaps?watch=true&resourceVersion=0".to_owned(), true),
        // Selecting a namespace is not being in it.
        (
            "/api/v1/configmaps?resourceVersion=0&fieldSelector=metadata.namespace%3Dmine"
                .to_owned(),
            false,
        ),
    ];
    compare(&front, "local", &allowed, &refused).await
}

/// Reads by two users in turn: memory is warm, and only one of them gets it.
pub(crate) async fn of_another_user(front: Arc<Front>) -> Result<()> {
    let namespace = "shared";
    rights::namespace(&front, namespace).await?;
    rights::configmap(&front, namespace, "kept").await?;
    rights::grant(&front, namespace, "alice", rights::read_configmaps()).await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let reads = [
        (format!("{path}?resourceVersion=0"), false),
        (format!("{path}/kept?resourceVersion=0"), false),
        (format!("{path}?watch=true&resourceVersion=0"), true),
    ];
    compare(&front, "alice", &reads, &[]).await?;
    compare(&front, "carol", &[], &reads).await?;
    compare(&front, "alice", &reads, &[]).await
}

/// Secrets stay out of memory unless the operator names them.
pub(crate) async fn without_secrets(front: Arc<Front>) -> Result<()> {
    let namespace = "secret";
    rights::namespace(&front, namespace).await?;
    let path = format!("/api/v1/namespaces/{namespace}/secrets");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "kept" }, "data": {},
    });
    front.create(&path, &secret).await?;
    for protocol in BOTH {
        let client = |builder: watchgate_cluster::ClientBuilder| {
            builder.token(front.cluster.token("admin")).protocol(protocol).build()
        };
        let (direct, through) = (client(front.cluster.client())?, client(front.client())?);
        for _ in 0..5 {
            for (target, is_watch) in [
                (format!("{path}?resourceVersion=0"), false),
                (format!("{path}/kept?resourceVersion=0"), false),
                (format!("{path}?watch=true&resourceVersion=0"), true),
                ("/api/v1/secrets?resourceVersion=0".to_owned(), false),
            ] {
                let direct = Answer::to(direct.get(&target), is_watch).await?;
                ensure!(direct.essence.status == StatusCode::OK, "{direct:?}");
                let through = Answer::to(through.get(&target), is_watch).await?;
                ensure_relayed(&target, &direct, &through)?;
            }
        }
    }
    Ok(())
}

/// That a user is served `allowed` from memory, and of `refused` gets what upstream says.
async fn compare(
    front: &Front,
    user: &str,
    allowed: &[(String, bool)],
    refused: &[(String, bool)],
) -> Result<()> {
    let token = front.cluster.token(user);
    let admin = front.client().token(front.cluster.token("admin")).build()?;
    let direct = front.cluster.client().token(token).build()?;
    if let Some((target, _)) = allowed.first() {
        rights::until(&direct, target, StatusCode::OK).await?;
    }
    for protocol in BOTH {
        let through = front.client().token(token).protocol(protocol).build()?;
        for (target, is_watch) in allowed {
            served(front, &direct, &through, target, *is_watch).await?;
        }
        for (target, is_watch) in refused {
            front.warm(&admin, target).await.context("warming as the administrator")?;
            let direct = Answer::to(direct.get(target), *is_watch).await?;
            ensure!(direct.essence.status == StatusCode::FORBIDDEN, "{target}: {direct:?}");
            let through = Answer::to(through.get(target), *is_watch).await?;
            ensure_relayed(&format!("{user}, {protocol:?}, {target}"), &direct, &through)?;
        }
    }
    Ok(())
}

async fn served(
    front: &Front,
    direct: &Client,
    through: &Client,
    target: &str,
    is_watch: bool,
) -> Result<()> {
    front.warm(through, target).await.context(target.to_owned())?;
    let answer = Answer::to(through.get(target), is_watch).await?;
    ensure!(answer.cache_status.iter().any(|line| line.contains("hit")), "{target}: {answer:?}");
    let direct = Answer::to(direct.get(target), is_watch).await?;
    ensure!(answer.essence == direct.essence, "{target}:\n {direct:?}\n {answer:?}");
    let headers = through.get(target).stream().await?.headers;
    ensure!(answer::is_hit(&headers), "{target}: {headers:?}");
    Ok(())
}
