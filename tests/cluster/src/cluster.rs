//! The cluster itself: etcd and kube-apiserver on loopback, in a scratch directory which goes with them.
//!
//! etcd speaks plain HTTP and keeps its data without waiting for the disk. The API server can be stopped, killed and started
//! again at the same port with the same data. It is always ended before etcd, without which it wouldn't end. etcd's data can
//! be set back to an earlier state: see `restore.rs`. With `WATCHGATE_CLUSTER_KEEP` set in the environment the directory
//! stays, keys included.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::arguments;
use crate::audit::{self, Audit};
use crate::authority::{Authority, Identity};
use crate::client::{Client, ClientBuilder};
use crate::etcd::Etcd;
use crate::kubeconfig::{self, Credentials};
use crate::kubectl::{self, Output};
use crate::options::Builder;
use crate::ports;
use crate::process::{self, Process};
use crate::programs::{Program, Programs};
use crate::release::Release;
use crate::secrets::Secrets;
use crate::users::Token;

const START_PATIENCE: Duration = Duration::from_secs(90);
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// Another process may take a free port before the program does.
const ATTEMPTS: usize = 3;

/// A running cluster. Dropping it kills its processes; [`Cluster::stop`] ends them in order.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: the API server goes before etcd, the directory last.
    api_server: tokio::sync::Mutex<Option<Process>>,
    etcd: tokio::sync::Mutex<Etcd>,
    api_server_program: parking_lot::Mutex<Program>,
    api_server_args: Vec<String>,
    port: u16,
    secrets: Secrets,
    /// How many files of our own were named so far.
    named: AtomicUsize,
    directory: TempDir,
}

impl Cluster {
    /// Options for a new cluster.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(options: Builder) -> Result<Self> {
        let release = options.release.map_or_else(Release::chosen, Ok)?;
        let (etcd, api_server) = tokio::task::spawn_blocking(move || {
            anyhow::Ok((Programs::find("etcd")?, Programs::api_server(release)?))
        })
        .await??;
        let mut attempt = 1;
        loop {
            let started = Self::attempt(&options, &etcd, &api_server).await;
            match started {
                Err(error)
                    if attempt < ATTEMPTS
                        && format!("{error:#}").contains("address already in use") =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn attempt(options: &Builder, etcd: &Program, api_server: &Program) -> Result<Self> {
        let mut directory = tempfile::Builder::new().prefix("watchgate-cluster-").tempdir()?;
        directory.disable_cleanup(std::env::var_os("WATCHGATE_CLUSTER_KEEP").is_some());
        let path = directory.path();
        let secrets = Secrets::new(path, options)?;
        let policy = audit::policy(&options.audited_bodies);
        std::fs::write(path.join("audit-policy.json"), policy.to_string())?;
        let (port, etcd_port, peer_port) = (ports::free()?, ports::free()?, ports::free()?);

        let mut etcd = Etcd::new(etcd.clone(), path, etcd_port, peer_port);
        etcd.start()?;
        let cluster = Self {
            api_server: tokio::sync::Mutex::new(None),
            etcd: tokio::sync::Mutex::new(etcd),
            api_server_program: parking_lot::Mutex::new(api_server.clone()),
            api_server_args: arguments::api_server(path, &secrets, options, (port, etcd_port)),
            port,
            secrets,
            named: AtomicUsize::new(0),
            directory,
        };
        cluster.start_api_server().await?;
        Ok(cluster)
    }

    /// Starts the API server, which must not be running, and waits until it is ready.
    ///
    /// # Errors
    /// When it runs, ends, or isn't ready in time; the error has the ends of the logs.
    pub async fn start_api_server(&self) -> Result<()> {
        let mut running = self.api_server.lock().await;
        ensure!(running.is_none(), "the API server runs already");
        let mut command = self.api_server_program.lock().command();
        command.args(&self.api_server_args).current_dir(self.directory());
        let log = self.directory().join("kube-apiserver.log");
        let process = running.insert(Process::spawn("kube-apiserver", command, &log)?);
        if let Err(error) = self.wait_until_ready(process).await {
            *running = None;
            return Err(error.context(self.logs()));
        }
        Ok(())
    }

    async fn wait_until_ready(&self, process: &mut Process) -> Result<()> {
        let client = self.admin_client().build()?;
        let deadline = Instant::now() + START_PATIENCE;
        // Ready doesn't say that the first namespace is there, which nearly every test writes to.
        for path in ["/readyz", "/api/v1/namespaces/default"] {
            loop {
                if let Ok(response) = client.get(path).send().await
                    && response.status == http::StatusCode::OK
                {
                    break;
                }
                if let Some(status) = process.exited()? {
                    bail!("the API server ended: {status}");
                }
                ensure!(Instant::now() < deadline, "{path}: not ready in {START_PATIENCE:?}");
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Ends the API server in an orderly way; etcd stays.
    ///
    /// # Errors
    /// When it isn't running or can't be signalled.
    pub async fn stop_api_server(&self) -> Result<()> {
        let process = self.api_server.lock().await.take();
        process.context("the API server isn't running")?.terminate(STOP_PATIENCE).await?;
        Ok(())
    }

    /// Ends the API server with SIGKILL, which breaks its connections off; etcd stays.
    ///
    /// # Errors
    /// When it isn't running.
    pub async fn kill_api_server(&self) -> Result<()> {
        let process = self.api_server.lock().await.take();
        process.context("the API server isn't running")?.kill().await?;
        Ok(())
    }

    /// Ends the API server in an orderly way and starts it again, at the same port.
    ///
    /// # Errors
    /// As [`Self::stop_api_server`] and [`Self::start_api_server`].
    pub async fn restart_api_server(&self) -> Result<()> {
        self.stop_api_server().await?;
        self.start_api_server().await
    }

    /// Ends the API server in an orderly way and starts that of another release, at the same port with the same data.
    ///
    /// # Errors
    /// As [`Self::restart_api_server`], and when the release can't be built.
    pub async fn replace_api_server(&self, release: Release) -> Result<()> {
        let program = tokio::task::spawn_blocking(move || Programs::api_server(release)).await??;
        self.stop_api_server().await?;
        *self.api_server_program.lock() = program;
        self.start_api_server().await
    }

    /// Ends everything in order.
    ///
    /// # Errors
    /// When a process can't be signalled.
    pub async fn stop(self) -> Result<()> {
        if let Some(process) = self.api_server.into_inner() {
            process.terminate(STOP_PATIENCE).await?;
        }
        self.etcd.into_inner().stop().await
    }

    /// The API server's process id, for what it costs; `None` when it isn't running.
    pub async fn api_server_pid(&self) -> Option<u32> {
        self.api_server.lock().await.as_ref().map(Process::pid)
    }

    /// etcd's process id; `None` when it isn't running.
    pub async fn etcd_pid(&self) -> Option<u32> {
        self.etcd.lock().await.pid()
    }

    /// `https://127.0.0.1:PORT`, the same for the cluster's whole life.
    pub fn api_server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Where the API server listens, for a [`crate::Cutter`].
    pub fn api_server_address(&self) -> std::net::SocketAddr {
        (std::net::Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The authority of the API server's certificate and of clients' certificates, PEM.
    pub fn ca_pem(&self) -> &str {
        self.secrets.authority.pem()
    }

    /// The same authority, to sign further certificates.
    pub fn authority(&self) -> &Authority {
        &self.secrets.authority
    }

    /// The authority whose clients may name users in `X-Remote-User` and so on.
    pub fn front_proxy_authority(&self) -> &Authority {
        &self.secrets.front_proxy_authority
    }

    /// A client certificate whose holder may name users in `X-Remote-User` and so on.
    pub fn front_proxy(&self) -> &Identity {
        &self.secrets.front_proxy
    }

    /// A client certificate in `system:masters`.
    pub fn admin(&self) -> &Identity {
        &self.secrets.admin
    }

    pub(crate) fn etcd(&self) -> &tokio::sync::Mutex<Etcd> {
        &self.etcd
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The scratch directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A path in the scratch directory which no other call got.
    pub fn new_path(&self, stem: &str, extension: &str) -> PathBuf {
        let number = self.named.fetch_add(1, Ordering::Relaxed);
        self.directory().join(format!("{stem}-{number}.{extension}"))
    }

    /// The token of a user.
    ///
    /// # Panics
    /// When the cluster was started without this user: a mistake in the test.
    #[track_caller]
    pub fn token(&self, user: &str) -> &Token {
        self.secrets.users.token(user).unwrap_or_else(|| panic!("no user {user:?} in this cluster"))
    }

    /// A kubeconfig for the API server with the administrator's client certificate.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn admin_kubeconfig(&self) -> Result<PathBuf> {
        self.kubeconfig_for_identity(self.admin(), &self.api_server_url(), self.ca_pem())
    }

    /// A kubeconfig with a client certificate, for the API server or a gateway in front of it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn kubeconfig_for_identity(
        &self,
        identity: &Identity,
        server: &str,
        ca_pem: &str,
    ) -> Result<PathBuf> {
        let path = self.new_path("kubeconfig", "json");
        kubeconfig::write(&path, server, ca_pem, &Credentials::Certificate(identity))?;
        Ok(path)
    }

    /// A kubeconfig with a user's token, for the API server or a gateway in front of it.
    ///
    /// # Errors
    /// When it can't be written.
    ///
    /// # Panics
    /// As [`Self::token`].
    #[track_caller]
    pub fn kubeconfig_for_token(&self, user: &str, server: &str, ca_pem: &str) -> Result<PathBuf> {
        let path = self.new_path(&format!("kubeconfig-{user}"), "json");
        kubeconfig::write(&path, server, ca_pem, &Credentials::Token(self.token(user)))?;
        Ok(path)
    }

    /// A client of the API server, without credentials yet.
    pub fn client(&self) -> ClientBuilder {
        Client::builder(&self.api_server_url(), self.ca_pem())
    }

    /// A client of the API server with the administrator's certificate.
    pub fn admin_client(&self) -> ClientBuilder {
        self.client().identity(self.admin())
    }

    /// Runs kubectl.
    ///
    /// # Errors
    /// When it can't be run at all; whether it succeeded is in the output.
    pub async fn kubectl(&self, kubeconfig: &Path, args: &[&str]) -> Result<Output> {
        self.kubectl_with_input(kubeconfig, args, "").await
    }

    /// Runs kubectl with a text on its standard input, as for `apply -f -`.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub async fn kubectl_with_input(
        &self,
        kubeconfig: &Path,
        args: &[&str],
        input: &str,
    ) -> Result<Output> {
        let command = self.kubectl_command(kubeconfig, args)?;
        self.run(command, input).await.with_context(|| format!("kubectl {}", args.join(" ")))
    }

    /// Starts a kubectl which doesn't end by itself, such as `port-forward` or `get --watch`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn kubectl_in_background(&self, kubeconfig: &Path, args: &[&str]) -> Result<Process> {
        self.spawn("kubectl", self.kubectl_command(kubeconfig, args)?)
    }

    /// A kubectl command to change further, for [`Self::run`] or [`Self::spawn`]: its environment chooses between WebSocket
    /// and SPDY, for example.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn kubectl_command(&self, kubeconfig: &Path, args: &[&str]) -> Result<Command> {
        kubectl::command(self.directory(), kubeconfig, args)
    }

    /// Runs any program to its end, with a text on its standard input.
    ///
    /// # Errors
    /// When it can't be run at all, or doesn't end within two minutes; whether it succeeded is in the output.
    pub async fn run(&self, command: Command, input: &str) -> Result<Output> {
        kubectl::run(command, input).await
    }

    /// Starts a program with its log in the scratch directory.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process> {
        Process::spawn(name, command, &self.new_path(name, "log"))
    }

    /// The audit log.
    pub fn audit(&self) -> Audit {
        Audit::new(self.directory().join("audit.log"))
    }

    /// All audit events so far; see [`Audit::events`].
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn audit_events(&self) -> Result<Vec<Value>> {
        self.audit().events()
    }

    /// The ends of the logs of all programs which ran in this cluster.
    pub fn logs(&self) -> String {
        let mut logs: Vec<PathBuf> = std::fs::read_dir(self.directory())
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .filter(|path| path.file_stem().is_some_and(|stem| stem != "audit"))
            .collect();
        logs.sort();
        let tails: Vec<String> = logs
            .iter()
            .map(|path| {
                process::tail(&path.file_stem().unwrap_or_default().to_string_lossy(), path)
            })
            .collect();
        tails.join("\n")
    }
}
