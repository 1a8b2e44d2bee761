//! Which release of Kubernetes the API server of a cluster is.
//!
//! Everything else of a cluster (etcd, controllers, clients) is always the newest that this crate has.

use std::env::{self, VarError};

use anyhow::{Result, bail};

use crate::go_build::{GoBuild, KUBE_APISERVER_1_34};

/// The environment variable which chooses the release of clusters that don't say one themselves: `1.36` or `1.34`.
pub const KUBERNETES: &str = "WATCHGATE_KUBERNETES";

/// A release of kube-apiserver which clusters can be started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The release which the components are built from; ready binaries may be of another one.
    V1_36,
    /// An older one, built when first asked for: minutes on two cores, and 0.3 GB of modules to download.
    V1_34,
}

impl Release {
    /// The release which the environment chooses; [`Release::V1_36`] if it doesn't.
    ///
    /// # Errors
    /// When there is no such release.
    pub fn chosen() -> Result<Self> {
        match env::var(KUBERNETES).as_deref() {
            Err(VarError::NotPresent) | Ok("" | "1.36") => Ok(Self::V1_36),
            Ok("1.34") => Ok(Self::V1_34),
            other => bail!("{KUBERNETES}={other:?}: it must be 1.36 or 1.34"),
        }
    }

    /// `1.36`, as the variable has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_36 => "1.36",
            Self::V1_34 => "1.34",
        }
    }

    /// How its API server is built, unless it is a part of the components.
    pub(crate) fn build(self) -> Option<&'static GoBuild> {
        match self {
            Self::V1_36 => None,
            Self::V1_34 => Some(&KUBE_APISERVER_1_34),
        }
    }
}
