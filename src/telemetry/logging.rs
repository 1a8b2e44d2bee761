//! Setting up the log: text or JSON lines on standard error, as much as `-v` asks for.
//!
//! Dependencies never log below `info`, whatever the verbosity: the debug output of an HTTP stack
//! can contain header values, and bearer tokens are header values.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The target of everything this crate logs.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How much is logged: klog's numbers, 0 to 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verbosity(pub u8);

/// The log could not be set up: some other part of the process has done so before.
#[derive(Debug, thiserror::Error)]
#[error("logging is already set up")]
pub struct AlreadyInstalled(#[from] tracing_subscriber::util::TryInitError);

/// Installs the process-wide log on standard error; to be called once, by the program.
///
/// # Errors
/// When a log is installed already.
pub fn install(format: LogFormat, verbosity: Verbosity) -> Result<(), AlreadyInstalled> {
    let registry = tracing_subscriber::registry().with(filter(verbosity));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => registry.with(lines.with_ansi(io::stderr().is_terminal())).try_init()?,
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

/// What passes at a verbosity: own events from `own`, those of dependencies from at most `info`.
fn filter(verbosity: Verbosity) -> Targets {
    let (own, dependencies) = match verbosity.0 {
        0 | 1 => (LevelFilter::INFO, LevelFilter::WARN),
        2 | 3 => (LevelFilter::INFO, LevelFilter::INFO),
        4 | 5 => (LevelFilter::DEBUG, LevelFilter::INFO),
        _ => (LevelFilter::TRACE, LevelFilter::INFO),
    };
    Targets::new().with_default(dependencies).with_target(OWN_TARGET, own)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn verbosity_opens_own_levels_step_by_step() {
        let enabled = |verbosity, level| {
            filter(Verbosity(verbosity)).would_enable("watchgate::net::listener", &level)
        };
        assert!(enabled(0, Level::INFO) && !enabled(0, Level::DEBUG));
        assert!(!enabled(3, Level::DEBUG));
        assert!(enabled(4, Level::DEBUG) && !enabled(4, Level::TRACE));
        assert!(enabled(6, Level::TRACE) && enabled(10, Level::TRACE));
    }

    #[test]
    fn dependencies_never_log_below_info() {
        for verbosity in 0..=10 {
            let filter = filter(Verbosity(verbosity));
            assert!(filter.would_enable("h2::codec", &Level::WARN));
            assert!(!filter.would_enable("h2::codec", &Level::DEBUG));
            assert_eq!(filter.would_enable("hyper", &Level::INFO), verbosity >= 2);
        }
    }
}
