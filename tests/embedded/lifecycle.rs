//! Starts, ends and starts again; two programs at once.

use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use anyhow::{Result, ensure};
use serde_json::json;
use watchgate_cluster::run;

use crate::instance::{Instance, program};

async fn keep_one(instance: &Instance) -> Result<()> {
    instance.kubectl(&["create", "configmap", "kept", "--from-literal=a=1"]).await?;
    Ok(())
}

/// After a restart the objects, the token and the kubeconfig are those from before.
pub(crate) async fn objects_outlive_the_program(_shared: Arc<Instance>) -> Result<()> {
    let instance = Instance::start_new(&[]).await?;
    keep_one(&instance).await?;
    let get = ["get", "configmap", "kept", "-o", "json"];
    let before = instance.kubectl(&get).await?;
    let kubeconfig = instance.kubeconfig.clone();
    let mode = std::fs::metadata(&kubeconfig)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the kubeconfig's mode is {mode:o}");

    let port = instance.url.rsplit(':').next().unwrap_or_default().to_owned();
    let text = std::fs::read_to_string(&kubeconfig)?;
    let instance = instance.restart(&[]).await?;
    ensure!(instance.kubeconfig == kubeconfig, "{}", instance.kubeconfig.display());
    let again = std::fs::read_to_string(&kubeconfig)?;
    let new_port = instance.url.rsplit(':').next().unwrap_or_default();
    ensure!(again == text.replace(&port, new_port), "more than the port has changed");
    ensure!(instance.kubectl(&get).await? == before, "the object has changed");
    // Versions go on: nobody takes a new object for an old one.
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}});
    let later = instance.create("/api/v1/namespaces/default/configmaps", &object).await?;
    let before: serde_json::Value = serde_json::from_str(&before)?;
    let version = |object: &serde_json::Value| -> Option<u64> {
        object["metadata"]["resourceVersion"].as_str()?.parse().ok()
    };
    ensure!(version(&later) > version(&before), "{later} is not newer than {before}");
    Ok(())
}

/// `--in-memory` says so, and keeps nothing.
pub(crate) async fn in_memory_forgets(_shared: Arc<Instance>) -> Result<()> {
    let instance = Instance::start_new(&["--in-memory"]).await?;
    ensure!(instance.log()?.contains("in memory, gone at the end"), "{}", instance.log()?);
    keep_one(&instance).await?;
    let kept = instance.kubeconfig.with_file_name("watchgate.kubeconfig");
    ensure!(!kept.exists(), "the kubeconfig of the store that keeps objects was written");
    let instance = instance.restart(&["--in-memory"]).await?;
    let found = instance.kubectl_any(&["get", "configmap", "kept"], "").await?;
    ensure!(found.stderr.contains("NotFound"), "{found:?}");
    Ok(())
}

/// The second program on a data directory says who is in its way, and leaves the first alone.
pub(crate) async fn a_data_directory_has_one_program(shared: Arc<Instance>) -> Result<()> {
    let before = std::fs::read(&shared.kubeconfig)?;
    let mut command = program(shared.home());
    command.args(["--secure-port", "0", "--bind-address", "::1"]);
    let second = run(command, "").await?;
    ensure!(second.status.code() == Some(1), "{second:?}");
    for part in ["another watchgate", "embedded-store.redb", "--data-dir", "--in-memory"] {
        ensure!(second.stderr.contains(part), "{part} is missing in {second:?}");
    }
    ensure!(second.stdout.is_empty(), "{second:?}");
    ensure!(std::fs::read(&shared.kubeconfig)? == before, "the kubeconfig was written again");
    shared.kubectl(&["get", "namespaces"]).await?;
    Ok(())
}

/// A port in use is named with the flag that chooses another.
pub(crate) async fn a_taken_port_is_explained(shared: Arc<Instance>) -> Result<()> {
    let address = shared.url.trim_start_matches("https://");
    let port = address.rsplit(':').next().unwrap_or_default();
    let mut command = program(&shared.home().join("other"));
    command.args(["--secure-port", port]);
    let second = run(command, "").await?;
    ensure!(second.status.code() == Some(1), "{second:?}");
    for part in [address, "another program has this port", "--secure-port"] {
        ensure!(second.stderr.contains(part), "{part} is missing in {second:?}");
    }
    ensure!(!shared.home().join("other").exists(), "files are made before the port is had");
    Ok(())
}

/// A data directory that cannot hold a store is named, with what to do.
pub(crate) async fn unusable_directories_are_explained(_shared: Arc<Instance>) -> Result<()> {
    let home = tempfile::tempdir()?;
    let start = async |directory: &std::path::Path| {
        let mut command = program(home.path());
        command.args(["--secure-port", "0", "--data-dir"]).arg(directory);
        run(command, "").await
    };
    let file = home.path().join("file");
    std::fs::write(&file, "")?;
    let refused = start(&file).await?;
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    ensure!(
        refused.stderr.contains("--data-dir") && refused.stderr.contains("file"),
        "{refused:?}"
    );

    let data = home.path().join("data");
    std::fs::create_dir(&data)?;
    std::fs::write(data.join("embedded-store.redb"), [b'x'; 4096])?;
    let refused = start(&data).await?;
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    ensure!(refused.stderr.contains("embedded-store.redb cannot be read"), "{refused:?}");
    Ok(())
}
