//! All keys, certificates and tokens of one cluster, made before anything starts.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::authority::{Authority, Identity, service_account_keys};
use crate::options::Builder;
use crate::users::Users;

/// Names and addresses by which clients may know a server of the cluster.
const HOSTS: &[&str] = &["127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"];

#[derive(Debug)]
pub(crate) struct Secrets {
    /// Signs the servers' and the clients' certificates.
    pub(crate) authority: Authority,
    /// Signs only the front proxy's certificate: its holder may name any user.
    pub(crate) front_proxy_authority: Authority,
    pub(crate) server: Identity,
    pub(crate) admin: Identity,
    pub(crate) kubelet: Identity,
    pub(crate) kubelet_client: Identity,
    pub(crate) front_proxy: Identity,
    pub(crate) service_account_private: PathBuf,
    pub(crate) service_account_public: PathBuf,
    pub(crate) users: Users,
    pub(crate) token_file: PathBuf,
}

impl Secrets {
    pub(crate) fn new(directory: &Path, options: &Builder) -> Result<Self> {
        let authority = Authority::new(directory, "ca")?;
        let front_proxy_authority = Authority::new(directory, "front-proxy-ca")?;
        let (service_account_private, service_account_public) = service_account_keys(directory)?;
        let users = Users::new(&options.users)?;
        let token_file = directory.join("tokens.csv");
        users.write(&token_file)?;
        Ok(Self {
            server: authority.server("kube-apiserver", HOSTS)?,
            admin: authority.client("admin", "kubernetes-admin", &["system:masters"])?,
            kubelet: authority.server("kubelet", HOSTS)?,
            kubelet_client: authority.client(
                "kubelet-client",
                "kube-apiserver-kubelet-client",
                &["system:masters"],
            )?,
            front_proxy: front_proxy_authority.client("front-proxy", "front-proxy-client", &[])?,
            authority,
            front_proxy_authority,
            service_account_private,
            service_account_public,
            users,
            token_file,
        })
    }
}
