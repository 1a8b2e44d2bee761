//! The load tester's program: command line in, table and exit status out.

use std::process::ExitCode;

use clap::Parser as _;

mod command;

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(command::CommandLine::parse().run()).await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("watchgate-loadtest: {}", chain(&error));
            ExitCode::from(2)
        }
    }
}

/// An error with its causes, without those that it says itself.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
