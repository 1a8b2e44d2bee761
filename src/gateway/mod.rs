//! One request, from bytes in to bytes out.
//!
//! ```text
//! read ─► access ─Authorized─► serve ─► list | watch
//!   │        │                   │
//!   └────────┴──── reason ───────┴────► forward | tunnel
//! ```
//!
//! [`read`] and [`decide`] say whether memory could answer, [`serve`] whether it does; whatever says
//! no gives a [`reason::ForwardReason`] and the request goes upstream as it came, unless too many do
//! already that memory may soon answer (`admission.rs`). Guarantees: no byte
//! from memory without an `Authorized`; no forwarded request with a right of the gateway; every
//! response says where it came from, and so does a line in the access log (`-v 4`).

mod access_log;
mod accounting;
mod admission;
pub mod answer;
pub mod body;
mod collapse;
pub mod content;
pub mod decide;
pub mod encoding;
mod enrolment;
pub mod forward;
pub mod gathered;
pub mod headers;
pub mod health;
pub mod host;
pub mod list;
pub mod read;
pub mod reason;
mod refusal;
mod request_body;
mod scrape;
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
    api::{negotiate::StatusForm, status::Status},
    config::policy::ResourcePolicies,
    identity::{
        access::{Access, Authorized},
        credential::{BearerToken, Credential},
    },
    net::handler::{ConnectionInfo, Handler},
    telemetry::metrics::{Exposition, Metrics, admission as admissions},
    upstream::{Lane, discovery::Types},
};

use self::{
    access_log::Entry,
    accounting::Account,
    admission::{
        Deadlines,
        places::{Admitted, Applicant, Place, Places},
    },
    answer::Circumstances,
    body::ResponseBody,
    forward::Forwarder,
    gathered::Gathered,
    health::Check,
    host::BadHost,
    read::{Read, What},
    reason::{BUSY, CACHE_STATUS, ForwardReason},
    serve::Server,
};

/// The gateway's answer to every request; cloning shares it.
#[derive(Clone)]
pub struct Gateway {
    parts: Arc<Parts>,
    places: Arc<Places>,
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
    /// Where requests are counted.
    pub metrics: Metrics,
    /// What shows the metrics.
    pub exposition: Exposition,
    /// The conditions of being ready.
    pub readiness: Box<dyn Fn() -> Vec<Check> + Send + Sync>,
}

/// What a watch waits for upstream's types when none are known yet.
const FIRST_TYPES: Duration = Duration::from_secs(3);

// === impl Gateway ===

impl Gateway {
    /// A gateway of these parts.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), places: Arc::default() }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &ConnectionInfo,
        account: &mut Account,
    ) -> Response<ResponseBody> {
        let arrived = account.arrived();
        if let Some(bad) = BadHost::of(request.version(), request.headers()) {
            return marked_own(bad.response());
        }
        if let Some(own) = request.uri().path().strip_prefix(health::PREFIX) {
            if own == scrape::PATH {
                return Box::pin(self.scrape(request, connection, account)).await;
            }
            return self.own(own, request.uri().query());
        }
        if !self.parts.types.are_known() && read::is_watch(&request) {
            // Clients that lost a gateway come back to the next one before it has looked around.
            // Forwarded, each of their watches would stay a watch upstream.
            self.parts.types.wait_until_known(FIRST_TYPES).await;
        }
        let credential = Credential::of(request.headers());
        let (head, body) = request.into_parts();
        let audit_id = answer::audit_id(&head.headers);
        let last_resort = false;
        let mut circumstances =
            Circumstances { head: &head, arrived, connection, audit_id, last_resort };
        let mut asked_again = 0;
        let (reason, place) = loop {
            let reason = match self.answer_from_memory(&credential, &circumstances, account).await {
                Ok(response) => return response,
                Err(reason) => reason,
            };
            match Box::pin(self.admit(&head, reason, arrived, asked_again)).await {
                Admitted::Forward(place) => break (reason, place),
                Admitted::AskAgain => asked_again += 1,
                // A client that is told to try again would try the same version.
                Admitted::Refused if reason == ForwardReason::Uncovered => {
                    circumstances.last_resort = true;
                    let refused =
                        self.answer_from_memory(&credential, &circumstances, account).await;
                    return refused.unwrap_or_else(|_| self.busy(&circumstances));
                }
                Admitted::Refused => return self.busy(&circumstances),
            }
        };
        let request = Request::from_parts(head, body);
        Box::pin(self.forward(request, &credential, (reason, place), connection, account)).await
    }

    async fn answer_from_memory(
        &self,
        credential: &Credential,
        circumstances: &Circumstances<'_>,
        account: &mut Account,
    ) -> Result<Response<ResponseBody>, ForwardReason> {
        let read = Read::parse(circumstances.head, &self.parts.types, &self.parts.policies)?;
        account.note_read(&read);
        let Credential::Bearer(token) = credential else {
            return Err(ForwardReason::Credentials);
        };
        let timeout = read.timeout;
        let answering = async {
            let authorized = Box::pin(self.authorize(token, &read)).await?;
            // Boxed, too: a watch's request must not pay for the size of what comes before it.
            Box::pin(self.parts.server.serve(read, authorized, circumstances)).await
        };
        within(timeout, circumstances.arrived, answering).await
    }

    /// How a read that memory did not answer goes upstream.
    async fn admit(
        &self,
        head: &http::request::Parts,
        reason: ForwardReason,
        arrived: Instant,
        asked_again: u32,
    ) -> Admitted {
        let Parts { types, policies, server, .. } = &*self.parts;
        // Only what was understood whole, and allowed, came as far as to be held back.
        if !admission::holds_back(reason) {
            return Admitted::Forward(None);
        }
        let Ok(read) = Read::parse(head, types, policies) else { return Admitted::Forward(None) };
        let applicant = Applicant {
            resource: &read.served.resource.gvr,
            is_watch: matches!(read.what, What::Watch(..)),
            bookmarks: matches!(&read.what, What::Watch(request, _) if request.bookmarks),
            reason,
            shard: server.progress(&read),
            deadlines: Deadlines::of(arrived, read.timeout),
            asked_again,
        };
        let (waiting, began) = (self.parts.metrics.admission.begin(), Instant::now());
        let admitted = self.places.admit(applicant).await;
        let outcome = match admitted {
            Admitted::Forward(_) => admissions::Outcome::Forwarded,
            Admitted::AskAgain => admissions::Outcome::Memory,
            Admitted::Refused => admissions::Outcome::Refused,
        };
        waiting.end(outcome, began.elapsed());
        admitted
    }

    /// What upstream says while it initialises (semantics §3.1, §15): there is no place to read past
    /// memory, and a client that comes again in a second may be served from it.
    fn busy(&self, circumstances: &Circumstances<'_>) -> Response<ResponseBody> {
        let read = Read::parse(circumstances.head, &self.parts.types, &self.parts.policies).ok();
        // The one form of a failure that is not written here, YAML, cannot be forwarded either.
        let form = refusal::form(circumstances.head).unwrap_or(StatusForm::Json);
        let mut response = refusal::worded(&Status::storage_initializing(1), form);
        let warning = read.and_then(|read| read.served.warning);
        answer::complete(response.headers_mut(), warning, circumstances);
        response.headers_mut().insert(CACHE_STATUS, BUSY);
        response
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
        (reason, place): (ForwardReason, Option<Place>),
        connection: &ConnectionInfo,
        account: &mut Account,
    ) -> Response<ResponseBody> {
        let Parts { types, access, forwarder, metrics, .. } = &*self.parts;
        let lane = match credential {
            Credential::Bearer(token) => access.lane(token).await,
            Credential::Nothing | Credential::Unclear => Lane::Unproven,
        };
        let asks_watch = account.note_forward(&request, types, reason);
        let lane = if asks_watch { lane } else { lane.for_brief(request.method()) };
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
        let (parts, body) = answer.into_parts();
        let mut body = body.holding(place);
        if is_watch {
            let draining = connection.draining.clone();
            body = body.ending_with(draining, account.forwarded_watch(metrics));
        }
        let body = Gathered::new(body, answer::max_frame(connection)).begun().await;
        let mut response = Response::from_parts(parts, ResponseBody::Forward(Box::new(body)));
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

/// Memory makes nobody wait longer than they said: what is not there by then upstream answers.
async fn within<T>(
    timeout: Option<Duration>,
    arrived: Instant,
    answering: impl Future<Output = Result<T, ForwardReason>>,
) -> Result<T, ForwardReason> {
    match timeout.and_then(|timeout| arrived.checked_add(timeout)) {
        None => answering.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), answering)
            .await
            .unwrap_or(Err(ForwardReason::Timeout)),
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
        let mut account = Account::open(request.method());
        let via = via(request.version());
        let entry = Entry::of(&request);
        let mut response = Box::pin(self.answer(request, connection, &mut account)).await;
        account.close(&self.parts.metrics, connection.core, &response);
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
