//! What a scrape of the metrics reads from the running program: nothing of it is counted as it happens.

use std::sync::{Arc, Weak};

use tokio::runtime::RuntimeMetrics;

use crate::{
    identity::access::Access,
    runtime::{Core, Cores, Tasks},
    shards::{counted, pressure::Budgets, registry::Registry},
    telemetry::metrics::{Metrics, Samples, process},
    upstream::Upstream,
};

/// The parts that hold what is read.
pub(super) struct Sampled {
    pub(super) upstream: Upstream,
    pub(super) access: Access,
    pub(super) budgets: Budgets,
}

// === impl Sampled ===

impl Sampled {
    /// Lets every scrape read these parts, until the program ends.
    pub(super) fn read_by(self, metrics: &Metrics, registry: &Arc<Registry>, cores: &Cores) {
        let Self { upstream, access, budgets } = self;
        let registry: Weak<Registry> = Arc::downgrade(registry);
        let tasks = cores.background_tasks().clone();
        let cores: Vec<(Arc<Core>, RuntimeMetrics)> = cores
            .placer()
            .cores()
            .iter()
            .map(|core| (Arc::clone(core), core.runtime().metrics()))
            .collect();
        metrics.read_with(move |samples| {
            if let Some(registry) = registry.upgrade() {
                counted::sample(&registry, &budgets, samples);
            }
            upstream.sample(samples);
            access.sample(samples);
            sample_cores(&cores, &tasks, samples);
        });
    }
}

fn sample_cores(cores: &[(Arc<Core>, RuntimeMetrics)], tasks: &Tasks, samples: &mut Samples) {
    for (core, runtime) in cores {
        let index = core.index().to_string();
        samples.count(&process::CONNECTIONS, &[&index], core.load() as u64);
        let busy = runtime.worker_total_busy_duration(0).as_secs_f64();
        samples.value(&process::BUSY, &[&index], busy);
    }
    samples.count(&process::PANICS, &[], tasks.panics());
}
