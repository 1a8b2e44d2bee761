//! The ordered map: what an update, a lookup, a LIST and a filtered LIST cost.
//!
//! `cargo bench --bench ordered_map`. The data are those of `docs/decisions/0001`: 10,000 objects
//! of 5 KB and 100,000 of 500 B, JSON with the repetition of real pods. LIST figures include one
//! copy into a 16 KiB buffer, as a TLS writer makes it.

use std::{
    hint::black_box,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use compact_str::{CompactString, format_compact};
use criterion::{Criterion, criterion_group, criterion_main};
use watchgate::{
    api::{object_key::ObjectKey, version::ResourceVersion},
    cache::map::{Column, OrderedMap, Term},
    codec::{
        gzip::{BlockDeflater, DeflatedBlock, GzipJoin},
        item_join::ItemJoin,
        object::{Object, ObjectAttributes},
        segments::Segments,
    },
};

/// How many objects, and about how long each.
const DATA: [(&str, usize, usize); 2] =
    [("10000x5KB", 10_000, 5_000), ("100000x500B", 100_000, 500)];

/// Changes between two LISTs in the `changed` figures.
const CHANGES: usize = 50;

/// A small deterministic generator: the figures must be comparable between runs.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.number() >> 33) as usize % limit
    }
}

/// Pod-like text: keys and phrases repeat, identifiers, digests and addresses do not.
fn object(random: &mut Random, number: usize, length: usize) -> Object {
    let version = 100_000_000 + random.below(800_000_000) as u64;
    let mut core = format!(
        r#""metadata":{{"name":"pod-{number:06}","namespace":"team-{:02}","uid":"{:016x}{:016x}","resourceVersion":"{version}","labels":{{"app":"service-{}"}}}},"spec":{{"nodeName":"node-{:04}","containers":["#,
        number % 17,
        random.number(),
        random.number(),
        number % 200,
        random.below(1_000),
    );
    while core.len() + 260 < length {
        core += &format!(
            r#"{{"name":"container-{}","image":"registry.example.com/team-{}/service@sha256:{:016x}{:016x}","imagePullPolicy":"IfNotPresent","terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","resources":{{"requests":{{"cpu":"{}m"}}}}}},"#,
            number % 5,
            number % 17,
            random.number(),
            random.number(),
            random.below(10) * 50,
        );
    }
    core += &format!(r#"null]}},"status":{{"podIP":"10.244.{}.7"}}}}"#, random.below(256));
    let label = |key: &str, value| (CompactString::from(key), value);
    Object {
        attributes: Arc::new(ObjectAttributes {
            key: ObjectKey::new(&format!("team-{:02}", number % 17), &format!("pod-{number:06}")),
            resource_version: ResourceVersion::new(version).expect("greater than zero"),
            labels: Arc::new([label("app", format_compact!("service-{}", number % 200))]),
            fields: Box::new([format_compact!("node-{:04}", number % 1_000)]),
            metadata: 0..0,
            resource_version_span: 0..0,
        }),
        core: Bytes::from(core),
    }
}

fn filled(count: usize, length: usize) -> OrderedMap {
    let mut random = Random(42);
    let objects = (0..count).map(|number| object(&mut random, number, length)).collect();
    OrderedMap::from_objects(ItemJoin::Json, objects)
}

fn changes(random: &mut Random, count: usize, length: usize, changes: usize) -> Vec<Object> {
    (0..changes)
        .map(|_| {
            let number = random.below(count);
            object(random, number, length)
        })
        .collect()
}

/// An identity body; all that a LIST does before the socket.
fn identity(map: &OrderedMap) -> Segments {
    let mut body = Segments::from(Bytes::from_static(b"{\"items\":[{"));
    for (index, run) in map.pages(..).enumerate() {
        if index > 0 {
            body.push(Bytes::from_static(map.join().separator()));
        }
        body.extend(run.segments());
    }
    body.push(Bytes::from_static(b"]}\n"));
    body
}

/// A gzip body, compressing what is pending.
fn gzip(map: &OrderedMap, deflater: &mut BlockDeflater) -> Segments {
    let separator = DeflatedBlock::stored(map.join().separator());
    let mut body = GzipJoin::new();
    body.push_stored(b"{\"items\":[{");
    for (index, run) in map.pages(..).enumerate() {
        if index > 0 {
            body.push(&separator);
        }
        body.push(&run.compress(deflater));
    }
    body.push_stored(b"]}\n");
    body.finish()
}

/// Copies once, record by record, as a TLS writer does.
fn send(mut body: Segments) {
    let mut record = [0; 16 * 1024];
    while body.has_remaining() {
        let length = body.remaining().min(record.len());
        body.copy_to_slice(&mut record[..length]);
        black_box(&record);
    }
}

fn updates(criterion: &mut Criterion) {
    for (name, count, length) in DATA {
        let mut random = Random(7);
        let mut group = criterion.benchmark_group(format!("update/{name}"));
        let next = changes(&mut random, count, length, 5_000);
        let mut next = next.iter().cycle();
        let mut map = filled(count, length);
        group.bench_function("alone", |bencher| {
            bencher.iter(|| map.insert(next.next().expect("a cycle has no end").clone()));
        });
        let mut version = map.clone();
        group.bench_function("keeping the version before", |bencher| {
            bencher.iter(|| {
                version = map.clone();
                map.insert(next.next().expect("a cycle has no end").clone())
            });
        });
    }
}

fn reads(criterion: &mut Criterion) {
    for (name, count, length) in DATA {
        let map = filled(count, length);
        let keys: Vec<String> = map.range(..).map(|object| object.key().to_string()).collect();
        let mut random = Random(7);
        let mut group = criterion.benchmark_group(format!("read/{name}"));
        group.bench_function("lookup", |bencher| {
            bencher.iter(|| map.get(&keys[random.below(count)]).is_some());
        });
        group.bench_function("iterate over all", |bencher| {
            bencher.iter(|| map.range(..).map(|object| object.core.len()).sum::<usize>());
        });
    }
}

fn lists(criterion: &mut Criterion) {
    for (name, count, length) in DATA {
        let mut map = filled(count, length);
        let mut random = Random(7);
        let mut scattered = map.clone();
        for object in changes(&mut random, count, length, 30_000) {
            scattered.insert(object);
        }
        let mut group = criterion.benchmark_group(format!("list/{name}"));
        group.bench_function("assemble identity", |bencher| bencher.iter(|| identity(&map)));
        group.bench_function("identity", |bencher| bencher.iter(|| send(identity(&map))));
        group.bench_function("identity after 30000 changes", |bencher| {
            bencher.iter(|| send(identity(&scattered)));
        });
        let mut deflater = BlockDeflater::new();
        send(gzip(&map, &mut deflater));
        group.bench_function("gzip, 0 changed", |bencher| {
            bencher.iter(|| send(gzip(&map, &mut deflater)));
        });
        // One map that goes on changing, as a shard's does; only the LISTs are timed.
        group.bench_function("gzip, 50 changed", |bencher| {
            bencher.iter_custom(|lists| {
                let mut spent = Duration::ZERO;
                for _ in 0..lists {
                    for object in changes(&mut random, count, length, CHANGES) {
                        map.insert(object);
                    }
                    let started = Instant::now();
                    send(gzip(&map, &mut deflater));
                    spent += started.elapsed();
                }
                spent
            });
        });
    }
}

/// How many objects of a node there are, found by a search.
fn on_node(map: &OrderedMap, node: usize) -> usize {
    let term = Term { column: Column::Field(0), value: format_compact!("node-{node:04}") };
    let mut found = 0;
    let searched = map.search(&term, .., usize::MAX, |_, _| {
        found += 1;
        ControlFlow::Continue(())
    });
    searched.expect("unbounded");
    found
}

/// Lists of one of 1,000 nodes.
fn searches(criterion: &mut Criterion) {
    for (name, count, length) in DATA {
        let mut map = filled(count, length);
        let mut random = Random(7);
        let mut group = criterion.benchmark_group(format!("search/{name}"));
        group.bench_function("walk over all", |bencher| {
            let node = |object: &&Object| object.attributes.fields[0] == "node-0042";
            bencher.iter(|| map.range(..).filter(node).count());
        });
        group.bench_function("0 changed", |bencher| {
            bencher.iter(|| on_node(&map, random.below(1_000)));
        });
        for changed in [1, CHANGES] {
            group.bench_function(format!("{changed} changed"), |bencher| {
                bencher.iter_custom(|searches| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..searches {
                        for object in changes(&mut random, count, length, changed) {
                            map.insert(object);
                        }
                        let started = Instant::now();
                        on_node(&map, random.below(1_000));
                        spent += started.elapsed();
                    }
                    spent
                });
            });
        }
    }
}

criterion_group! {
    name = ordered_map;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = updates, reads, lists, searches
}
criterion_main!(ordered_map);
