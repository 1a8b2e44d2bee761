//! Types that change under the gateway: noticed within two seconds, and never a byte of the old type after that.

mod ledger;
mod lifecycle;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster, Response};

use crate::front::{
    self, Front, PATIENCE, delete, ends, is_hit, items, send, version_of, warm, watch_from_memory,
};

pub(crate) use self::lifecycle::a_type_lives;

/// How soon a change of a type must be known.
const NOTICED: Duration = Duration::from_secs(2);

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A custom type of a test, and both ways to it.
struct Type {
    group: String,
    direct: Client,
    client: Client,
    front: Front,
}

impl Type {
    async fn start(cluster: &Cluster, group: &str) -> Result<Self> {
        let front = Front::start(cluster).await?;
        let (direct, client) = (front::direct(cluster)?, front.client(cluster)?);
        Ok(Self { group: group.to_owned(), direct, client, front })
    }

    fn path(&self) -> String {
        format!("{DEFINITIONS}/widgets.{}", self.group)
    }

    fn collection(&self, version: &str) -> String {
        format!("/apis/{}/{version}/namespaces/default/widgets", self.group)
    }

    fn definition(&self, scope: &str, versions: &Value) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("widgets.{}", self.group) },
            "spec": {
                "group": self.group, "scope": scope, "versions": versions,
                "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList" },
            },
        })
    }

    /// Defines the type and waits until upstream serves it.
    async fn define(&self, versions: Value) -> Result<()> {
        let definition = self.definition("Namespaced", &versions);
        send(&self.direct, Method::POST, DEFINITIONS, &definition).await?;
        self.served("v1").await
    }

    async fn served(&self, version: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.direct.get(&self.collection(version)).send().await?.status != StatusCode::OK {
            ensure!(Instant::now() < deadline, "{} is never served", self.group);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn change(&self, spec: Value) -> Result<()> {
        send(&self.direct, Method::PATCH, &self.path(), &json!({ "spec": spec })).await?;
        Ok(())
    }

    async fn create(&self, version: &str, name: &str, spec: Value) -> Result<u64> {
        let object = json!({
            "apiVersion": format!("{}/{version}", self.group), "kind": "Widget",
            "metadata": { "name": name }, "spec": spec,
        });
        version_of(&send(&self.direct, Method::POST, &self.collection(version), &object).await?)
    }

    /// Asks both sides until they agree, and tells when they did.
    async fn agree(&self, target: &str, what: &str) -> Result<Response> {
        let started = Instant::now();
        loop {
            let answer = self.client.get(target).send().await?;
            let direct = self.direct.get(target).send().await?;
            if same(&answer, &direct)? {
                let origin = answer.header("cache-status").unwrap_or_default();
                let took = started.elapsed().as_secs_f64();
                eprintln!("{what}: as upstream after {took:.2} s ({}, {origin})", answer.status);
                return Ok(answer);
            }
            ensure!(started.elapsed() < NOTICED, "{what}: {answer:?}\n{direct:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the gateway's watch and upstream's end alike after `change`.
    async fn watches_end(
        &self,
        version: &str,
        what: &str,
        change: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<()> {
        let collection = self.collection(version);
        let after = version_of(&warm(&self.client, &collection).await?)?;
        let mut through = watch_from_memory(&self.client, &collection, after).await?;
        let mut direct = front::watch(&self.direct, &collection, after).await?;
        change().await?;
        let started = Instant::now();
        let direct = ends(&mut direct, NOTICED * 2).await;
        let upstream_took = started.elapsed().as_secs_f64();
        let through = ends(&mut through, NOTICED).await;
        let took = started.elapsed().as_secs_f64();
        eprintln!(
            "{what}: upstream's watch ended: {} after {upstream_took:.2} s, the gateway's: {} after {took:.2} s",
            direct.is_ok(),
            through.is_ok(),
        );
        if direct.is_ok() {
            ensure!(through.context(format!("{what}: the gateway's watch"))?, "it broke off");
        }
        Ok(())
    }
}

/// The same status and, for a list, the same objects byte by byte.
fn same(answer: &Response, direct: &Response) -> Result<bool> {
    if answer.status != direct.status {
        return Ok(false);
    }
    if answer.status == StatusCode::OK {
        return Ok(items(answer)? == items(direct)?);
    }
    Ok(answer.body == direct.body)
}

fn version(name: &str, storage: bool, properties: &Value) -> Value {
    json!({
        "name": name, "served": true, "storage": storage,
        "schema": { "openAPIV3Schema": {
            "type": "object",
            "properties": { "spec": { "type": "object", "properties": properties } },
        } },
    })
}

/// A printer column, a selectable field, a version taken away.
pub(crate) async fn a_definition_changes(cluster: Arc<Cluster>) -> Result<()> {
    let it = Type::start(&cluster, "changes.example.com").await?;
    let properties = json!({ "color": { "type": "string" } });
    it.agree(&it.collection("v1"), "before it is defined").await?;
    // Upstream takes selectable fields of one version only if its schema isn't that of all.
    let older = json!({ "color": { "type": "string" }, "shape": { "type": "string" } });
    let (v1, old) = (version("v1", true, &properties), version("v1beta1", false, &older));
    it.define(json!([v1, old])).await?;
    it.served("v1beta1").await?;
    it.create("v1", "red", json!({ "color": "red" })).await?;
    it.create("v1", "blue", json!({ "color": "blue" })).await?;
    it.agree(&it.collection("v1"), "defined").await?;
    it.agree(&it.collection("v1beta1"), "its older version").await?;

    let mut with_column = v1.clone();
    with_column["additionalPrinterColumns"] =
        json!([{ "name": "Color", "type": "string", "jsonPath": ".spec.color" }]);
    let column =
        async || it.change(json!({ "versions": [with_column.clone(), old.clone()] })).await;
    it.watches_end("v1", "a printer column", column).await?;
    it.agree(&it.collection("v1"), "with a printer column").await?;

    let selected = format!("{}?fieldSelector=spec.color%3Dred", it.collection("v1"));
    let refused = it.agree(&selected, "an unknown field").await?;
    ensure!(refused.status == StatusCode::BAD_REQUEST, "{refused:?}");
    let mut selectable = with_column.clone();
    selectable["selectableFields"] = json!([{ "jsonPath": ".spec.color" }]);
    let field = async || it.change(json!({ "versions": [selectable.clone(), old.clone()] })).await;
    it.watches_end("v1", "a selectable field", field).await?;
    let list = it.agree(&selected, "the new selectable field").await?;
    ensure!(list.json()?["items"].as_array().map(Vec::len) == Some(1), "{list:?}");
    warm(&it.client, &it.collection("v1")).await?;
    let list = it.client.get(&format!("{selected}&resourceVersion=0")).send().await?;
    ensure!(is_hit(&list) && list.json()?["items"][0]["metadata"]["name"] == "red", "{list:?}");

    let mut gone = old.clone();
    gone["served"] = json!(false);
    let removed =
        async || it.change(json!({ "versions": [selectable.clone(), gone.clone()] })).await;
    it.watches_end("v1beta1", "a version taken away", removed).await?;
    let answer = it.agree(&it.collection("v1beta1"), "the version taken away").await?;
    ensure!(answer.status == StatusCode::NOT_FOUND, "{answer:?}");
    it.agree(&it.collection("v1"), "the version that stays").await?;
    Ok(())
}

/// Deleted, and defined again under the same name with another schema.
pub(crate) async fn a_definition_goes_and_comes_back(cluster: Arc<Cluster>) -> Result<()> {
    let it = Type::start(&cluster, "returns.example.com").await?;
    let collection = it.collection("v1");
    it.define(json!([version("v1", true, &json!({ "color": { "type": "string" } }))])).await?;
    it.create("v1", "one", json!({ "color": "red" })).await?;
    it.agree(&collection, "defined").await?;
    it.watches_end("v1", "the definition deleted", async || delete(&it.direct, &it.path()).await)
        .await?;
    let deadline = Instant::now() + PATIENCE;
    while it.direct.get(&it.path()).send().await?.status != StatusCode::NOT_FOUND {
        ensure!(Instant::now() < deadline, "the definition stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let gone = it.agree(&collection, "gone").await?;
    ensure!(gone.status == StatusCode::NOT_FOUND, "{gone:?}");
    let stale = it.client.get(&format!("{collection}?resourceVersion=0")).send().await?;
    ensure!(stale.status == StatusCode::NOT_FOUND && !is_hit(&stale), "{stale:?}");

    let properties = json!({ "size": { "type": "integer", "default": 7 } });
    it.define(json!([version("v1", true, &properties)])).await?;
    let created = it.create("v1", "one", json!({})).await?;
    let list = it.agree(&collection, "defined again").await?;
    ensure!(list.json()?["items"][0]["spec"] == json!({ "size": 7 }), "{list:?}");
    let cached = warm(&it.client, &collection).await?;
    ensure!(cached["items"][0]["spec"] == json!({ "size": 7 }), "{cached}");
    ensure!(version_of(&cached["items"][0])? == created, "{cached}");
    Ok(())
}

/// A conversion webhook that nobody answers: that version is forwarded, with upstream's words; everything else is served.
pub(crate) async fn a_conversion_webhook_fails(cluster: Arc<Cluster>) -> Result<()> {
    let it = Type::start(&cluster, "converts.example.com").await?;
    let properties = json!({ "color": { "type": "string" } });
    it.define(json!([version("v1", true, &properties), version("v2", false, &properties)])).await?;
    it.served("v2").await?;
    it.create("v1", "one", json!({ "color": "red" })).await?;
    it.agree(&it.collection("v2"), "before the webhook").await?;
    let webhook = json!({
        "clientConfig": { "url": "https://127.0.0.1:1/convert" },
        "conversionReviewVersions": ["v1"],
    });
    it.change(json!({ "conversion": { "strategy": "Webhook", "webhook": webhook } })).await?;
    let deadline = Instant::now() + PATIENCE;
    while it.direct.get(&it.collection("v2")).send().await?.status == StatusCode::OK {
        ensure!(Instant::now() < deadline, "the webhook is never called");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let failed = it.agree(&it.collection("v2"), "with the webhook").await?;
    // 429 while upstream's own cache of the type starts, 500 later.
    ensure!(failed.status != StatusCode::OK, "{failed:?}");
    tokio::time::sleep(NOTICED).await;
    let from_memory = format!("{}?resourceVersion=0", it.collection("v2"));
    for _ in 0..3 {
        let started = Instant::now();
        let failed = it.client.get(&from_memory).send().await?;
        let took = started.elapsed();
        let cold = failed.header("cache-status").is_some_and(|it| it.ends_with("detail=cold"));
        ensure!(cold && failed.status != StatusCode::OK, "{failed:?}");
        ensure!(took < Duration::from_secs(5), "a client waited {took:?}");
        eprintln!(
            "a version that can't be converted: {} after {:.2} s",
            failed.status,
            took.as_secs_f64()
        );
    }
    warm(&it.client, &it.collection("v1")).await?;
    warm(&it.client, "/api/v1/namespaces").await?;
    ensure!(it.front.readiness().await? == StatusCode::OK);

    it.change(json!({ "conversion": { "strategy": "None", "webhook": null } })).await?;
    warm(&it.client, &it.collection("v2")).await?;
    it.agree(&it.collection("v2"), "without the webhook again").await?;
    Ok(())
}

/// An APIService leads a group to another server: nothing of it comes from memory any more.
pub(crate) async fn a_group_is_taken_over(cluster: Arc<Cluster>) -> Result<()> {
    let it = Type::start(&cluster, "taken.example.com").await?;
    let collection = it.collection("v1");
    it.define(json!([version("v1", true, &json!({ "color": { "type": "string" } }))])).await?;
    it.create("v1", "one", json!({ "color": "red" })).await?;
    it.agree(&collection, "defined").await?;
    let after = version_of(&warm(&it.client, &collection).await?)?;
    let mut watch = watch_from_memory(&it.client, &collection, after).await?;

    let service = format!("/apis/apiregistration.k8s.io/v1/apiservices/v1.{}", it.group);
    let taken = json!({
        "metadata": { "labels": { "kube-aggregator.kubernetes.io/automanaged": null } },
        "spec": {
            "service": { "namespace": "default", "name": "elsewhere", "port": 443 },
            "insecureSkipTLSVerify": true,
        },
    });
    send(&it.direct, Method::PATCH, &service, &taken).await?;
    let started = Instant::now();
    ensure!(ends(&mut watch, NOTICED).await?, "it broke off");
    eprintln!("a group taken over: its watch ended after {:.2} s", started.elapsed().as_secs_f64());
    let from_memory = format!("{collection}?resourceVersion=0");
    let answer = it.client.get(&from_memory).send().await?;
    let direct = it.direct.get(&from_memory).send().await?;
    ensure!(!is_hit(&answer) && answer.status == direct.status, "{answer:?}\n{direct:?}");
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");

    // Given back, the aggregator makes it local again; then it may be cached again.
    delete(&it.direct, &service).await?;
    it.served("v1").await?;
    warm(&it.client, &collection).await?;
    it.agree(&collection, "given back").await?;
    Ok(())
}
