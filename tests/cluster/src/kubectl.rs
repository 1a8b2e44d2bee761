//! Running kubectl, or any program, to its end.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::programs::Programs;

const PATIENCE: Duration = Duration::from_secs(120);

/// What a finished program said.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output.
    ///
    /// # Errors
    /// When the program failed; the error has all that it said.
    pub fn success(self) -> Result<String> {
        if !self.status.success() {
            bail!("{}\n{}{}", self.status, self.stdout, self.stderr);
        }
        Ok(self.stdout)
    }
}

/// A kubectl command which keeps its caches in `home` and knows no other configuration than `kubeconfig`.
pub(crate) fn command(home: &Path, kubeconfig: &Path, args: &[&str]) -> Result<Command> {
    let mut command = Programs::find("kubectl")?.command();
    command
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home)
        // A cache per kubeconfig: what was discovered through one server must not spare requests to another.
        .env("KUBECACHEDIR", kubeconfig.with_extension("cache"));
    Ok(command)
}

/// Runs `command` with `input` on its standard input.
///
/// # Errors
/// When it cannot be started or does not end within two minutes; how it ended is in the output.
pub async fn run(command: Command, input: &str) -> Result<Output> {
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("a child without standard input")?;
    let feed = async move {
        // The program may end without having read everything, which its status and messages explain better.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = timeout(PATIENCE, both).await.context("no end after two minutes")??;
    Ok(Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
