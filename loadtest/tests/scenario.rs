//! Small scenarios of every kind of load against a real API server, and through watchgate if its
//! binary is there.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use tokio_util::sync::CancellationToken;
use watchgate_cluster::{Cluster, Gateway, Suite};
use watchgate_loadtest::{
    accounting::Accounting,
    comparison::{self, Side},
    engine, list_storm,
    process::Process,
    report::{RunReport, Verdict, html},
    resource::{Kind, Resource},
    scenario::{
        Scenario,
        workload::{Asking, Representation},
    },
    target::{Access, Target},
    transport::Protocol,
    watch_run::{self, WatchScenario},
};

/// Every kind of load and every representation, small.
const EVERYTHING: &str = r#"
name: everything
seed: 7
time-limit: 2m
fill:
  - {resource: pods, count: 60, object-size: 3KiB, namespace: "lt-{run}-{i%3}", labels: {app: "a-{i%4}"}, node: "node-{i%5}"}
  - {resource: nodes, count: 5}
  - {resource: leases, count: 5}
  - {resource: endpointslices, count: 5}
  - {resource: samples, count: 20}
phases:
  - {name: calm, duration: 3s}
  - {name: storm, duration: 5s}
workloads:
  - watchers: {name: agents, count: 40, resource: pods, field-selector: "spec.nodeName=node-{i%20}", representation: protobuf, streams-per-connection: 10}
  - watchers: {name: labelled, count: 9, resource: pods, label-selector: "app in (a-{i%3})", representation: metadata}
  - watchers: {name: everyone, count: 6, resource: pods, start: watch-list, representation: metadata-protobuf, gzip: true}
  - watchers: {name: one-namespace, count: 4, resource: pods, namespace: "lt-{run}-{i%3}", protocol: http1}
  - watchers: {name: custom, count: 5, resource: samples}
  - watchers: {name: slow, count: 4, resource: configmaps, slow: {share: 0.5, bytes-per-second: 4KiB}}
  - informers: {name: listing, count: 10, resource: pods, from: storm, spread: 2s, page-size: 25, gzip: true}
  - informers: {name: streaming, count: 10, resource: pods, from: storm, start: watch-list}
  - informers: {name: custom-listing, count: 3, resource: samples, from: storm, page-size: 5}
  - churn: {name: pods, resource: pods, rate: 60, objects: 40, updates: 3, node: "node-{i%20}", namespace: "lt-{run}-{i%3}", labels: {app: "a-{i%4}"}}
  - churn: {name: samples, resource: samples, rate: 20, objects: 10, updates: 2}
  - churn: {name: configmaps, resource: configmaps, rate: 20, objects: 5, updates: 0}
  - list-storm: {name: lists, resource: pods, clients: 2, gzip: true, label-selector: "app=a-{i%4}"}
  - list-storm: {name: paced, phases: [storm], resource: pods, clients: 3, rate: 20, limit: 10, representation: protobuf, resource-version: "0"}
  - gets: {name: gets, phases: [storm], resource: pods, clients: 2, rate: 20, namespace: "lt-{run}-{i%3}", object: "{run}-pods-{i%60}"}
  - reconnect-herd: {name: cut, phase: storm, workload: agents, share: 0.5, after: 1s, times: 2, every: 2s}
  - reconnect-herd: {name: cut-http1, phase: storm, workload: one-namespace, share: 0.5, after: 1s}
  - reconnect-herd: {name: cut-connections, phase: storm, workload: labelled, share: 1.0, after: 2s, connections: true}
"#;

/// Watches that begin while writes go on.
const FAN_OUT: &str = r#"
name: fan-out
time-limit: 1m
phases: [{name: load, duration: 3s}]
workloads:
  - watchers: {count: 20, resource: configmaps, namespace: "watchgate-loadtest-{run}"}
  - churn: {resource: configmaps, rate: 50, objects: 20}
  - list-storm: {resource: configmaps, clients: 1, rate: 5}
"#;

/// The tests look at everything that runs left: one at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn main() -> ExitCode {
    Suite::new(|| async { Cluster::builder().start().await })
        .test("short_forms", short_forms)
        .test("every_kind_of_load", every_kind_of_load)
        .test("somebody_elses_update_is_no_fault", somebody_elses_update_is_no_fault)
        .test("an_ended_run_is_incomplete", an_ended_run_is_incomplete)
        .test("through_watchgate", through_watchgate)
        .run()
}

async fn short_forms(cluster: Arc<Cluster>) -> Result<()> {
    let _turn = TURN.lock().await;
    let target = open(&cluster, &cluster.api_server_url(), cluster.ca_pem()).await?;
    let accounting = Accounting::new(vec![Process::own()?]);
    let stop = CancellationToken::new();
    for protocol in [Protocol::Http2, Protocol::Http1] {
        let watches = watches(protocol);
        let report = Box::pin(watch_run::run(&target, &watches, &accounting, &stop)).await?;
        check_watches(&report)?;
    }
    let mut asking = Asking::new("lists", Resource::of(Kind::ConfigMap));
    (asking.gzip, asking.representation) = (true, Representation::Protobuf);
    asking.clients = 3;
    let storm = list_storm::ListScenario {
        asking,
        protocol: Protocol::Http2,
        duration: Duration::from_secs(1),
    };
    let report = list_storm::run(&target, &storm, &accounting, &stop).await?;
    ensure!(report.verdict() == Verdict::Passed && report.requests[0].bytes > 0, "{report}");
    nothing_is_left(&cluster).await
}

async fn every_kind_of_load(cluster: Arc<Cluster>) -> Result<()> {
    let _turn = TURN.lock().await;
    let target = open(&cluster, &cluster.api_server_url(), cluster.ca_pem()).await?;
    let report = run(&target, EVERYTHING).await?;
    check_everything(&report)?;
    let page = html::run(&report);
    ensure!(page.contains("<svg") && !page.contains("<script") && !page.contains("http://"));
    ensure!(serde_json::to_string(&report)?.contains("own_bottleneck"));
    nothing_is_left(&cluster).await
}

fn check_everything(report: &RunReport) -> Result<()> {
    nothing_is_wrong(report)?;
    for group in &report.watches {
        let name = &group.name;
        let watches = u64::from(group.watches);
        ensure!(group.synced == watches && group.sync.count == watches, "{name}\n{report}");
        ensure!(group.informers || group.deliveries > 0, "{name}\n{report}");
        ensure!(group.refused.is_empty(), "{name}\n{report}");
    }
    let agents = &report.watches[0];
    // 480 writes for 20 nodes; two watchers of each node.
    let written = report.writes[0].succeeded;
    ensure!(agents.deliveries == written * 2, "{} of {written}\n{report}", agents.deliveries);
    ensure!(agents.last_watcher_delay.count == written, "{report}");
    // Two herds of half of forty, one of nine, and one of half of four over HTTP/1.1.
    let reopened = [0, 1, 3].map(|index| report.watches[index].reopen.count);
    ensure!(reopened == [40, 9, 2], "{reopened:?}\n{report}");
    ensure!(report.watches[3].protocol == Protocol::Http1, "{report}");
    ensure!(report.filled.iter().map(|it| it.made).sum::<u64>() == 95, "{report}");
    for (paced, due) in report.requests[1..].iter().zip([100, 100]) {
        let known = paced.answers + paced.failed + paced.unanswered;
        ensure!(paced.due == due && known == due && paced.answers > 0, "{report}");
    }
    ensure!(report.phases.len() == 2 && report.series.points.len() >= 3, "{report}");
    Ok(())
}

/// It passed; on a busy machine writers may have been too late for some writes.
fn nothing_is_wrong(report: &RunReport) -> Result<()> {
    let late = report.writes.iter().any(|it| it.attempted < it.due);
    let allowed = if late { Verdict::Incomplete } else { Verdict::Passed };
    ensure!(report.verdict() == allowed && report.problems.is_empty(), "{report}");
    ensure!(report.writes.iter().all(|it| it.failed == 0 && it.cut_off == 0), "{report}");
    Ok(())
}

/// Somebody else touches an object of the run: every watcher is sent an event that carries a write
/// which it has seen before, and which is no fault of the server.
async fn somebody_elses_update_is_no_fault(cluster: Arc<Cluster>) -> Result<()> {
    let _turn = TURN.lock().await;
    let target = open(&cluster, &cluster.api_server_url(), cluster.ca_pem()).await?;
    let scenario = Scenario::parse("fan-out", FAN_OUT)?;
    let accounting = Accounting::new(Vec::new());
    let stop = CancellationToken::new();
    let run = Box::pin(engine::run(&target, &scenario, &accounting, &stop));
    let (report, touched) = tokio::join!(run, touch_one(&cluster));
    let report = report?;
    touched?;
    nothing_is_wrong(&report)?;
    let watches = &report.watches[0];
    ensure!(watches.touched == 20 && watches.faulty == 0, "{report}");
    nothing_is_left(&cluster).await
}

/// The user ends a run in its middle: what it did not do is said, and is no fault.
async fn an_ended_run_is_incomplete(cluster: Arc<Cluster>) -> Result<()> {
    let _turn = TURN.lock().await;
    let target = open(&cluster, &cluster.api_server_url(), cluster.ca_pem()).await?;
    let scenario = Scenario::parse("fan-out", &FAN_OUT.replace("3s", "40s"))?;
    let accounting = Accounting::new(Vec::new());
    let stop = CancellationToken::new();
    let ending = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        stop.cancel();
    };
    let run = Box::pin(engine::run(&target, &scenario, &accounting, &stop));
    let (report, ()) = tokio::join!(run, ending);
    let report = report?;
    let (writes, faults) = (&report.writes[0], &report.watches[0].faults);
    ensure!(report.interrupted && report.verdict() == Verdict::Incomplete, "{report}");
    ensure!(writes.due == 2000 && writes.attempted < 1000, "{report}");
    ensure!(writes.failed == 0 && faults.none(), "{report}");
    nothing_is_left(&cluster).await
}

/// Sets a label of an object that a run has made.
async fn touch_one(cluster: &Cluster) -> Result<()> {
    let client = cluster.admin_client().build()?;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let list = client.get("/api/v1/configmaps?labelSelector=watchgate-loadtest%2Frun");
        let list = list.send().await?.json()?;
        let items = list["items"].as_array().context("not a list")?;
        for item in items {
            let metadata = &item["metadata"];
            let (namespace, name) = (metadata["namespace"].as_str(), metadata["name"].as_str());
            let path = format!(
                "/api/v1/namespaces/{}/configmaps/{}",
                namespace.context("no namespace")?,
                name.context("no name")?
            );
            let touch = client
                .request(Method::PATCH, &path)
                .header("content-type", "application/merge-patch+json")
                .body(r#"{"metadata":{"labels":{"touched":"yes"}}}"#);
            match touch.send().await?.status.as_u16() {
                200 => return Ok(()),
                // It was deleted in the meantime.
                404 => {}
                status => anyhow::bail!("{path}: {status}"),
            }
        }
    }
}

async fn through_watchgate(cluster: Arc<Cluster>) -> Result<()> {
    let _turn = TURN.lock().await;
    let Some(binary) = watchgate_binary() else {
        eprintln!("skipped: no watchgate binary; build it, or name it by WATCHGATE_BINARY");
        return Ok(());
    };
    let mut gateway = Gateway::start(&binary, &cluster.admin_kubeconfig()?, &[]).await?;
    let ca = std::fs::read_to_string(gateway.data_directory().join("watchgate-ca.crt"))?;
    let through = open(&cluster, gateway.url(), &ca).await?;
    let direct = open(&cluster, &cluster.api_server_url(), cluster.ca_pem()).await?;
    let report = run(&through, EVERYTHING).await?;
    check_everything(&report).with_context(|| gateway.log().unwrap_or_default())?;
    let api_server = cluster.api_server_pid().await.context("kube-apiserver has ended")?;
    let api_server = Process::find(api_server)?;
    let servers = vec![Process::find(gateway.process().pid())?, api_server.clone()];
    let sides = [
        Side { target: direct, accounting: Accounting::new(vec![api_server]) },
        Side { target: through, accounting: Accounting::new(servers) },
    ];
    let scenario = Scenario::parse("fan-out", FAN_OUT)?;
    let stop = CancellationToken::new();
    let comparison = Box::pin(comparison::run(&sides, &scenario, 1, &stop)).await?;
    ensure!(comparison.problems.is_empty(), "{comparison}");
    comparison.rounds.iter().flatten().try_for_each(nothing_is_wrong)?;
    let named = |name: &str| comparison.ratios.iter().any(|ratio| ratio.figure.contains(name));
    ensure!(
        named("all servers")
            && named("CPU per delivery")
            && named("delay p50")
            && named("latency p99"),
        "{comparison}"
    );
    ensure!(html::comparison(&comparison).contains("<svg"));
    ensure!(gateway.stop().await?.success());
    nothing_is_left(&cluster).await
}

fn watches(protocol: Protocol) -> WatchScenario {
    WatchScenario {
        kind: Kind::ConfigMap,
        namespace: Some("default".to_owned()),
        label_selector: Some("load=small".to_owned()),
        protocol,
        watchers: 20,
        streams_per_connection: if protocol == Protocol::Http2 { 7 } else { 1 },
        writers: 3,
        objects: 12,
        rate: 60.0,
        object_bytes: 2000,
        duration: Duration::from_secs(3),
    }
}

fn check_watches(report: &RunReport) -> Result<()> {
    nothing_is_wrong(report)?;
    let written = report.writes[0].succeeded;
    ensure!(report.writes[0].due == 180 && report.writes[0].attempted == written, "{report}");
    let watches = &report.watches[0];
    ensure!(watches.deliveries == written * 20, "{report}");
    ensure!(watches.last_watcher_delay.count == written, "{report}");
    ensure!(report.costs.servers[0].cpu_micros_per_delivery.is_some(), "{report}");
    Ok(())
}

async fn open(cluster: &Cluster, server: &str, ca_pem: &str) -> Result<Arc<Target>> {
    let kubeconfig = cluster.kubeconfig_for_token("admin", server, ca_pem)?;
    let access = Access {
        kubeconfig: Some(&kubeconfig),
        server: None,
        token_file: None,
        certificate_authority: None,
        any_server: false,
    };
    Ok(Arc::new(Target::open(&access).await?))
}

async fn run(target: &Arc<Target>, scenario: &str) -> Result<RunReport> {
    let scenario = Scenario::parse("test", scenario)?;
    let stop = CancellationToken::new();
    Ok(Box::pin(engine::run(target, &scenario, &Accounting::new(Vec::new()), &stop)).await?)
}

/// Nothing with the label of any run is left, apart from namespaces that are on their way out.
async fn nothing_is_left(cluster: &Cluster) -> Result<()> {
    let client = cluster.admin_client().build()?;
    for collection in ["api/v1/configmaps", "api/v1/pods", "api/v1/nodes"] {
        let path = format!("/{collection}?labelSelector=watchgate-loadtest%2Frun");
        let list = client.get(&path).send().await?.json()?;
        let items = list["items"].as_array().context("not a list")?;
        ensure!(items.is_empty(), "{} objects are left in {collection}", items.len());
    }
    Ok(())
}

/// By the environment, or as cargo puts it beside this test.
fn watchgate_binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("WATCHGATE_BINARY") {
        return Some(path.into());
    }
    let test = std::env::current_exe().ok()?;
    let beside = test.parent()?.parent()?.join("watchgate");
    beside.is_file().then_some(beside)
}
