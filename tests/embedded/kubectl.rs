//! What people type in their first hour.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use watchgate_cluster::Process;

use crate::instance::Instance;

const MANIFEST: &str = include_str!("first.yaml");

/// What the start lines tell works, and memory answers by the second read at the latest.
pub(crate) async fn the_cache_serves_kubectl(instance: Arc<Instance>) -> Result<()> {
    let hint = format!("try: export KUBECONFIG={}; ", instance.kubeconfig.display());
    ensure!(instance.log()?.contains(&hint), "no hint in {}", instance.log()?);
    let namespaces = instance.kubectl(&["get", "namespaces", "-o", "name"]).await?;
    ensure!(namespaces.contains("namespace/kube-system\n"), "{namespaces}");

    let read = ["get", "--raw", "/api/v1/configmaps?resourceVersion=0", "-v=8"];
    instance.kubectl_any(&read, "").await?;
    let second = instance.kubectl_any(&read, "").await?;
    ensure!(second.status.success() && second.stdout.contains("ConfigMapList"), "{second:?}");
    ensure!(second.stderr.contains("Cache-Status: watchgate; hit\n"), "{}", second.stderr);
    Ok(())
}

/// `apply`, changed `apply`, the same `apply`, `diff`, `delete` of a file with a bit of everything.
pub(crate) async fn files_are_applied_again_and_again(instance: Arc<Instance>) -> Result<()> {
    let names = [
        "namespace/first",
        "customresourcedefinition.apiextensions.k8s.io/widgets.first.example",
        "configmap/settings",
        "secret/password",
        "deployment.apps/web",
        "service/web",
    ];
    let widget = "apiVersion: first.example/v1\nkind: Widget\nmetadata:\n  name: one\n  \
                  namespace: first\nspec:\n  size: 3\n";
    let everything = format!("{MANIFEST}---\n{widget}");
    // The definition comes first, as in any cluster: kubectl has to learn of it.
    says(&instance, &["apply", "-f", "-"], MANIFEST, &names, "created").await?;
    says(&instance, &["apply", "-f", "-"], widget, &["widget.first.example/one"], "created")
        .await?;
    let diff = instance.kubectl_with(&["diff", "-f", "-"], &everything).await?;
    ensure!(diff.is_empty(), "{diff}");
    says(&instance, &["apply", "-f", "-"], &everything, &names, "unchanged").await?;

    let changed = everything.replace("replicas: 2", "replicas: 3").replace("size: 3", "size: 4");
    let diff = instance.kubectl_any(&["diff", "-f", "-"], &changed).await?;
    ensure!(diff.status.code() == Some(1) && diff.stdout.contains("+  replicas: 3"), "{diff:?}");
    let output = instance.kubectl_with(&["apply", "-f", "-"], &changed).await?;
    for line in ["deployment.apps/web configured", "widget.first.example/one configured"] {
        ensure!(output.contains(line), "{output}");
    }
    ensure!(output.contains("service/web unchanged"), "{output}");
    let sizes = ["get", "widgets,deploy", "-n", "first", "-o"];
    let path = "jsonpath={range .items[*]}{.kind}={.spec.size}{.spec.replicas} {end}";
    let output = instance.kubectl(&[&sizes[..], &[path]].concat()).await?;
    ensure!(output == "Widget=4 Deployment=3 ", "{output}");

    let bad = widget.replace("size: 3", "size: huge");
    let refused = instance.kubectl_any(&["apply", "-f", "-"], &bad).await?;
    ensure!(!refused.status.success() && refused.stderr.contains("spec.size"), "{refused:?}");
    let deleted = instance.kubectl_with(&["delete", "-f", "-"], widget).await?;
    ensure!(deleted.contains("\"one\" deleted"), "{deleted}");
    // The store takes a namespace and all that is in it away at once.
    instance.kubectl_with(&["delete", "--ignore-not-found", "-f", "-"], MANIFEST).await?;
    let left = instance.kubectl(&["get", "crd,ns", "-o", "name"]).await?;
    ensure!(!left.contains("first"), "{left}");
    Ok(())
}

/// Runs kubectl, whose output must say `outcome` of each of `names`.
async fn says(
    instance: &Instance,
    args: &[&str],
    input: &str,
    names: &[&str],
    outcome: &str,
) -> Result<()> {
    let output = instance.kubectl_with(args, input).await?;
    for name in names {
        let line = format!("{name} {outcome}");
        ensure!(output.lines().any(|found| found == line), "no {line:?} in {output}");
    }
    Ok(())
}

/// kubectl sends these kinds as protobuf; what is stored is what it sends as JSON elsewhere.
pub(crate) async fn typed_bodies_are_read(instance: Arc<Instance>) -> Result<()> {
    instance.kubectl(&["create", "namespace", "typed"]).await?;
    let commands: [&[&str]; 16] = [
        &["deployment", "web", "--image=nginx", "--port=80", "--replicas=0"],
        &["job", "hello", "--image=busybox", "--", "echo", "hi"],
        &["cronjob", "tick", "--image=busybox", "--schedule=*/5 * * * *", "--", "date"],
        &["service", "clusterip", "inner", "--tcp=80:8080"],
        &["service", "nodeport", "outer", "--tcp=80"],
        &["service", "externalname", "else", "--external-name=a.b"],
        &["ingress", "in", "--rule=foo.com/bar*=inner:80,tls=cert", "--default-backend=inner:80"],
        &["quota", "q", "--hard=cpu=1500m,pods=3"],
        &["poddisruptionbudget", "half", "--selector=app=web", "--min-available=50%"],
        &["poddisruptionbudget", "none", "--selector=app=web", "--max-unavailable=0"],
        &["serviceaccount", "robot"],
        &["role", "reader", "--verb=get,list", "--resource=pods", "--resource-name=a"],
        &["rolebinding", "reading", "--role=reader", "--serviceaccount=typed:robot"],
        &["secret", "generic", "s", "--from-literal=a=b"],
        &["configmap", "c", "--from-literal=a="],
        &["priorityclass", "low", "--value=0", "--description=typed"],
    ];
    for command in commands {
        let create = [&["create", "-n", "typed"], command].concat();
        let split = create.iter().position(|word| *word == "--").unwrap_or(create.len());
        let (flags, rest) = create.split_at(split);
        let dry = [flags, &["--dry-run=client", "-o", "json"], rest].concat();
        let sent: Value = serde_json::from_str(&instance.kubectl(&dry).await?)?;
        let made = [flags, &["-o", "json"], rest].concat();
        let mut stored: Value = serde_json::from_str(&instance.kubectl(&made).await?)?;
        complete(&sent, &mut stored);
        ensure!(stored == sent, "{command:?}: sent {sent}, stored {stored}");
    }
    instance.kubectl(&["run", "p", "-n", "typed", "--image=nginx", "--port=80"]).await?;
    instance.kubectl(&["expose", "-n", "typed", "deployment", "web", "--port=80"]).await?;
    instance.kubectl(&["autoscale", "-n", "typed", "deployment", "web", "--max=3"]).await?;
    instance.kubectl(&["scale", "-n", "typed", "deployment", "web", "--replicas=5"]).await?;
    let replicas = ["get", "-n", "typed", "deployment", "web", "-o", "jsonpath={.spec.replicas}"];
    ensure!(instance.kubectl(&replicas).await? == "5");
    instance.kubectl(&["delete", "-n", "typed", "all", "--all", "--wait=false"]).await?;
    Ok(())
}

/// Takes out of `stored` what every server adds: nothing but these may differ from what was sent.
fn complete(sent: &Value, stored: &mut Value) {
    if let Some(metadata) = stored["metadata"].as_object_mut() {
        metadata.retain(|name, _| !sent["metadata"][name].is_null());
    }
    if sent["type"].is_null() && stored["kind"] == "Secret" {
        stored["type"] = Value::Null;
    }
    // The server decides on it.
    if let Some(fields) = stored.as_object_mut() {
        match &sent["status"] {
            Value::Null => fields.remove("status"),
            status => fields.insert("status".to_owned(), status.clone()),
        };
        fields.retain(|_, value| !value.is_null());
    }
}

/// `kubectl get --watch` shows each step of an object's life.
pub(crate) async fn kubectl_watches(instance: Arc<Instance>) -> Result<()> {
    instance.kubectl(&["create", "namespace", "watched"]).await?;
    let watch = ["get", "configmaps", "-n", "watched", "--watch", "--output-watch-events", "-o"];
    let path = r#"jsonpath={.type} {.object.metadata.name} {.object.data.a}{"\n"}"#;
    let command = instance.kubectl_command(&[&watch[..], &[path]].concat())?;
    let mut process = Process::spawn("kubectl", command, &instance.home().join("watch.log"))?;
    let patience = Duration::from_secs(20);
    // An object that is there before or after the watch begins is seen either way.
    instance
        .kubectl(&["create", "configmap", "seen", "-n", "watched", "--from-literal=a=1"])
        .await?;
    let sees = |wanted: &'static str| move |line: &str| (line.trim() == wanted).then_some(());
    process.line(patience, sees("ADDED seen 1")).await.context("create")?;
    let patch = json!({"data": {"a": "2"}}).to_string();
    instance.kubectl(&["patch", "configmap", "seen", "-n", "watched", "-p", &patch]).await?;
    process.line(patience, sees("MODIFIED seen 2")).await.context("change")?;
    instance.kubectl(&["delete", "configmap", "seen", "-n", "watched"]).await?;
    process.line(patience, sees("DELETED seen 2")).await.context("delete")?;
    process.kill().await?;
    Ok(())
}
