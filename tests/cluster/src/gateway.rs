//! The watchgate binary as a child process.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::Process;

const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// A running watchgate. Dropping it kills it; [`Gateway::stop`] ends it in order.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    url: String,
    directory: TempDir,
}

impl Gateway {
    /// Starts the program at `binary` (`env!("CARGO_BIN_EXE_watchgate")` in a test of its package) at a free loopback port,
    /// with a data directory of its own and `kubeconfig` for the way to the API server, and waits until it listens. `extra`
    /// arguments come last.
    ///
    /// # Errors
    /// When it ends or doesn't listen in time; the error has the end of its log.
    pub async fn start(binary: &Path, kubeconfig: &Path, extra: &[&str]) -> Result<Self> {
        let mut directory = tempfile::Builder::new().prefix("watchgate-gateway-").tempdir()?;
        directory.disable_cleanup(std::env::var_os("WATCHGATE_CLUSTER_KEEP").is_some());
        let mut command = Command::new(binary);
        command
            .args(["--bind-address", "127.0.0.1", "--secure-port", "0"])
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(extra);
        let mut process = Process::spawn("watchgate", command, &directory.path().join("log"))?;
        let url = process.line(START_PATIENCE, listening).await?;
        Ok(Self { process, url, directory })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// All of its output so far.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.process.log())?).into_owned())
    }

    /// The program.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it can't be signalled.
    pub async fn stop(self) -> Result<ExitStatus> {
        self.process.terminate(STOP_PATIENCE).await
    }
}

/// The address in a line of watchgate's start output, which says `listening on https://ADDRESS:PORT`.
fn listening(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on https://")?;
    let end = rest.find(|c: char| c.is_whitespace() || c == '"' || c == ',').unwrap_or(rest.len());
    Some(format!("https://{}", &rest[..end]))
}

#[cfg(test)]
mod tests {
    use super::listening;

    #[test]
    fn the_address_is_found_in_plain_and_structured_lines() {
        let found = Some("https://127.0.0.1:4711".to_owned());
        assert_eq!(listening("listening on https://127.0.0.1:4711\n"), found);
        assert_eq!(listening("INFO watchgate: listening on https://127.0.0.1:4711 (h2)\n"), found);
        assert_eq!(
            listening("{\"message\":\"listening on https://127.0.0.1:4711\",\"x\":1}\n"),
            found
        );
        assert_eq!(listening("connected to https://127.0.0.1:4711\n"), None);
    }
}
