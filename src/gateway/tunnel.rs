//! Connections that leave HTTP: exec, attach, port-forward and WebSockets, as opaque bytes.
//!
//! Guarantees: each tunnel has a connection upstream of its own that presents no credential of the
//! gateway; bytes pass both ways with half-close, at most 32 KiB on the way in each direction, and
//! without an idle limit; the number of tunnels is bounded. An answer other than 101 is relayed as
//! any other.

use std::sync::Arc;

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, RETRY_AFTER, UPGRADE},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional_with_sizes,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    forward::{ForwardBody, relayed, status, unavailable},
    headers::remove_hop_by_hop,
};
use crate::upstream::{RequestBody, UpgradeOutcome, Upstream};

/// Bytes held per direction; Go's proxy copies with as many.
const COPY_BUFFER: usize = 32 << 10;

/// The open tunnels and their bound; cloning shares them.
#[derive(Clone)]
pub struct Tunnels {
    limit: usize,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

// === impl Tunnels ===

impl Tunnels {
    /// At most `limit` tunnels, all cut when `stop` is cancelled.
    pub fn new(limit: usize, stop: CancellationToken) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(limit));
        Self { limit, places, tasks: TaskTracker::new(), stop }
    }

    /// Tunnels that are open or being opened.
    pub fn count(&self) -> usize {
        self.limit - self.places.available_permits()
    }

    /// The tasks that copy, for whoever waits for them to end.
    pub const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Asks upstream to switch; when it does, answers 101 and copies from then on.
    pub(super) async fn open(
        &self,
        upstream: &Upstream,
        request: Request<RequestBody>,
        client: OnUpgrade,
    ) -> Response<ForwardBody> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let message =
                format!("all {} upgraded connections of the gateway are in use", self.limit);
            let mut answer =
                status(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &message);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return answer;
        };
        let method = request.method().clone();
        match upstream.send_upgrade(request).await {
            Ok(UpgradeOutcome::Response(answer)) => relayed(answer, None),
            Ok(UpgradeOutcome::Switched(answer, server)) => {
                let stop = self.stop.clone();
                self.tasks.spawn(async move {
                    let copying = copy(client, server, place);
                    tokio::select! {
                        () = copying => {}
                        () = stop.cancelled() => {}
                    }
                });
                switched(answer)
            }
            Err(error) => unavailable(&error, &method),
        }
    }
}

/// Upstream's 101 as the client gets it.
fn switched(answer: Response<()>) -> Response<ForwardBody> {
    let (mut parts, ()) = answer.into_parts();
    let protocol = parts.headers.get(UPGRADE).cloned();
    remove_hop_by_hop(&mut parts.headers);
    if let Some(protocol) = protocol {
        parts.headers.insert(UPGRADE, protocol);
    }
    parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let mut response = Response::new(ForwardBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = parts.headers;
    response
}

async fn copy(client: OnUpgrade, mut server: TokioIo<Upgraded>, _place: OwnedSemaphorePermit) {
    let mut client = match client.await {
        Ok(client) => TokioIo::new(client),
        Err(error) => {
            tracing::debug!(%error, "a client left before its connection was upgraded");
            return;
        }
    };
    let copied =
        copy_bidirectional_with_sizes(&mut client, &mut server, COPY_BUFFER, COPY_BUFFER).await;
    match copied {
        Ok((sent, received)) => tracing::debug!(sent, received, "an upgraded connection ended"),
        Err(error) => tracing::debug!(%error, "an upgraded connection broke"),
    }
}
