//! How a cluster is to be started.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::release::Release;

/// Options of a cluster. Start from [`Cluster::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) feature_gates: BTreeMap<String, bool>,
    pub(crate) extra_args: Vec<String>,
    pub(crate) users: BTreeMap<String, Vec<String>>,
    pub(crate) authorization_mode: String,
    pub(crate) service_account_admission: bool,
    pub(crate) audited_bodies: Vec<(String, String)>,
    pub(crate) release: Option<Release>,
}

impl Default for Builder {
    fn default() -> Self {
        let users = [
            ("admin", vec!["system:masters"]),
            ("alice", vec![]),
            ("bob", vec![]),
            ("carol", vec![]),
        ];
        let owned = |groups: Vec<&str>| groups.into_iter().map(str::to_owned).collect();
        Self {
            feature_gates: BTreeMap::new(),
            extra_args: Vec::new(),
            users: users
                .into_iter()
                .map(|(name, groups)| (name.to_owned(), owned(groups)))
                .collect(),
            authorization_mode: "Node,RBAC".to_owned(),
            service_account_admission: false,
            audited_bodies: Vec::new(),
            release: None,
        }
    }
}

impl Builder {
    /// Sets a feature gate of the API server.
    #[must_use]
    pub fn feature_gate(mut self, name: &str, enabled: bool) -> Self {
        self.feature_gates.insert(name.to_owned(), enabled);
        self
    }

    /// Adds an argument to the API server's, after all others, such as `--max-requests-inflight=10`.
    #[must_use]
    pub fn extra_apiserver_arg(mut self, argument: &str) -> Self {
        self.extra_args.push(argument.to_owned());
        self
    }

    /// Adds a user with a token. `admin` (in `system:masters`), `alice`, `bob` and `carol` (without any rights) exist always.
    #[must_use]
    pub fn user(mut self, name: &str, groups: &[&str]) -> Self {
        self.users.insert(name.to_owned(), groups.iter().map(|&group| group.to_owned()).collect());
        self
    }

    /// Sets `--authorization-mode`; `Node,RBAC` by default.
    #[must_use]
    pub fn authorization_mode(mut self, modes: &str) -> Self {
        modes.clone_into(&mut self.authorization_mode);
        self
    }

    /// Leaves the ServiceAccount admission plugin on. It is off by default, because with it no pod can be created before a
    /// controller manager has made the service accounts.
    #[must_use]
    pub fn service_account_admission(mut self) -> Self {
        self.service_account_admission = true;
        self
    }

    /// Writes the bodies of requests for this resource (API group and plural name) to the audit log, as `requestObject`.
    #[must_use]
    pub fn audit_bodies(mut self, group: &str, resource: &str) -> Self {
        self.audited_bodies.push((group.to_owned(), resource.to_owned()));
        self
    }

    /// Takes the API server of this release, whatever the environment chooses.
    #[must_use]
    pub fn release(mut self, release: Release) -> Self {
        self.release = Some(release);
        self
    }

    /// Starts etcd and the API server and waits until the API server is ready.
    ///
    /// # Errors
    /// When a program is missing or doesn't become ready; the error has the ends of the logs.
    pub async fn start(self) -> Result<Cluster> {
        Cluster::start(self).await
    }
}
