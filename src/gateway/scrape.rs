//! `/watchgate/metrics`: the gateway's metrics, for whoever may read those of the API server.
//!
//! Guarantees: the metrics go out only with an [`Authorized`] for `get` on `/metrics`, from a review that
//! upstream answered for the asker's own token. Who has none is refused in upstream's words: the request
//! is forwarded as it came, and upstream, which has no such path, says 401 or 403. Should it say anything
//! else, its answer is replaced by a refusal of the gateway's own: nothing but a refusal is passed on.
//! When upstream can't be asked, the answer is 503.

use std::sync::{Arc, LazyLock};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tracing::{debug, warn};

use crate::{
    api::{negotiate::StatusForm, status::Status},
    identity::{access::Authorized, credential::Credential, review::Attributes},
    net::handler::ConnectionInfo,
    telemetry::metrics::{CONTENT_TYPE, Exposition},
};

use super::{
    Gateway, accounting::Account, answer, body::ResponseBody, marked_own, reason::ForwardReason,
    refusal,
};

/// Below [`super::health::PREFIX`].
pub(super) const PATH: &str = "metrics";

/// What the asker must be allowed to get upstream.
static ATTRIBUTES: LazyLock<Arc<Attributes>> =
    LazyLock::new(|| Arc::new(Attributes::of_path("/metrics")));

// === impl Gateway ===

impl Gateway {
    /// The answer to a request for the metrics.
    pub(super) async fn scrape(
        &self,
        request: Request<Incoming>,
        connection: &ConnectionInfo,
        account: &mut Account,
    ) -> Response<ResponseBody> {
        if *request.method() != Method::GET {
            let mut response = refused(&Status::method_not_allowed());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        let credential = Credential::of(request.headers());
        let Credential::Bearer(token) = &credential else {
            let reason = ForwardReason::Credentials;
            let forwarded = self.worded_upstream(request, &credential, reason, connection, account);
            return forwarded.await;
        };
        match self.parts.access.check(token, &ATTRIBUTES).await {
            Ok(Some(authorized)) => exposed(self.parts.exposition.clone(), authorized).await,
            Ok(None) => {
                let reason = ForwardReason::Denied;
                self.worded_upstream(request, &credential, reason, connection, account).await
            }
            Err(error) => {
                debug!(%error, "metrics can't be shown for want of an access review");
                unknown_permission()
            }
        }
    }

    /// The refusal that upstream words.
    async fn worded_upstream(
        &self,
        request: Request<Incoming>,
        credential: &Credential,
        reason: ForwardReason,
        connection: &ConnectionInfo,
        account: &mut Account,
    ) -> Response<ResponseBody> {
        let forwarding = self.forward(request, credential, (reason, None), connection, account);
        let response = Box::pin(forwarding).await;
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => response,
            status => {
                account.note_own();
                if status.is_server_error() { unknown_permission() } else { denied() }
            }
        }
    }
}

/// The metrics. They are put together on a thread that serves no connections.
async fn exposed(exposition: Exposition, _authorized: Authorized) -> Response<ResponseBody> {
    let rendered = tokio::task::spawn_blocking(move || exposition.render()).await;
    match rendered {
        Ok(Ok(text)) => {
            let mut response = answer::typed(ResponseBody::text(text), CONTENT_TYPE);
            let no_cache = HeaderValue::from_static("no-cache, private");
            response.headers_mut().insert(header::CACHE_CONTROL, no_cache);
            marked_own(response)
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &impl std::fmt::Display) -> Response<ResponseBody> {
    warn!(%error, "the metrics can't be rendered");
    refused(&Status::internal_error("the metrics can't be rendered; the log says why"))
}

/// For those whom upstream refuses without saying so here: it was asked about `/metrics`.
fn denied() -> Response<ResponseBody> {
    refused(&Status::forbidden_path(
        "a bearer token that may get the API server's /metrics is needed, and nothing else that names \
         a user",
    ))
}

fn unknown_permission() -> Response<ResponseBody> {
    let message = "the API server did not say whether this token may get /metrics";
    let mut response = refused(&Status::service_unavailable(message));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn refused(status: &Status) -> Response<ResponseBody> {
    let mut response = refusal::worded(status, StatusForm::Json);
    let no_cache = HeaderValue::from_static("no-cache, private");
    response.headers_mut().insert(header::CACHE_CONTROL, no_cache);
    marked_own(response)
}
