//! A control plane that has only the gateway: controller manager and scheduler read, watch and write through it.
//!
//! Deployments are scaled, rolled and deleted, a namespace with contents is finalised. Then the books are checked: how many of
//! the reads that memory may answer it did answer, and how many watches the gateway needed upstream for it.

mod access_log;
mod upstream_watches;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use watchgate_cluster::{AuditPosition, Client, Cluster, Gateway, Process, Suite};

use access_log::AccessLog;

/// The gateway's own user, apart from all others in the audit log.
const GATEWAY: &str = "watchgate";

const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
const SCHEDULER: &str = "system:kube-scheduler";

/// Without service accounts of their own, the controllers need the rights of all of them.
const ALL_CONTROLLERS: &str = "all-controllers";

fn main() -> ExitCode {
    Suite::new(|| {
        Cluster::builder()
            .user(GATEWAY, &["system:masters"])
            .user(ALL_CONTROLLERS, &["system:masters"])
            .user(CONTROLLER_MANAGER, &[])
            .user(SCHEDULER, &[])
            .start()
    })
    .exclusive("controllers_with_one_identity", |cluster| async move {
        runs(&cluster, "one", ALL_CONTROLLERS, &[]).await
    })
    .exclusive("controllers_with_service_accounts", |cluster| async move {
        let flag = "--use-service-account-credentials=true";
        runs(&cluster, "each", CONTROLLER_MANAGER, &[flag]).await
    })
    .run()
}

/// The control plane of one test.
struct ControlPlane {
    gateway: Gateway,
    since: AuditPosition,
    _programs: Vec<Process>,
}

async fn runs(cluster: &Arc<Cluster>, name: &str, user: &str, flags: &[&str]) -> Result<()> {
    let control_plane = start(cluster, user, flags).await?;
    let admin = cluster.admin_kubeconfig()?;
    a_deployment_lives_and_dies(cluster, &admin, name).await?;
    a_namespace_is_finalised(cluster, &admin, &format!("doomed-{name}")).await?;
    check_the_books(cluster, control_plane).await
}

async fn start(cluster: &Cluster, user: &str, flags: &[&str]) -> Result<ControlPlane> {
    let since = cluster.audit().position()?;
    let own = cluster.kubeconfig_for_token(GATEWAY, &cluster.api_server_url(), cluster.ca_pem())?;
    let binary = Path::new(env!("CARGO_BIN_EXE_watchgate"));
    let verbose = ["-v", "4", "--logging-format", "json"];
    let gateway = Gateway::start(binary, &own, &verbose).await?;
    let authority = gateway.data_directory().join("watchgate-ca.crt");
    let ca_pem = std::fs::read_to_string(&authority).context("the gateway's CA")?;
    ready(&Client::builder(gateway.url(), &ca_pem).build()?).await?;

    let through = |user: &str| cluster.kubeconfig_for_token(user, gateway.url(), &ca_pem);
    let controllers = cluster.start_controller_manager(&through(user)?, flags)?;
    let scheduler = cluster.start_scheduler(&through(SCHEDULER)?, &[])?;
    let admin = cluster.admin_kubeconfig()?;
    let kubelets = cluster.start_kubelet_stand_in(&admin, 3, &[]).await?;
    let programs = vec![controllers, scheduler, kubelets.process];
    Ok(ControlPlane { gateway, since, _programs: programs })
}

async fn ready(client: &Client) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.get("/watchgate/readyz").send().await?.status != http::StatusCode::OK {
        ensure!(Instant::now() < deadline, "the gateway isn't ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn a_deployment_lives_and_dies(cluster: &Cluster, admin: &Path, name: &str) -> Result<()> {
    let started = Instant::now();
    let kubectl = async |args: &[&str]| cluster.kubectl(admin, args).await?.success();
    let said =
        |what: &str| eprintln!("{name}: {what} after {:.1} s", started.elapsed().as_secs_f64());
    let deployment = format!("deployment/{name}");
    let rolled_out = ["rollout", "status", &deployment, "--timeout=60s"];

    kubectl(&["create", "deployment", name, "--image=example.com/web:1", "--replicas=2"]).await?;
    kubectl(&rolled_out).await?;
    said("2 replicas");
    kubectl(&["scale", &deployment, "--replicas=20"]).await?;
    kubectl(&rolled_out).await?;
    said("20 replicas");

    kubectl(&["set", "image", &deployment, "web=example.com/web:2"]).await?;
    kubectl(&rolled_out).await?;
    said("the new template");
    let selector = format!("--selector=app={name}");
    let image = "jsonpath={.items[*].spec.containers[0].image}";
    let images = kubectl(&["get", "pods", &selector, "-o", image]).await?;
    let new = images.split(' ').filter(|image| *image == "example.com/web:2").count();
    ensure!(new == 20, "{new} pods of the new template: {images}");

    kubectl(&["delete", &deployment, "--wait=true"]).await?;
    for kind in ["replicaset", "pod"] {
        kubectl(&["wait", "--for=delete", kind, &selector, "--timeout=60s"]).await?;
    }
    said("deleted");
    Ok(())
}

async fn a_namespace_is_finalised(cluster: &Cluster, admin: &Path, name: &str) -> Result<()> {
    let started = Instant::now();
    let kubectl = async |args: &[&str]| cluster.kubectl(admin, args).await?.success();
    kubectl(&["create", "namespace", name]).await?;
    let inside = format!("--namespace={name}");
    kubectl(&["create", "configmap", "settings", "--from-literal=key=value", &inside]).await?;
    kubectl(&["create", "secret", "generic", "credentials", "--from-literal=key=value", &inside])
        .await?;
    kubectl(&["create", "deployment", "web", "--image=example.com/web", "--replicas=3", &inside])
        .await?;
    kubectl(&["rollout", "status", "deployment/web", "--timeout=60s", &inside]).await?;
    // The controllers have put something into it, too.
    kubectl(&["get", "serviceaccount", "default", &inside]).await?;
    kubectl(&["get", "configmap", "kube-root-ca.crt", &inside]).await?;

    kubectl(&["delete", "namespace", name, "--wait=true", "--timeout=90s"]).await?;
    let left = cluster.kubectl(admin, &["get", "namespace", name]).await?;
    ensure!(left.stderr.contains("NotFound"), "{left:?}");
    eprintln!("{name}: gone after {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

async fn check_the_books(cluster: &Cluster, control_plane: ControlPlane) -> Result<()> {
    let ControlPlane { gateway, since, _programs: programs } = control_plane;
    drop(programs);
    // Upstream writes the end of what is cut off now within this time.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let log = AccessLog::read(&gateway.log()?)?;
    eprintln!("{}", log.table());
    let hits = log.hits();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand reads")]
    let share = hits.hits as f64 / hits.of as f64;
    eprintln!(
        "{} of {} reads that memory may answer were hits: {:.1} %",
        hits.hits,
        hits.of,
        share * 100.0
    );
    let events = cluster.audit().events_since(since)?;
    eprintln!("{}", upstream_watches::check(&events, GATEWAY, &log)?);
    ensure!(gateway.stop().await?.success());
    ensure!(hits.of > 100, "too few reads to say anything: {hits:?}");
    ensure!(share >= 0.9, "{:.1} % of the reads that memory may answer were hits", share * 100.0);
    Ok(())
}
