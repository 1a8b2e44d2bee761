//! Does the test cluster itself work? Everything here talks to the API server directly.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use watchgate_cluster::{Client, Cluster, Cutter, Gateway, Protocol, Suite};

fn main() -> ExitCode {
    Suite::new(|| async {
        let started = Instant::now();
        let cluster = Cluster::builder().start().await?;
        eprintln!("cluster started in {:.1} s", started.elapsed().as_secs_f64());
        Ok(cluster)
    })
    .test("objects_in_json_and_protobuf", objects_in_json_and_protobuf)
    .test("users_have_the_rights_they_are_given", users_have_the_rights_they_are_given)
    .test("watches_stream", watches_stream)
    .test("the_cutter_breaks_a_watch", the_cutter_breaks_a_watch)
    .test("pods_run_and_can_be_talked_to", pods_run_and_can_be_talked_to)
    .test("recordings_of_informers_compare", recordings_of_informers_compare)
    .test("feature_gates_take_effect", feature_gates_take_effect)
    .test("a_gateway_is_started_and_stopped", a_gateway_is_started_and_stopped)
    .exclusive("the_api_server_restarts", the_api_server_restarts)
    .run()
}

async fn objects_in_json_and_protobuf(cluster: Arc<Cluster>) -> Result<()> {
    let kubeconfig = cluster.admin_kubeconfig()?;
    let create = ["create", "configmap", "smoke", "--from-literal=key=value"];
    cluster.kubectl(&kubeconfig, &create).await?.success()?;

    let position = cluster.audit().position()?;
    let path = "/api/v1/namespaces/default/configmaps/smoke";
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client =
            cluster.client().token(cluster.token("admin")).protocol(protocol).shared().build()?;
        let response = client.get(path).header("accept", "application/json").send().await?;
        ensure!(response.status == StatusCode::OK, "{response:?}");
        ensure!(response.json()?["data"]["key"] == "value", "{response:?}");
        let protobuf = "application/vnd.kubernetes.protobuf";
        let response = client.get(path).header("accept", protobuf).send().await?;
        ensure!(response.header("content-type") == Some(protobuf), "{response:?}");
        ensure!(response.body.starts_with(b"k8s\0"), "{response:?}");
    }
    let reads = events(&cluster.audit().events_since(position)?, "admin", "get", "configmaps");
    ensure!(reads == 4, "{reads} reads in the audit log");
    Ok(())
}

async fn users_have_the_rights_they_are_given(cluster: Arc<Cluster>) -> Result<()> {
    let path = "/api/v1/namespaces/default/secrets";
    let status = async |user| -> Result<StatusCode> {
        let client = cluster.client().token(cluster.token(user)).build()?;
        Ok(client.get(path).send().await?.status)
    };
    ensure!(cluster.client().build()?.get(path).send().await?.status == StatusCode::FORBIDDEN);
    ensure!(status("admin").await? == StatusCode::OK);
    ensure!(status("alice").await? == StatusCode::FORBIDDEN);

    let kubeconfig = cluster.admin_kubeconfig()?;
    let bind = ["create", "rolebinding", "reader", "--clusterrole=admin", "--user=alice"];
    cluster.kubectl(&kubeconfig, &bind).await?.success()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while status("alice").await? != StatusCode::OK {
        ensure!(Instant::now() < deadline, "the binding doesn't take effect");
    }
    ensure!(status("bob").await? == StatusCode::FORBIDDEN);

    let front_proxy = cluster.client().identity(cluster.front_proxy()).build()?;
    let response = front_proxy.get(path).header("x-remote-user", "alice").send().await?;
    ensure!(response.status == StatusCode::OK, "{response:?}");

    let kubeconfig =
        cluster.kubeconfig_for_token("bob", &cluster.api_server_url(), cluster.ca_pem())?;
    let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    let name = cluster.kubectl(&kubeconfig, &whoami).await?.success()?;
    ensure!(name == "bob", "{name}");
    Ok(())
}

async fn watches_stream(cluster: Arc<Cluster>) -> Result<()> {
    let client = cluster.admin_client().protocol(Protocol::Http2).shared().build()?;
    let mut watch = watch(&client, "watched").await?;
    create_configmap(&client, "watched").await?;
    let event = watch.event(Duration::from_secs(10)).await?.context("the watch ended")?;
    ensure!(event["type"] == "ADDED" && event["object"]["data"]["key"] == "value", "{event}");
    Ok(())
}

async fn the_cutter_breaks_a_watch(cluster: Arc<Cluster>) -> Result<()> {
    let cutter = Cutter::start(cluster.api_server_address()).await?;
    let client =
        Client::builder(&cutter.url(), cluster.ca_pem()).identity(cluster.admin()).build()?;
    let mut watch = watch(&client, "cut").await?;
    cutter.refuse().await;
    ensure!(watch.line().await.is_err(), "the watch ended without a failure");
    ensure!(client.get("/readyz").send().await.is_err());
    cutter.resume().await?;
    ensure!(client.get("/readyz").send().await?.status == StatusCode::OK);
    Ok(())
}

async fn pods_run_and_can_be_talked_to(cluster: Arc<Cluster>) -> Result<()> {
    let kubeconfig = cluster.admin_kubeconfig()?;
    let started = Instant::now();
    let _controllers = cluster.start_controller_manager(&kubeconfig, &[])?;
    let _scheduler = cluster.start_scheduler(&kubeconfig, &[])?;
    let _kubelet = cluster.start_kubelet_stand_in(&kubeconfig, 2, &[]).await?;
    let kubectl = async |args: &[&str]| cluster.kubectl(&kubeconfig, args).await?.success();

    kubectl(&["create", "deployment", "web", "--image=example.com/web", "--replicas=3"]).await?;
    kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).await?;
    eprintln!("3 replicas running after {:.1} s", started.elapsed().as_secs_f64());

    kubectl(&["scale", "deployment/web", "--replicas=20"]).await?;
    kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).await?;

    let log = kubectl(&["logs", "deployment/web", "--tail=2"]).await?;
    ensure!(log.lines().count() == 2 && log.starts_with("line 9 of default/web-"), "{log}");

    for websockets in ["true", "false"] {
        talk(&cluster, &kubeconfig, websockets).await.with_context(|| {
            format!("kubectl with KUBECTL_…_WEBSOCKETS={websockets} (SPDY if false)")
        })?;
    }
    let followed = ["logs", "deployment/web", "--follow", "--tail=1"];
    let mut following = cluster.kubectl_in_background(&kubeconfig, &followed)?;
    let third = |line: &str| line.starts_with("line 12 of default/web-").then_some(());
    following.line(Duration::from_secs(10), third).await?;

    kubectl(&["delete", "deployment", "web", "--wait=true"]).await?;
    kubectl(&["wait", "--for=delete", "pod", "--selector=app=web", "--timeout=60s"]).await?;
    Ok(())
}

/// exec, attach and port-forward, with the protocol which the environment picks for kubectl.
async fn talk(cluster: &Cluster, kubeconfig: &Path, websockets: &str) -> Result<()> {
    let command = |args: &[&str]| -> Result<Command> {
        let mut command = cluster.kubectl_command(kubeconfig, args)?;
        command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets);
        command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
        Ok(command)
    };
    let echo = command(&["exec", "-i", "deployment/web", "--", "cat"])?;
    let echoed = cluster.run(echo, "to the pod and back").await?.success()?;
    ensure!(echoed == "to the pod and back", "{echoed}");
    let fail = command(&["exec", "deployment/web", "--", "sh", "-c", "echo failed >&2; exit 7"])?;
    let failed = cluster.run(fail, "").await?;
    ensure!(failed.status.code() == Some(7) && failed.stderr.starts_with("failed\n"), "{failed:?}");
    let attach = command(&["attach", "-i", "deployment/web"])?;
    let attached = cluster.run(attach, "attached too").await?.success()?;
    ensure!(attached.contains("attached too"), "{attached}");

    let forward = command(&["port-forward", "deployment/web", ":80"])?;
    let mut forwarding = cluster.spawn("kubectl", forward)?;
    let port = forwarding
        .line(Duration::from_secs(30), |line| {
            line.strip_prefix("Forwarding from 127.0.0.1:")?.split_once(' ')?.0.parse().ok()
        })
        .await?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"through the forwarded port").await?;
    let mut back = [0; 26];
    timeout(Duration::from_secs(10), stream.read_exact(&mut back)).await??;
    ensure!(&back == b"through the forwarded port");
    Ok(())
}

async fn recordings_of_informers_compare(cluster: Arc<Cluster>) -> Result<()> {
    let kubeconfig = cluster.admin_kubeconfig()?;
    let churn = ["--duration=6s", "--rate=60", "--namespaces=2"];
    let mut churn = cluster.start_churn(&kubeconfig, &churn).await?;
    let resources = ["pods", "configmaps", "widgets.example.com"];
    // Each client twice, listing and reading in different ways: the contents must be equal all the same.
    let mut recordings = Vec::new();
    for mode in ["typed", "metadata", "dynamic"] {
        let mode = format!("--mode={mode}");
        for (content_type, watch_list) in [("json", false), ("protobuf", true)] {
            let content_type = format!("--content-type={content_type}");
            let watch_list = format!("--watch-list={watch_list}");
            let args = [&*mode, &*content_type, &*watch_list, "--namespace=churn-0"];
            let out = cluster.new_path("informers", "jsonl");
            let process = cluster.start_informers(&kubeconfig, &resources, &out, &args).await?;
            recordings.push((process, out));
        }
    }
    ensure!(churn.wait(Duration::from_secs(60)).await?.success(), "{}", churn.log_tail());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut outs = Vec::new();
    for (process, out) in recordings {
        ensure!(process.terminate(Duration::from_secs(10)).await?.success());
        outs.push(out);
    }
    for pair in outs.chunks(2) {
        let output = cluster.compare(&pair[0], &pair[1], &[]).await?;
        ensure!(output.status.success(), "{output:?}");
        let summary: Value = serde_json::from_str(&output.stdout)?;
        ensure!(summary["comparedStates"].as_u64() > Some(50), "{summary}");
        ensure!(summary["direct"]["requests"]["list 200"] == 3, "{summary}");
        ensure!(summary["gateway"]["requests"]["watch-list 200"] == 3, "{summary}");
    }
    // Metadata alone isn't the whole object.
    let output = cluster.compare(&outs[0], &outs[2], &[]).await?;
    ensure!(output.status.code() == Some(1), "{output:?}");
    Ok(())
}

async fn feature_gates_take_effect(with: Arc<Cluster>) -> Result<()> {
    let without = Cluster::builder().feature_gate("WatchList", false).start().await?;
    for (cluster, expected) in
        [(&*with, StatusCode::OK), (&without, StatusCode::UNPROCESSABLE_ENTITY)]
    {
        let client = cluster.admin_client().build()?;
        let target = "/api/v1/configmaps?watch=true&sendInitialEvents=true\
                      &allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
        let status = client.get(target).stream().await?.status;
        ensure!(status == expected, "{status} in place of {expected}");
    }
    without.stop().await
}

/// Not watchgate, but a program which looks like it from outside.
async fn a_gateway_is_started_and_stopped(cluster: Arc<Cluster>) -> Result<()> {
    let kubeconfig = cluster.admin_kubeconfig()?;
    let program = cluster.new_path("gateway", "sh");
    let script = "#!/bin/sh\necho \"$@\"\ntrap 'exit 0' TERM\n\
                  echo listening on https://127.0.0.1:4711\nwhile :; do sleep 0.05; done\n";
    tokio::fs::write(&program, script).await?;
    tokio::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).await?;
    let gateway = Gateway::start(&program, &kubeconfig, &["--last"]).await?;
    ensure!(gateway.url() == "https://127.0.0.1:4711");
    let arguments = gateway.log()?;
    ensure!(arguments.contains(&format!("--kubeconfig {} --last", kubeconfig.display())));
    ensure!(gateway.stop().await?.success());
    Ok(())
}

async fn the_api_server_restarts(cluster: Arc<Cluster>) -> Result<()> {
    let client = cluster.admin_client().build()?;
    create_configmap(&client, "kept").await?;
    let mut open = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = cluster.admin_client().protocol(protocol).build()?;
        open.push(watch(&client, "kept").await?);
    }
    let started = Instant::now();
    cluster.restart_api_server().await?;
    let took = started.elapsed();
    eprintln!("API server restarted in {:.1} s", took.as_secs_f64());
    ensure!(took < Duration::from_secs(12), "it waited for the watches");
    drop(open);
    let path = "/api/v1/namespaces/default/configmaps/kept";
    ensure!(client.get(path).send().await?.status == StatusCode::OK);

    let mut watch = watch(&client, "kept").await?;
    cluster.kill_api_server().await?;
    while let Ok(line) = watch.line().await {
        ensure!(line.is_some(), "a killed server ended its watch in order");
    }
    cluster.start_api_server().await?;
    ensure!(client.get(path).send().await?.status == StatusCode::OK);
    let events = cluster.audit_events()?;
    ensure!(self::events(&events, "kubernetes-admin", "create", "configmaps") > 0);
    Ok(())
}

async fn watch(client: &Client, name: &str) -> Result<watchgate_cluster::Streaming> {
    let target = format!(
        "/api/v1/namespaces/default/configmaps?watch=true&fieldSelector=metadata.name%3D{name}"
    );
    let watch = client.get(&target).stream().await?;
    ensure!(watch.status == StatusCode::OK, "{watch:?}");
    Ok(watch)
}

async fn create_configmap(client: &Client, name: &str) -> Result<()> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "key": "value" },
    });
    let response = client
        .request(Method::POST, "/api/v1/namespaces/default/configmaps")
        .header("content-type", "application/json")
        .body(object.to_string())
        .send()
        .await?;
    ensure!(response.status == StatusCode::CREATED, "{response:?}");
    Ok(())
}

/// How many completed requests of this kind a user made.
fn events(events: &[Value], user: &str, verb: &str, resource: &str) -> usize {
    events
        .iter()
        .filter(|event| {
            event["stage"] == "ResponseComplete"
                && event["user"]["username"] == user
                && event["verb"] == verb
                && event["objectRef"]["resource"] == resource
        })
        .count()
}
