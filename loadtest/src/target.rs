//! The endpoint under test: where it is, whom we trust there and who we are.
//!
//! Guarantees: a server that is not on this machine is refused unless the user allows it, and what was checked are the very addresses that are connected to later. The
//! credential is read once and never printed.

use std::{fmt, io, net::SocketAddr, path::Path, sync::Arc};

use http::HeaderValue;
use rustls::{
    ClientConfig,
    crypto::aws_lc_rs,
    sign::{CertifiedKey, SingleCertAndKey},
};
use watchgate::upstream::{
    credential::CredentialError,
    endpoint::Endpoint,
    kubeconfig::{AccessError, ClusterAccess},
    tls::TlsSetupError,
};

/// An endpoint that may be loaded.
#[derive(Clone)]
pub struct Target {
    endpoint: Endpoint,
    addresses: Vec<SocketAddr>,
    tls: Arc<ClientConfig>,
    authorization: Option<HeaderValue>,
}

/// Where and who, as flags say it.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// `--kubeconfig`
    pub kubeconfig: Option<&'a Path>,
    /// `--server`; with a kubeconfig it replaces the address and keeps the credential.
    pub server: Option<&'a str>,
    /// `--token-file`
    pub token_file: Option<&'a Path>,
    /// `--certificate-authority`
    pub certificate_authority: Option<&'a Path>,
    /// `--allow-remote`
    pub any_server: bool,
}

/// Why there is nothing to load.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A flag or kubeconfig does not say it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The credential cannot be had.
    #[error(transparent)]
    Credential(#[from] Arc<CredentialError>),
    /// Neither `--kubeconfig` nor `--server`.
    #[error(
        "an endpoint is needed: give --kubeconfig, or --server with --token-file and \
             --certificate-authority"
    )]
    None,
    /// The address is not on this machine.
    #[error(
        "{host} is not this machine ({address}): a load test can bring a cluster down. Only \
         loopback addresses are allowed without --allow-remote"
    )]
    NotLoopback {
        /// The host of the endpoint.
        host: String,
        /// What it stands for.
        address: SocketAddr,
    },
    /// The endpoint is `http://`.
    #[error("{0}: only https:// endpoints can be tested")]
    NotTls(Arc<str>),
    /// The name stands for nothing.
    #[error("{host}: {source}")]
    Resolve {
        /// The host of the endpoint.
        host: Arc<str>,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// The client certificate or the protocol versions are refused by the TLS library.
    #[error("TLS cannot be set up: {0}")]
    TlsLibrary(#[from] rustls::Error),
}

// === impl Target ===

impl Target {
    /// Reads files and resolves the name; connects to nothing.
    ///
    /// # Errors
    /// Names the flag, file or host.
    pub async fn open(access: &Access<'_>) -> Result<Self, TargetError> {
        let ClusterAccess { endpoint, trust, credential } = access.read()?;
        if !endpoint.is_tls() {
            return Err(TargetError::NotTls(endpoint.label()));
        }
        let addresses = resolve(&endpoint, access.any_server).await?;
        let presented = credential.present().await?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(trust.verifier()?);
        let tls = match &presented.certificate {
            Some(certified) => {
                let certified = CertifiedKey::clone(certified);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        let authorization = presented.authorization.clone();
        Ok(Self { endpoint, addresses, tls: Arc::new(tls), authorization })
    }

    /// The address as configured.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What the host stands for; only these are connected to.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The TLS configuration that offers this protocol.
    pub fn tls(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(tls)
    }

    /// The header that says who we are, if a certificate does not.
    pub const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.endpoint.label())
    }
}

// === impl Access ===

impl Access<'_> {
    fn read(&self) -> Result<ClusterAccess, TargetError> {
        let flags =
            |server| ClusterAccess::from_flags(server, self.token_file, self.certificate_authority);
        match (self.kubeconfig, self.server) {
            (None, None) => Err(TargetError::None),
            (None, Some(server)) => Ok(flags(server)?),
            (Some(path), None) => Ok(ClusterAccess::from_kubeconfig(path, None)?),
            (Some(path), Some(server)) => {
                let mut access = ClusterAccess::from_kubeconfig(path, None)?;
                let replaced = flags(server)?;
                access.endpoint = replaced.endpoint;
                if self.certificate_authority.is_some() {
                    access.trust = replaced.trust;
                }
                if self.token_file.is_some() {
                    access.credential = replaced.credential;
                }
                Ok(access)
            }
        }
    }
}

async fn resolve(endpoint: &Endpoint, any_server: bool) -> Result<Vec<SocketAddr>, TargetError> {
    let host = endpoint.host();
    let failed = |source| TargetError::Resolve { host: endpoint.label(), source };
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((host, endpoint.port())).await.map_err(failed)?.collect();
    if addresses.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        Some(&address) if !any_server => {
            Err(TargetError::NotLoopback { host: host.to_owned(), address })
        }
        _ => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(server: &str, any_server: bool) -> Option<TargetError> {
        resolve(&Endpoint::parse(server).unwrap(), any_server).await.err()
    }

    #[tokio::test]
    async fn only_this_machine_is_loaded_unless_the_user_owns_the_cluster() {
        assert!(refusal("https://127.0.0.1:6443", false).await.is_none());
        assert!(refusal("https://[::1]:6443", false).await.is_none());
        for elsewhere in ["https://192.0.2.1:6443", "https://0.0.0.0:6443", "https://[2001:db8::1]"]
        {
            let refusal = refusal(elsewhere, false).await;
            assert!(matches!(refusal, Some(TargetError::NotLoopback { .. })), "{elsewhere}");
            assert!(self::refusal(elsewhere, true).await.is_none());
        }
    }

    #[tokio::test]
    async fn an_endpoint_must_be_named() {
        let access = Access {
            kubeconfig: None,
            server: None,
            token_file: None,
            certificate_authority: None,
            any_server: false,
        };
        assert!(matches!(Target::open(&access).await, Err(TargetError::None)));
    }
}
