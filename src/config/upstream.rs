//! Which authoritative store stands behind: decided from flags and surroundings, never by accident.
//!
//! A flag names it; without one, a pod's own cluster does; outside of a pod the embedded store is
//! meant. Whatever is half given, contradictory or merely looks like a pod is refused.

use std::path::{Path, PathBuf};

use http::Uri;

use super::{
    flags::ServeFlags,
    surroundings::{SERVICE_ACCOUNT_TOKEN, Surroundings},
};

/// The store behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamChoice {
    /// As the current context of this kubeconfig says.
    Kubeconfig(PathBuf),
    /// An API server, named by flags.
    Server {
        /// `https://HOST[:PORT][/PATH]`.
        server: Uri,
        /// File with the gateway's bearer token.
        token_file: PathBuf,
        /// File with the CAs that the server's certificate is checked against, in PEM.
        certificate_authority: PathBuf,
    },
    /// The cluster whose pod this is, with the pod's service account.
    InCluster {
        /// Name or address of the API server.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The store inside of this program: for trying and tests.
    Embedded(Storage),
}

/// Where the embedded store keeps objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Nowhere: gone at the end.
    InMemory,
    /// In this directory.
    Directory(PathBuf),
}

/// Why the choice is not clear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Two upstreams at once.
    #[error("--kubeconfig and {0} exclude each other: both name an upstream")]
    TwoUpstreams(&'static str),
    /// Half of an upstream.
    #[error("an upstream needs --server, --token-file and --certificate-authority; missing: {names}", names = .0.join(", "))]
    HalfUpstream(Vec<&'static str>),
    /// The value of `--server` is no URL of an API server. It is not shown: it may hold a password.
    #[error(
        "--server: allowed is https://HOST[:PORT][/PATH], without user, password, query or fragment"
    )]
    BadServer,
    /// `--in-memory` with an upstream.
    #[error("--in-memory is for the embedded store and excludes {0}, which names an upstream")]
    InMemoryUpstream(&'static str),
    /// The embedded store was asked for in a pod.
    #[error(
        "--in-memory: the embedded store does not run in a pod; remove the flag to serve the pod's \
         own cluster, or give --kubeconfig or --server"
    )]
    EmbeddedInPod,
    /// A pod without everything it takes to reach its cluster.
    #[error(
        "this looks like a pod, but {0}: give --kubeconfig or --server, or let the pod have its \
         service account (the embedded store does not run in a pod)"
    )]
    HalfPod(String),
    /// No place for the embedded store.
    #[error(
        "--data-dir or --in-memory is needed for the embedded store: neither XDG_STATE_HOME nor \
         HOME is an absolute path"
    )]
    NoDirectory,
}

/// Decides. `data_directory` is where the embedded store would be kept.
pub(super) fn choose(
    flags: &ServeFlags,
    surroundings: &Surroundings,
    data_directory: Option<&Path>,
) -> Result<UpstreamChoice, UpstreamError> {
    match from_flags(flags)? {
        Some((flag, _)) if flags.in_memory => Err(UpstreamError::InMemoryUpstream(flag)),
        Some((_, choice)) => Ok(choice),
        None if surroundings.looks_like_a_pod() && flags.in_memory => {
            Err(UpstreamError::EmbeddedInPod)
        }
        None if surroundings.looks_like_a_pod() => in_cluster(surroundings),
        None if flags.in_memory => Ok(UpstreamChoice::Embedded(Storage::InMemory)),
        None => data_directory
            .map(|path| UpstreamChoice::Embedded(Storage::Directory(path.to_owned())))
            .ok_or(UpstreamError::NoDirectory),
    }
}

/// The upstream that flags name, and the flag that does.
fn from_flags(flags: &ServeFlags) -> Result<Option<(&'static str, UpstreamChoice)>, UpstreamError> {
    let given = [
        ("--server", flags.server.is_some()),
        ("--token-file", flags.token_file.is_some()),
        ("--certificate-authority", flags.certificate_authority.is_some()),
    ];
    let first_given = given.iter().find(|(_, given)| *given).map(|&(flag, _)| flag);
    if let Some(kubeconfig) = &flags.kubeconfig {
        return match first_given {
            Some(flag) => Err(UpstreamError::TwoUpstreams(flag)),
            None => Ok(Some(("--kubeconfig", UpstreamChoice::Kubeconfig(kubeconfig.clone())))),
        };
    }
    match (&flags.server, &flags.token_file, &flags.certificate_authority) {
        (None, None, None) => Ok(None),
        (Some(server), Some(token_file), Some(certificate_authority)) => Ok(Some((
            "--server",
            UpstreamChoice::Server {
                server: parse_server(server)?,
                token_file: token_file.clone(),
                certificate_authority: certificate_authority.clone(),
            },
        ))),
        _ => {
            let missing = given.iter().filter(|(_, given)| !given).map(|&(flag, _)| flag);
            Err(UpstreamError::HalfUpstream(missing.collect()))
        }
    }
}

fn in_cluster(surroundings: &Surroundings) -> Result<UpstreamChoice, UpstreamError> {
    let lacking = |what: String| Err(UpstreamError::HalfPod(what));
    let Some(host) = &surroundings.service_host else {
        return lacking("KUBERNETES_SERVICE_HOST is not set".to_owned());
    };
    let Some(port) = &surroundings.service_port else {
        return lacking("KUBERNETES_SERVICE_PORT is not set".to_owned());
    };
    let Some(port) = port.parse().ok().filter(|port| *port != 0) else {
        return lacking(format!("KUBERNETES_SERVICE_PORT is {port:?}, not a port"));
    };
    if !surroundings.service_account_token {
        return lacking(format!("{SERVICE_ACCOUNT_TOKEN} does not exist"));
    }
    Ok(UpstreamChoice::InCluster { host: host.clone(), port })
}

/// Reads the value of `--server`.
fn parse_server(text: &str) -> Result<Uri, UpstreamError> {
    let uri: Uri = text.parse().map_err(|_| UpstreamError::BadServer)?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let plain = !authority.contains('@') && uri.query().is_none() && !text.contains('#');
    let secure = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
    let host = uri.host().is_some_and(|host| !host.is_empty());
    if plain && secure && host { Ok(uri) } else { Err(UpstreamError::BadServer) }
}
