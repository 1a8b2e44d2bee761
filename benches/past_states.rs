//! States at past versions: what it costs to rebuild one from the log, beside a LIST of the present.
//!
//! `cargo bench --bench past_states`. 10,000 pods of 6.5 KB (see `pods/mod.rs`); 10,000 events after the
//! state that is wanted, scattered over all objects or confined to 100 of them. LIST figures include one
//! copy into a 16 KiB buffer, as a TLS writer makes it; those of a rebuild include letting go of the
//! state. What a rebuilt state holds beyond the present one is printed.

mod pods;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use criterion::{Criterion, criterion_group, criterion_main};
use watchgate::{
    cache::{
        log::LogBudget,
        map::{OrderedMap, bytes_apart},
        past::{Past, Rebuild},
        watch_cache::{Arrival, WatchCache},
    },
    codec::{object::Representation, segments::Segments, watch_event::WatchEvent},
};

use pods::{Pods, version};

const OBJECTS: u64 = 10_000;
const EVENTS: u64 = 10_000;

/// The version of the first fill, and of the state that is wanted.
const FILLED: u64 = 1_000_000;

/// A small deterministic generator: the figures must be comparable between runs.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// A cache that has seen the events, each of one of the first `changed` objects.
fn cache(changed: u64) -> WatchCache {
    let mut pods = Pods::new(Representation::Json);
    let budget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(600) };
    let mut cache = WatchCache::new(&pods.codec, budget);
    let objects = (0..OBJECTS).map(|number| pods.object(number, number + 1)).collect();
    let objects = OrderedMap::from_objects(pods.codec.item_join(), objects);
    cache.fill(Arrival::new(objects, version(FILLED))).0.expect("the first fill");
    let mut random = Random(42);
    for event in 1..=EVENTS {
        let object = pods.object(random.below(changed), FILLED + event);
        let (_, outcome) = cache.apply([WatchEvent::Modified(object)], Instant::now());
        outcome.expect("events are in order");
    }
    cache
}

fn rebuild(cache: &mut WatchCache, events_back: u64) -> Rebuild {
    match cache.state_at(version(FILLED + EVENTS - events_back)) {
        Past::Rebuild(rebuild) => rebuild,
        other => panic!("no rebuild but {other:?}"),
    }
}

/// All that a LIST does before the socket, and one copy of it.
fn list(map: &OrderedMap) {
    let mut body = Segments::from(Bytes::from_static(b"{\"items\":[{"));
    for (index, run) in map.pages(..).enumerate() {
        if index > 0 {
            body.push(Bytes::from_static(map.join().separator()));
        }
        body.extend(run.segments());
    }
    let mut record = [0; 16 * 1024];
    while body.has_remaining() {
        let length = body.remaining().min(record.len());
        body.copy_to_slice(&mut record[..length]);
        black_box(&record);
    }
}

fn past_states(criterion: &mut Criterion) {
    for (name, changed) in [("scattered", OBJECTS), ("of 100 objects", 100)] {
        let mut cache = cache(changed);
        let present = cache.snapshot().expect("it is filled").objects;
        let mut group = criterion.benchmark_group(format!("10000 pods, events {name}"));
        group.sample_size(20);
        group.bench_function("list of the present", |bencher| bencher.iter(|| list(&present)));
        for back in [100, EVENTS] {
            let rebuild = rebuild(&mut cache, back);
            let state = rebuild.clone().run().objects;
            let apart = bytes_apart(&present, [&state])[0];
            eprintln!("{back} events back: {apart} bytes beyond the present's");
            group.bench_function(format!("rebuild {back} events back"), |bencher| {
                bencher.iter(|| rebuild.clone().run());
            });
            group.bench_function(format!("list of {back} events back"), |bencher| {
                bencher.iter(|| list(&state));
            });
            group.bench_function(format!("count the memory of {back} events back"), |bencher| {
                bencher.iter(|| bytes_apart(&present, [&state]));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, past_states);
criterion_main!(benches);
