//! The command line.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::{
    docs,
    growth::Curves,
    limits,
    pods::{Pods, Profile},
    progress::Progress,
    report::Report,
    result::Outcome,
    rows::{self, Row, Settings},
    scenario::ScenarioFlags,
    servers::{Options, Stage, gateway_binary, limit},
    table,
};

/// For the connections of the rows that have one for each watch, with room to spare.
const OPEN_FILES: u64 = 100_000;

/// Measures watchgate side by side with kube-apiserver, a bare server and HAProxy, on this machine.
///
/// Starts everything itself, on loopback, and ends it. Exit status: 0 if every row has its figures and right answers, 1 if an
/// answer was wrong or did not come from memory, 2 if there is no result. A missed goal is no error.
#[derive(Debug, Parser)]
#[command(name = "watchgate-side-by-side", version, args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario of the load tester against servers that are started for it.
    Scenario(ScenarioFlags),
    /// The bare server; started by the program itself.
    #[command(hide = true)]
    LimitServer { certificate: PathBuf, key: PathBuf },
}

#[derive(Debug, Args)]
struct Flags {
    /// Only this row. Repeatable; all rows if not given.
    #[arg(long, value_name = "NAME")]
    row: Vec<String>,
    /// Say what rows there are, and end.
    #[arg(long)]
    list_rows: bool,
    /// How often each side is measured, in turn.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How many requests are under way at the same time in rows of small answers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    concurrency: u32,
    /// How many pods the cluster has.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1000..=200_000))]
    pods: u32,
    /// What the pods are like.
    #[arg(long, value_name = "PROFILE", default_value = "uniform")]
    profile: Profile,
    /// What the pods' content follows from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The gateway's binary [default: watchgate beside this program]
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// A further flag of the gateway, as in --gateway-flag=--cache-max-bytes=8Gi. Repeatable.
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    gateway_flag: Vec<String>,
    /// Hold this file's lock during each round, so that runs on one machine don't measure each other.
    #[arg(long, value_name = "FILE")]
    lock_file: Option<PathBuf>,
    /// Measure how costs grow with objects and watchers, after the rows; with no --row given, instead of them.
    #[arg(long)]
    growth: bool,
    /// Put what was measured into docs/PERFORMANCE.md of this repository, in place of what stands there of the same rows.
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, default_missing_value = ".")]
    write_docs: Option<PathBuf>,
    /// Write the result as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

// === impl CommandLine ===

impl CommandLine {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let scenario = match self.command {
            Some(Command::LimitServer { certificate, key }) => {
                limit::serve(&certificate, &key)?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Command::Scenario(flags)) => Some(flags),
            None => None,
        };
        if self.flags.list_rows {
            for row in rows::all() {
                println!("{:<28} {}", row.name, row.title);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match scenario {
            Some(flags) => runtime.block_on(flags.run(OPEN_FILES)),
            None => runtime.block_on(self.flags.measure()),
        }
    }
}

// === impl Flags ===

impl Flags {
    async fn measure(self) -> Result<ExitCode> {
        let rows = self.rows()?;
        let gateway = gateway_binary(self.gateway.as_deref())?;
        let progress = Progress::start();
        let files = limits::raise_open_files(OPEN_FILES);
        if files < OPEN_FILES {
            progress
                .say(format!("only {files} files may be open; rows of many connections may fail"));
        }
        let pods = Pods { profile: self.profile, count: self.pods as usize, seed: self.seed };
        let options = Options { gateway, gateway_flags: self.gateway_flag.clone(), pods };
        let settings = Settings {
            rounds: self.rounds as usize,
            concurrency: self.concurrency as usize,
            progress,
            lock: self.lock_file.clone(),
        };
        let mut outcome = Outcome::new(&options, self.rounds).await?;
        let mut curves = Curves::default();
        let ended = tokio::select! {
            ended = Box::pin(run(&options, &rows, self.growth, &settings, &mut outcome, &mut curves)) => ended,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(Into::into).and(Err(anyhow::anyhow!("interrupted")))
            }
        };
        // What was measured until then is not lost.
        outcome.growth = curves.0;
        print!("{}", table::markdown(&outcome.rows));
        if let Some(path) = &self.json {
            write_json(path, &outcome)?;
        }
        ended?;
        if let Some(root) = &self.write_docs {
            docs::write(root, &outcome)?;
        }
        let right = outcome.rows.iter().all(|report: &Report| report.failures.is_empty());
        Ok(if right { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let all = rows::all();
        for name in &self.row {
            let known = all.iter().any(|row| row.name == name);
            ensure!(known, "--row {name}: there is no such row; --list-rows says which there are");
        }
        let wanted =
            |row: &Row| self.row.is_empty() || self.row.iter().any(|name| name == row.name);
        Ok(all.into_iter().filter(wanted).collect())
    }
}

async fn run(
    options: &Options,
    rows: &[Row],
    growth: bool,
    settings: &Settings,
    outcome: &mut Outcome,
    curves: &mut Curves,
) -> Result<()> {
    if !rows.is_empty() {
        let mut stage = Box::pin(Stage::set(options.clone(), &settings.progress)).await?;
        for row in rows {
            let mut report = Box::pin(row.measure(&mut stage, settings)).await?;
            report.commit.clone_from(&outcome.versions.commit);
            settings.progress.say(format!("= {}", table::summary(&report)));
            outcome.rows.push(report);
        }
        Box::pin(stage.strike()).await?;
    }
    if growth {
        Box::pin(curves.measure(options, settings)).await?;
    }
    Ok(())
}

fn write_json(path: &Path, outcome: &Outcome) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(outcome)?;
    text.push(b'\n');
    std::fs::write(path, text).with_context(|| format!("--json {}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn rows_are_selected_by_name() {
        let rows = |arguments: &[&str]| {
            let arguments = [&["side-by-side"], arguments].concat();
            CommandLine::parse_from(arguments).flags.rows().map(|rows| rows.len())
        };
        assert_eq!(rows(&["--row", "get", "--row", "list-json"]).unwrap(), 2);
        assert!(rows(&[]).unwrap() > 10);
        assert!(rows(&["--row", "gte"]).unwrap_err().to_string().contains("--list-rows"));
    }
}
