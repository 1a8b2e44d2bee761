//! The counters of one shard, found once when it is opened, and what all shards hold, as a scrape reads
//! it. What the numbers mean stands beside their definitions.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use compact_str::CompactString;
use hashbrown::HashMap;

use crate::{
    api::resource::GroupVersionResource,
    telemetry::metrics::{
        Metrics, Samples, cache,
        resource::Resource,
        watches::{self, ResourceWatches},
    },
};

use super::{
    pressure::Budgets,
    registry::Registry,
    shard::{Figures, Shard, ShardKey},
};

/// What a shard counts with.
#[derive(Clone, Debug)]
pub struct Counted {
    metrics: Metrics,
    received: Arc<AtomicU64>,
    watches: Arc<ResourceWatches>,
}

// === impl Counted ===

impl Counted {
    pub(super) fn new(metrics: &Metrics, key: &ShardKey) -> Self {
        let watches = metrics.watches.of(resource(key));
        let received = watches.received(key.representation.name());
        Self { metrics: metrics.clone(), received, watches }
    }

    /// Events came from upstream.
    pub(super) fn received(&self, events: usize) {
        self.received.fetch_add(events as u64, Relaxed);
    }

    /// The counters of this resource's watchers.
    pub fn watches(&self) -> &ResourceWatches {
        &self.watches
    }

    /// The counters of what happens to shards.
    pub fn cache(&self) -> &cache::Cache {
        &self.metrics.cache
    }
}

fn resource(key: &ShardKey) -> Resource<'_> {
    Resource { group: &key.gvr.group, resource: &key.gvr.resource }
}

/// What the open shards hold, and what they may.
pub fn sample(registry: &Registry, budgets: &Budgets, samples: &mut Samples) {
    let (mut objects, mut history) = (0, 0);
    let mut open: HashMap<(CompactString, CompactString), u64> = HashMap::new();
    for shard in registry.all() {
        let figures = sample_shard(&shard, samples);
        let GroupVersionResource { group, resource, .. } = shard.key().gvr.clone();
        *open.entry((group, resource)).or_default() += figures.watchers;
        objects += figures.object_bytes + figures.past_bytes;
        history += figures.log_bytes;
    }
    for ((group, resource), watchers) in open {
        samples.count(&watches::OPEN, &[&group, &resource, "memory"], watchers);
    }
    for (kind, budget, used) in
        [("objects", budgets.objects, objects), ("history", budgets.history, history)]
    {
        samples.count(&cache::BUDGET, &[kind], budget);
        samples.count(&cache::USED, &[kind], used);
    }
    samples.count(&cache::FULL, &[], registry.is_full().into());
}

fn sample_shard(shard: &Shard, samples: &mut Samples) -> Figures {
    let key = shard.key();
    let representation = key.representation.name();
    let labels: &[&str] = &[&key.gvr.group, &key.gvr.version, &key.gvr.resource, representation];
    let version = shard.resource_version().map(|version| version.get());
    let figures = shard.figures();
    samples.count(&cache::FILLED, labels, version.is_some().into());
    samples.count(&cache::RESOURCE_VERSION, labels, version.unwrap_or(0));
    samples.count(&cache::OBJECTS, labels, figures.objects as u64);
    samples.count(&cache::OBJECT_BYTES, labels, figures.object_bytes);
    samples.count(&cache::PAST_BYTES, labels, figures.past_bytes);
    samples.count(&cache::HISTORY_EVENTS, labels, figures.log_events as u64);
    samples.count(&cache::HISTORY_BYTES, labels, figures.log_bytes);
    let indexed = figures.audiences - figures.unindexed_audiences;
    for (word, audiences) in [("true", indexed), ("false", figures.unindexed_audiences)] {
        let labels = [labels, &[word]].concat();
        samples.count(&watches::AUDIENCES, &labels, audiences as u64);
    }
    figures
}
