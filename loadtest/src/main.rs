//! The load tester's program: command line in, table and exit status out.

use std::process::ExitCode;

use clap::Parser as _;

mod command;

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(command::CommandLine::parse().run()).await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("watchgate-loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}
