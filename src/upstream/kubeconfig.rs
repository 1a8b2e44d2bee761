//! How the gateway reaches the API server and who it is there: from a kubeconfig, from flags, or
//! from the pod that it runs in.
//!
//! Guarantees: every failure names the file and the field, and none repeats a secret; what the
//! gateway does not support (proxies, passwords, auth providers) is refused, never ignored. Unknown
//! keys are tolerated, as kubectl does. Reads files, runs nothing, connects to nothing.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject};

mod file;

#[cfg(test)]
mod tests;

use self::file::{Cluster, Config, Exec, User};
use super::{
    credential::{
        CertificateSource, Credential, TokenSource, certified_key, exec::ExecPlugin, secret::Secret,
    },
    endpoint::Endpoint,
    tls::Trust,
};

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The exec plugin API versions spoken; both have the same shape.
const EXEC_VERSIONS: [&str; 2] =
    ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// Everything needed to talk to one cluster as the gateway.
#[derive(Debug)]
pub struct ClusterAccess {
    /// Where the API server is.
    pub endpoint: Endpoint,
    /// Whose word for its certificate is taken.
    pub trust: Trust,
    /// Who the gateway is.
    pub credential: Credential,
}

/// A configuration that does not lead to a cluster: which file or flag, which field, what is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct AccessError {
    place: String,
    problem: String,
}

/// A kubeconfig's place in error texts and its folder.
struct Reader<'a> {
    path: &'a Path,
}

// === impl ClusterAccess ===

impl ClusterAccess {
    /// Reads a kubeconfig and follows the given context, or its `current-context`.
    ///
    /// # Errors
    /// Names the file, the field and what is allowed.
    pub fn from_kubeconfig(path: &Path, context: Option<&str>) -> Result<Self, AccessError> {
        let reader = Reader { path };
        let bytes = std::fs::read(path).map_err(|error| reader.error("", error))?;
        let text = Secret::new(bytes);
        let config = Config::parse(text.expose()).map_err(|problem| reader.error("", problem))?;
        let (name, place) = match context {
            Some(name) => (name, "--context"),
            None => (config.current_context.as_deref().unwrap_or_default(), "current-context"),
        };
        if name.is_empty() {
            return Err(reader.error(place, "is not set; it must name one of contexts"));
        }
        let context = config
            .context(name)
            .ok_or_else(|| reader.error(place, format!("contexts has no {name:?}")))?;
        let field = format!("contexts[{name}].context.cluster");
        let cluster_name = context.cluster.as_deref().unwrap_or_default();
        let cluster = config
            .cluster(cluster_name)
            .ok_or_else(|| reader.error(&field, format!("clusters has no {cluster_name:?}")))?;
        let (endpoint, trust) = reader.cluster(cluster_name, cluster)?;
        let user_name = context.user.as_deref().unwrap_or_default();
        let credential = if user_name.is_empty() {
            Credential::new(TokenSource::None, CertificateSource::None)
        } else {
            let field = format!("contexts[{name}].context.user");
            let user = config
                .user(user_name)
                .ok_or_else(|| reader.error(&field, format!("users has no {user_name:?}")))?;
            reader.user(user_name, user, cluster)?
        };
        Ok(Self { endpoint, trust, credential })
    }

    /// From `--server`, `--token-file` and `--certificate-authority`.
    ///
    /// # Errors
    /// Names the flag.
    pub fn from_flags(
        server: &str,
        token_file: Option<&Path>,
        certificate_authority: Option<&Path>,
    ) -> Result<Self, AccessError> {
        let endpoint =
            Endpoint::parse(server).map_err(|error| AccessError::new("--server", error))?;
        let trust = match certificate_authority {
            Some(path) => Trust::Authorities(authorities_of("--certificate-authority", path)?),
            None => Trust::System,
        };
        let token = match token_file {
            Some(path) => token_file_source("--token-file", path.to_owned())?,
            None => TokenSource::None,
        };
        Ok(Self { endpoint, trust, credential: Credential::new(token, CertificateSource::None) })
    }

    /// From the service account of the pod that the gateway runs in.
    ///
    /// # Errors
    /// Names the environment variable or file that is missing.
    pub fn in_cluster() -> Result<Self, AccessError> {
        Self::from_pod(Path::new(SERVICE_ACCOUNT), |name| std::env::var(name).ok())
    }

    fn from_pod(
        folder: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, AccessError> {
        let variable = |name: &'static str| {
            environment(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                let problem = "is not set; it is in every pod that runs in a cluster";
                AccessError::new(format!("environment variable {name}"), problem)
            })
        };
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let server = if host.contains(':') {
            format!("https://[{host}]:{port}")
        } else {
            format!("https://{host}:{port}")
        };
        let place = "environment variables KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT";
        let endpoint = Endpoint::parse(&server).map_err(|error| AccessError::new(place, error))?;
        let authority = folder.join("ca.crt");
        let trust =
            Trust::Authorities(authorities_of("the service account's certificate", &authority)?);
        let token = token_file_source("the service account's token", folder.join("token"))?;
        Ok(Self { endpoint, trust, credential: Credential::new(token, CertificateSource::None) })
    }
}

// === impl AccessError ===

impl AccessError {
    fn new(place: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { place: place.into(), problem: problem.to_string() }
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn error(&self, field: &str, problem: impl fmt::Display) -> AccessError {
        let file = self.path.display();
        let place = if field.is_empty() {
            format!("kubeconfig {file}")
        } else {
            format!("kubeconfig {file}: {field}")
        };
        AccessError::new(place, problem)
    }

    /// A path of the file, which is relative to the file's own folder.
    fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or_else(|| Path::new("")).join(path)
    }

    fn read(&self, field: &str, path: &str) -> Result<Secret, AccessError> {
        let path = self.resolve(path);
        std::fs::read(&path)
            .map(Secret::new)
            .map_err(|error| self.error(field, format!("{}: {error}", path.display())))
    }

    fn decode(&self, field: &str, text: &[u8]) -> Result<Secret, AccessError> {
        let mut compact = text.to_vec();
        compact.retain(|byte| !byte.is_ascii_whitespace());
        let compact = Secret::new(compact);
        STANDARD
            .decode(compact.expose())
            .map(Secret::new)
            .map_err(|_| self.error(field, "is not base64"))
    }

    fn cluster(&self, name: &str, cluster: &Cluster) -> Result<(Endpoint, Trust), AccessError> {
        let field = |key: &str| format!("clusters[{name}].cluster.{key}");
        if cluster.proxy_url.is_some() {
            let problem = "is not supported: the gateway connects to the API server directly";
            return Err(self.error(&field("proxy-url"), problem));
        }
        let server = cluster.server.as_deref().unwrap_or_default();
        if server.is_empty() {
            return Err(self.error(&field("server"), "is not set"));
        }
        let mut endpoint =
            Endpoint::parse(server).map_err(|error| self.error(&field("server"), error))?;
        if let Some(server_name) = &cluster.tls_server_name {
            endpoint = endpoint
                .with_server_name(server_name)
                .map_err(|error| self.error(&field("tls-server-name"), error))?;
        }
        let authority = match (&cluster.certificate_authority_data, &cluster.certificate_authority)
        {
            (Some(data), _) => {
                let place = field("certificate-authority-data");
                let pem = self.decode(&place, data.as_bytes())?;
                Some((place, pem))
            }
            (None, Some(path)) => {
                let place = field("certificate-authority");
                let pem = self.read(&place, path)?;
                Some((place, pem))
            }
            (None, None) => None,
        };
        let trust = match authority {
            Some((place, _)) if cluster.insecure_skip_tls_verify => {
                let problem = "cannot be given together with insecure-skip-tls-verify";
                return Err(self.error(&place, problem));
            }
            Some((place, pem)) => {
                let found = authorities(pem.expose());
                Trust::Authorities(found.map_err(|problem| self.error(&place, problem))?)
            }
            None if cluster.insecure_skip_tls_verify => Trust::Anyone,
            None => Trust::System,
        };
        Ok((endpoint, trust))
    }

    fn user(&self, name: &str, user: &User, cluster: &Cluster) -> Result<Credential, AccessError> {
        let field = |key: &str| format!("users[{name}].user.{key}");
        for (key, set, instead) in [
            ("auth-provider", user.auth_provider.is_some(), "use exec"),
            ("username", user.username.is_some(), "the API server knows no passwords"),
            ("password", user.password.is_some(), "the API server knows no passwords"),
            ("as", user.impersonate.is_some(), "give the identity itself"),
        ] {
            if set {
                return Err(self.error(&field(key), format!("is not supported; {instead}")));
            }
        }
        if let Some(exec) = &user.exec {
            return self.exec(&field("exec"), exec, cluster).map(Credential::exec);
        }
        let token = match (&user.token_file, &user.token) {
            (Some(path), _) => {
                let path = self.resolve(path);
                // Read once now, so that a wrong path is an error at start.
                std::fs::read(&path).map(Secret::new).map_err(|error| {
                    self.error(&field("tokenFile"), format!("{}: {error}", path.display()))
                })?;
                TokenSource::File("tokenFile", path)
            }
            (None, Some(token)) => TokenSource::Fixed(token.clone()),
            (None, None) => TokenSource::None,
        };
        Ok(Credential::new(token, self.certificate(name, user)?))
    }

    fn certificate(&self, name: &str, user: &User) -> Result<CertificateSource, AccessError> {
        let field = |key: &str| format!("users[{name}].user.{key}");
        let data = &user.client_certificate_data;
        let (certificate_key, certificate) = match (data, &user.client_certificate) {
            (Some(data), _) => {
                let key = field("client-certificate-data");
                let pem = self.decode(&key, data.as_bytes())?;
                (key, Some(pem))
            }
            (None, Some(path)) => {
                let key = field("client-certificate");
                let pem = self.read(&key, path)?;
                (key, Some(pem))
            }
            (None, None) => (field("client-certificate"), None),
        };
        let (key_key, key) = match (&user.client_key_data, &user.client_key) {
            (Some(data), _) => {
                let key = field("client-key-data");
                let pem = self.decode(&key, data.expose())?;
                (key, Some(pem))
            }
            (None, Some(path)) => {
                let key = field("client-key");
                let pem = self.read(&key, path)?;
                (key, Some(pem))
            }
            (None, None) => (field("client-key"), None),
        };
        let (certificate, key) = match (certificate, key) {
            (None, None) => return Ok(CertificateSource::None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => {
                let problem = "is not set; a client-certificate needs its client-key";
                return Err(self.error(&key_key, problem));
            }
            (None, Some(_)) => {
                let problem = "is not set; a client-key needs its client-certificate";
                return Err(self.error(&certificate_key, problem));
            }
        };
        let place = |key: &str| format!("kubeconfig {}: {key}", self.path.display());
        let certified = certified_key(
            &place(&certificate_key),
            certificate.expose(),
            &place(&key_key),
            key.expose(),
        )
        .map_err(AccessError::from)?;
        match (data, &user.client_key_data, &user.client_certificate, &user.client_key) {
            (None, None, Some(certificate), Some(key)) => Ok(CertificateSource::Files {
                certificate: self.resolve(certificate),
                key: self.resolve(key),
            }),
            _ => Ok(CertificateSource::Fixed(certified)),
        }
    }

    fn exec(&self, field: &str, exec: &Exec, cluster: &Cluster) -> Result<ExecPlugin, AccessError> {
        let inner = |key: &str| format!("{field}.{key}");
        let api_version = exec.api_version.clone().unwrap_or_default();
        if !EXEC_VERSIONS.contains(&api_version.as_str()) {
            let allowed = EXEC_VERSIONS.join(" and ");
            let problem = format!("is {api_version:?}; supported are {allowed}");
            return Err(self.error(&inner("apiVersion"), problem));
        }
        let command = exec.command.as_deref().unwrap_or_default();
        if command.is_empty() {
            return Err(self.error(&inner("command"), "is not set"));
        }
        if exec.interactive_mode.as_deref() == Some("Always") {
            let problem = "is Always, but the gateway has no terminal; allowed are Never and \
                           IfAvailable";
            return Err(self.error(&inner("interactiveMode"), problem));
        }
        // A bare name is looked up in PATH; anything with a slash is a path of this file.
        let command =
            if command.contains('/') { self.resolve(command) } else { PathBuf::from(command) };
        Ok(ExecPlugin {
            place: format!("kubeconfig {}: {field}", self.path.display()),
            api_version,
            command,
            args: exec.args.clone().unwrap_or_default(),
            env: exec.env.iter().flatten().map(file::Variable::pair).collect(),
            install_hint: exec.install_hint.clone(),
            cluster: exec.provide_cluster_info.then(|| cluster.exec_info()),
        })
    }
}

impl From<super::credential::CredentialError> for AccessError {
    fn from(error: super::credential::CredentialError) -> Self {
        let (place, problem) = error.into_parts();
        Self { place, problem }
    }
}

fn token_file_source(place: &'static str, path: PathBuf) -> Result<TokenSource, AccessError> {
    std::fs::read(&path)
        .map(Secret::new)
        .map_err(|error| AccessError::new(format!("{place} {}", path.display()), error))?;
    Ok(TokenSource::File(place, path))
}

fn authorities_of(place: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let place = format!("{place} {}", path.display());
    let pem = std::fs::read(path).map_err(|error| AccessError::new(&*place, error))?;
    authorities(&pem).map_err(|problem| AccessError::new(place, problem))
}

fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("is not PEM: {error}"))?;
    if found.is_empty() { Err("holds no PEM certificate".to_owned()) } else { Ok(found) }
}
