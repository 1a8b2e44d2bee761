//! A custom type from before its definition to after its second end, under readers and watchers that
//! never stop: whatever they are shown, the API server gave for that object, at that version, in that
//! generation of the definition.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use watchgate_cluster::{Client, Cluster, Response};

use super::ledger::{Ledger, View, objects};
use super::{DEFINITIONS, Type, version};
use crate::front::{PATIENCE, delete, is_hit, send, version_of};

const GROUP: &str = "lives.example.com";
const NAMES: [&str; 2] = ["a", "b"];
/// Writes in each generation, to the first object.
const WRITES: usize = 8;

/// The collection, and whether metadata alone is asked for.
const VIEWS: [(&str, bool); 4] = [
    ("/apis/lives.example.com/v1/namespaces/default/widgets", false),
    ("/apis/lives.example.com/v2/namespaces/default/widgets", false),
    ("/apis/lives.example.com/v1/namespaces/default/widgets", true),
    ("/apis/lives.example.com/v1/widgets", false),
];

/// The `spec` of the first object that each view is to show; `None` where nothing is served.
type Specs = [Option<Value>; 4];

struct Life {
    it: Type,
    ledger: Arc<Mutex<Ledger>>,
    cluster_scoped: bool,
}

/// See the module.
pub(crate) async fn a_type_lives(cluster: Arc<Cluster>) -> Result<()> {
    let it = Type::start(&cluster, GROUP).await?;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut life = Life { it, ledger, cluster_scoped: false };
    let mut tasks = JoinSet::new();
    for view in 0..VIEWS.len() {
        let client = || life.it.client.clone();
        tasks.spawn(read_on(client(), view, Arc::clone(&life.ledger)));
        tasks.spawn(watch_on(client(), view, Arc::clone(&life.ledger)));
    }
    life.run().await?;
    ensure!(tasks.try_join_next().is_none(), "a reader or watcher ended");
    tasks.shutdown().await;
    life.ledger.lock().check()
}

impl Life {
    async fn run(&mut self) -> Result<()> {
        let text = json!({ "type": "string" });
        let red = json!({ "color": "red" });
        let mut v1 = version("v1", true, &json!({ "color": text }));
        let same = |spec: &Value| [Some(spec.clone()), None, Some(Value::Null), Some(spec.clone())];
        self.changes("defined");
        self.define("Namespaced", &v1).await?;
        self.create(&red).await?;
        self.lives(same(&red)).await?;

        self.changes("a default added");
        let size = json!({ "type": "integer", "default": 7 });
        v1 = version("v1", true, &json!({ "color": text, "size": size }));
        self.it.change(json!({ "versions": [v1] })).await?;
        let sized = json!({ "color": "red", "size": 7 });
        self.lives(same(&sized)).await?;

        self.changes("a version added");
        let weight = json!({ "type": "integer", "default": 3 });
        let v2 = version("v2", false, &json!({ "size": size, "weight": weight }));
        self.it.change(json!({ "versions": [v1, v2] })).await?;
        let mut specs = same(&sized);
        // What is read is pruned by the version asked for, and defaulted by the one stored.
        specs[1] = Some(json!({ "size": 7 }));
        self.lives(specs.clone()).await?;

        self.changes("a selectable field added");
        v1["selectableFields"] = json!([{ "jsonPath": ".spec.color" }]);
        self.it.change(json!({ "versions": [v1, v2] })).await?;
        self.lives(specs).await?;
        self.selects().await?;

        self.ends("deleted").await?;
        self.changes("another schema");
        let size = json!({ "type": "integer", "default": 9 });
        v1 = version("v1", true, &json!({ "size": size }));
        self.define("Namespaced", &v1).await?;
        self.create(&json!({})).await?;
        self.lives(same(&json!({ "size": 9 }))).await?;

        self.ends("deleted again").await?;
        self.changes("another scope");
        self.cluster_scoped = true;
        self.define("Cluster", &v1).await?;
        self.create(&json!({ "size": 1 })).await?;
        self.lives([None, None, None, Some(json!({ "size": 1 }))]).await?;
        self.ends("deleted for good").await
    }

    fn changes(&self, what: &'static str) {
        self.ledger.lock().changes(what);
    }

    /// Where the objects are written.
    fn collection(&self) -> &'static str {
        if self.cluster_scoped { VIEWS[3].0 } else { VIEWS[0].0 }
    }

    /// Where a view's single objects are.
    fn object(&self, view: View, name: &str) -> String {
        let collection = if view == 3 { self.collection() } else { VIEWS[view].0 };
        format!("{collection}/{name}")
    }

    async fn define(&self, scope: &str, version: &Value) -> Result<()> {
        let definition = self.it.definition(scope, &json!([version]));
        send(&self.it.direct, Method::POST, DEFINITIONS, &definition).await?;
        let deadline = Instant::now() + PATIENCE;
        while self.it.direct.get(self.collection()).send().await?.status != StatusCode::OK {
            ensure!(Instant::now() < deadline, "never served");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn create(&self, spec: &Value) -> Result<()> {
        for name in NAMES {
            let object = json!({
                "apiVersion": format!("{GROUP}/v1"), "kind": "Widget",
                "metadata": { "name": name }, "spec": spec,
            });
            send(&self.it.direct, Method::POST, self.collection(), &object).await?;
        }
        Ok(())
    }

    /// Deletes the definition and waits until it is gone.
    async fn ends(&self, what: &'static str) -> Result<()> {
        self.changes(what);
        delete(&self.it.direct, &self.it.path()).await?;
        let deadline = Instant::now() + PATIENCE;
        while self.it.direct.get(&self.it.path()).send().await?.status != StatusCode::NOT_FOUND {
            ensure!(Instant::now() < deadline, "the definition stays");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.settle(&[None, None, None, None]).await?;
        tokio::time::sleep(super::NOTICED + Duration::from_millis(300)).await;
        Ok(())
    }

    /// One generation: the API server shows it, so does memory, objects change, memory follows.
    async fn lives(&self, specs: Specs) -> Result<()> {
        self.settle(&specs).await?;
        self.follows(&specs).await?;
        for step in 0..WRITES {
            let patch = json!({ "metadata": { "labels": { "step": step.to_string() } } });
            let path = format!("{}/{}", self.collection(), NAMES[0]);
            let written = send(&self.it.direct, Method::PATCH, &path, &patch).await?;
            self.record(&specs, NAMES[0], Some(version_of(&written)?)).await?;
        }
        self.follows(&specs).await?;
        tokio::time::sleep(super::NOTICED + Duration::from_millis(300)).await;
        Ok(())
    }

    /// Waits until the API server shows every view so three times in a row; then that is true.
    async fn settle(&self, specs: &Specs) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut agreed = 0;
        while agreed < 3 {
            let other = self.unsettled(specs).await?;
            ensure!(Instant::now() < deadline, "{other:?} in place of {specs:?}");
            agreed = if other.is_none() { agreed + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for name in NAMES {
            self.record(specs, name, None).await?;
        }
        let names = || NAMES.map(str::to_owned).into_iter().collect::<BTreeSet<_>>();
        let names = specs.iter().map(|spec| spec.as_ref().map(|_| names())).collect();
        self.ledger.lock().settles(names);
        Ok(())
    }

    /// What the API server shows that is not so.
    async fn unsettled(&self, specs: &Specs) -> Result<Option<Response>> {
        for (view, spec) in specs.iter().enumerate() {
            let target = format!("{}?resourceVersion=0", VIEWS[view].0);
            let list = ask(&self.it.direct, view, &target, true).await?;
            let spec_shown = match (list.status, spec) {
                (StatusCode::OK, Some(Value::Null)) | (StatusCode::NOT_FOUND, None) => continue,
                (StatusCode::OK, Some(_)) => list.json()?["items"][0]["spec"].clone(),
                _ => return Ok(Some(list)),
            };
            if Some(&spec_shown) != spec.as_ref() {
                return Ok(Some(list));
            }
            let object = ask(&self.it.direct, view, &self.object(view, NAMES[0]), false).await?;
            if object.status != StatusCode::OK || object.json()?["spec"] != spec_shown {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// Writes down what the API server gives for an object in every view, at this version.
    async fn record(&self, specs: &Specs, name: &str, version: Option<u64>) -> Result<()> {
        for view in (0..VIEWS.len()).filter(|view| specs[*view].is_some()) {
            let object = ask(&self.it.direct, view, &self.object(view, name), false).await?;
            let given = version_of(&object.json()?)?;
            ensure!(version.is_none_or(|version| version == given), "another writer: {object:?}");
            let text = std::str::from_utf8(&object.body)?.trim_end();
            self.ledger.lock().is_true(view, text);
        }
        Ok(())
    }

    /// Waits until memory gives every served view as it is now.
    async fn follows(&self, specs: &Specs) -> Result<()> {
        for view in (0..VIEWS.len()).filter(|view| specs[*view].is_some()) {
            let deadline = Instant::now() + PATIENCE;
            let target = format!("{}?resourceVersion=0", VIEWS[view].0);
            loop {
                let direct = ask(&self.it.direct, view, &target, true).await?;
                let list = ask(&self.it.client, view, &target, true).await?;
                let is_same = list.status == direct.status
                    && objects(&list.body).ok() == objects(&direct.body).ok();
                if is_hit(&list) && is_same {
                    let ledger = self.ledger.lock();
                    for object in objects(&list.body)? {
                        ensure!(ledger.holds(view, &object), "view {view}: {object}");
                    }
                    break;
                }
                ensure!(Instant::now() < deadline, "view {view}: {list:?} in place of {direct:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// The field that has become selectable selects, from memory.
    async fn selects(&self) -> Result<()> {
        for (value, count) in [("red", NAMES.len()), ("blue", 0)] {
            let field = format!("fieldSelector=spec.color%3D{value}&resourceVersion=0");
            let target = format!("{}?{field}", VIEWS[0].0);
            let list = self.it.client.get(&target).send().await?;
            let direct = self.it.direct.get(&target).send().await?;
            ensure!(is_hit(&list), "{list:?}");
            let (found, wanted) = (objects(&list.body)?, objects(&direct.body)?);
            ensure!(found == wanted && found.len() == count, "{found:?} in place of {wanted:?}");
        }
        // Only the first version has it.
        let other = format!("{}?fieldSelector=spec.color%3Dred&resourceVersion=0", VIEWS[1].0);
        let refused = self.it.client.get(&other).send().await?;
        ensure!(refused.status == StatusCode::BAD_REQUEST && !is_hit(&refused), "{refused:?}");
        Ok(())
    }
}

fn accept(view: View, list: bool) -> &'static str {
    match (VIEWS[view].1, list) {
        (false, _) => "application/json",
        (true, false) => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        (true, true) => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    }
}

async fn ask(client: &Client, view: View, target: &str, list: bool) -> Result<Response> {
    client.get(target).header("accept", accept(view, list)).send().await
}

/// Lists and gets without end.
async fn read_on(client: Client, view: View, ledger: Arc<Mutex<Ledger>>) {
    let collection = VIEWS[view].0;
    let targets = [
        (format!("{collection}?resourceVersion=0"), true),
        (format!("{collection}/{}?resourceVersion=0", NAMES[0]), false),
        (collection.to_owned(), true),
    ];
    loop {
        for (target, list) in &targets {
            let from = Instant::now();
            let answer = ask(&client, view, target, *list).await;
            let mut ledger = ledger.lock();
            let noted = answer.and_then(|answer| {
                let what = if *list { "list" } else { "get" };
                ledger.origin(what, answer.status, answer.header("cache-status"));
                match (answer.status, list) {
                    // The API server's own words.
                    (StatusCode::OK, _) if !is_hit(&answer) => {}
                    (StatusCode::OK, true) => ledger.list(view, from, &answer.body)?,
                    (StatusCode::OK, false) => {
                        let text = std::str::from_utf8(&answer.body)?;
                        ledger.object(view, from, text);
                    }
                    // Not served, or upstream's own cache starts.
                    (StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS, _) => {}
                    _ => anyhow::bail!("{answer:?}"),
                }
                Ok(())
            });
            if let Err(error) = noted.with_context(|| format!("GET {target}")) {
                ledger.wrong(format!("{error:#}"));
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Watches from the present state, again and again.
async fn watch_on(client: Client, view: View, ledger: Arc<Mutex<Ledger>>) {
    let target = format!("{}?watch=true&resourceVersion=0&timeoutSeconds=600", VIEWS[view].0);
    loop {
        let request = client.get(&target).header("accept", accept(view, false));
        match request.stream().await {
            Err(error) => ledger.lock().wrong(format!("{target}: {error:#}")),
            Ok(mut watch) => {
                let cache_status = watch.headers.get("cache-status");
                let cache_status = cache_status.and_then(|value| value.to_str().ok());
                ledger.lock().origin("watch", watch.status, cache_status);
                let hit = cache_status == Some("watchgate; hit");
                while watch.status == StatusCode::OK {
                    let noted = match watch.line().await {
                        Ok(Some(line)) if hit => ledger.lock().event(view, &line),
                        // Upstream's old watches go on for a second after the new type is served.
                        Ok(Some(_)) => Ok(()),
                        Ok(None) => break,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = noted {
                        ledger.lock().wrong(format!("{target}: {error:#}"));
                        break;
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
