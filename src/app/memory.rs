//! Memory under watch: the budgets that the operator gave, held every two seconds and told in the log.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tracing::{info, warn};

use crate::{
    config::Config,
    shards::{
        pressure::{Budgets, Held, relieve},
        registry::Registry,
    },
    upstream::reflector::driver::Outgrown,
};

/// How often memory is looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// How often what is held is told, if it changed by a sixteenth or more.
const TOLD: Duration = Duration::from_secs(60);

/// The budgets of the command line.
pub(super) fn budgets(config: &Config) -> Budgets {
    let resources = config.resource_max_bytes.iter();
    Budgets {
        objects: config.cache_max_bytes.bytes(),
        history: config.history_max_bytes.bytes(),
        resources: resources
            .map(|(resource, size)| {
                let name = (resource.group.as_str().into(), resource.resource.as_str().into());
                (name, size.bytes())
            })
            .collect(),
    }
}

/// Keeps cached objects and histories within their budgets.
pub(super) async fn watch(registry: Arc<Registry>, budgets: Budgets) {
    let mut told = (Held::default(), Instant::now());
    loop {
        let held = relieve(&registry, &budgets);
        if told.1.elapsed() >= TOLD && differs(&held, &told.0) {
            tell(&held, &budgets);
            told = (held, Instant::now());
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Closes a shard that does not fit while it is being filled.
pub(super) fn when_outgrown(registry: Weak<Registry>) -> Outgrown {
    Arc::new(move |shard, no_room| {
        let bytes = no_room.needed;
        warn!(
            shard = %shard.key(), bytes,
            "closed while it was being filled: its objects do not fit the budget"
        );
        if let Some(registry) = registry.upgrade() {
            registry.close_for_memory(shard, bytes);
        }
    })
}

fn differs(held: &Held, told: &Held) -> bool {
    let differs = |now: u64, then: u64| now.abs_diff(then) > then / 16;
    differs(held.object_bytes, told.object_bytes)
        || differs(held.history_bytes, told.history_bytes)
        || differs(held.shards as u64, told.shards as u64)
}

fn tell(held: &Held, budgets: &Budgets) {
    let Held {
        shards,
        objects,
        object_bytes,
        deflated_bytes,
        place_bytes,
        past_bytes,
        pinned_bytes,
        history_bytes,
    } = *held;
    info!(
        shards,
        objects,
        object_bytes,
        deflated_bytes,
        place_bytes,
        past_bytes,
        pinned_bytes,
        cache_max_bytes = budgets.objects,
        history_bytes,
        history_max_bytes = budgets.history,
        "memory held by the cache"
    );
}
