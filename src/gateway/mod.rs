//! One request, from bytes in to bytes out.
//!
//! ```text
//! read ─► access ─Authorized─► serve ─► list | watch
//!   │        │                   │
//!   └────────┴──── reason ───────┴────► forward | tunnel
//! ```
//!
//! [`read`] and [`decide`] say whether memory could answer, [`serve`] whether it does; whatever says
//! no gives a [`reason::ForwardReason`] and the request goes upstream as it came. Guarantees: no byte
//! from memory without an `Authorized`; no forwarded request with a right of the gateway; every
//! response says where it came from, and so does a line in the access log (`-v 4`).

mod access_log;
pub mod answer;
pub mod body;
pub mod decide;
pub mod forward;
pub mod headers;
pub mod health;
pub mod host;
pub mod list;
pub mod read;
pub mod reason;
mod request_body;
pub mod serve;
mod state;
pub mod tunnel;
pub mod watch;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tracing::debug;

use crate::{
    config::policy::ResourcePolicies,
    identity::{
        access::{Access, Authorized},
        credential::{BearerToken, Credential},
    },
    net::handler::{ConnectionInfo, Handler},
    upstream::{Lane, discovery::Types},
};

use self::{
    access_log::Entry,
    answer::{AUDIT_ID, Circumstances},
    body::ResponseBody,
    forward::Forwarder,
    health::Check,
    host::BadHost,
    read::Read,
    reason::{CACHE_STATUS, ForwardReason},
    serve::Server,
};

/// The gateway's answer to every request; cloning shares it.
#[derive(Clone)]
pub struct Gateway {
    parts: Arc<Parts>,
}

/// What a gateway is made of.
pub struct Parts {
    /// Upstream's types.
    pub types: Types,
    /// Which resources may be cached.
    pub policies: ResourcePolicies,
    /// The access check.
    pub access: Access,
    /// What answers from memory.
    pub server: Server,
    /// What forwards.
    pub forwarder: Forwarder,
    /// The conditions of being ready.
    pub readiness: Box<dyn Fn() -> Vec<Check> + Send + Sync>,
}

/// What a watch waits for upstream's types when none are known yet.
const FIRST_TYPES: Duration = Duration::from_secs(3);

// === impl Gateway ===

impl Gateway {
    /// A gateway of these parts.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &ConnectionInfo,
    ) -> Response<ResponseBody> {
        let arrived = Instant::now();
        if let Some(bad) = BadHost::of(request.version(), request.headers()) {
            return marked_own(bad.response());
        }
        if let Some(own) = request.uri().path().strip_prefix(health::PREFIX) {
            return self.own(own, request.uri().query());
        }
        if !self.parts.types.are_known() && read::is_watch(&request) {
            // Clients that lost a gateway come back to the next one before it has looked around.
            // Forwarded, each of their watches would stay a watch upstream.
            self.parts.types.wait_until_known(FIRST_TYPES).await;
        }
        let credential = Credential::of(request.headers());
        let (head, body) = request.into_parts();
        let reason = match Read::parse(&head, &self.parts.types, &self.parts.policies) {
            Err(reason) => reason,
            Ok(read) => {
                let audit_id = head.headers.get(AUDIT_ID).cloned();
                let circumstances = Circumstances { arrived, connection, audit_id };
                let answered = self.answer_from_memory(read, &credential, &circumstances).await;
                match answered {
                    Ok(response) => return response,
                    Err(reason) => reason,
                }
            }
        };
        Box::pin(self.forward(Request::from_parts(head, body), &credential, reason, connection))
            .await
    }

    async fn answer_from_memory(
        &self,
        read: Read,
        credential: &Credential,
        circumstances: &Circumstances<'_>,
    ) -> Result<Response<ResponseBody>, ForwardReason> {
        let Credential::Bearer(token) = credential else {
            return Err(ForwardReason::Credentials);
        };
        let authorized = self.authorize(token, &read).await?;
        // Boxed: a watch's request must not pay for the size of what comes before it.
        Box::pin(self.parts.server.serve(read, authorized, circumstances)).await
    }

    async fn authorize(
        &self,
        token: &BearerToken,
        read: &Read,
    ) -> Result<Authorized, ForwardReason> {
        match self.parts.access.check(token, &read.attributes).await {
            Ok(Some(authorized)) => Ok(authorized),
            Ok(None) => Err(ForwardReason::Denied),
            Err(error) => {
                debug!(%error, "forwarding for want of an access review");
                Err(ForwardReason::Review)
            }
        }
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        credential: &Credential,
        reason: ForwardReason,
        connection: &ConnectionInfo,
    ) -> Response<ResponseBody> {
        let Parts { access, forwarder, .. } = &*self.parts;
        let lane = match credential {
            Credential::Bearer(token) => access.lane(token).await,
            Credential::Nothing | Credential::Unclear => Lane::Unproven,
        };
        let asks_watch = read::is_watch(&request);
        let answer = forwarder.forward(request, lane, connection.peer).await;
        if let Credential::Bearer(token) = credential {
            match answer.status() {
                StatusCode::UNAUTHORIZED => access.mark_refused(token).await,
                // Other answers may come from before upstream looked at the token.
                status
                    if lane == Lane::Unproven
                        && (status.is_success() || status == StatusCode::FORBIDDEN) =>
                {
                    access.mark_proven(token).await;
                }
                _ => {}
            }
        }
        let is_watch = asks_watch && answer.status() == StatusCode::OK;
        let mut response = answer.map(|body| {
            let draining = || connection.draining.clone();
            ResponseBody::Forward(if is_watch { body.ending_with(draining()) } else { body })
        });
        response.headers_mut().append(CACHE_STATUS, reason.header());
        response
    }

    fn own(&self, path: &str, query: Option<&str>) -> Response<ResponseBody> {
        let verbose = query.is_some_and(|query| {
            query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose="))
        });
        marked_own(match path {
            "livez" => health::answer("livez", &[], verbose),
            "readyz" => health::answer("readyz", &(self.parts.readiness)(), verbose),
            _ => health::unknown(),
        })
    }
}

/// What the gateway says itself, neither from memory nor from upstream.
fn marked_own(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    let status = HeaderValue::from_static("watchgate; fwd=bypass; detail=own");
    response.headers_mut().insert(CACHE_STATUS, status);
    response
}

impl Handler for Gateway {
    type Body = ResponseBody;

    async fn handle(
        &self,
        request: Request<Incoming>,
        connection: &Arc<ConnectionInfo>,
    ) -> Response<ResponseBody> {
        let via = via(request.version());
        let entry = Entry::of(&request);
        let mut response = Box::pin(self.answer(request, connection)).await;
        response.headers_mut().append(header::VIA, via);
        if let Some(entry) = entry {
            entry.write(&response, connection.peer);
        }
        response
    }
}

/// The hop that a response came by (RFC 9110 §7.6.3), in the version of the client's side.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2 watchgate",
        Version::HTTP_3 => "3 watchgate",
        Version::HTTP_10 => "1.0 watchgate",
        _ => "1.1 watchgate",
    })
}
