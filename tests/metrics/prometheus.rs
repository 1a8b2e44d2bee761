//! A real Prometheus, and its own checks.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use watchgate_cluster::Process;

use crate::{
    exposition::Exposition,
    front::Front,
    programs,
    setup::{admin, collection, touch},
};

const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana");
const PATIENCE: Duration = Duration::from_secs(60);

/// `promtool` likes the exposition and the rules, and the rules do what their tests say.
pub(crate) async fn promtool(front: Arc<Front>) -> Result<()> {
    let exposition = Exposition::of(&admin(&front)?).await?;
    run(&["check", "metrics"], &exposition.text).await?;
    let rules = |name: &str| format!("{GRAFANA}/prometheus/{name}");
    run(&["check", "rules", "--lint-fatal", &rules("rules.yaml")], "").await?;
    run(&["test", "rules", &rules("rules.test.yaml")], "").await
}

/// Prometheus scrapes the gateway over TLS with a token; every expression of dashboard and rules is
/// understood by it, and every metric that they name is there.
pub(crate) async fn scrapes(front: Arc<Front>) -> Result<()> {
    let client = admin(&front)?;
    // Something of everything: a hit, a forward, a watch here and there, an event.
    client.get(&format!("{}?resourceVersion=0", collection())).send().await?;
    client.get(&collection()).send().await?;
    client.get(&format!("{}/a", collection())).send().await?;
    let _watch = client.get(&format!("{}?watch=true", collection())).stream().await?;
    touch(&front, "a", 1).await?;
    let server = Server::start(&front).await?;
    server.until_scraped().await?;
    let expressions = expressions_of_dashboard()?;
    ensure!(expressions.len() > 40, "{} expressions", expressions.len());
    let names = server.names().await?;
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let found = server.query(expression).await?;
        ensure!(found["status"] == "success", "{expression}: {found}");
        used.extend(metrics_in(expression));
    }
    let rules = server.rules().await?;
    for rule in &rules {
        ensure!(rule["health"] == "ok", "{rule}");
        used.extend(metrics_in(rule["query"].as_str().context("a query")?));
    }
    ensure!(rules.len() > 15, "{} rules", rules.len());
    let unknown: Vec<&String> = used.iter().filter(|name| !names.contains(*name)).collect();
    ensure!(unknown.is_empty(), "used, but not there: {unknown:?}");
    let firing =
        server.query("ALERTS{alertname=~\"WatchgateDown|WatchgateStoreWentBack\"}").await?;
    ensure!(firing["data"]["result"] == serde_json::json!([]), "{firing}");
    server.stop().await
}

async fn run(arguments: &[&str], input: &str) -> Result<()> {
    let mut child = tokio::process::Command::new(programs::path("promtool")?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut pipe = child.stdin.take().context("an input")?;
    pipe.write_all(input.as_bytes()).await?;
    drop(pipe);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success(), "promtool {arguments:?}: {said}");
    Ok(())
}

/// A running Prometheus.
struct Server {
    process: Process,
    address: String,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start(front: &Front) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("watchgate-prometheus-").tempdir()?;
        let place = |name: &str| directory.path().join(name);
        std::fs::write(place("token"), front.cluster.token("scraper").expose())?;
        std::fs::write(place("ca.crt"), front.gateway_ca())?;
        std::fs::write(place("prometheus.yml"), configuration(front, directory.path())?)?;
        // Free a moment ago; Prometheus can't choose one by itself.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
        let mut command = std::process::Command::new(programs::path("prometheus")?);
        command
            .arg(format!("--config.file={}", place("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", place("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let process = Process::spawn("prometheus", command, &place("log"))?;
        Ok(Self { process, address, _directory: directory })
    }

    /// Waits for three good scrapes and an evaluation of the rules after them.
    async fn until_scraped(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let up = self.query("sum_over_time(up{job=\"watchgate\"}[1m]) >= 3").await;
            let recorded = self.query("instance_source:watchgate_requests:rate5m").await;
            let is_there = |found: &Result<Value>| {
                found.as_ref().is_ok_and(|it| it["data"]["result"] != serde_json::json!([]))
            };
            if is_there(&up) && is_there(&recorded) {
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "not scraped: {up:?} {recorded:?}\n{}",
                self.process.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn query(&self, expression: &str) -> Result<Value> {
        let expression = percent_encoding(expression);
        self.get(&format!("/api/v1/query?query={expression}")).await
    }

    async fn names(&self) -> Result<BTreeSet<String>> {
        let names = self.get("/api/v1/label/__name__/values").await?;
        let names = names["data"].as_array().context("names")?;
        Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    async fn rules(&self) -> Result<Vec<Value>> {
        let rules = self.get("/api/v1/rules").await?;
        let groups = rules["data"]["groups"].as_array().context("groups")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    /// A GET over a connection of its own; the API answers in JSON.
    async fn get(&self, target: &str) -> Result<Value> {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await?;
        let head = format!("GET {target} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await??;
        let answer = String::from_utf8(answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        serde_json::from_str(body).with_context(|| answer.clone())
    }

    async fn stop(self) -> Result<()> {
        let ended = self.process.terminate(Duration::from_secs(20)).await?;
        ensure!(ended.success(), "prometheus ended with {ended}");
        Ok(())
    }
}

fn configuration(front: &Front, directory: &Path) -> Result<String> {
    let target = front.gateway.url().strip_prefix("https://").context("a URL")?;
    let place = |name: &str| directory.join(name).display().to_string();
    let rules: PathBuf = Path::new(GRAFANA).join("prometheus/rules.yaml");
    Ok(format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules:?}]
scrape_configs:
  - job_name: watchgate
    scheme: https
    metrics_path: /watchgate/metrics
    authorization: {{credentials_file: {:?}}}
    tls_config: {{ca_file: {:?}}}
    static_configs: [{{targets: [{target:?}]}}]
",
        place("token"),
        place("ca.crt"),
    ))
}

/// Every expression of the dashboard, with Grafana's variables filled in.
fn expressions_of_dashboard() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(format!("{GRAFANA}/dashboards/watchgate.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let mut found = Vec::new();
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let expression = target["expr"].as_str().context("an expression")?;
        let filled = expression
            .replace("$__rate_interval", "1m")
            .replace("$job", ".+")
            .replace("$instance", ".+");
        if filled.contains('$') {
            bail!("a variable that nobody fills: {expression}");
        }
        found.push(filled);
    }
    Ok(found)
}

/// The names of metrics in an expression: words that begin as ours, recorded ones with colons, and
/// those of the process.
fn metrics_in(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
    words
        .filter(|word| {
            word.starts_with("watchgate_")
                || word.starts_with("process_")
                || word.contains(":watchgate_")
        })
        .map(str::to_owned)
        .collect()
}

fn percent_encoding(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
