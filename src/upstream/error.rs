//! Why a request to the store has no answer, who is at fault, and whether it may be sent again.
//!
//! Every text names the host and never holds a credential, a header or a body.

use std::{error::Error, sync::Arc, time::Duration};

use super::credential::CredentialError;

/// The cause below an [`UpstreamError`], shared by all who waited for the same connection.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// A request that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The answer's body broke off.
    #[error("{host} broke off its answer: {cause}")]
    AnswerBroken {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What the connection said.
        cause: Cause,
    },
    /// The connection ended after the request was sent and before an answer.
    #[error("{host} closed the connection before it answered: {cause}")]
    ClosedBeforeAnswer {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What the connection said.
        cause: Cause,
    },
    /// No TCP connection came about.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What the operating system said about the last address tried.
        cause: Cause,
    },
    /// The gateway's own credential cannot be had.
    #[error("no credential for {host}: {source}")]
    Credential {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// Which part of which source failed.
        source: Arc<CredentialError>,
    },
    /// The lane holds as many connections as it may.
    #[error("all {limit} connections to {host} for {lane} requests are in use")]
    Exhausted {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// The lane's name.
        lane: &'static str,
        /// The lane's bound.
        limit: usize,
    },
    /// The HTTP connection could not be set up.
    #[error("cannot speak HTTP with {host}: {cause}")]
    Handshake {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What the HTTP library said.
        cause: Cause,
    },
    /// The request cannot be written as HTTP, for example because its authority is not one.
    #[error("the request cannot be sent to {host}: {cause}")]
    InvalidRequest {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What is wrong with it.
        cause: Cause,
    },
    /// The sender's body broke off, so the request could not be completed.
    #[error("the body of a request to {host} broke off: {cause}")]
    RequestBody {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What the body said.
        cause: Cause,
    },
    /// Upstream said that it has not looked at the request and will not.
    #[error("{host} refused the request unprocessed: {cause}")]
    Refused {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What the connection said.
        cause: Cause,
    },
    /// The connection was gone before any of the request was written.
    #[error("the connection to {host} ended before the request was written: {cause}")]
    Unsent {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What the connection said.
        cause: Cause,
    },
    /// A step of setting up a connection took too long.
    #[error("{step} with {host} took longer than {limit:?}")]
    Timeout {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// The step, such as `the TCP handshake`.
        step: &'static str,
        /// Its bound.
        limit: Duration,
    },
    /// TLS failed: usually a certificate that the trusted authorities did not sign.
    #[error("TLS with {host} failed: {cause}")]
    Tls {
        /// The upstream, as `host:port`.
        host: Arc<str>,
        /// What the TLS library said.
        cause: Cause,
    },
}

/// Whether sending the same request again could make it take effect twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Upstream has not seen it: any request may be sent again.
    Always,
    /// Upstream may have acted on it: only a request without effect may be sent again.
    IfSafe,
    /// Sending it again cannot help.
    Never,
}

/// Whose doing a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Downstream,
    /// The gateway's own: its limits or its credential.
    Internal,
    /// The store's, or the network's on the way to it.
    Upstream,
}

// === impl UpstreamError ===

impl UpstreamError {
    /// Whether the request may be sent again, as far as upstream is concerned. Whether its body
    /// can be had again is another matter.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Connect { .. }
            | Self::Credential { .. }
            | Self::Exhausted { .. }
            | Self::Handshake { .. }
            | Self::Refused { .. }
            | Self::Timeout { .. }
            | Self::Tls { .. }
            | Self::Unsent { .. } => Retry::Always,
            Self::AnswerBroken { .. } | Self::ClosedBeforeAnswer { .. } => Retry::IfSafe,
            Self::InvalidRequest { .. } | Self::RequestBody { .. } => Retry::Never,
        }
    }

    /// Whose doing it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Credential { .. } | Self::Exhausted { .. } => Fault::Internal,
            Self::InvalidRequest { .. } | Self::RequestBody { .. } => Fault::Downstream,
            _ => Fault::Upstream,
        }
    }

    /// Whether a request of this method may be sent again without acting twice.
    pub fn may_repeat(&self, method: &http::Method) -> bool {
        match self.retry() {
            Retry::Always => true,
            Retry::IfSafe => method.is_safe(),
            Retry::Never => false,
        }
    }

    /// Sorts what hyper said about a request that was handed to it.
    pub(super) fn from_exchange(host: Arc<str>, unsent: bool, error: hyper::Error) -> Self {
        if unsent {
            return Self::Unsent { host, cause: Arc::new(error) };
        }
        if error.is_user() {
            return Self::RequestBody { host, cause: Arc::new(error) };
        }
        if unprocessed(&error) {
            return Self::Refused { host, cause: Arc::new(error) };
        }
        Self::ClosedBeforeAnswer { host, cause: Arc::new(error) }
    }
}

/// Whether the peer promised (RFC 9113 §8.7) that it did not process the request: a stream refused,
/// or above the last one that a graceful GOAWAY accepts.
fn unprocessed(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(http2) = cause.downcast_ref::<h2::Error>() {
            let refused = http2.is_reset() && http2.reason() == Some(h2::Reason::REFUSED_STREAM);
            let going_away = http2.is_go_away() && http2.reason() == Some(h2::Reason::NO_ERROR);
            return http2.is_remote() && (refused || going_away);
        }
        source = cause.source();
    }
    false
}
