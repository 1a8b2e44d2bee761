//! A child process whose output goes to a file and which never outlives the test.
//!
//! Each child has a warden: a small shell which waits on a pipe that only the test process holds open. When the test is gone,
//! however it went, the pipe closes and the warden kills the child. Dropping a [`Process`] kills it at once;
//! [`Process::terminate`] asks it to end first.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep, timeout};

/// How much of a log an error shows.
const TAIL_LINES: usize = 40;

/// Reads a line which never comes unless the child has ended in an orderly way. Terminal signals go to all processes of the
/// test, so the warden ignores them.
const WARDEN: &str = r#"trap "" INT HUP TERM; read -r done || kill -KILL "$1" 2>/dev/null"#;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: tokio::process::Child,
    pid: u32,
    warden: std::process::Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to the file `log`.
    ///
    /// # Errors
    /// When the program or the log can't be opened.
    pub fn spawn(name: &str, command: Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| log.display().to_string())?;
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        let pid = child.id().context("a child without process id")?;
        let warden = Command::new("sh")
            .args(["-c", WARDEN, "warden", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the warden (sh)")?;
        Ok(Self { name: name.to_owned(), child, pid, warden, log: log.to_owned() })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file which holds the program's output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The exit status, if the program has ended.
    ///
    /// # Errors
    /// When the operating system can't tell.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends SIGTERM and waits; sends SIGKILL after `patience`.
    ///
    /// # Errors
    /// When the program can't be signalled or waited for.
    pub async fn terminate(mut self, patience: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        self.signal("TERM").await?;
        if let Ok(status) = timeout(patience, self.child.wait()).await {
            return Ok(status?);
        }
        self.child.kill().await?;
        Ok(self.child.wait().await?)
    }

    /// Sends SIGKILL and waits.
    ///
    /// # Errors
    /// When the program can't be waited for.
    pub async fn kill(mut self) -> Result<ExitStatus> {
        self.child.kill().await?;
        Ok(self.child.wait().await?)
    }

    /// Waits until the program ends by itself.
    ///
    /// # Errors
    /// When it doesn't within `patience`; the error has the end of its log.
    pub async fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        match timeout(patience, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} still runs after {patience:?}\n{}", self.name, self.log_tail()),
        }
    }

    /// Sends the signal of this name, such as `STOP`.
    ///
    /// # Errors
    /// When there is no such process or signal.
    pub async fn signal(&self, name: &str) -> Result<()> {
        // The process is our own unreaped child, so its id can't have been given to another.
        let status = tokio::process::Command::new("sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "kill", name, &self.pid.to_string()])
            .status()
            .await?;
        if !status.success() {
            bail!("kill -s {name} of {}: {status}", self.name);
        }
        Ok(())
    }

    /// Waits for a line of the output which `pick` takes, and returns what it makes of it.
    ///
    /// # Errors
    /// When the program ends or `patience` runs out first; the error has the end of the log.
    pub async fn line<T>(
        &mut self,
        patience: Duration,
        pick: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.exited()?;
            let text = String::from_utf8_lossy(&tokio::fs::read(&self.log).await?).into_owned();
            if let Some(found) =
                text.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(&pick)
            {
                return Ok(found);
            }
            if let Some(status) = ended {
                bail!("{} ended: {status}\n{}", self.name, self.log_tail());
            }
            if Instant::now() >= deadline {
                bail!("{} wasn't ready in {patience:?}\n{}", self.name, self.log_tail());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last lines of the log, with a heading, for error messages.
    pub fn log_tail(&self) -> String {
        tail(&self.name, &self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither can be reported from here: the child may have ended, and the warden with it.
        let _ = self.child.start_kill();
        if let Some(mut stdin) = self.warden.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.warden.wait();
    }
}

/// The last lines of a log file under a heading.
pub(crate) fn tail(name: &str, log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("--- {name} ({}):\n{}", log.display(), last.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> (Process, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (Process::spawn("test", command, &directory.path().join("log")).unwrap(), directory)
    }

    #[tokio::test]
    async fn the_warden_kills_the_child_when_its_pipe_closes() {
        let (mut process, _directory) = shell("exec sleep 1000");
        drop(process.warden.stdin.take());
        assert_eq!(process.wait(PATIENCE).await.unwrap().signal(), Some(9));
    }

    #[tokio::test]
    async fn terminate_lets_the_child_end_and_kills_it_if_it_does_not() {
        let (mut process, _directory) =
            shell(r#"trap "exit 3" TERM; echo up; while :; do sleep 0.05; done"#);
        process.line(PATIENCE, |line| (line == "up\n").then_some(())).await.unwrap();
        assert_eq!(process.terminate(PATIENCE).await.unwrap().code(), Some(3));

        let (mut process, _directory) =
            shell(r#"trap "" TERM; echo up; while :; do sleep 0.05; done"#);
        process.line(PATIENCE, |line| (line == "up\n").then_some(())).await.unwrap();
        let status = process.terminate(Duration::from_millis(100)).await.unwrap();
        assert_eq!(status.signal(), Some(9));
    }

    #[tokio::test]
    async fn a_child_which_ends_early_is_reported_with_its_output() {
        let (mut process, _directory) = shell("echo no such luck; exit 4");
        let error = process.line(PATIENCE, |_| None::<()>).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 4") && error.contains("no such luck"), "{error}");
    }
}
