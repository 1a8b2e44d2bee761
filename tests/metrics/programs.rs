//! Prometheus' programs, from the machine or from where `.ci/run` unpacks them.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};

/// Below the target directory; `.ci/run` fills it if the machine has no Prometheus.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/prometheus/usr/bin");

/// Why a program can't be run, if it can't.
pub(crate) fn missing(name: &str) -> Option<String> {
    let reason = || format!("no {name}: the Debian package prometheus has it, or put it in PATH");
    found(name).is_none().then(reason)
}

/// The program.
pub(crate) fn path(name: &str) -> Result<PathBuf> {
    found(name).with_context(|| format!("no {name}"))
}

fn found(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain([PathBuf::from(UNPACKED)]);
    places.map(|place| place.join(name)).find(|program| program.is_file())
}
