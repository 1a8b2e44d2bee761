//! The streaming reverse proxy: everything that is not answered from memory.
//!
//! Guarantees: nothing is collected on the way; path and query arrive byte for byte; trailers pass
//! both ways; a client that leaves cancels its request upstream, and an answer that breaks off
//! upstream breaks off at the client, never looks complete; a watch ends in order when the gateway
//! does. A client's word on who it is (`X-Remote-*`) is dropped. Does not decide what is forwarded, nor on which lane.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CACHE_CONTROL, CONTENT_TYPE, EXPECT, HOST, RETRY_AFTER},
    request::Parts,
    uri::PathAndQuery,
};
use http_body::{Body, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod http2_tests;
#[cfg(test)]
mod tests;

use super::{
    admission::places::Place,
    headers::{add_forwarding, remove_hop_by_hop, remove_remote_identity, upgrade},
    request_body::{ClientBody, Gate},
    tunnel::Tunnels,
};
use crate::{
    api::status::Status,
    telemetry::metrics::watches::ForwardedWatch,
    upstream::{
        BoxError, Lane, RequestBody, Upstream, UpstreamBody, UpstreamError,
        error::{Fault, Retry},
    },
};

/// Seconds after which a client may try again when upstream could not be reached.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Sends clients' requests on and their answers back.
#[derive(Clone)]
pub struct Forwarder {
    upstream: Upstream,
    tunnels: Tunnels,
}

/// The body of a forwarded answer. Dropping it before its end cancels the request upstream.
pub struct ForwardBody {
    body: UpstreamBody,
    /// The request's body, which nobody needs once the answer is complete.
    request: Option<Arc<Gate>>,
    /// Ends the answer as if upstream had.
    ending: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// What the request holds as long as it runs.
    place: Option<Place>,
}

// === impl Forwarder ===

impl Forwarder {
    /// A forwarder to this store, whose upgraded connections count against these tunnels.
    pub const fn new(upstream: Upstream, tunnels: Tunnels) -> Self {
        Self { upstream, tunnels }
    }

    /// Forwards one request on the given lane; an upgrade gets a connection of its own, whatever
    /// the lane. Every failure is an answer.
    pub async fn forward<B>(
        &self,
        request: Request<B>,
        lane: Lane,
        peer: SocketAddr,
    ) -> Response<ForwardBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(protocol) = upgrade(request.version(), request.headers()).cloned() {
            let (mut outgoing, client) = upgrade_request(request, peer);
            let headers = outgoing.headers_mut();
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(http::header::UPGRADE, protocol);
            return self.tunnels.open(&self.upstream, outgoing, client).await;
        }
        let (mut parts, body) = request.into_parts();
        let awaits_continue = takes_expect(&mut parts, body.is_end_stream());
        let gate = (!body.is_end_stream()).then(|| Gate::new(awaits_continue));
        let body = match &gate {
            Some(gate) => RequestBody::streaming(ClientBody::new(body, Arc::clone(gate))),
            None => RequestBody::empty(),
        };
        let method = parts.method.clone();
        let mut outgoing = outgoing(parts, peer, body);
        let lane = match &gate {
            Some(gate) if awaits_continue => {
                let gate = Arc::clone(gate);
                hyper::ext::on_informational(&mut outgoing, move |answer| {
                    if answer.status() == StatusCode::CONTINUE {
                        gate.open();
                    }
                });
                continue_lane(lane)
            }
            _ => lane,
        };
        match self.upstream.send(lane, outgoing).await {
            Ok(answer) => {
                if let Some(gate) = &gate {
                    gate.answered();
                }
                relayed(answer, gate)
            }
            Err(error) => unavailable(&error, &method),
        }
    }
}

/// HTTP/2 connections hide `100 Continue` from their users, so a request that waits for one goes
/// over HTTP/1.1, with the same rights.
const fn continue_lane(lane: Lane) -> Lane {
    match lane {
        Lane::Client | Lane::ClientBrief | Lane::Unproven => Lane::Unproven,
        Lane::Gateway => Lane::Gateway,
    }
}

/// Whether the client waits to be told to send its body. If it does not, upstream need not be
/// asked; over HTTP/2 and HTTP/3 the client cannot be told, and sends after a while.
fn takes_expect(parts: &mut Parts, no_body: bool) -> bool {
    let asks = parts
        .headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let awaits = asks && !no_body && parts.version == Version::HTTP_11;
    if asks && !awaits {
        parts.headers.remove(EXPECT);
    }
    awaits
}

/// The request as it goes upstream: origin form, the client's authority as `Host`, no extensions.
fn outgoing(parts: Parts, peer: SocketAddr, body: RequestBody) -> Request<RequestBody> {
    let mut headers = parts.headers;
    remove_hop_by_hop(&mut headers);
    remove_remote_identity(&mut headers);
    add_forwarding(&mut headers, peer.ip(), parts.version);
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    let mut request = Request::new(body);
    let target = parts.uri.path_and_query().cloned();
    *request.uri_mut() = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.method_mut() = parts.method;
    *request.headers_mut() = headers;
    request
}

/// An upgrade's request, and the promise of the client's connection.
fn upgrade_request<B>(
    mut request: Request<B>,
    peer: SocketAddr,
) -> (Request<RequestBody>, hyper::upgrade::OnUpgrade)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let client = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    (outgoing(parts, peer, RequestBody::streaming(body)), client)
}

/// Upstream's answer as the client gets it.
pub(super) fn relayed(
    answer: Response<UpstreamBody>,
    request: Option<Arc<Gate>>,
) -> Response<ForwardBody> {
    let (mut parts, body) = answer.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    let mut response = Response::new(ForwardBody { body, request, ending: None, place: None });
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    response
}

/// The answer when upstream gave none: a `Status` that names the host. `Retry-After` makes client-go
/// repeat any request (semantics §14), so it is there only where repeating cannot act twice.
pub(super) fn unavailable(error: &UpstreamError, method: &Method) -> Response<ForwardBody> {
    let (code, reason) = match (error.fault(), error.retry()) {
        (Fault::Downstream, _) => (StatusCode::BAD_REQUEST, "BadRequest"),
        (_, Retry::Always) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        (_, Retry::IfSafe | Retry::Never) => (StatusCode::BAD_GATEWAY, "InternalError"),
    };
    // One per request: an outage is for metrics and readiness to tell, not for a flood of warnings.
    tracing::debug!(%error, %method, "a request could not be forwarded");
    let mut response = status(code, reason, &error.to_string());
    if error.may_repeat(method) {
        response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    }
    response
}

/// A `metav1.Status` as JSON.
pub(super) fn status(
    code: StatusCode,
    reason: &'static str,
    message: &str,
) -> Response<ForwardBody> {
    let text = Status::failure(code.as_u16(), reason, message).to_json();
    let body = UpstreamBody::full(Bytes::from(text));
    let mut response =
        Response::new(ForwardBody { body, request: None, ending: None, place: None });
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

// === impl ForwardBody ===

impl ForwardBody {
    /// A body without content.
    pub(super) fn empty() -> Self {
        Self { body: UpstreamBody::full(Bytes::new()), request: None, ending: None, place: None }
    }

    /// Ends in an orderly way once `draining` is cancelled. For watches only, which may end at any
    /// time: any other answer would look complete without being it.
    pub(super) fn ending_with(
        mut self,
        draining: CancellationToken,
        counted: ForwardedWatch,
    ) -> Self {
        self.ending = Some(Box::pin(async move {
            draining.cancelled().await;
            drop(counted);
        }));
        self
    }

    /// Gives the place back when the answer has ended.
    pub(super) fn holding(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    fn end(&mut self) {
        self.place = None;
        if let Some(request) = self.request.take() {
            request.cancel();
        }
    }
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(ending) = &mut self.ending
            && ending.as_mut().poll(cx).is_ready()
        {
            *self = Self::empty();
            return Poll::Ready(None);
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "an answer broke off");
                self.end();
            }
            None => self.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl std::fmt::Debug for ForwardBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForwardBody").finish_non_exhaustive()
    }
}

impl Drop for ForwardBody {
    fn drop(&mut self) {
        self.end();
    }
}
