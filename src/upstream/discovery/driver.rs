//! Keeps the type table true: reads upstream's documents, follows definitions and API services.
//!
//! The two kinds are read through shards like any other reads, so a change is noticed as soon as
//! upstream's watch tells it. When a type goes, changes or moves to another server its shards are
//! closed: their watches end, as upstream ends them, and the next read opens new ones.

use std::{collections::HashSet, sync::Arc, time::Duration};

use compact_str::CompactString;

use foldhash::fast::FixedState;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::{
    api::{
        resource::{GroupVersionResource, ResourceType},
        version::ResourceVersion,
    },
    cache::watch_cache::Snapshot,
    codec::object::{Object, Representation},
    shards::{
        registry::{Need, Registry},
        shard::Shard,
    },
    upstream::{Lane, RequestBody, Upstream},
};

use super::{
    ServedType, TypeTable, Types,
    custom::{ApiService, CustomResourceDefinition},
    documents::{self, GroupList},
};

/// Reads and follows the types of one upstream.
#[derive(Debug)]
pub struct Discoverer {
    upstream: Upstream,
    registry: Arc<Registry>,
    types: Types,
    /// The minor version that upstream has, and another one that it claimed last.
    minor: Option<u32>,
    claimed: Option<u32>,
}

/// A shard that the table was read from, and its state then.
type Followed = Vec<(Arc<Shard>, State)>;

/// Generation and versions of a shard's objects: differs when any object does.
type State = (u64, Vec<ResourceVersion>);

/// Why the table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// Upstream could not be asked.
    #[error("{path}: {reason}")]
    Unreachable {
        /// What was asked for.
        path: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// Upstream answered something else than the document.
    #[error("{path}: upstream answered {status}; the gateway's identity needs get on it")]
    Refused {
        /// What was asked for.
        path: &'static str,
        /// Upstream's status.
        status: StatusCode,
    },
    /// The answer is not the document.
    #[error("{path}: not a discovery document: {reason}")]
    Malformed {
        /// What was asked for.
        path: &'static str,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
    /// A kind that decides about others can't be read: nothing may be cached without it.
    #[error("{0} can't be read: {1}")]
    Unfilled(GroupVersionResource, String),
}

/// Documents larger than this are refused; a large cluster's is about 1 MiB.
const MAX_DOCUMENT: usize = 64 << 20;

/// Built-in types change only with upstream's version; definitions are followed by watch.
const REREAD: Duration = Duration::from_secs(60);

/// Changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How long the first fill of definitions and API services may take.
const FILL_PATIENCE: Duration = Duration::from_secs(20);

/// Text for reads of the one built-in type that is deprecated as a whole.
const ENDPOINTS_WARNING: HeaderValue = HeaderValue::from_static(
    r#"299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice""#,
);

// === impl Discoverer ===

impl Discoverer {
    /// Will write what it finds into `types`.
    pub fn new(upstream: Upstream, registry: Arc<Registry>, types: Types) -> Self {
        Self { upstream, registry, types, minor: None, claimed: None }
    }

    /// Follows upstream until dropped. While the table can't be read, everything is forwarded.
    pub async fn run(mut self) {
        let mut wait = Duration::from_millis(250);
        loop {
            match self.read().await {
                Ok(followed) => {
                    wait = Duration::from_millis(250);
                    until_changed(&followed).await;
                }
                Err(error) => {
                    warn!(%error, retry_in = ?wait, "upstream's types can't be read");
                    sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(15));
                }
            }
        }
    }

    /// Reads everything once and shows the new table.
    ///
    /// # Errors
    /// [`DiscoveryError`]; the table shown before stays.
    pub async fn read(&mut self) -> Result<Followed, DiscoveryError> {
        let minor = self.settled_minor().await?;
        let core: GroupList = self.get("/api", documents::ACCEPT).await?;
        let groups: GroupList = self.get("/apis", documents::ACCEPT).await?;
        let built_in: Vec<_> = core.types().chain(groups.types()).map(Arc::new).collect();
        let follow = |group: &str, resource: &str| {
            let gvr = GroupVersionResource::new(group, "v1", resource);
            let found = built_in.iter().find(|candidate| candidate.gvr == gvr)?;
            self.registry.open(found, minor.into(), Representation::Json, Need::Gateway).ok()
        };
        let definitions = follow("apiextensions.k8s.io", "customresourcedefinitions");
        let services = follow("apiregistration.k8s.io", "apiservices");
        let definitions = filled(definitions).await?;
        let services = filled(services).await?;
        let custom = custom_types(&objects_of(definitions.as_ref()));
        let aggregated = aggregated(&objects_of(services.as_ref()));
        let custom_names: HashSet<_> =
            custom.iter().map(|served| served.resource.gvr.clone()).collect();
        let built_in = built_in
            .into_iter()
            .filter(|resource| !custom_names.contains(&resource.gvr))
            .map(|resource| served_built_in(resource, minor));
        let table = TypeTable::new(built_in.chain(custom).filter(|served| {
            let GroupVersionResource { group, version, .. } = &served.resource.gvr;
            !aggregated.iter().any(|other| (&other.0, &other.1) == (group, version))
        }));
        self.show(table);
        let followed = definitions.into_iter().chain(services);
        Ok(followed.map(|(shard, snapshot)| (shard, state_of(&snapshot))).collect())
    }

    /// Upstream's minor version. While its replicas are being upgraded it depends on who answers, so
    /// another one counts only when it was read twice in a row: all shards are filled anew then.
    async fn settled_minor(&mut self) -> Result<u32, DiscoveryError> {
        let read = self.upstream_minor().await?;
        let before = self.claimed.replace(read);
        if self.minor.is_none() || before == Some(read) {
            self.minor = Some(read);
        }
        Ok(self.minor.unwrap_or(read))
    }

    async fn upstream_minor(&self) -> Result<u32, DiscoveryError> {
        /// `/version`, as far as needed; managed offerings write `minor` as `33+`.
        #[derive(Deserialize)]
        struct Version {
            minor: String,
        }
        let version: Version = self.get("/version", "application/json").await?;
        let digits = version.minor.trim_end_matches(|other: char| !other.is_ascii_digit());
        Ok(digits.parse().unwrap_or(0))
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &'static str,
        accept: &'static str,
    ) -> Result<T, DiscoveryError> {
        let unreachable = |reason: String| DiscoveryError::Unreachable { path, reason };
        let request = Request::get(path)
            .header(header::ACCEPT, accept)
            .body(RequestBody::empty())
            .map_err(|error| unreachable(error.to_string()))?;
        let answer = timeout(FILL_PATIENCE, self.upstream.send(Lane::Gateway, request)).await;
        let response = answer
            .map_err(|_| unreachable("no answer in time".into()))?
            .map_err(|error| unreachable(error.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(DiscoveryError::Refused { path, status: response.status() });
        }
        let body = Limited::new(response.into_body(), MAX_DOCUMENT)
            .collect()
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        serde_json::from_slice(&body.to_bytes())
            .map_err(|reason| DiscoveryError::Malformed { path, reason })
    }

    /// Shows the table and closes the shards of types that are gone or different.
    fn show(&self, table: TypeTable) {
        let is_first = self.types.replace(table).is_empty();
        let now = self.types.table();
        if is_first {
            info!(types = now.len(), "upstream's types are known");
        }
        let closed = self.registry.close(|shard| {
            let served = now.get(&shard.key().gvr);
            served.is_none_or(|served| served.fingerprint != shard.fingerprint())
        });
        if closed > 0 {
            info!(closed, "types changed; their shards were closed");
        }
    }
}

/// Returns when a definition or API service changed, or it is time to look again.
async fn until_changed(followed: &Followed) {
    let mut receivers: Vec<_> = followed.iter().map(|(shard, _)| shard.progress()).collect();
    let changed = async {
        if receivers.is_empty() {
            std::future::pending::<()>().await;
        }
        // Compared before the first wait: a change may have come while the table was made.
        while followed.iter().all(|(shard, seen)| {
            !shard.progress().borrow().closed
                && shard.snapshot().is_none_or(|snapshot| state_of(&snapshot) == *seen)
        }) {
            let any = receivers.iter_mut().map(|receiver| Box::pin(receiver.changed()));
            // An error says that the shard is gone: look again.
            if futures_util::future::select_all(any).await.0.is_err() {
                return;
            }
        }
        sleep(DEBOUNCE).await;
    };
    if timeout(REREAD, changed).await.is_ok() {
        debug!("a definition or API service changed");
    }
}

fn state_of(snapshot: &Snapshot) -> State {
    let versions = snapshot.objects.range(..).map(Object::resource_version).collect();
    (snapshot.generation, versions)
}

fn served_built_in(resource: Arc<ResourceType>, minor: u32) -> ServedType {
    let deprecated = resource.gvr == GroupVersionResource::new("", "v1", "endpoints");
    let warning = (deprecated && minor >= 33).then_some(ENDPOINTS_WARNING);
    ServedType { resource, warning, fingerprint: u64::from(minor) }
}

/// A shard with its state once it is filled.
async fn filled(
    shard: Option<Arc<Shard>>,
) -> Result<Option<(Arc<Shard>, Arc<Snapshot>)>, DiscoveryError> {
    let Some(shard) = shard else { return Ok(None) };
    let settled = shard.wait_until(FILL_PATIENCE, |progress| progress.version.is_some()).await;
    match settled.and_then(|_| shard.snapshot()) {
        Some(snapshot) => Ok(Some((shard, snapshot))),
        None => {
            let reason = shard.progress().borrow().failure.clone();
            let reason = reason.map_or_else(|| "not filled in time".into(), String::from);
            Err(DiscoveryError::Unfilled(shard.key().gvr.clone(), reason))
        }
    }
}

fn objects_of(filled: Option<&(Arc<Shard>, Arc<Snapshot>)>) -> Vec<Object> {
    filled.map_or_else(Vec::new, |(_, snapshot)| snapshot.objects.range(..).cloned().collect())
}

fn custom_types(definitions: &[Object]) -> Vec<ServedType> {
    let hasher = FixedState::default();
    let mut types = Vec::new();
    for object in definitions {
        let text = whole(object);
        let parsed = serde_json::from_slice::<CustomResourceDefinition<'_>>(&text)
            .and_then(|definition| definition.types(&hasher));
        match parsed {
            Ok(served) => types.extend(served),
            Err(error) => {
                warn!(definition = %object.key(), %error, "unreadable; its types are forwarded");
            }
        }
    }
    types
}

/// Groups and versions that another server answers for. One that can't be read counts as such.
fn aggregated(services: &[Object]) -> Vec<(CompactString, CompactString)> {
    let mut aggregated = Vec::new();
    for object in services {
        match serde_json::from_slice::<ApiService>(&whole(object)) {
            Ok(service) => aggregated.extend(
                service.aggregated().map(|(group, version)| (group.into(), version.into())),
            ),
            Err(error) => {
                warn!(service = %object.key(), %error, "unreadable; its group is forwarded");
                // An APIService is called `version.group`, and `version.` for the core group.
                let name = object.key().name();
                let (version, group) = name.split_once('.').unwrap_or((name, ""));
                aggregated.push((group.into(), version.into()));
            }
        }
    }
    aggregated
}

/// The JSON object of a core, without its kind.
fn whole(object: &Object) -> Vec<u8> {
    [b"{", object.core.as_ref()].concat()
}
