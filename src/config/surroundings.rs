//! What the program sees of its surroundings, as data, so that decisions on it can be tested.

use std::{env, path::PathBuf};

/// Where Kubernetes puts a pod's service account token.
pub const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A snapshot of the environment. `KUBECONFIG` is left out on purpose: a variable set for kubectl
/// must not decide whose objects are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `KUBERNETES_SERVICE_HOST`, set in every pod.
    pub service_host: Option<String>,
    /// `KUBERNETES_SERVICE_PORT`, set in every pod.
    pub service_port: Option<String>,
    /// Whether [`SERVICE_ACCOUNT_TOKEN`] exists.
    pub service_account_token: bool,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

// === impl Surroundings ===

impl Surroundings {
    /// Takes the snapshot. A variable set to nothing counts as unset.
    pub fn observe() -> Self {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| env::var_os(name).map(PathBuf::from);
        Self {
            service_host: text("KUBERNETES_SERVICE_HOST"),
            service_port: text("KUBERNETES_SERVICE_PORT"),
            service_account_token: PathBuf::from(SERVICE_ACCOUNT_TOKEN).exists(),
            state_home: path("XDG_STATE_HOME"),
            home: path("HOME"),
        }
    }

    /// Whether anything says that this is a pod.
    pub fn looks_like_a_pod(&self) -> bool {
        self.service_host.is_some() || self.service_account_token
    }

    /// The user's directory for the program's state; relative paths are not followed, as the XDG
    /// base directory specification demands.
    pub fn data_directory(&self) -> Option<PathBuf> {
        let absolute = |path: &&PathBuf| path.is_absolute();
        let of_home = || Some(self.home.as_ref().filter(absolute)?.join(".local/state"));
        let state = self.state_home.as_ref().filter(absolute).cloned().or_else(of_home)?;
        Some(state.join("watchgate"))
    }
}
