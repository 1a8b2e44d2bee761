//! The cluster's etcd: one member, which can be stopped and started again on other data.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::arguments;
use crate::process::Process;
use crate::programs::{Program, Programs};

const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// The member, running or not. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Etcd {
    process: Option<Process>,
    program: Program,
    directory: PathBuf,
    client_port: u16,
    peer_port: u16,
    /// How often its data were replaced: each time they get a directory of their own.
    restored: usize,
}

impl Etcd {
    /// A member with its data and its log below `directory`, not running yet.
    pub(crate) fn new(
        program: Program,
        directory: &Path,
        client_port: u16,
        peer_port: u16,
    ) -> Self {
        let directory = directory.to_owned();
        Self { process: None, program, directory, client_port, peer_port, restored: 0 }
    }

    /// Starts it, and does not wait: whoever needs it tries until it is there.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = self.program.command();
        command
            .args(arguments::etcd(&self.data_directory(), self.client_port, self.peer_port))
            .current_dir(&self.directory);
        let log = self.directory.join("etcd.log");
        self.process = Some(Process::spawn("etcd", command, &log)?);
        Ok(())
    }

    /// Its process id if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Ends it in an orderly way if it runs.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.terminate(STOP_PATIENCE).await?;
        }
        Ok(())
    }

    /// Saves what it holds now into `file`, through its maintenance API.
    pub(crate) async fn save(&self, file: &Path) -> Result<()> {
        let endpoint = format!("--endpoint=http://127.0.0.1:{}", self.client_port);
        snapshot(["save".as_ref(), file.as_os_str(), endpoint.as_ref()]).await
    }

    /// Replaces its data by those of `file`, with revisions raised by `bump`. It must not run.
    pub(crate) async fn restore(&mut self, file: &Path, bump: u64) -> Result<()> {
        ensure!(self.process.is_none(), "etcd runs");
        self.restored += 1;
        let mut data_directory = std::ffi::OsString::from("--data-dir=");
        data_directory.push(self.data_directory());
        let peer = format!("--peer=http://127.0.0.1:{}", self.peer_port);
        let bump = format!("--bump-revision={bump}");
        let arguments =
            ["restore".as_ref(), file.as_os_str(), &data_directory, peer.as_ref(), bump.as_ref()];
        snapshot(arguments).await
    }

    fn data_directory(&self) -> PathBuf {
        match self.restored {
            0 => self.directory.join("etcd"),
            number => self.directory.join(format!("etcd-restored-{number}")),
        }
    }
}

async fn snapshot<const N: usize>(arguments: [&std::ffi::OsStr; N]) -> Result<()> {
    let mut command = Programs::find("etcd-snapshot")?.command();
    command.args(arguments);
    let ended = tokio::process::Command::from(command).kill_on_drop(true).output();
    let Output { status, stdout, stderr } =
        tokio::time::timeout(Duration::from_secs(60), ended).await.context("etcd-snapshot")??;
    ensure!(
        status.success(),
        "etcd-snapshot: {status}\n{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    Ok(())
}
