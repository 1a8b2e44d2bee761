//! Discovery before a scripted API server whose release and feature gate change.

use std::{pin::Pin, sync::Weak};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::*;
use crate::{
    api::release::{ReadRules, Release, WatchListGate},
    cache::{audience::CoreId, log::LogBudget},
    shards::hub::Hub,
    upstream::{LocalApiServer, reflector::driver},
};

/// What the API server is by now.
#[derive(Debug)]
struct Scripted {
    minor: Mutex<&'static str>,
    watch_list: Mutex<bool>,
}

impl Scripted {
    fn answer(&self, request: &Request<RequestBody>) -> Response<UpstreamBody> {
        let query = request.uri().query().unwrap_or_default();
        let whole = |text: String| Response::new(UpstreamBody::full(text.into()));
        match request.uri().path() {
            "/version" => whole(format!(r#"{{"major":"1","minor":"{}"}}"#, self.minor.lock())),
            "/api" => whole(group("", "v1", "configmaps", "ConfigMap")),
            "/apis" => whole(format!(
                r#"{{"items":[{},{}]}}"#,
                item(
                    "apiextensions.k8s.io",
                    "v1",
                    "customresourcedefinitions",
                    "CustomResourceDefinition"
                ),
                item("apiregistration.k8s.io", "v1", "apiservices", "APIService"),
            )),
            _ if query.contains("sendInitialEvents") && !*self.watch_list.lock() => {
                let mut refusal = whole("{}".to_owned());
                *refusal.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
                refusal
            }
            _ if query.contains("sendInitialEvents=true") => Response::new(empty_state(request)),
            _ if query.contains("watch=true") => Response::new(endless(Vec::new())),
            path => whole(empty_list(path)),
        }
    }
}

impl LocalApiServer for Scripted {
    fn call(
        &self,
        _lane: Lane,
        request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<UpstreamBody>> + Send>> {
        let answer = self.answer(&request);
        Box::pin(async move { answer })
    }
}

fn item(group: &str, version: &str, resource: &str, kind: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{group}"}},"versions":[{{"version":"{version}","resources":[
            {{"resource":"{resource}","responseKind":{{"kind":"{kind}"}},"scope":"Cluster",
              "verbs":["get","list","watch"]}}]}}]}}"#
    )
}

fn group(name: &str, version: &str, resource: &str, kind: &str) -> String {
    format!(r#"{{"items":[{}]}}"#, item(name, version, resource, kind))
}

/// Kind and version of what is at a path.
fn type_at(path: &str) -> (&'static str, &'static str) {
    match path {
        path if path.ends_with("apiservices") => ("APIService", "apiregistration.k8s.io/v1"),
        path if path.ends_with("configmaps") => ("ConfigMap", "v1"),
        _ => ("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
    }
}

fn empty_list(path: &str) -> String {
    let (kind, version) = type_at(path);
    format!(
        r#"{{"kind":"{kind}List","apiVersion":"{version}","metadata":{{"resourceVersion":"5"}},"items":[]}}"#
    )
}

/// The initial events of an empty type, and a stream that goes on.
fn empty_state(request: &Request<RequestBody>) -> UpstreamBody {
    let (kind, version) = type_at(request.uri().path());
    endless(vec![format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",\
         \"metadata\":{{\"resourceVersion\":\"5\",\"annotations\":{{\"k8s.io/initial-events-end\":\"true\"}}}}}}}}\n"
    )])
}

fn endless(lines: Vec<String>) -> UpstreamBody {
    let frames =
        stream::iter(lines).map(|line| Ok::<_, std::io::Error>(Frame::data(Bytes::from(line))));
    UpstreamBody::local(StreamBody::new(frames.chain(stream::pending())))
}

/// Everything that discovery needs.
struct Bench {
    server: Arc<Scripted>,
    registry: Arc<Registry>,
    types: Types,
    discoverer: Discoverer,
}

impl Bench {
    fn new(minor: &'static str, watch_list: bool) -> Self {
        let (minor, watch_list) = (Mutex::new(minor), Mutex::new(watch_list));
        let server = Arc::new(Scripted { minor, watch_list });
        let upstream = Upstream::Embedded(Arc::clone(&server) as Arc<dyn LocalApiServer>);
        let budget = LogBudget { bytes: 1 << 20, age: Duration::from_secs(60) };
        let hubs: Arc<[Arc<Hub>]> = Arc::new([Arc::new(Hub::new(CoreId(0)))]);
        let filled_from = upstream.clone();
        let start = Box::new(move |shard: Arc<Shard>| {
            let filler = driver::run(
                shard,
                driver::Surroundings {
                    upstream: filled_from.clone(),
                    places: crate::upstream::reflector::fill_places::FillPlaces::default(),
                    went_back: Arc::new(|_, _| {}),
                    outgrown: Arc::new(|_, _| {}),
                },
            );
            tokio::spawn(filler).abort_handle()
        });
        let registry = Arc::new_cyclic(|_: &Weak<Registry>| Registry::new(hubs, budget, start));
        let types = Types::default();
        let discoverer = Discoverer::new(upstream, Arc::clone(&registry), types.clone());
        Self { server, registry, types, discoverer }
    }

    fn rules(&self) -> ReadRules {
        self.types.table().rules()
    }

    /// A shard of a type, as a request would open it.
    fn open(&self) -> Arc<Shard> {
        let gvr = GroupVersionResource::new("", "v1", "configmaps");
        let served = self.types.get(&gvr).unwrap();
        let fingerprint = served.fingerprint;
        let json = Representation::Json;
        self.registry.open(&served.resource, fingerprint, json, Need::Requests).unwrap()
    }
}

fn is_closed(shard: &Shard) -> bool {
    shard.progress().borrow().closed
}

#[tokio::test]
async fn another_release_counts_when_it_was_read_twice_and_voids_every_shard() {
    let mut bench = Bench::new("36", true);
    bench.discoverer.read().await.unwrap();
    assert_eq!(bench.rules(), ReadRules::new(Release::V1_36, WatchListGate::On));
    let shard = bench.open();

    *bench.server.minor.lock() = "34";
    bench.discoverer.read().await.unwrap();
    assert_eq!(bench.rules().release(), Release::V1_36);
    assert!(!is_closed(&shard));

    bench.discoverer.read().await.unwrap();
    assert_eq!(bench.rules().release(), Release::V1_34);
    assert!(is_closed(&shard), "its objects are as the other release wrote them");
    assert_ne!(bench.open().fingerprint(), shard.fingerprint());
}

#[tokio::test]
async fn the_gate_is_found_out_and_changes_without_any_refill() {
    let mut bench = Bench::new("33", false);
    bench.discoverer.read().await.unwrap();
    assert_eq!(bench.rules(), ReadRules::new(Release::V1_33, WatchListGate::Off));
    let shard = bench.open();
    *bench.server.watch_list.lock() = true;
    for gate in [WatchListGate::Unknown, WatchListGate::On] {
        bench.discoverer.read().await.unwrap();
        assert_eq!(bench.rules(), ReadRules::new(Release::V1_33, gate));
    }
    assert!(!is_closed(&shard));
}

#[tokio::test]
async fn nothing_is_served_of_an_unknown_release() {
    let mut bench = Bench::new("36", true);
    bench.discoverer.read().await.unwrap();
    let shard = bench.open();
    *bench.server.minor.lock() = "37";
    for _ in 0..2 {
        bench.discoverer.read().await.unwrap();
    }
    let table = bench.types.table();
    assert!(table.is_read() && table.is_of_unknown_release() && table.is_empty());
    assert!(is_closed(&shard));

    *bench.server.minor.lock() = "36+";
    for _ in 0..2 {
        bench.discoverer.read().await.unwrap();
    }
    assert!(!bench.types.table().is_of_unknown_release());
    assert_eq!(bench.rules().release(), Release::V1_36);
}

#[tokio::test(start_paused = true)]
async fn new_connections_are_a_reason_to_look_again() {
    let mut bench = Bench::new("36", true);
    let (connected, connections) = watch::channel(0);
    bench.discoverer.connections = connections;
    let (server, types) = (Arc::clone(&bench.server), bench.types.clone());
    let following = tokio::spawn(bench.discoverer.run());
    while !types.table().is_read() {
        sleep(Duration::from_millis(100)).await;
    }
    *server.minor.lock() = "34";
    sleep(Duration::from_secs(20)).await;
    assert_eq!(types.table().rules().release(), Release::V1_36, "nobody looked");
    let before = Instant::now();
    connected.send_modify(|count| *count += 1);
    while types.table().rules().release() != Release::V1_34 {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    following.abort();
}
