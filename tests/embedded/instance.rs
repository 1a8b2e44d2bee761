//! A running watchgate without an upstream, and what its start lines tell of it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use watchgate_cluster::{Client, Fixture, Output, Process, Programs, RequestBuilder, run};

const PATIENCE: Duration = Duration::from_secs(60);

/// One program in one data directory.
pub(crate) struct Instance {
    process: Process,
    /// `https://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// The file that the start lines name.
    pub(crate) kubeconfig: PathBuf,
    token: String,
    client: Client,
    /// Everything there is on disk; kept across restarts.
    directory: TempDir,
}

/// The program, with nothing in its environment that would make it look like a pod.
pub(crate) fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchgate"));
    command
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("KUBERNETES_SERVICE_PORT")
        .env_remove("XDG_STATE_HOME")
        .env("HOME", home);
    command
}

// === impl Instance ===

impl Instance {
    /// Starts with nothing: no flag but the port names what to do, as for a newcomer.
    pub(crate) async fn start_new(extra: &[&str]) -> Result<Self> {
        Self::start(tempfile::Builder::new().prefix("watchgate-embedded-").tempdir()?, extra).await
    }

    async fn start(directory: TempDir, extra: &[&str]) -> Result<Self> {
        let mut command = program(directory.path());
        command.args(["--secure-port", "0"]).args(extra);
        // A log per start: the lines of an earlier one must not be read again.
        let log = tempfile::Builder::new().prefix("log-").tempfile_in(directory.path())?.keep()?.1;
        let mut process = Process::spawn("watchgate", command, &log)?;
        let after =
            |mark: &'static str| move |line: &str| Some(line.split_once(mark)?.1.trim().to_owned());
        let url = process.line(PATIENCE, after("listening on ")).await?;
        let kubeconfig = PathBuf::from(process.line(PATIENCE, after("kubeconfig: ")).await?);
        let text = std::fs::read_to_string(&kubeconfig)?;
        let token = text.split_once("token: ").and_then(|(_, rest)| rest.split_once('}'));
        let token = token.context("no token in the kubeconfig")?.0.to_owned();
        ensure!(text.contains(&format!("server: {url}\n")), "another server in the kubeconfig");
        let data = kubeconfig.parent().context("a kubeconfig in a directory")?;
        let ca = std::fs::read_to_string(data.join("watchgate-ca.crt"))?;
        let client = Client::builder(&url, &ca).build()?;
        Ok(Self { process, url, kubeconfig, token, client, directory })
    }

    /// Ends the program in order and starts it again on what it has left.
    pub(crate) async fn restart(self, extra: &[&str]) -> Result<Self> {
        let Self { process, directory, .. } = self;
        let status = process.terminate(PATIENCE).await?;
        ensure!(status.success(), "SIGTERM: {status}");
        Self::start(directory, extra).await
    }

    /// The directory that is `HOME` to the program.
    pub(crate) fn home(&self) -> &Path {
        self.directory.path()
    }

    /// The program's output.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.process.log())?)
    }

    /// A GET without a credential.
    pub(crate) fn anonymous(&self, target: &str) -> RequestBuilder {
        self.client.get(target)
    }

    /// A request of the user of the kubeconfig.
    pub(crate) fn request(&self, method: http::Method, target: &str) -> RequestBuilder {
        let authorization = format!("Bearer {}", self.token);
        self.client
            .request(method, target)
            .header("accept", "application/json")
            .header("authorization", &authorization)
    }

    /// Makes an object from JSON.
    pub(crate) async fn create(&self, collection: &str, object: &Value) -> Result<Value> {
        let request = self.request(http::Method::POST, collection);
        let request = request.header("content-type", "application/json");
        let response = request.body(object.to_string()).send().await?;
        ensure!(response.status == 201, "{collection}: {response:?}");
        response.json()
    }

    /// A kubectl command that knows nothing but the kubeconfig.
    pub(crate) fn kubectl_command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Programs::find("kubectl")?.command();
        command
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home())
            .env("KUBECACHEDIR", self.home().join("kubectl-cache"));
        Ok(command)
    }

    /// What kubectl says, however it ends.
    pub(crate) async fn kubectl_any(&self, args: &[&str], input: &str) -> Result<Output> {
        let command = self.kubectl_command(args)?;
        run(command, input).await.with_context(|| format!("kubectl {}", args.join(" ")))
    }

    /// The standard output of a kubectl that must succeed.
    pub(crate) async fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        let output = self.kubectl_any(args, input).await?;
        if !output.status.success() {
            bail!("kubectl {}: {output:?}", args.join(" "));
        }
        Ok(output.stdout)
    }

    /// The same without anything on its standard input.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with(args, "").await
    }
}

impl Fixture for Instance {
    fn report(&self) -> String {
        self.process.log_tail()
    }

    async fn stop(self) -> Result<()> {
        let status = self.process.terminate(PATIENCE).await?;
        ensure!(status.success(), "SIGTERM: {status}");
        Ok(())
    }
}
