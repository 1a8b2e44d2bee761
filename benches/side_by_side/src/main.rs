//! `watchgate-side-by-side`: one command that measures every row of the table in docs/PERFORMANCE.md on this machine.
//!
//! It starts a real etcd and kube-apiserver, fills them, and puts beside them watchgate, a bare server that sends the same
//! bytes from memory, and HAProxy. Each row is measured on all of them in turn, several times. What counts is the CPU time
//! of the servers' processes, and ratios within a round. Before and after, each row's answers are compared byte by byte.

mod body;
mod command;
mod cpu;
mod crowd;
mod delays;
mod docs;
mod examine;
mod fill;
mod growth;
mod limits;
mod plot;
mod pods;
mod progress;
mod random;
mod report;
mod result;
mod rows;
mod scenario;
mod servers;
mod spread;
mod table;
mod wire;
mod writes;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match command::CommandLine::parse().run() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("watchgate-side-by-side: {error:#}");
            ExitCode::from(2)
        }
    }
}
