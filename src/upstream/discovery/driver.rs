//! Keeps the type table true: reads upstream's documents, follows definitions and API services.
//!
//! The two kinds are read through shards like any other reads, so a change is noticed as soon as
//! upstream's watch tells it. When a type goes, changes or moves to another server its shards are
//! closed: their watches end, as upstream ends them, and the next read opens new ones.

use std::{collections::HashSet, hash::BuildHasher, sync::Arc, time::Duration};

use compact_str::CompactString;

use foldhash::fast::FixedState;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
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
    upstream::{Lane, RequestBody, Upstream, UpstreamBody},
};

use super::{
    ServedType, TypeTable, Types,
    custom::{ApiService, CustomResourceDefinition},
    documents::{self, GroupList},
    release::{Settling, Standing, VersionDocument, WATCH_LIST_PROBE, watch_list_gate},
};

/// Reads and follows the types of one upstream.
#[derive(Debug)]
pub struct Discoverer {
    upstream: Upstream,
    registry: Arc<Registry>,
    types: Types,
    settling: Settling,
    /// Counts connections to upstream: behind a new one may be another API server.
    connections: watch::Receiver<u64>,
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

/// When to look again while upstream's answers about itself differ.
const REREAD_UNSETTLED: Duration = Duration::from_secs(3);

/// New connections are a reason to look again, but not more often than this.
const REREAD_CONNECTED: Duration = Duration::from_secs(1);

/// Changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How long the first fill of definitions and API services may take.
const FILL_PATIENCE: Duration = Duration::from_secs(20);

/// Text for reads of the one built-in type that is deprecated as a whole, in all known releases.
const ENDPOINTS_WARNING: HeaderValue = HeaderValue::from_static(
    r#"299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice""#,
);

// === impl Discoverer ===

impl Discoverer {
    /// Will write what it finds into `types`.
    pub fn new(upstream: Upstream, registry: Arc<Registry>, types: Types) -> Self {
        let connections = upstream.connections_opened();
        Self { upstream, registry, types, settling: Settling::default(), connections }
    }

    /// Follows upstream until dropped. While the table can't be read, everything is forwarded.
    pub async fn run(mut self) {
        let mut wait = Duration::from_millis(250);
        loop {
            match self.read().await {
                Ok(followed) => {
                    wait = Duration::from_millis(250);
                    self.rest(&followed).await;
                }
                Err(error) => {
                    warn!(%error, retry_in = ?wait, "upstream's types can't be read");
                    // Whatever gets a connection first tells that upstream is back.
                    let _early = timeout(wait, changed_for_good(&mut self.connections)).await;
                    sleep(Duration::from_millis(250)).await;
                    wait = (wait * 2).min(Duration::from_secs(15));
                }
            }
        }
    }

    /// Returns when there is a reason to read everything again.
    async fn rest(&mut self, followed: &Followed) {
        let longest = if self.settling.is_settled() { REREAD } else { REREAD_UNSETTLED };
        let connected = async {
            sleep(REREAD_CONNECTED).await;
            changed_for_good(&mut self.connections).await;
        };
        tokio::select! {
            () = until_changed(followed) => debug!("a definition or API service changed"),
            () = connected => debug!("connected to upstream anew"),
            () = sleep(longest) => {}
        }
    }

    /// Reads everything once and shows the new table.
    ///
    /// # Errors
    /// [`DiscoveryError`]; the table shown before stays.
    pub async fn read(&mut self) -> Result<Followed, DiscoveryError> {
        // Connections from now on may lead to another server than the one that is asked now.
        self.connections.borrow_and_update();
        let standing = self.standing().await?;
        let Some(rules) = standing.rules else {
            self.show(TypeTable::of_unknown_release());
            return Ok(Vec::new());
        };
        let core: GroupList = self.get("/api", documents::ACCEPT).await?;
        let groups: GroupList = self.get("/apis", documents::ACCEPT).await?;
        let built_in: Vec<_> = core.types().chain(groups.types()).map(Arc::new).collect();
        let follow = |group: &str, resource: &str| {
            let gvr = GroupVersionResource::new(group, "v1", resource);
            let found = built_in.iter().find(|candidate| candidate.gvr == gvr)?;
            let fingerprint = standing.fingerprint;
            self.registry.open(found, fingerprint, Representation::Json, Need::Gateway).ok()
        };
        let definitions = follow("apiextensions.k8s.io", "customresourcedefinitions");
        let services = follow("apiregistration.k8s.io", "apiservices");
        let definitions = filled(definitions).await?;
        let services = filled(services).await?;
        let custom = custom_types(&objects_of(definitions.as_ref()), standing);
        let aggregated = aggregated(&objects_of(services.as_ref()));
        let custom_names: HashSet<_> =
            custom.iter().map(|served| served.resource.gvr.clone()).collect();
        let built_in = built_in
            .into_iter()
            .filter(|resource| !custom_names.contains(&resource.gvr))
            .map(|resource| served_built_in(resource, standing));
        let table = TypeTable::new(built_in.chain(custom).filter(|served| {
            let GroupVersionResource { group, version, .. } = &served.resource.gvr;
            !aggregated.iter().any(|other| (&other.0, &other.1) == (group, version))
        }));
        self.show(table.under(rules));
        let followed = definitions.into_iter().chain(services);
        Ok(followed.map(|(shard, snapshot)| (shard, state_of(&snapshot))).collect())
    }

    /// What upstream is, by its own words.
    async fn standing(&mut self) -> Result<Standing, DiscoveryError> {
        let version: VersionDocument = self.get("/version", "application/json").await?;
        let probe = Request::get(WATCH_LIST_PROBE).header(header::ACCEPT, "application/json");
        // The answer's head says it; the stream behind it is cancelled.
        let gate = watch_list_gate(self.send("/apis/apiextensions.k8s.io", probe).await?.status());
        let standing = self.settling.note(version, gate);
        let before = self.types.table();
        if let Some(version) = self.settling.version() {
            match standing.rules {
                None if !before.is_of_unknown_release() => {
                    warn!(%version, "upstream's release is not known; everything is forwarded");
                }
                Some(rules) if !before.is_read() || before.rules() != rules => {
                    info!(%version, watch_list = ?rules.watch_list(), "upstream's release");
                }
                _ => {}
            }
        }
        Ok(standing)
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &'static str,
        accept: &'static str,
    ) -> Result<T, DiscoveryError> {
        let unreachable = |reason: String| DiscoveryError::Unreachable { path, reason };
        let response = self.send(path, Request::get(path).header(header::ACCEPT, accept)).await?;
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

    async fn send(
        &self,
        path: &'static str,
        request: http::request::Builder,
    ) -> Result<Response<UpstreamBody>, DiscoveryError> {
        let unreachable = |reason: String| DiscoveryError::Unreachable { path, reason };
        let request =
            request.body(RequestBody::empty()).map_err(|error| unreachable(error.to_string()))?;
        let answer = timeout(FILL_PATIENCE, self.upstream.send(Lane::Gateway, request)).await;
        answer
            .map_err(|_| unreachable("no answer in time".into()))?
            .map_err(|error| unreachable(error.to_string()))
    }

    /// Shows the table and closes the shards of types that are gone or different.
    fn show(&self, table: TypeTable) {
        let is_first = !self.types.replace(table).is_read();
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

/// Returns when a definition or API service changed.
async fn until_changed(followed: &Followed) {
    let mut receivers: Vec<_> = followed.iter().map(|(shard, _)| shard.progress()).collect();
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
}

/// Returns when the number changed; never when nobody is left to change it.
async fn changed_for_good(number: &mut watch::Receiver<u64>) {
    if number.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn state_of(snapshot: &Snapshot) -> State {
    let versions = snapshot.objects.range(..).map(Object::resource_version).collect();
    (snapshot.generation, versions)
}

fn served_built_in(resource: Arc<ResourceType>, standing: Standing) -> ServedType {
    let deprecated = resource.gvr == GroupVersionResource::new("", "v1", "endpoints");
    let warning = deprecated.then_some(ENDPOINTS_WARNING);
    ServedType { resource, warning, fingerprint: standing.fingerprint }
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

fn custom_types(definitions: &[Object], standing: Standing) -> Vec<ServedType> {
    let hasher = FixedState::default();
    let mut types = Vec::new();
    for object in definitions {
        let text = whole(object);
        let parsed = serde_json::from_slice::<CustomResourceDefinition<'_>>(&text)
            .and_then(|definition| definition.types(&hasher));
        match parsed {
            Ok(served) => types.extend(served.into_iter().map(|served| {
                let fingerprint = hasher.hash_one((served.fingerprint, standing.fingerprint));
                ServedType { fingerprint, ..served }
            })),
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

#[cfg(test)]
mod tests;
