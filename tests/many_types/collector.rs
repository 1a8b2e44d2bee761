//! A cluster of many custom types, and the garbage collector of kube-controller-manager, which watches all of them through
//! the gateway.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster};

use crate::fills::{Counts, Fills};
use crate::ground::{self, CONTROLLERS, Ground, create, direct, listed, until};

/// As many as the gateway fills at the same time.
const AT_ONCE: usize = 20;

/// What an empty shard may take of memory.
const SHARD_BYTES: u64 = 64 << 10;

/// What the first fills take whatever their number: connections, buffers, built-in types that do have objects, all in a
/// debug build. Seen are 6 MiB with 100 types, where it would outweigh the shards.
const ONCE_BYTES: u64 = 8 << 20;

/// From so many types on the shards must account for all that there is.
const MANY: usize = 1_000;

/// How long the gateway is left alone to see what it costs.
const QUIET: Duration = Duration::from_secs(10);

/// Types whose objects are looked at.
const LOOKED_AT: usize = 10;

pub(crate) async fn watches_every_type(cluster: Arc<Cluster>) -> Result<()> {
    let types = ground::size("WATCHGATE_TYPES", 100)?;
    let patience = Duration::from_secs(60) + Duration::from_millis(300) * u32::try_from(types)?;
    let admin = direct(&cluster)?;
    let started = Instant::now();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    create(&cluster, types, |number| (definitions.to_owned(), definition(number))).await?;
    let last = path(types - 1);
    until("the last type is served", patience, || async {
        Ok(admin.get(&last).send().await?.status == StatusCode::OK)
    })
    .await?;
    println!("{types} types made in {:.1?}", started.elapsed());

    let fills = Fills::start(&cluster).await?;
    let mut ground = Ground::start(Arc::clone(&cluster), fills.url(), &[]).await?;
    // What everybody costs, before the types.
    listed(&ground.client("admin")?, "/api/v1/configmaps").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (empty, started) = (ground.usage()?, Instant::now());

    let flags = ["--controllers=garbage-collector-controller"];
    let _manager = cluster.start_controller_manager(&ground.kubeconfig(CONTROLLERS)?, &flags)?;
    every_type_is_filled(&ground, &fills, types, patience).await?;
    println!("all filled in {:.1?}", started.elapsed());
    collects(&ground, &admin, types).await?;

    let shards = ground.metric("watchgate_cache_filled", "").await?;
    let (full, quiet) = (ground.usage()?, Instant::now());
    tokio::time::sleep(QUIET).await;
    let cpu = (ground.usage()?.cpu - full.cpu).as_secs_f64() / quiet.elapsed().as_secs_f64();
    let grown = full.memory.saturating_sub(empty.memory);
    println!(
        "{shards} shards: {} KiB before, {} KiB with them, {:.1} KiB each; {:.1} ms of CPU a second \
         with {} watches open",
        empty.memory >> 10,
        full.memory >> 10,
        grown as f64 / shards / 1024.0,
        cpu * 1000.0,
        ground.metric("watchgate_watches", "").await?,
    );
    let once = if types < MANY { ONCE_BYTES } else { 0 };
    ensure!(grown <= once + shards as u64 * SHARD_BYTES, "{grown} bytes more for {shards} shards");
    let (at_once, forwarded, twice) = fills.with(|counts| {
        let of_types = counts.by_path.iter().filter(|(path, _)| path.contains("many.example.com"));
        let twice: Vec<_> =
            of_types.filter(|(_, count)| **count > 1).map(|(path, _)| path.clone()).collect();
        (counts.at_once, counts.forwarded_watches, twice)
    });
    println!("at most {at_once} fills at once; {forwarded} watches of clients passed");
    ensure!(at_once <= AT_ONCE, "{at_once} fills at once");
    ensure!(at_once > 1 || types < 2, "the fills ran one by one");
    ensure!(twice.is_empty(), "filled more than once: {twice:?}");
    ground.end().await
}

/// Waits until memory has all types; says how far it came if it takes too long.
async fn every_type_is_filled(
    ground: &Ground,
    fills: &Fills,
    types: usize,
    patience: Duration,
) -> Result<()> {
    let is_filled = |counts: &Counts| {
        let filled = counts.by_path.keys().filter_map(|path| path.split(' ').next());
        let filled: BTreeSet<&str> = filled.collect();
        (0..types).all(|number| filled.contains(cluster_path(number).as_str()))
    };
    let waited = until("every type is filled", patience, || async {
        Ok(fills.with(is_filled)
            && ground.metric("watchgate_cache_filled", "things").await? >= types as f64)
    });
    if let Err(late) = waited.await {
        let filled = ground.metric("watchgate_cache_filled", "things").await?;
        let gateway = ground.gateway.log()?;
        let tail: Vec<&str> = gateway.lines().rev().take(20).collect();
        return Err(late.context(format!("{filled} of {types} are filled\n{}", tail.join("\n"))));
    }
    Ok(())
}

/// The collector sees what goes: an owner's dependents, of another type, go after it. Afterwards memory and store agree.
async fn collects(ground: &Ground, admin: &Client, types: usize) -> Result<()> {
    let pairs = LOOKED_AT.min(types / 2);
    for pair in 0..pairs {
        let (owner_type, dependent_type) = (pair, types - 1 - pair);
        let owner = made(admin, owner_type, &thing(owner_type, "owner", &[])).await?;
        let uid = owner["metadata"]["uid"].as_str().context("no uid")?;
        let reference = json!({
            "apiVersion": "many.example.com/v1", "kind": format!("Thing{owner_type}"), "name": "owner", "uid": uid,
        });
        made(admin, dependent_type, &thing(dependent_type, "dependent", &[reference])).await?;
        made(admin, dependent_type, &thing(dependent_type, "free", &[])).await?;
    }
    // So that the collector has heard of them all; what it has not heard of it collects as well, but later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for pair in 0..pairs {
        let owner = format!("{}/owner", path(pair));
        let gone = admin.request(Method::DELETE, &owner).send().await?;
        ensure!(gone.status == StatusCode::OK, "{owner}: {:?}", gone.json());
    }
    let through = ground.client("admin")?;
    for pair in 0..pairs {
        let dependents = path(types - 1 - pair);
        let only_the_free = || async {
            let left = listed(&through, &dependents).await?;
            Ok(left.iter().map(|(name, _)| name.as_str()).eq(["free"]))
        };
        until(&dependents, Duration::from_secs(60), only_the_free).await?;
        for path in [path(pair), dependents] {
            let (memory, store) = (listed(&through, &path).await?, listed(admin, &path).await?);
            ensure!(memory == store, "{path}: {memory:?} and {store:?}");
        }
    }
    println!("{pairs} owners of {pairs} types deleted; their dependents were collected");
    Ok(())
}

async fn made(client: &Client, number: usize, object: &Value) -> Result<Value> {
    let target = path(number);
    let request = client.request(Method::POST, &target).header("content-type", "application/json");
    let response = request.body(object.to_string()).send().await?;
    ensure!(response.status == StatusCode::CREATED, "{target}: {:?}", response.json());
    response.json()
}

fn path(number: usize) -> String {
    format!("/apis/many.example.com/v1/namespaces/default/things{number}")
}

fn cluster_path(number: usize) -> String {
    format!("/apis/many.example.com/v1/things{number}")
}

fn thing(number: usize, name: &str, owners: &[Value]) -> Value {
    json!({
        "apiVersion": "many.example.com/v1", "kind": format!("Thing{number}"),
        "metadata": { "name": name, "ownerReferences": owners },
    })
}

fn definition(number: usize) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("things{number}.many.example.com") },
        "spec": {
            "group": "many.example.com", "scope": "Namespaced",
            "names": {
                "plural": format!("things{number}"), "singular": format!("thing{number}"),
                "kind": format!("Thing{number}"), "listKind": format!("Thing{number}List"),
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    })
}
