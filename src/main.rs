//! The `watchgate` program: command line, configuration, run, exit code; nothing else.

use std::{process::ExitCode, sync::Arc};

use watchgate::{
    app::App,
    config::{Config, Surroundings},
    telemetry::logging,
};

/// Gives memory back after bursts, which glibc's does not: see `docs/decisions/0015-mimalloc.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = match Config::from_command_line(std::env::args_os(), &Surroundings::observe()) {
        Ok(config) => config,
        Err(error) => {
            return match error.report() {
                Ok(()) => ExitCode::from(error.exit_code()),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    if let Err(error) = logging::install(config.log_format, config.verbosity) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    // One provider for the whole process; the configurations name it explicitly all the same.
    let provider = Arc::unwrap_or_clone(watchgate::net::tls::provider());
    if provider.install_default().is_err() {
        tracing::warn!("another TLS provider was installed before");
    }
    match App::build(&config).and_then(|app| app.run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
