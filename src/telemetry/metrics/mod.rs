//! Metrics: what is counted, and how it is exposed to Prometheus.
//!
//! A [`Metrics`] value is handed down to whoever counts; there is no global registry. What happens often
//! is counted per core ([`per_core`]) and added up by a scrape; what can be read at any time (what shards
//! hold, open connections) is not counted at all, but read by a scrape through the [`Reader`]s that the
//! program adds. Every family stands in [`CATALOGUE`]. Labels are bounded, and hold no secret: names of
//! types that upstream serves, and words of this program.

pub mod access;
pub mod admission;
mod by_word;
pub mod cache;
pub mod definition;
pub mod histogram;
pub mod per_core;
pub mod process;
pub mod proofs;
pub mod requests;
pub mod resource;
pub mod upstream;
pub mod watches;

use std::{fmt, sync::Arc};

use parking_lot::RwLock;
use prometheus::{
    Registry, TextEncoder,
    core::{Collector, Desc},
    process_collector::ProcessCollector,
    proto::MetricFamily,
};

pub use self::definition::{Definition, Samples};

/// All counters of the program; cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    counters: Arc<Counters>,
}

/// The counters, by noun.
#[derive(Debug)]
pub struct Counters {
    /// Requests of clients.
    pub requests: requests::Requests,
    /// Watches.
    pub watches: watches::Watches,
    /// Shards.
    pub cache: cache::Cache,
    /// Requests to the API server.
    pub upstream: upstream::Upstream,
    /// Proofs of freshness.
    pub proofs: proofs::Proofs,
    /// Access reviews.
    pub access: access::Access,
    /// Reads that wait.
    pub admission: admission::Admission,
    readers: Readers,
}

/// Reads values at the time of a scrape. It may take locks, but not wait.
pub type Reader = Box<dyn Fn(&mut Samples) + Send + Sync>;

/// What renders the metrics: the registry, with everything in it.
#[derive(Clone, Debug)]
pub struct Exposition {
    registry: Registry,
}

/// The content type of what [`Exposition::render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Default)]
struct Readers(RwLock<Vec<Reader>>);

/// Everything of this program's own, as the registry asks for it.
struct Own {
    metrics: Metrics,
    descriptions: Vec<Desc>,
}

/// Every family of this program's own, by what it is about.
pub static CATALOGUE: [(&str, &[&Definition]); 8] = [
    ("Requests", &requests::ALL),
    ("Watches", &watches::ALL),
    ("The cache", &cache::ALL),
    ("Freshness proofs", &proofs::ALL),
    ("Access reviews", &access::ALL),
    ("Admission", &admission::ALL),
    ("Towards the API server", &upstream::ALL),
    ("The process", &process::ALL),
];

// === impl Metrics ===

impl Metrics {
    /// Counters for a program on so many cores, all at 0.
    pub fn new(cores: usize) -> Self {
        Self {
            counters: Arc::new(Counters {
                requests: requests::Requests::new(cores),
                watches: watches::Watches::new(cores),
                cache: cache::Cache::new(),
                upstream: upstream::Upstream::new(),
                proofs: proofs::Proofs::new(),
                access: access::Access::new(),
                admission: admission::Admission::new(),
                readers: Readers::default(),
            }),
        }
    }

    /// Lets every scrape read these values, too.
    pub fn read_with(&self, reader: impl Fn(&mut Samples) + Send + Sync + 'static) {
        self.counters.readers.0.write().push(Box::new(reader));
    }

    /// What renders these metrics and those of the process.
    ///
    /// # Errors
    /// Two families have the same name, or one that Prometheus does not take.
    pub fn exposition(&self) -> prometheus::Result<Exposition> {
        let registry = Registry::new();
        let definitions = CATALOGUE.iter().flat_map(|(_, of)| *of);
        let descriptions = definitions.map(|it| it.description()).collect::<Result<_, _>>()?;
        registry.register(Box::new(Own { metrics: self.clone(), descriptions }))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Exposition { registry })
    }
}

impl std::ops::Deref for Metrics {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.counters
    }
}

impl Default for Metrics {
    /// Counters that nobody reads.
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("count", &self.0.read().len()).finish()
    }
}

// === impl Exposition ===

impl Exposition {
    /// All metrics in the text format of Prometheus. This takes longer the more shards there are, and
    /// takes the lock of each: not for a thread that serves connections.
    ///
    /// # Errors
    /// As the encoder: a family without values, which the registry leaves out.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

// === impl Own ===

impl Collector for Own {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut samples = Samples::default();
        let Counters { requests, watches, cache, upstream, proofs, access, admission, readers } =
            &*self.metrics;
        requests.sample(&mut samples);
        watches.sample(&mut samples);
        cache.sample(&mut samples);
        upstream.sample(&mut samples);
        proofs.sample(&mut samples);
        access.sample(&mut samples);
        admission.sample(&mut samples);
        process::sample(&mut samples);
        for reader in &*readers.0.read() {
            reader(&mut samples);
        }
        samples.into_families()
    }
}

#[cfg(test)]
mod tests;
