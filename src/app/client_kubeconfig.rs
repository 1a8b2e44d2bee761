//! The kubeconfig that the program writes for its clients.
//!
//! It names the gateway and the CA of its certificate. Only the embedded store's own user is in it;
//! in front of a cluster clients bring their own credentials, and the gateway's stay where they are.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    config::{Storage, UpstreamChoice},
    net::durable_file::{self, Access},
};

/// What a client needs to reach the gateway.
pub(super) struct ClientKubeconfig {
    server: String,
    ca_pem: Option<String>,
    token: Option<Zeroizing<String>>,
}

/// The file's name in the data directory. A store in memory has its own: tried beside a program
/// that keeps its objects, it must not take over the file that shells point to.
fn file_name(upstream: &UpstreamChoice) -> &'static str {
    match upstream {
        UpstreamChoice::Embedded(Storage::InMemory) => "watchgate-in-memory.kubeconfig",
        _ => "watchgate.kubeconfig",
    }
}

// === impl ClientKubeconfig ===

impl ClientKubeconfig {
    /// For a gateway that listens on `address`. Without `ca_pem` clients trust the CAs of their
    /// system.
    pub(super) fn new(
        address: SocketAddr,
        ca_pem: Option<String>,
        token: Option<Zeroizing<String>>,
    ) -> Self {
        let host = match address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        };
        let server = format!("https://{}", SocketAddr::new(host, address.port()));
        Self { server, ca_pem, token }
    }

    /// Writes the file, readable by its owner only, and gives its path; `None` without a directory.
    pub(super) fn write(
        &self,
        directory: Option<&Path>,
        upstream: &UpstreamChoice,
    ) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
        let Some(directory) = directory else { return Ok(None) };
        let path = directory.join(file_name(upstream));
        let text = Zeroizing::new(self.text());
        durable_file::create_private_directory(directory)
            .and_then(|()| durable_file::replace(&path, text.as_bytes(), Access::Owner))
            .map_err(|source| (path.clone(), source))?;
        Ok(Some(path))
    }

    fn text(&self) -> String {
        let Self { server, ca_pem, token } = self;
        let authority = ca_pem.as_ref().map_or_else(String::new, |pem| {
            format!("    certificate-authority-data: {}\n", STANDARD.encode(pem))
        });
        let user = token
            .as_ref()
            .map_or_else(|| "{}".to_owned(), |token| format!("{{token: {}}}", token.as_str()));
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: watchgate\n\
             clusters:\n- name: watchgate\n  cluster:\n    server: {server}\n{authority}\
             users:\n- name: watchgate\n  user: {user}\n\
             contexts:\n- name: watchgate\n  context: {{cluster: watchgate, user: watchgate}}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_a_token_only_for_the_embedded_store() {
        let address = "0.0.0.0:6443".parse().unwrap();
        let own = ClientKubeconfig::new(address, Some("PEM".into()), None).text();
        assert!(own.contains("server: https://127.0.0.1:6443\n"), "{own}");
        assert!(own.contains("certificate-authority-data: UEVN\n"), "{own}");
        assert!(own.contains("user: {}\n"), "{own}");
        let token = Some(Zeroizing::new("t0ken".to_owned()));
        let embedded = ClientKubeconfig::new(address, None, token).text();
        assert!(embedded.contains("user: {token: t0ken}\n"), "{embedded}");
    }
}
