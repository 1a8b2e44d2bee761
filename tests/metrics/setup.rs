//! The users of these tests, what they may, and objects to read.

use anyhow::Result;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Protocol};

use crate::front::{Front, rights};

/// One may get `/metrics`; one `/watchgate/metrics`, which upstream does not have; one nothing.
pub(crate) const USERS: [&str; 5] = ["scraper", "unasked", "pather", "stranger", "counted"];

/// The namespace that is read from.
pub(crate) const NAMESPACE: &str = "read";

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Gives the users their rights, and makes three ConfigMaps.
pub(crate) async fn prepare(front: &Front) -> Result<()> {
    allow(front, "scraper", "/metrics").await?;
    allow(front, "counted", "/metrics").await?;
    allow(front, "pather", "/watchgate/*").await?;
    rights::namespace(front, NAMESPACE).await?;
    for name in ["a", "b", "c"] {
        rights::configmap(front, NAMESPACE, name).await?;
    }
    for user in ["scraper", "counted"] {
        let direct = front.cluster.client().token(front.cluster.token(user)).build()?;
        rights::until(&direct, "/metrics", StatusCode::OK).await?;
    }
    let admin = admin(front)?;
    front.warm(&admin, &format!("{}?resourceVersion=0", collection())).await
}

/// The administrator, through the gateway, on one connection.
pub(crate) fn admin(front: &Front) -> Result<Client> {
    let token = front.cluster.token("admin");
    front.client().token(token).protocol(Protocol::Http2).shared().build()
}

/// The path of the ConfigMaps.
pub(crate) fn collection() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps")
}

/// Changes a ConfigMap past the gateway, so that there is an event.
pub(crate) async fn touch(front: &Front, name: &str, value: u32) -> Result<()> {
    let patch = json!({ "data": { "key": value.to_string() } });
    let request = front.admin()?.request(Method::PATCH, &format!("{}/{name}", collection()));
    let request = request.header("content-type", "application/merge-patch+json");
    let response = request.body(patch.to_string()).send().await?;
    anyhow::ensure!(response.status == StatusCode::OK, "{response:?}");
    Ok(())
}

async fn allow(front: &Front, user: &str, path: &str) -> Result<()> {
    let name = format!("metrics-{user}");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": name },
        "rules": [{ "nonResourceURLs": [path], "verbs": ["get"] }],
    });
    front.create(&format!("{RBAC}/clusterroles"), &role).await?;
    let binding: Value = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
    });
    front.create(&format!("{RBAC}/clusterrolebindings"), &binding).await.map(drop)
}
