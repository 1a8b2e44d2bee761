//! The API server: opens the store, knows its one credential, answers requests.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::percent_decode_str;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    answer::{self, Answer},
    body::EmbeddedBody,
    credential::{Credential, Presented},
    definition::Fields,
    non_resource,
    refusal::Refusal,
    resource,
    storage::{Storage, StorageError},
    store::{Commit, Store},
    write::{self, FieldValidation, Part, Target},
};
use crate::api::{
    query::Query,
    request::{NotServeable, RequestInfo},
    status::Status,
};

/// The largest body that is read, as in kube-apiserver.
const BODY_LIMIT: usize = 3 * 1024 * 1024;
/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// The embedded API server. Cloning shares the store.
#[derive(Clone)]
pub struct ApiServer {
    pub(super) store: Arc<Store>,
    pub(super) credential: Arc<Credential>,
}

// === impl ApiServer ===

impl ApiServer {
    /// Opens the store and makes the namespaces every cluster has. Requests must carry `token` as
    /// their bearer token; whoever does is `system:admin` of the group `system:masters`.
    ///
    /// # Errors
    ///
    /// When the database cannot be opened, read or written.
    pub fn open(storage: &Storage, token: Zeroizing<String>) -> Result<Self, StorageError> {
        let store = Arc::new(Store::open(storage)?);
        let server = Self { store, credential: Arc::new(Credential::new(token)) };
        server.ensure_namespaces()?;
        Ok(server)
    }

    fn ensure_namespaces(&self) -> Result<(), StorageError> {
        let definition = self.store.state().registry.find("", "v1", "namespaces").cloned();
        let Some(definition) = definition else { return Ok(()) };
        let missing = NAMESPACES
            .iter()
            .filter(|name| self.store.state().object("namespaces", name).is_none());
        for name in missing.copied().collect::<Vec<_>>() {
            let target = Target {
                definition: Arc::clone(&definition),
                namespace: String::new(),
                name: String::new(),
                part: Part::Main,
            };
            let mut fields = Fields::new();
            fields.insert("kind".into(), "Namespace".into());
            fields.insert("apiVersion".into(), "v1".into());
            fields.insert("metadata".into(), json!({"name": name}));
            self.store
                .write(Commit::Keep, |transaction| {
                    write::create(transaction, &target, FieldValidation::Ignore, fields)
                })
                .map_err(|refusal| StorageError::Namespaces(refusal.status().message.clone()))?;
        }
        Ok(())
    }

    /// The newest revision of the store, which only grows.
    pub fn current_revision(&self) -> u64 {
        self.store.state().revision
    }

    /// Answers a request. Never fails: whatever is wrong is a `Status` with its code.
    pub async fn call<B>(&self, request: Request<B>) -> Response<EmbeddedBody>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let answered = match self.admit(&parts) {
            Ok(()) => match read_body(body).await {
                Ok(body) => self.answer(&parts, body).await,
                Err(refusal) => Err(refusal),
            },
            Err(refusal) => Err(refusal),
        };
        let mut answer = answered.unwrap_or_else(|refusal| answer::refusal(&refusal));
        answer::finish(&mut answer, &parts.headers);
        answer
    }

    /// Lets the credential pass, and requests without one to the public paths.
    fn admit(&self, parts: &Parts) -> Result<(), Refusal> {
        match self.credential.judge(&parts.headers) {
            Presented::Valid => Ok(()),
            Presented::Nothing if non_resource::is_public(parts.uri.path()) => Ok(()),
            Presented::Nothing | Presented::Invalid => Err(Status::unauthorized().into()),
        }
    }

    async fn answer(&self, parts: &Parts, body: Bytes) -> Result<Answer, Refusal> {
        let query = Query::parse(parts.uri.query())
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        let path = normalized(parts.uri.path())?;
        match RequestInfo::parse(&parts.method, &path, &query) {
            Ok(RequestInfo::NonResource) => non_resource::answer(self, parts, &path),
            Ok(RequestInfo::Resource(request)) => {
                resource::answer(self, parts, &query, &request, body).await
            }
            Err(NotServeable::NonCanonicalPath | NotServeable::NestedNamespaces) => {
                Err(Status::unknown_resource().into())
            }
            Err(error @ NotServeable::NothingAfterVerb) => {
                Err(Refusal::bad_request(error.to_string()))
            }
        }
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("revision", &self.current_revision()).finish()
    }
}

async fn read_body<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Status::request_too_large(BODY_LIMIT as u64).into())
        }
        Err(error) => Err(Refusal::bad_request(format!("the body cannot be read: {error}"))),
    }
}

/// The path without escapes and without a slash at its end. An escaped slash would change what
/// the path names and is refused.
fn normalized(path: &str) -> Result<String, Refusal> {
    let unknown = || Refusal::from(Status::unknown_resource());
    if path.to_ascii_lowercase().contains("%2f") {
        return Err(unknown());
    }
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| unknown())?;
    let trimmed = decoded.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(&decoded);
    Ok(trimmed.to_owned())
}

/// The plain 404 of paths that no code serves.
pub(super) fn page_not_found() -> Answer {
    answer::text(StatusCode::NOT_FOUND, "404 page not found\n")
}
