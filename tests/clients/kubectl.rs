//! kubectl through the gateway, held against kubectl with the API server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::front::Front;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs kubectl as the user through the gateway and demands success.
async fn through(front: &Front, kubeconfig: &Path, args: &[&str], input: &str) -> Result<String> {
    front.cluster.kubectl_with_input(kubeconfig, args, input).await?.success()
}

/// Tables, YAML, JSON, names, selectors, several types at once: the same text as without the gateway.
pub(crate) async fn reads(front: Arc<Front>) -> Result<()> {
    let (gateway, direct) = (front.kubeconfig()?, front.direct_kubeconfig()?);
    for name in ["one", "two", "three"] {
        let create = ["create", "configmap", name, "-n", "default", "--from-literal=key=<&>"];
        through(&front, &gateway, &create, "").await?;
    }
    through(&front, &gateway, &["label", "configmap", "one", "two", "set=reads"], "").await?;
    let commands: &[&[&str]] = &[
        &["get", "configmaps", "-l", "set=reads"],
        &["get", "configmaps", "-l", "set=reads", "-o", "wide", "--show-labels"],
        &["get", "configmaps", "-l", "set=reads", "-o", "yaml"],
        &["get", "configmaps", "one", "two", "-o", "json", "--show-managed-fields"],
        &["get", "configmaps", "-A", "--field-selector", "metadata.name=two", "-o", "name"],
        &["get", "configmaps", "-l", "set=reads", "-o", "json", "--chunk-size=1"],
        &["get", "configmap,namespace", "-o", "name", "-l", "set=reads"],
        &["get", "--raw", "/api/v1/namespaces/default/configmaps/three?resourceVersion=0"],
        &["api-resources", "-o", "name"],
        &["explain", "pod.spec.containers.image"],
        &["auth", "can-i", "--list"],
        &["get", "configmaps", "absent"],
        &["get", "nonsense"],
        &["version", "-o", "json"],
    ];
    for args in commands {
        let [mut ours, mut theirs] = [
            front.cluster.kubectl(&gateway, args).await?,
            front.cluster.kubectl(&direct, args).await?,
        ];
        for output in [&mut ours, &mut theirs] {
            // Ages in tables are of the moment.
            output.stdout = without_ages(&output.stdout);
        }
        ensure!(ours.status == theirs.status, "{args:?}: {ours:?} and directly {theirs:?}");
        ensure!(ours.stdout == theirs.stdout, "{args:?}: {ours:?} and directly {theirs:?}");
        ensure!(ours.stderr == theirs.stderr, "{args:?}: {ours:?} and directly {theirs:?}");
    }
    Ok(())
}

fn without_ages(text: &str) -> String {
    let is_age = |word: &str| {
        word.len() > 1
            && word.ends_with(['s', 'm'])
            && word[..word.len() - 1].bytes().all(|byte| byte.is_ascii_digit() || byte == b'm')
    };
    let line = |line: &str| {
        line.split_whitespace().filter(|word| !is_age(word)).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

const MANIFEST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: default, labels: {app: NAME}}
spec:
  replicas: 0
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: main, image: "example.com/image:1"}]}
"#;

/// What kubectl must say.
fn expect(output: &str, part: &str) -> Result<()> {
    ensure!(output.contains(part), "{output:?} in place of {part:?}");
    Ok(())
}

const IMAGES: &str = "jsonpath={.spec.template.spec.containers[*].image}";

/// apply on either side, and diff, which writes nothing.
pub(crate) async fn applies(front: Arc<Front>) -> Result<()> {
    let kubeconfig = front.kubeconfig()?;
    let kubectl =
        async |args: &[&str], input: &str| through(&front, &kubeconfig, args, input).await;
    let manifest = MANIFEST.replace("NAME", "applied");
    let apply = ["apply", "-f", "-"];
    expect(&kubectl(&apply, &manifest).await?, "deployment.apps/applied created")?;
    expect(&kubectl(&apply, &manifest).await?, "deployment.apps/applied unchanged")?;
    let changed = manifest.replace("image:1", "image:2");
    let diff = async || {
        front.cluster.kubectl_with_input(&kubeconfig, &["diff", "-f", "-"], &changed).await
    };
    let differs = diff().await?;
    ensure!(differs.status.code() == Some(1), "{differs:?}");
    ensure!(differs.stdout.contains("+      - image: example.com/image:2"), "{differs:?}");
    expect(&kubectl(&apply, &changed).await?, "deployment.apps/applied configured")?;
    let equal = diff().await?;
    ensure!(equal.status.code() == Some(0) && equal.stdout.is_empty(), "{equal:?}");

    let server_side = ["apply", "--server-side", "--field-manager=test", "-f", "-"];
    let conflict = front.cluster.kubectl_with_input(&kubeconfig, &server_side, &manifest).await?;
    ensure!(!conflict.status.success() && conflict.stderr.contains("conflict"), "{conflict:?}");
    let force = [&server_side[..], &["--force-conflicts"]].concat();
    expect(&kubectl(&force, &manifest).await?, "serverside-applied")?;
    let images = kubectl(&["get", "deployment", "applied", "-o", IMAGES], "").await?;
    ensure!(images == "example.com/image:1", "{images}");
    Ok(())
}

/// Every other verb that changes an object, and its end.
pub(crate) async fn changes(front: Arc<Front>) -> Result<()> {
    let kubeconfig = front.kubeconfig()?;
    let kubectl =
        async |args: &[&str], input: &str| through(&front, &kubeconfig, args, input).await;
    let created = kubectl(&["create", "-f", "-"], &MANIFEST.replace("NAME", "changed")).await?;
    expect(&created, "deployment.apps/changed created")?;
    let patch = async |form: &str, patch: &str| {
        kubectl(&["patch", "deployment", "changed", "--type", form, "-p", patch], "").await
    };
    let json = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example.com/image:3"}]"#;
    expect(&patch("json", json).await?, "patched")?;
    let merge = r#"{"metadata":{"annotations":{"a":"b"}}}"#;
    expect(&patch("merge", merge).await?, "patched")?;
    let strategic = r#"{"spec":{"template":{"spec":{"containers":[{"name":"second","image":"example.com/second"}]}}}}"#;
    expect(&patch("strategic", strategic).await?, "patched")?;
    let images = kubectl(&["get", "deployment", "changed", "-o", IMAGES], "").await?;
    let mut images: Vec<&str> = images.split(' ').collect();
    images.sort_unstable();
    ensure!(images == ["example.com/image:3", "example.com/second"], "{images:?}");
    expect(&patch("merge", merge).await?, "patched (no change)")?;

    expect(&kubectl(&["label", "deployment", "changed", "tier=front"], "").await?, "labeled")?;
    let found = ["get", "deployments", "-l", "tier=front", "-o", "name"];
    ensure!(kubectl(&found, "").await? == "deployment.apps/changed\n");
    expect(&kubectl(&["annotate", "deployment", "changed", "a-"], "").await?, "annotated")?;
    expect(&kubectl(&["scale", "deployment", "changed", "--replicas=0"], "").await?, "scaled")?;
    let object = kubectl(&["get", "deployment", "changed", "-o", "json"], "").await?;
    expect(&kubectl(&["replace", "-f", "-"], &object).await?, "replaced")?;
    expect(&kubectl(&["delete", "deployment", "changed"], "").await?, "deleted")?;
    let gone = front.cluster.kubectl(&kubeconfig, &["get", "deployment", "changed"]).await?;
    ensure!(gone.stderr.contains("deployments.apps \"changed\" not found"), "{gone:?}");
    Ok(())
}

/// `get --watch` as a table, as objects, and with a selector.
pub(crate) async fn watches(front: Arc<Front>) -> Result<()> {
    let kubeconfig = front.kubeconfig()?;
    let kubectl = async |args: &[&str]| through(&front, &kubeconfig, args, "").await;
    let start = |args: &[&str]| front.cluster.kubectl_in_background(&kubeconfig, args);
    kubectl(&["create", "configmap", "watched", "--from-literal=a=1"]).await?;
    let mut table = start(&["get", "configmap", "watched", "--watch"])?;
    let json = "jsonpath={.type} {.object.data}{\"\\n\"}";
    let mut objects = start(&[
        "get",
        "configmaps",
        "-l",
        "watch=yes",
        "--watch",
        "-o",
        json,
        "--output-watch-events",
    ])?;
    table.line(PATIENCE, |line| line.starts_with("watched ").then_some(())).await?;
    kubectl(&["label", "configmap", "watched", "watch=yes"]).await?;
    objects.line(PATIENCE, |line| line.contains("ADDED").then_some(())).await?;
    kubectl(&["patch", "configmap", "watched", "-p", r#"{"data":{"b":"2"}}"#]).await?;
    objects.line(PATIENCE, |line| line.contains(r#""b":"2""#).then_some(())).await?;
    kubectl(&["label", "configmap", "watched", "watch-"]).await?;
    objects.line(PATIENCE, |line| line.contains("DELETED").then_some(())).await?;
    kubectl(&["delete", "configmap", "watched"]).await?;
    let log = table.log().to_owned();
    // As it was at first, labelled, changed, unlabelled; the deletion is shown with a row as well.
    let lines = || anyhow::Ok(std::fs::read_to_string(&log)?.matches("watched ").count());
    let deadline = std::time::Instant::now() + PATIENCE;
    while lines().context("the table's log")? < 5 {
        ensure!(std::time::Instant::now() < deadline, "{}", table.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
