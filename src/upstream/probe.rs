//! The probe: a small consistent LIST that tells how far the store is.
//!
//! It asks for the metadata of a shard's first objects without a resourceVersion, so its version is
//! at least the store's when it was sent. When all objects fit, it tells more: if they are the
//! shard's, at the same versions, the shard's state *is* the state at the probe's version, however
//! far its own stream has come. That settles quiet, small resources without waiting.

use std::{sync::Arc, time::Duration};

use compact_str::CompactString;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    api::{
        object_key::ObjectKey,
        resource::GroupVersionResource,
        version::{InvalidResourceVersion, ResourceVersion},
    },
    cache::watch_cache::Snapshot,
    upstream::{Lane, RequestBody, Upstream, UpstreamError, error::Cause},
};

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The version of the consistent answer.
    pub version: ResourceVersion,
    /// Every object's key and version at that version; `None` when there are too many.
    objects: Option<Vec<(ObjectKey, ResourceVersion)>>,
}

/// A probe that found nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// The resource's path is none.
    #[error("the request cannot be written: {0}")]
    Request(Arc<http::Error>),
    /// Upstream gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Upstream answered something else than a list.
    #[error("upstream answered {0}")]
    Refused(StatusCode),
    /// The answer broke off, or is too long.
    #[error("the answer broke off: {0}")]
    Broken(Cause),
    /// The answer is not the JSON of a list.
    #[error("not a list: {0}")]
    NotAList(Arc<serde_json::Error>),
    /// The list or an object in it has no version.
    #[error("not a list: {0}")]
    Version(#[from] InvalidResourceVersion),
    /// No answer in time.
    #[error("no answer within {PATIENCE:?}")]
    TooSlow,
}

/// As many objects are compared: about 100 KB of metadata, a millisecond of upstream's.
const COMPARED: usize = 100;

/// An object's metadata may be large: annotations alone up to 256 KiB.
const MAX_ANSWER: usize = 64 << 20;

/// Upstream answers such a read within milliseconds, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a probe accepts: every type can be asked for it, and it is small.
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

#[derive(Deserialize)]
struct List {
    metadata: ListMetadata,
    #[serde(default)]
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue", default)]
    continue_token: String,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemMetadata {
    name: CompactString,
    #[serde(default)]
    namespace: CompactString,
    resource_version: String,
}

// === impl Probed ===

impl Probed {
    /// Whether `snapshot` holds exactly the objects that the store had at the probe's version.
    pub fn is_state_of(&self, snapshot: &Snapshot) -> bool {
        self.objects.as_ref().is_some_and(|objects| {
            objects.len() == snapshot.objects.len()
                && objects.iter().all(|(key, version)| {
                    let held = snapshot.objects.get(key.as_str());
                    held.is_some_and(|object| object.resource_version() == *version)
                })
        })
    }

    fn read(body: &[u8]) -> Result<Self, ProbeError> {
        let list: List =
            serde_json::from_slice(body).map_err(|error| ProbeError::NotAList(Arc::new(error)))?;
        let version = list.metadata.resource_version.parse()?;
        if !list.metadata.continue_token.is_empty() {
            return Ok(Self { version, objects: None });
        }
        let objects = list.items.unwrap_or_default().into_iter().map(|Item { metadata }| {
            let version = metadata.resource_version.parse()?;
            Ok((ObjectKey::new(&metadata.namespace, &metadata.name), version))
        });
        Ok(Self { version, objects: Some(objects.collect::<Result<_, ProbeError>>()?) })
    }
}

/// Probes a resource of which about `held` objects are known.
///
/// # Errors
/// [`ProbeError`]: nothing is known of the store.
pub(super) async fn probe(
    upstream: &Upstream,
    gvr: &GroupVersionResource,
    held: usize,
) -> Result<Probed, ProbeError> {
    let limit = if held > COMPARED { 1 } else { COMPARED + 1 };
    let request = Request::get(format!("{}?limit={limit}", gvr.path()))
        .header(header::ACCEPT, METADATA_LIST)
        .body(RequestBody::empty())
        .map_err(|error| ProbeError::Request(Arc::new(error)))?;
    let answer = async {
        let response = upstream.send(Lane::Gateway, request).await?;
        if response.status() != StatusCode::OK {
            return Err(ProbeError::Refused(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Probed::read(&body.map_err(|error| ProbeError::Broken(error.into()))?.to_bytes())
    };
    timeout(PATIENCE, answer).await.unwrap_or(Err(ProbeError::TooSlow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_and_cut_lists() {
        let whole = br#"{"metadata":{"resourceVersion":"9"},"items":[
            {"metadata":{"name":"x","namespace":"a","resourceVersion":"7","uid":"u"}}]}"#;
        let probed = Probed::read(whole).unwrap();
        let version = |number| ResourceVersion::new(number).unwrap();
        assert_eq!(probed.version, version(9));
        assert_eq!(probed.objects, Some(vec![(ObjectKey::new("a", "x"), version(7))]));
        let cut = br#"{"metadata":{"resourceVersion":"9","continue":"abc"},"items":[]}"#;
        assert_eq!(Probed::read(cut).unwrap(), Probed { version: version(9), objects: None });
        let empty = br#"{"metadata":{"resourceVersion":"9","continue":""},"items":null}"#;
        assert_eq!(Probed::read(empty).unwrap().objects, Some(vec![]));
        for bad in [&b"{}"[..], b"", br#"{"metadata":{"resourceVersion":"0"}}"#] {
            Probed::read(bad).unwrap_err();
        }
    }
}
