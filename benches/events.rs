//! One event's way through the cache: read from upstream's bytes and applied, and taken by watchers.
//!
//! `cargo bench --bench events`; `-- --save-baseline NAME` and `-- --baseline NAME` compare two states of
//! the code. Pods of some 4.5 KB, in JSON and in protobuf, in the layout of the API server; the cache
//! holds 10,000 of them and has one audience, that of all.
//!
//! - `ingest`: bytes of a watch's body become events that watchers can take: split, decoded, applied,
//!   logged, put into the audience's batch. One event in a burst, and 16; figures are per event.
//! - `feed`: what a watcher does with a batch besides writing it: pull it, take its bytes. 1,000 watchers
//!   read each batch; figures are per watcher.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use watchgate::{
    api::{
        resource::{GroupVersionResource, Origin, ResourceType, Scope},
        selector::{Selection, built_in::field_schema_for},
        version::ResourceVersion,
    },
    cache::{
        audience::{AudienceKey, CoreId},
        feed::{Batch, Feed, Pull},
        log::LogBudget,
        map::OrderedMap,
        watch_cache::{Arrival, WatchCache},
    },
    codec::{
        ResourceCodec,
        frame_decoder::FrameDecoder,
        object::{Object, Representation},
        watch_event::{Form, ReceivedEvent, WatchEvent},
    },
};

const PODS: u64 = 10_000;
const PADDING: usize = 4_000;
const WATCHERS: usize = 1_000;

/// Writes the frame of a pod's change at a version.
type Write = fn(pod: u64, version: u64) -> Vec<u8>;

/// What reads upstream's bytes.
struct Reader {
    codec: ResourceCodec,
    decoder: FrameDecoder,
}

/// A cache, what reads for it, and the last event's version.
struct Ingest {
    reader: Reader,
    cache: WatchCache,
    write: Write,
    last: u64,
}

// === impl Reader ===

impl Reader {
    fn new(representation: Representation) -> Self {
        let gvr = GroupVersionResource::new("", "v1", "pods");
        let pods = ResourceType {
            fields: field_schema_for(&gvr),
            gvr,
            kind: "Pod".into(),
            list_kind: "PodList".into(),
            scope: Scope::Namespaced,
            origin: Origin::BuiltIn,
        };
        let codec = ResourceCodec::new(&pods, representation);
        Self { codec, decoder: FrameDecoder::new(representation, 1 << 20) }
    }

    fn read(&mut self, body: Bytes) -> Vec<ReceivedEvent> {
        let mut events = Vec::new();
        self.decoder.push(body);
        while let Some(frame) = self.decoder.next_wire_frame().expect("whole frames") {
            events.push(self.codec.decode_frame(frame).expect("a pod's event"));
        }
        events
    }

    fn object(&mut self, frame: Vec<u8>) -> Object {
        match self.read(frame.into()).pop().expect("one event").event {
            WatchEvent::Modified(object) => object,
            other => panic!("{other:?}"),
        }
    }
}

// === impl Ingest ===

impl Ingest {
    fn new(representation: Representation, write: Write) -> Self {
        let mut reader = Reader::new(representation);
        let budget = LogBudget { bytes: 64 << 20, age: Duration::from_secs(300) };
        let mut cache = WatchCache::new(&reader.codec, budget);
        let objects = (0..PODS).map(|pod| reader.object(write(pod, pod + 1))).collect();
        let objects = OrderedMap::from_objects(reader.codec.item_join(), objects);
        cache.fill(Arrival::new(objects, version(PODS))).0.expect("the first fill");
        cache.audiences().join(everything(), CoreId(0));
        Self { reader, cache, write, last: PODS }
    }

    /// The next events, as upstream would send them together.
    fn body(&mut self, events: u64) -> Bytes {
        let mut body = Vec::new();
        for _ in 0..events {
            self.last += 1;
            body.extend((self.write)(self.last * 7_919 % PODS, self.last));
        }
        body.into()
    }

    fn apply(&mut self, body: Bytes) -> usize {
        let events = self.reader.read(body);
        let (published, outcome) = self.cache.apply(events, Instant::now());
        outcome.expect("events are in order");
        published.batches.len()
    }
}

fn version(number: u64) -> ResourceVersion {
    ResourceVersion::new(number).expect("greater than zero")
}

fn everything() -> AudienceKey {
    AudienceKey { namespace: None, selection: Selection::default(), form: Form::Full }
}

fn json_frame(pod: u64, version: u64) -> Vec<u8> {
    let padding = "x".repeat(PADDING);
    format!(
        concat!(
            r#"{{"type":"MODIFIED","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"#,
            r#""name":"pod-{pod:06}","namespace":"team-{team:02}","resourceVersion":"{version}","#,
            r#""labels":{{"app":"service-{app}","pod-template-hash":"7d4f8b9c5d"}},"#,
            r#""annotations":{{"padding":"{padding}"}}}},"spec":{{"containers":null,"#,
            r#""restartPolicy":"Always","nodeName":"node-{node:04}"}},"#,
            r#""status":{{"phase":"Running"}}}}}}"#,
            "\n"
        ),
        pod = pod,
        team = pod % 17,
        version = version,
        app = pod % 200,
        padding = padding,
        node = pod % 1_000,
    )
    .into_bytes()
}

/// A field of protobuf with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push((length % 0x80) as u8 | 0x80);
        length /= 0x80;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

fn pair(number: u8, key: &str, value: &str) -> Vec<u8> {
    field(number, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
}

/// The same pod in protobuf (`k8s.io/api/core/v1/generated.proto`).
fn protobuf_frame(pod: u64, version: u64) -> Vec<u8> {
    let text = |number, text: String| field(number, text.as_bytes());
    let metadata = [
        text(1, format!("pod-{pod:06}")),
        text(2, String::new()),
        text(3, format!("team-{:02}", pod % 17)),
        text(4, String::new()),
        text(5, String::new()),
        text(6, version.to_string()),
        pair(11, "app", &format!("service-{}", pod % 200)),
        pair(11, "pod-template-hash", "7d4f8b9c5d"),
        pair(12, "padding", &"x".repeat(PADDING)),
    ];
    let spec = [text(3, "Always".to_owned()), text(10, format!("node-{:04}", pod % 1_000))];
    let status = text(1, "Running".to_owned());
    let object =
        [field(1, &metadata.concat()), field(2, &spec.concat()), field(3, &status)].concat();
    let kind = [field(1, b"v1"), field(2, b"Pod")].concat();
    let envelope =
        [b"k8s\0".to_vec(), field(1, &kind), field(2, &object), field(3, b""), field(4, b"")];
    let raw = field(1, &envelope.concat());
    let event = [field(1, b"MODIFIED"), field(2, &raw)].concat();
    let length = u32::try_from(event.len()).expect("a small event");
    [length.to_be_bytes().to_vec(), event].concat()
}

fn bench_ingest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingest");
    let formats: [(Representation, Write); 2] =
        [(Representation::Json, json_frame), (Representation::Protobuf, protobuf_frame)];
    for (representation, write) in formats {
        let mut ingest = Ingest::new(representation, write);
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
    let mut ingest = Ingest::new(Representation::Json, json_frame);
    let body = ingest.body(1);
    let events = ingest.reader.read(body);
    let (published, _) = ingest.cache.apply(events, Instant::now());
    let (_, _, batch) = published.batches.into_iter().next().expect("everybody is concerned");
    let codec = &ingest.reader.codec;
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

criterion_group!(benches, bench_ingest, bench_feed);
criterion_main!(benches);
