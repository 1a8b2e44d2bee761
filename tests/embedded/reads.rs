//! Reads of a plain client through the gateway: from memory, fresh, and only with the token.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::Response;

use crate::instance::Instance;

const WRITES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(20);

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
           "data": {"written": name}})
}

fn is_hit(response: &Response) -> bool {
    response.header("cache-status") == Some("watchgate; hit")
}

async fn namespace(instance: &Instance, name: &str) -> Result<String> {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    instance.create("/api/v1/namespaces", &object).await?;
    Ok(format!("/api/v1/namespaces/{name}/configmaps"))
}

/// A LIST without a resource version, right after a write, has that write: every time.
pub(crate) async fn writes_are_seen_at_once(instance: Arc<Instance>) -> Result<()> {
    let collection = namespace(&instance, "writes").await?;
    // From here on the resource is in memory.
    let warm = format!("{collection}?resourceVersion=0");
    for attempt in 0.. {
        let response = instance.request(Method::GET, &warm).send().await?;
        if is_hit(&response) {
            break;
        }
        ensure!(attempt < 100, "never from memory: {response:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut hits = 0;
    for count in 1..=WRITES {
        let name = format!("w{count}");
        let written = instance.create(&collection, &config_map(&name)).await?;
        let response = instance.request(Method::GET, &collection).send().await?;
        hits += usize::from(is_hit(&response));
        let list = response.json()?;
        let items = list["items"].as_array().context("a list")?;
        ensure!(items.len() == count, "write {count}: {} objects are listed", items.len());
        let found = items.iter().find(|item| item["metadata"]["name"] == name);
        let found = found.with_context(|| format!("{name} is missing"))?;
        ensure!(found["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]);
        ensure!(version(&list)? >= version(&written)?, "the list is older than the write");
    }
    // Each of these may be forwarded when its proof is late; a gateway that only forwards fails.
    ensure!(hits > WRITES / 2, "only {hits} of {WRITES} lists are from memory");
    let get = format!("{collection}/w1");
    let single = instance.request(Method::GET, &get).send().await?;
    ensure!(single.json()?["data"]["written"] == "w1", "{single:?}");
    Ok(())
}

fn version(object: &Value) -> Result<u64> {
    Ok(object["metadata"]["resourceVersion"].as_str().context("a version")?.parse()?)
}

/// A watch from a list's version has each later write once, in order, and nothing of others.
pub(crate) async fn watches_go_on_over_writes(instance: Arc<Instance>) -> Result<()> {
    let collection = namespace(&instance, "watches").await?;
    let list = instance.request(Method::GET, &collection).send().await?.json()?;
    let target = format!("{collection}?watch=1&resourceVersion={}", version(&list)?);
    let mut hit = false;
    for _ in 0..50 {
        let watch = instance.request(Method::GET, &target).stream().await?;
        hit = watch.headers.get("cache-status").is_some_and(|value| value == "watchgate; hit");
        if hit {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ensure!(hit, "never from memory");
    let mut watch = instance.request(Method::GET, &target).stream().await?;
    for count in 0..50 {
        let name = format!("w{count}");
        let written = instance.create(&collection, &config_map(&name)).await?;
        expect(&mut watch, "ADDED", &name, Some(&written)).await?;
        let object = format!("{collection}/{name}");
        let patch = instance.request(Method::PATCH, &object);
        let patch = patch.header("content-type", "application/merge-patch+json");
        let changed = patch.body(r#"{"data":{"more":"1"}}"#).send().await?.json()?;
        expect(&mut watch, "MODIFIED", &name, Some(&changed)).await?;
        let deleted = instance.request(Method::DELETE, &object).send().await?;
        ensure!(deleted.status == StatusCode::OK, "{deleted:?}");
        expect(&mut watch, "DELETED", &name, None).await?;
    }
    Ok(())
}

async fn expect(
    watch: &mut watchgate_cluster::Streaming,
    kind: &str,
    name: &str,
    object: Option<&Value>,
) -> Result<()> {
    let event = watch.event(PATIENCE).await?.context("the watch ended")?;
    ensure!(event["type"] == kind && event["object"]["metadata"]["name"] == name, "{event}");
    ensure!(object.is_none_or(|object| event["object"] == *object), "{event}, not {object:?}");
    Ok(())
}

/// No token and a wrong one are told to authenticate, for reads that memory could answer too.
pub(crate) async fn only_its_token_opens_it(instance: Arc<Instance>) -> Result<()> {
    ensure!(instance.url.starts_with("https://127.0.0.1:"), "{}", instance.url);
    let targets = ["/api/v1/namespaces", "/api/v1/namespaces?resourceVersion=0", "/apis"];
    for target in targets {
        let own = instance.request(Method::GET, target).send().await?;
        ensure!(own.status == StatusCode::OK, "{target}: {own:?}");
        let nothing = instance.anonymous(target).send().await?;
        ensure!(nothing.status == StatusCode::UNAUTHORIZED, "{target}: {nothing:?}");
        let wrong = instance.anonymous(target).header("authorization", "Bearer wrong");
        let wrong = wrong.send().await?;
        ensure!(wrong.status == StatusCode::UNAUTHORIZED, "{target}: {wrong:?}");
        ensure!(wrong.json()?["reason"] == "Unauthorized", "{wrong:?}");
        ensure!(!is_hit(&wrong) && !is_hit(&nothing));
    }
    Ok(())
}
