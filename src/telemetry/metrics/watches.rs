//! Watches: who is open, what came from upstream, what went to clients, and how soon.
//!
//! Hot path: [`ResourceWatches::delivered`], once for each hand-over to a watcher. It writes cache lines
//! of its own core only, and reads the clock for one in eight.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use super::{
    definition::{Definition, Samples},
    histogram::{DELIVERY, Histogram, Observations},
    per_core::PerCore,
    resource::{OTHER, Resource},
};

/// Open watches.
pub static OPEN: Definition = Definition::gauge(
    "watchgate_watches",
    "Open watches, by who feeds them: memory, or upstream for those that were forwarded.",
    &["group", "resource", "source"],
);

/// Events from upstream.
pub static RECEIVED: Definition = Definition::counter(
    "watchgate_watch_events_received_total",
    "Events that the gateway's own watches brought from the API server, bookmarks not counted. Each \
     representation of a resource that clients ask for has a watch of its own.",
    &["group", "resource", "representation"],
);

/// Events to watchers.
pub static DELIVERED: Definition = Definition::counter(
    "watchgate_watch_events_delivered_total",
    "Events that were handed to watches served from memory: initial (the state with which a watch \
     begins), live, or replayed from the history, for a watch that resumes or was too slow. Forwarded \
     watches are not looked into.",
    &["group", "resource", "phase"],
);

/// Bytes to watchers.
pub static DELIVERED_BYTES: Definition = Definition::counter(
    "watchgate_watch_delivered_bytes_total",
    "Bytes of the events that were handed to watches served from memory: what the API server did not \
     have to send.",
    &["group", "resource"],
);

/// The delay of a live event.
pub static PROPAGATION: Definition = Definition::histogram(
    "watchgate_watch_propagation_seconds",
    "Time from the receipt of an event from the API server to its hand-over to a client's connection, \
     for one in eight hand-overs. A slow client's own delay is in it. How far the API server's watch \
     lags behind its store is not: nobody tells the gateway.",
    &[],
);

/// Audiences.
pub static AUDIENCES: Definition = Definition::gauge(
    "watchgate_watch_audiences",
    "Groups of watches with equal namespace, selectors and form. An event is judged once for each that \
     its index names; those without an index (no equality term) are asked about every event.",
    &["group", "version", "resource", "representation", "indexed"],
);

/// All of them.
pub(super) static ALL: [&Definition; 6] =
    [&OPEN, &RECEIVED, &DELIVERED, &DELIVERED_BYTES, &PROPAGATION, &AUDIENCES];

/// Counts events and forwarded watches.
#[derive(Debug)]
pub struct Watches {
    cores: usize,
    resources: RwLock<HashMap<(String, String), Arc<ResourceWatches>>>,
    propagation: Arc<PerCore<Histogram>>,
}

/// The part of one resource; resolved once by whoever counts.
#[derive(Debug)]
pub struct ResourceWatches {
    /// By representation.
    received: Mutex<HashMap<&'static str, Arc<AtomicU64>>>,
    delivered: PerCore<Delivered>,
    propagation: Arc<PerCore<Histogram>>,
    forwarded: AtomicI64,
}

/// How events came to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// As part of the state with which a watch begins.
    Initial,
    /// From the history.
    Replayed,
}

#[derive(Debug, Default)]
struct Delivered {
    initial: AtomicU64,
    live: AtomicU64,
    replayed: AtomicU64,
    bytes: AtomicU64,
}

/// A forwarded watch, counted until dropped.
#[derive(Debug)]
pub struct ForwardedWatch(Arc<ResourceWatches>);

/// Resources that are kept apart; later ones count as other ones.
pub(super) const MAX_RESOURCES: usize = 8192;

/// Of as many hand-overs one is timed. Reading the clock costs about 25 ns, a hand-over some 4 µs.
const TIMED: u64 = 8;

/// 2^64 divided by the golden ratio: multiples of it are spread evenly, whatever their stride. Watchers
/// are woken in the same order again and again; every eighth would always be the same one.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

// === impl Watches ===

impl Watches {
    pub(super) fn new(cores: usize) -> Self {
        let propagation = Arc::new(PerCore::new(cores, || Histogram::new(DELIVERY)));
        Self { cores, resources: RwLock::default(), propagation }
    }

    /// The counters of a resource, which must be of a type that upstream serves.
    pub fn of(&self, resource: Resource<'_>) -> Arc<ResourceWatches> {
        let key = (resource.group.to_owned(), resource.resource.to_owned());
        if let Some(counters) = self.resources.read().get(&key) {
            return Arc::clone(counters);
        }
        let mut resources = self.resources.write();
        let key = if resources.len() < MAX_RESOURCES || resources.contains_key(&key) {
            key
        } else {
            (OTHER.group.to_owned(), OTHER.resource.to_owned())
        };
        let new = || {
            Arc::new(ResourceWatches {
                received: Mutex::default(),
                delivered: PerCore::new(self.cores, Delivered::default),
                propagation: Arc::clone(&self.propagation),
                forwarded: AtomicI64::new(0),
            })
        };
        Arc::clone(resources.entry(key).or_insert_with(new))
    }

    pub(super) fn sample(&self, samples: &mut Samples) {
        for ((group, resource), counters) in self.resources.read().iter() {
            let forwarded = u64::try_from(counters.forwarded.load(Relaxed)).unwrap_or(0);
            if forwarded > 0 {
                samples.count(&OPEN, &[group, resource, "upstream"], forwarded);
            }
            for (representation, count) in counters.received.lock().iter() {
                samples.count(&RECEIVED, &[group, resource, representation], count.load(Relaxed));
            }
            let sum = |of: fn(&Delivered) -> &AtomicU64| {
                counters.delivered.iter().map(|core| of(core).load(Relaxed)).sum::<u64>()
            };
            for (phase, count) in [
                ("initial", sum(|core| &core.initial)),
                ("live", sum(|core| &core.live)),
                ("replayed", sum(|core| &core.replayed)),
            ] {
                samples.count(&DELIVERED, &[group, resource, phase], count);
            }
            samples.count(&DELIVERED_BYTES, &[group, resource], sum(|core| &core.bytes));
        }
        let mut all = Observations::none(DELIVERY);
        self.propagation.iter().for_each(|core| all.add(core));
        samples.observations(&PROPAGATION, &[], &all);
    }
}

// === impl ResourceWatches ===

impl ResourceWatches {
    /// The counter of events that upstream sends in a representation.
    pub fn received(&self, representation: &'static str) -> Arc<AtomicU64> {
        Arc::clone(self.received.lock().entry(representation).or_default())
    }

    /// Counts what is handed to one watcher on this core, of a burst that came then.
    pub fn delivered(&self, core: usize, events: usize, bytes: usize, received: Option<Instant>) {
        let delivered = self.delivered.of(core);
        let before = delivered.live.fetch_add(events as u64, Relaxed);
        delivered.bytes.fetch_add(bytes as u64, Relaxed);
        if before.wrapping_mul(SPREAD) < u64::MAX / TIMED
            && let Some(received) = received
        {
            self.propagation.of(core).observe(received.elapsed());
        }
    }

    /// Counts what is handed to one watcher on this core other than as it comes.
    pub fn recalled(&self, core: usize, phase: Phase, events: usize, bytes: usize) {
        let delivered = self.delivered.of(core);
        let counter = match phase {
            Phase::Initial => &delivered.initial,
            Phase::Replayed => &delivered.replayed,
        };
        counter.fetch_add(events as u64, Relaxed);
        delivered.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts a forwarded watch as long as it is open.
    pub fn forwarded(self: Arc<Self>) -> ForwardedWatch {
        self.forwarded.fetch_add(1, Relaxed);
        ForwardedWatch(self)
    }
}

impl Drop for ForwardedWatch {
    fn drop(&mut self) {
        self.0.forwarded.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: Resource<'static> = Resource { group: "", resource: "pods" };

    fn exposed(watches: &Watches) -> String {
        let mut samples = Samples::default();
        watches.sample(&mut samples);
        prometheus::TextEncoder::new().encode_to_string(&samples.into_families()).unwrap()
    }

    #[test]
    fn counts_by_core_and_shows_the_sum() {
        let watches = Watches::new(2);
        let pods = watches.of(PODS);
        pods.delivered(0, 2, 100, Some(Instant::now()));
        watches.of(PODS).delivered(1, 1, 50, Some(Instant::now()));
        pods.received("json").fetch_add(5, Relaxed);
        pods.recalled(1, Phase::Initial, 10, 1000);
        pods.recalled(0, Phase::Replayed, 3, 30);
        let open = Arc::clone(&pods).forwarded();
        let text = exposed(&watches);
        for line in [
            r#"watchgate_watch_events_received_total{group="",resource="pods",representation="json"} 5"#,
            r#"watchgate_watch_events_delivered_total{group="",resource="pods",phase="live"} 3"#,
            r#"watchgate_watch_events_delivered_total{group="",resource="pods",phase="initial"} 10"#,
            r#"watchgate_watch_events_delivered_total{group="",resource="pods",phase="replayed"} 3"#,
            r#"watchgate_watch_delivered_bytes_total{group="",resource="pods"} 1180"#,
            r#"watchgate_watches{group="",resource="pods",source="upstream"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        drop(open);
        assert!(!exposed(&watches).contains("upstream"));
    }

    #[test]
    fn one_in_eight_is_timed_whatever_the_burst() {
        for events in [1, 2, 3, 7, 8, 16, 100] {
            let watches = Watches::new(1);
            let pods = watches.of(PODS);
            let received = Some(Instant::now());
            (0..8000).for_each(|_| pods.delivered(0, events, 1, received));
            let timed = watches.propagation.of(0).observations().count();
            assert!((900..1100).contains(&timed), "{timed} of bursts of {events}");
        }
    }

    #[test]
    fn resources_are_bounded() {
        let watches = Watches::new(1);
        for number in 0..MAX_RESOURCES + 10 {
            let resource = format!("r{number}");
            let _counters = watches.of(Resource { group: "g", resource: &resource });
        }
        assert_eq!(watches.resources.read().len(), MAX_RESOURCES + 1);
    }
}
