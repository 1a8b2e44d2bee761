//! The probe: a small consistent LIST that tells how far the store is.
//!
//! It asks for the metadata of a shard's first objects without a resourceVersion, so its version is
//! at least the store's when it was sent. When all objects fit, it tells more: if they are the
//! shard's, at the same versions, the shard's state *is* the state at the probe's version, however
//! far its own stream has come. That settles quiet, small resources without waiting.
//!
//! A larger one, the **sample**, is taken when a stream was lost: it tells whether the store behind
//! upstream can have had the history that the shard holds (`Probed::contradicts`), and where that
//! history must lead (`Probed::follows_from`).

use std::{ops::Bound, sync::Arc, time::Duration};

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
    cache::{
        beginning::Versions,
        watch_cache::{Snapshot, Violation},
    },
    codec::object::Object,
    upstream::{Lane, RequestBody, Upstream, UpstreamError, error::Cause},
};

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The version of the consistent answer.
    pub version: ResourceVersion,
    /// The first objects' keys and versions at that version, in the order of their keys.
    objects: Vec<(ObjectKey, ResourceVersion)>,
    /// Whether these are all.
    whole: bool,
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

/// As many objects are looked at after a stream was lost, which happens rarely.
const SAMPLED: usize = 500;

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

// === impl ProbeError ===

impl ProbeError {
    /// Whether upstream is there and answered, but not with what was asked.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Refused(_) | Self::NotAList(_) | Self::Version(_) => true,
            Self::Request(_) | Self::Upstream(_) | Self::Broken(_) | Self::TooSlow => false,
        }
    }
}

// === impl Probed ===

impl Probed {
    /// Whether `snapshot` holds exactly the objects that the store had at the probe's version.
    pub fn is_state_of(&self, snapshot: &Snapshot) -> bool {
        self.whole && self.is_part_of(snapshot)
    }

    /// Whether the objects that the probe saw are those that `snapshot` holds in that range of keys.
    pub(super) fn is_part_of(&self, snapshot: &Snapshot) -> bool {
        let held = match self.last() {
            None => snapshot.objects.len(),
            Some(last) => {
                snapshot.objects.count((Bound::Unbounded, Bound::Included(last.as_str())))
            }
        };
        held == self.objects.len()
            && self.objects.iter().all(|(key, version)| {
                let held = snapshot.objects.get(key.as_str());
                held.is_some_and(|object| object.resource_version() == *version)
            })
    }

    /// Whether the store that was probed can't have had the state of `held`, which was taken before
    /// the probe: it is older, or holds an object from before `held` that `held` does not.
    pub(super) fn contradicts(&self, held: &Snapshot) -> Option<Violation> {
        let (found, shown) = (self.version, held.resource_version);
        if found < shown {
            return Some(Violation::WentBack { found, shown });
        }
        let surprise = self.objects.iter().any(|(key, version)| {
            let same = || held.objects.get(key.as_str()).map(Object::resource_version);
            *version <= shown && same() != Some(*version)
        });
        surprise.then_some(Violation::Rewritten { found, shown })
    }

    /// Whether a history that has these versions at the probe's version leads to what the probe saw.
    pub(super) fn follows_from(&self, versions: &Versions) -> bool {
        let last = self.last();
        let seen = |key: &ObjectKey| last.is_none_or(|last| key <= last);
        versions.iter().filter(|(key, _)| seen(key)).count() == self.objects.len()
            && self.objects.iter().all(|(key, version)| versions.get(key) == Some(*version))
    }

    /// The last key that was seen, `None` when there is nothing beyond it.
    fn last(&self) -> Option<&ObjectKey> {
        self.objects.last().filter(|_| !self.whole).map(|(key, _)| key)
    }

    fn read(body: &[u8]) -> Result<Self, ProbeError> {
        let list: List =
            serde_json::from_slice(body).map_err(|error| ProbeError::NotAList(Arc::new(error)))?;
        let version = list.metadata.resource_version.parse()?;
        let whole = list.metadata.continue_token.is_empty();
        let objects = list.items.unwrap_or_default().into_iter().map(|Item { metadata }| {
            let version = metadata.resource_version.parse()?;
            Ok((ObjectKey::new(&metadata.namespace, &metadata.name), version))
        });
        Ok(Self { version, objects: objects.collect::<Result<_, ProbeError>>()?, whole })
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
    ask(upstream, gvr, limit).await
}

/// Looks at the first objects of a resource after a stream of it was lost.
///
/// # Errors
/// [`ProbeError`]: nothing is known of the store.
pub(super) async fn sample(
    upstream: &Upstream,
    gvr: &GroupVersionResource,
) -> Result<Probed, ProbeError> {
    ask(upstream, gvr, SAMPLED).await
}

async fn ask(
    upstream: &Upstream,
    gvr: &GroupVersionResource,
    limit: usize,
) -> Result<Probed, ProbeError> {
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
        assert_eq!(probed.objects, [(ObjectKey::new("a", "x"), version(7))]);
        assert!(probed.whole);
        let cut = br#"{"metadata":{"resourceVersion":"9","continue":"abc"},"items":[]}"#;
        assert!(!Probed::read(cut).unwrap().whole);
        let empty = br#"{"metadata":{"resourceVersion":"9","continue":""},"items":null}"#;
        let empty = Probed::read(empty).unwrap();
        assert!(empty.whole && empty.objects.is_empty());
        for bad in [&b"{}"[..], b"", br#"{"metadata":{"resourceVersion":"0"}}"#] {
            Probed::read(bad).unwrap_err();
        }
    }

    mod histories {
        use std::time::{Duration, Instant};

        use super::*;
        use crate::cache::{
            fixture::{Pod, codec, version},
            log::LogBudget,
            map::OrderedMap,
            watch_cache::{Arrival, WatchCache},
        };

        /// A cache filled at version 20 with a at 5 and c at 15.
        fn cache() -> WatchCache {
            let budget = LogBudget { bytes: 1 << 20, age: Duration::from_secs(60) };
            let mut cache = WatchCache::new(&codec(), budget);
            let objects = [Pod::new("ns", "a", 5), Pod::new("ns", "c", 15)].map(|pod| pod.object());
            let objects = OrderedMap::from_objects(codec().item_join(), objects.to_vec());
            cache.fill(Arrival::new(objects, version(20))).0.unwrap();
            cache
        }

        fn probed(at: u64, objects: &[(&str, u64)], whole: bool) -> Probed {
            let objects = objects.iter();
            let objects = objects.map(|(name, at)| (ObjectKey::new("ns", name), version(*at)));
            Probed { version: version(at), objects: objects.collect(), whole }
        }

        #[test]
        fn a_store_that_goes_on_is_not_contradicted() {
            let held = cache().snapshot().unwrap();
            for objects in
                [&[("a", 5), ("c", 15)][..], &[("a", 5)], &[], &[("a", 25), ("b", 21), ("c", 15)]]
            {
                assert_eq!(probed(30, objects, true).contradicts(&held), None, "{objects:?}");
            }
            assert_eq!(probed(20, &[("a", 5), ("c", 15)], true).contradicts(&held), None);
        }

        #[test]
        fn what_was_never_shown_tells_of_another_history() {
            let held = cache().snapshot().unwrap();
            let (found, shown) = (version(30), version(20));
            for objects in [
                // Changed back, changed otherwise, back from the dead.
                &[("a", 5), ("c", 9)][..],
                &[("a", 6)],
                &[("a", 5), ("b", 3)],
            ] {
                let violation = probed(30, objects, false).contradicts(&held);
                assert_eq!(violation, Some(Violation::Rewritten { found, shown }), "{objects:?}");
            }
            let older = probed(19, &[], true).contradicts(&held);
            assert_eq!(older, Some(Violation::WentBack { found: version(19), shown }));
        }

        #[test]
        fn a_resumed_stream_must_lead_to_what_was_probed() {
            let mut cache = cache();
            let events = [
                Pod::new("ns", "b", 25).event("ADDED"),
                Pod::new("ns", "c", 29).event("DELETED"),
                Pod::new("ns", "b", 33).event("MODIFIED"),
                Pod::new("ns", "d", 35).event("ADDED"),
            ];
            cache.apply(events, Instant::now()).1.unwrap();
            let versions = cache.beginning().unwrap().versions_at(version(30));
            assert!(probed(30, &[("a", 5), ("b", 25)], true).follows_from(&versions));
            assert!(probed(30, &[("a", 5)], false).follows_from(&versions), "as far as it saw");
            for (objects, whole) in [
                (&[("a", 5)][..], true),
                (&[("b", 25)], false),
                (&[("a", 5), ("b", 33)], true),
                (&[("a", 5), ("b", 25), ("c", 15)], true),
            ] {
                assert!(!probed(30, objects, whole).follows_from(&versions), "{objects:?}");
            }
            let held = cache.snapshot().unwrap();
            assert!(probed(40, &[("a", 5), ("b", 33), ("d", 35)], true).is_state_of(&held));
            assert!(!probed(40, &[("a", 5), ("b", 33)], false).is_state_of(&held));
            assert!(probed(40, &[("a", 5), ("b", 33)], false).is_part_of(&held));
            assert!(!probed(40, &[("b", 33)], false).is_part_of(&held));
        }
    }
}
