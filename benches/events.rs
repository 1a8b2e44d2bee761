//! One event's way through the cache: read from upstream's bytes and applied, and taken by watchers.
//!
//! `cargo bench --bench events`; `-- --save-baseline NAME` and `-- --baseline NAME` compare two states of
//! the code. Pods as kube-apiserver sends them once a kubelet has reported (see `pods/mod.rs`), 6.5 KB
//! in JSON and 4.6 in protobuf; the cache holds 10,000 of them and has one audience, that of all.
//!
//! - `ingest`: bytes of a watch's body become events that watchers can take: split, decoded, applied,
//!   logged, put into the audience's batch. One event in a burst, and 16; figures are per event.
//! - `feed`: what a watcher does with a batch besides writing it: pull it, take its bytes. 1,000 watchers
//!   read each batch; figures are per watcher.
//! - `cursor`: what a watcher does that has to read the log, because it begins in the past or lags: take
//!   the events after its version, and read on until 256 are done, a turn's work. Figures are per event;
//!   `take` is once for them all.

mod pods;

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use watchgate::{
    api::{
        resource::GroupVersionResource,
        selector::{Selection, built_in::field_schema_for, field::FieldSelector},
    },
    cache::{
        audience::{AudienceKey, CoreId},
        feed::{Batch, Feed, Pull},
        log::{LogBudget, Replay},
        map::OrderedMap,
        watch_cache::{Arrival, WatchCache},
    },
    codec::{object::Representation, watch_event::Form},
};

use pods::{Pods, version};

const PODS: u64 = 10_000;
const WATCHERS: usize = 1_000;

/// Events that a watch reads of the log in one turn.
const TURN: u64 = 256;

/// A cache, what reads for it, and the last event's version.
struct Ingest {
    pods: Pods,
    cache: WatchCache,
    last: u64,
}

// === impl Ingest ===

impl Ingest {
    fn new(representation: Representation) -> Self {
        let mut pods = Pods::new(representation);
        let budget = LogBudget { bytes: 64 << 20, age: Duration::from_secs(300) };
        let mut cache = WatchCache::new(&pods.codec, budget);
        let objects = (0..PODS).map(|pod| pods.object(pod, pod + 1)).collect();
        let objects = OrderedMap::from_objects(pods.codec.item_join(), objects);
        cache.fill(Arrival::new(objects, version(PODS))).0.expect("the first fill");
        cache.audiences().join(everything(), CoreId(0));
        Self { pods, cache, last: PODS }
    }

    /// The next events, as upstream would send them together.
    fn body(&mut self, events: u64) -> Bytes {
        let mut body = Vec::new();
        for _ in 0..events {
            self.last += 1;
            body.extend(self.pods.frame(self.last * 7_919 % PODS, self.last));
        }
        body.into()
    }

    fn apply(&mut self, body: Bytes) -> usize {
        let events = self.pods.read(body);
        let (published, outcome) = self.cache.apply(events, Instant::now());
        outcome.expect("events are in order");
        published.batches.len()
    }
}

fn everything() -> AudienceKey {
    AudienceKey { namespace: None, selection: Selection::default(), form: Form::Full }
}

fn bench_ingest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingest");
    for representation in [Representation::Json, Representation::Protobuf] {
        let mut ingest = Ingest::new(representation);
        for burst in [1, 16] {
            group.throughput(Throughput::Elements(burst));
            group.bench_function(
                format!("{}/burst of {burst}", representation.name()),
                |bencher| {
                    bencher.iter_custom(|rounds| {
                        let mut spent = Duration::ZERO;
                        for _ in 0..rounds {
                            // Making the bytes is not part of it.
                            let body = ingest.body(burst);
                            let begun = Instant::now();
                            black_box(ingest.apply(body));
                            spent += begun.elapsed();
                        }
                        spent
                    });
                },
            );
        }
    }
    group.finish();
}

fn bench_feed(criterion: &mut Criterion) {
    let mut ingest = Ingest::new(Representation::Json);
    let body = ingest.body(1);
    let events = ingest.pods.read(body);
    let (published, _) = ingest.cache.apply(events, Instant::now());
    let (_, _, batch) = published.batches.into_iter().next().expect("everybody is concerned");
    let codec = &ingest.pods.codec;
    let mut group = criterion.benchmark_group("feed");
    group.throughput(Throughput::Elements(WATCHERS as u64));
    group.bench_function("1,000 watchers read a batch", |bencher| {
        bencher.iter_batched_ref(
            || {
                let mut feed = Feed::default();
                let positions: Vec<_> = (0..WATCHERS).map(|_| feed.attach()).collect();
                (feed, positions)
            },
            |(feed, positions)| {
                feed.push(Arc::clone(&batch));
                for position in positions {
                    let Pull::Batch(batch) = feed.pull(position) else { panic!("a batch waits") };
                    black_box(Batch::bytes(&batch, codec).cloned());
                    assert!(matches!(feed.pull(position), Pull::Drained));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// The audience of one node's pods.
fn on_node() -> AudienceKey {
    let schema = field_schema_for(&GroupVersionResource::new("", "v1", "pods"));
    let field = FieldSelector::parse("spec.nodeName=node-0042", &schema).expect("a field selector");
    AudienceKey { selection: Selection { field, ..Selection::default() }, ..everything() }
}

fn bench_cursor(criterion: &mut Criterion) {
    let mut ingest = Ingest::new(Representation::Json);
    let events = 16 * TURN;
    for _ in 0..events {
        let body = ingest.body(1);
        ingest.apply(body);
    }
    let (cache, codec) = (&ingest.cache, &ingest.pods.codec);
    let behind = |events: u64| {
        cache.events_since(version(ingest.last - events)).expect("the log reaches back that far")
    };
    assert_eq!(behind(events).count() as u64, events);
    let mut group = criterion.benchmark_group("cursor");
    for events in [TURN, events] {
        group.bench_function(format!("take {events} events"), |bencher| {
            bencher.iter(|| black_box(behind(black_box(events))));
        });
    }
    group.throughput(Throughput::Elements(TURN));
    for (name, audience) in [("all concern it", everything()), ("one node's do", on_node())] {
        group.bench_function(format!("read {TURN} events, {name}"), |bencher| {
            let read = |mut replay: Replay| -> usize {
                let turn = replay.by_ref().take(TURN as usize);
                turn.filter_map(|event| {
                    let kind = event.seen_through(&audience)?;
                    Some(event.frame(kind, audience.form, codec).clone().len())
                })
                .sum()
            };
            bencher.iter_batched(|| behind(events), read, BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, bench_ingest, bench_feed, bench_cursor);
criterion_main!(benches);
