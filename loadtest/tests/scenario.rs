//! A small scenario against a real API server, and through watchgate if its binary is there.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio_util::sync::CancellationToken;
use watchgate_cluster::{Cluster, Gateway, Suite};
use watchgate_loadtest::{
    accounting::Accounting,
    list_storm,
    process::Process,
    report::WatchReport,
    scenario::{ListScenario, WatchScenario},
    scratch::Resource,
    target::{Access, Target},
    transport::Protocol,
    watch_run,
};

fn main() -> ExitCode {
    Suite::new(|| async { Cluster::builder().start().await })
        .test("watches_of_the_api_server", watches_of_the_api_server)
        .test("lists_of_the_api_server", lists_of_the_api_server)
        .test("watches_through_watchgate", watches_through_watchgate)
        .run()
}

async fn watches_of_the_api_server(cluster: Arc<Cluster>) -> Result<()> {
    let target = open(&cluster, &cluster.api_server_url(), cluster.ca_pem()).await?;
    let own = std::process::id();
    for protocol in [Protocol::Http2, Protocol::Http1] {
        let report = run(&target, &scenario(protocol, "direct"), own).await?;
        check(&report)?;
    }
    nothing_is_left(&cluster, "direct").await
}

async fn lists_of_the_api_server(cluster: Arc<Cluster>) -> Result<()> {
    let target = open(&cluster, &cluster.api_server_url(), cluster.ca_pem()).await?;
    let scenario = ListScenario {
        resource: Resource::Configmaps,
        namespace: None,
        label_selector: None,
        protocol: Protocol::Http2,
        clients: 3,
        resource_version: Some("0".to_owned()),
        gzip: true,
        protobuf: true,
        duration: Duration::from_secs(1),
    };
    let (accounting, stop) = (Accounting::new(Vec::new()), CancellationToken::new());
    let report = list_storm::run(&target, &scenario, &accounting, &stop).await?;
    ensure!(report.passed() && report.bytes > 0, "{report}");
    Ok(())
}

async fn watches_through_watchgate(cluster: Arc<Cluster>) -> Result<()> {
    let Some(binary) = watchgate_binary() else {
        eprintln!("skipped: no watchgate binary; build it, or name it by WATCHGATE_BINARY");
        return Ok(());
    };
    let mut gateway = Gateway::start(&binary, &cluster.admin_kubeconfig()?, &[]).await?;
    let ca = std::fs::read_to_string(gateway.data_directory().join("watchgate-ca.crt"))?;
    let target = open(&cluster, gateway.url(), &ca).await?;
    let pid = gateway.process().pid();
    let report = run(&target, &scenario(Protocol::Http2, "gateway"), pid).await?;
    check(&report).with_context(|| gateway.log().unwrap_or_default())?;
    ensure!(gateway.stop().await?.success());
    nothing_is_left(&cluster, "gateway").await
}

fn scenario(protocol: Protocol, load: &str) -> WatchScenario {
    WatchScenario {
        resource: Resource::Configmaps,
        namespace: Some("default".to_owned()),
        label_selector: Some(format!("load={load}")),
        protocol,
        watchers: 20,
        streams_per_connection: if protocol == Protocol::Http2 { 7 } else { 1 },
        writers: 3,
        rate: 60.0,
        object_bytes: 2000,
        duration: Duration::from_secs(3),
    }
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

async fn run(target: &Arc<Target>, scenario: &WatchScenario, pid: u32) -> Result<WatchReport> {
    let accounting = Accounting::new(vec![Process::new(pid)]);
    let stop = CancellationToken::new();
    Ok(Box::pin(watch_run::run(target, scenario, &accounting, &stop)).await?)
}

fn check(report: &WatchReport) -> Result<()> {
    ensure!(report.passed(), "{report}");
    let written = report.writes.succeeded;
    ensure!((100..=180).contains(&written), "{report}");
    ensure!(report.watches.deliveries == written * 20, "{report}");
    ensure!(report.watches.last_watcher_delay.count == written, "{report}");
    ensure!(report.costs.servers[0].cpu_micros_per_delivery.is_some(), "{report}");
    Ok(())
}

/// No object with this label is left in the namespace that the runs used.
async fn nothing_is_left(cluster: &Cluster, load: &str) -> Result<()> {
    let client = cluster.admin_client().build()?;
    let path = format!("/api/v1/namespaces/default/configmaps?labelSelector=load%3D{load}");
    let list = client.get(&path).send().await?.json()?;
    let items = list["items"].as_array().context("not a list")?;
    ensure!(items.is_empty(), "{} objects are left", items.len());
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
