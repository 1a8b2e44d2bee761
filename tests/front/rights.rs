//! Namespaces, objects and bindings of the tests, made past the gateway.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::Client;

use super::Front;

const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a namespace.
pub(crate) async fn namespace(front: &Front, name: &str) -> Result<()> {
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    front.create("/api/v1/namespaces", &object).await.map(drop)
}

/// Makes a ConfigMap with the label `app=<name>`.
pub(crate) async fn configmap(front: &Front, namespace: &str, name: &str) -> Result<()> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": { "app": name } },
        "data": { "key": "not for everyone" },
    });
    front.create(&format!("/api/v1/namespaces/{namespace}/configmaps"), &object).await.map(drop)
}

/// Lets a user do what `rules` say in a namespace. Role and binding are named after the user.
pub(crate) async fn grant(front: &Front, namespace: &str, user: &str, rules: Value) -> Result<()> {
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": user }, "rules": rules,
    });
    front.create(&format!("{path}/roles"), &role).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": user },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
    });
    front.create(&format!("{path}/rolebindings"), &binding).await.map(drop)
}

/// Rules for reading ConfigMaps.
pub(crate) fn read_configmaps() -> Value {
    json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"] }])
}

/// Takes back what [`grant`] gave.
pub(crate) async fn revoke(front: &Front, namespace: &str, user: &str) -> Result<()> {
    let path =
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{user}");
    let response = front.admin()?.request(Method::DELETE, &path).send().await?;
    ensure!(response.status == StatusCode::OK, "{response:?}");
    Ok(())
}

/// Waits until upstream itself answers with this status: its authorizer learns of changes by a watch.
pub(crate) async fn until(direct: &Client, target: &str, status: StatusCode) -> Result<()> {
    let started = Instant::now();
    while direct.get(target).stream().await?.status != status {
        ensure!(started.elapsed() < PATIENCE, "{target}: upstream never answers {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
