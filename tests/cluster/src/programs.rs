//! Where the programs of a test cluster come from.
//!
//! etcd, kube-apiserver and kubectl are taken from `TEST_ASSET_ETCD`, `TEST_ASSET_KUBE_APISERVER` and `TEST_ASSET_KUBECTL`,
//! which name files, or else from the directory `KUBEBUILDER_ASSETS`. Everything else, and what those don't have, comes from
//! the Go program in `components/`: `WATCHGATE_COMPONENTS` names a built one, otherwise it is built here, once per state of
//! its sources (see [`crate::go_build`]).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::go_build::{self, COMPONENTS};
use crate::release::Release;

/// Whether a cluster can be started here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// The programs are there, or can be built.
    Ready,
    /// They are not, for this reason.
    Missing(String),
}

/// Finds out whether a cluster can be started, without building anything.
pub fn availability() -> Availability {
    if ["etcd", "kube-apiserver"].into_iter().all(Programs::available) {
        return Availability::Ready;
    }
    Availability::Missing(
        "no Go on the PATH to build the components with, and neither TEST_ASSET_ETCD and \
         TEST_ASSET_KUBE_APISERVER nor KUBEBUILDER_ASSETS nor WATCHGATE_COMPONENTS is set"
            .to_owned(),
    )
}

/// A program and, where it is a part of the components, the first argument which picks it.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    part: Option<String>,
}

impl Program {
    /// A command which runs the program, without arguments of its own yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.part);
        command
    }
}

/// Looks programs up and builds the components when first needed.
#[derive(Debug)]
pub struct Programs;

impl Programs {
    /// Whether [`Self::find`] can succeed, without building anything. Ready binaries cover but a few of the programs.
    pub fn available(name: &str) -> bool {
        ready(name).is_some()
            || env::var_os("WATCHGATE_COMPONENTS").is_some()
            || go_build::go().is_ok()
    }

    /// The program `name`: `etcd`, `etcd-snapshot`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`,
    /// `kubectl`, `kubelet-stand-in`, `informers`, `compare` or `churn`. It blocks while it builds, which takes minutes the first time.
    ///
    /// # Errors
    /// When there is no such program and the components can't be built.
    pub fn find(name: &str) -> Result<Program> {
        if let Some(path) = ready(name) {
            return Ok(Program { path, part: None });
        }
        let path =
            components().with_context(|| format!("{name} is a part of the test components"))?;
        Ok(Program { path, part: Some(name.to_owned()) })
    }

    /// The API server of a release. It blocks while it builds, as [`Self::find`].
    ///
    /// # Errors
    /// When it can't be built.
    pub fn api_server(release: Release) -> Result<Program> {
        match release.build() {
            None => Self::find("kube-apiserver"),
            Some(build) => Ok(Program { path: build.path()?, part: None }),
        }
    }
}

/// A ready binary which the environment names.
fn ready(name: &str) -> Option<PathBuf> {
    let variable = match name {
        "etcd" => "TEST_ASSET_ETCD",
        "kube-apiserver" => "TEST_ASSET_KUBE_APISERVER",
        "kubectl" => "TEST_ASSET_KUBECTL",
        _ => return None,
    };
    let named = env::var_os(variable).map(PathBuf::from);
    let assets = || env::var_os("KUBEBUILDER_ASSETS").map(|assets| Path::new(&assets).join(name));
    named.or_else(assets).filter(|path| path.is_file())
}

/// The path of the built components.
fn components() -> Result<PathBuf> {
    env::var_os("WATCHGATE_COMPONENTS").map_or_else(|| COMPONENTS.path(), |path| Ok(path.into()))
}
