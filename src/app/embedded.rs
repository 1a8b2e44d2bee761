//! The embedded store as an upstream: its credential, and who may use it.
//!
//! The credential is made here, kept beside the store, and given to the gateway's own lane and to
//! the kubeconfig for clients; requests of any other lane are judged by what they bring.

use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Request, Response, header};
use zeroize::Zeroizing;

use crate::{
    config::Storage,
    embedded::{self, ApiServer, StorageError},
    identity::credential::{BearerToken, NoRandomness},
    net::durable_file,
    telemetry::metrics::Metrics,
    upstream::{Lane, LocalApiServer, RequestBody, Upstream, UpstreamBody},
};

/// Why the embedded store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The file with its credential.
    #[error("the embedded store's credential {path}: {source} (--data-dir names its directory)")]
    Credential {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// No credential can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The store behind [`Upstream`].
struct Local {
    server: ApiServer,
    authorization: Option<HeaderValue>,
    metrics: Metrics,
}

/// The credential's file in the store's directory.
const CREDENTIAL: &str = "embedded-credential";

/// Opens the store and gives it with the token of its only user.
pub(super) fn open(
    choice: &Storage,
    metrics: Metrics,
) -> Result<(Upstream, Zeroizing<String>), EmbeddedError> {
    let (storage, token) = match choice {
        Storage::InMemory => (embedded::Storage::Memory, new_token()?),
        Storage::Directory(path) => {
            let token = kept_token(path)?;
            (embedded::Storage::Directory(path.clone()), token)
        }
    };
    let server = ApiServer::open(&storage, token.clone())?;
    let local = Local { server, authorization: BearerToken::new(&token).header(), metrics };
    Ok((Upstream::Embedded(Arc::new(local)), token))
}

/// What stands behind the gateway, for people; nobody may take it for a cluster.
pub(super) fn describe(choice: &Storage) -> String {
    let place = match choice {
        Storage::InMemory => "in memory, gone at the end".to_owned(),
        Storage::Directory(path) => format!("in {}", path.display()),
    };
    format!("its embedded store ({place}): for trying and tests, this is not a cluster")
}

fn kept_token(directory: &Path) -> Result<Zeroizing<String>, EmbeddedError> {
    let path = directory.join(CREDENTIAL);
    let failed = |source| EmbeddedError::Credential { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(Zeroizing::new(text.trim().to_owned())),
        Ok(_) => Err(failed(io::Error::other("is empty; delete it to have a new one made"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = new_token()?;
            durable_file::create_private_directory(directory)
                .and_then(|()| {
                    durable_file::replace(&path, token.as_bytes(), durable_file::Access::Owner)
                })
                .map_err(failed)?;
            Ok(token)
        }
        Err(error) => Err(failed(error)),
    }
}

fn new_token() -> Result<Zeroizing<String>, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

impl LocalApiServer for Local {
    fn call(
        &self,
        lane: Lane,
        mut request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<UpstreamBody>> + Send>> {
        if lane == Lane::Gateway
            && let Some(authorization) = &self.authorization
        {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        let server = self.server.clone();
        let metrics = self.metrics.clone();
        Box::pin(async move {
            let answer = server.call(request).await;
            metrics.upstream.count(lane.name(), Some(answer.status()));
            answer.map(UpstreamBody::local)
        })
    }
}
