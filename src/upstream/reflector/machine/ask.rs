//! What a reflector asks for, as requests that a driver can send.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{api::version::ResourceVersion, codec::object::Representation};

use super::{Reflector, state::Next};

/// What the driver is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this request as the gateway and report with [`Reflector::answered`].
    Send(Ask),
    /// Find out whether upstream still has the history that the shard holds up to this version, and
    /// report with [`Reflector::probed`].
    Probe(ResourceVersion),
    /// Wait this long, then ask for the next step.
    Wait(Duration),
}

/// A request of the reflector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Path and query in origin form.
    pub target: String,
    /// The `Accept` header.
    pub accept: &'static str,
    /// A watch, read chunk by chunk; otherwise a list page, read whole.
    pub stream: bool,
    /// The first request of a fill: what it finds can't be older than what is shown now.
    pub begins_fill: bool,
    /// When upstream will end the stream at the latest; silence far beyond it is a dead peer.
    pub ends_after: Duration,
}

/// Objects per page of the fallback LIST, as client-go pages.
pub const PAGE_SIZE: u32 = 500;

// === impl Reflector ===

impl Reflector {
    pub(super) fn ask(&self, next: &Next, ends_after: Duration) -> Ask {
        let path = &self.path;
        let seconds = ends_after.as_secs();
        let watch = format!("{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}");
        let (target, stream) = match next {
            Next::Fill if self.watch_list => {
                (format!("{watch}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), true)
            }
            Next::Fill => (format!("{path}?limit={PAGE_SIZE}"), false),
            Next::Page(pages) => {
                let token = pages.continue_token.as_deref().unwrap_or_default();
                let token = utf8_percent_encode(token, NON_ALPHANUMERIC);
                (format!("{path}?limit={PAGE_SIZE}&continue={token}"), false)
            }
            Next::Watch { version, .. } => (format!("{watch}&resourceVersion={version}"), true),
        };
        let begins_fill = matches!(next, Next::Fill);
        let accept = accept(self.representation, stream);
        Ask { target, accept, stream, begins_fill, ends_after }
    }
}

/// What to ask for so that the bytes can be handed on as they are.
pub fn accept(representation: Representation, stream: bool) -> &'static str {
    match (representation, stream) {
        (Representation::Json, _) => "application/json",
        (Representation::JsonMetadata, true) => {
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        }
        (Representation::JsonMetadata, false) => {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        }
        (Representation::Protobuf, _) => "application/vnd.kubernetes.protobuf",
        (Representation::ProtobufMetadata, true) => {
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        }
        (Representation::ProtobufMetadata, false) => {
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        }
    }
}
