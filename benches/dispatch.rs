//! Whom an event concerns: one selection asked, and all audiences of a shard.
//!
//! `cargo bench --bench dispatch`; `-- --save-baseline NAME` and `-- --baseline NAME` compare two states
//! of the code. A pod on a node changes, its labels and its node do not.
//!
//! - `selector`: one audience is asked about the event, by what it selects.
//! - `dispatch/one of N concerned`: N audiences with `spec.nodeName=`, of which the event concerns one:
//!   what an event costs must not depend on N.
//! - `dispatch/all of N concerned`: N audiences that all see the event, each through an equality term
//!   and a label requirement of its own.
//! - `dispatch/asked, none of N concerned`: N audiences without an equality term: the price of `!=` and
//!   `notin`, which no index helps with.
//! - `open and close`: a watcher comes and goes beside N audiences.

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use compact_str::{CompactString, format_compact};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use watchgate::{
    api::{
        object_key::ObjectKey,
        resource::GroupVersionResource,
        selector::{
            Selection, built_in::field_schema_for, field::FieldSelector, label::LabelSelector,
        },
        version::ResourceVersion,
    },
    cache::{
        audience::{AudienceKey, AudienceTable, CoreId},
        event::{Change, Event},
    },
    codec::{
        object::{Object, ObjectAttributes},
        watch_event::Form,
    },
};

const NODE: u64 = 7;
const CORE: CoreId = CoreId(0);

/// Audiences of a shard.
const AUDIENCES: [u64; 3] = [1, 100, 10_000];

fn audience(label: &str, field: &str) -> AudienceKey {
    let schema = field_schema_for(&GroupVersionResource::new("", "v1", "pods"));
    let selection = Selection {
        label: LabelSelector::parse(label).expect("a label selector"),
        field: FieldSelector::parse(field, &schema).expect("a field selector"),
    };
    AudienceKey { namespace: None, selection, form: Form::Full }
}

fn pod(version: u64) -> Object {
    let schema = field_schema_for(&GroupVersionResource::new("", "v1", "pods"));
    let node = schema.position("spec.nodeName").expect("pods can be selected by node");
    let mut fields = vec![CompactString::default(); schema.fields.len()];
    fields[node] = format_compact!("node-{NODE:06}");
    Object {
        attributes: Arc::new(ObjectAttributes {
            key: ObjectKey::new("team-01", "service-0-7d4f8b9c5d-abcde"),
            resource_version: ResourceVersion::new(version).expect("greater than zero"),
            labels: Arc::new([
                ("app".into(), "service-0".into()),
                ("pod-template-hash".into(), "7d4f8b9c5d".into()),
            ]),
            fields: fields.into(),
            metadata: 0..0,
            resource_version_span: 0..0,
        }),
        core: Bytes::new(),
    }
}

fn change() -> Event {
    Event::new(Change::Set { object: pod(2), previous: Some(pod(1)) })
}

/// A shard's audiences, the `number`-th of them made by `key`.
fn table(audiences: u64, key: impl Fn(u64) -> AudienceKey) -> AudienceTable {
    let mut table = AudienceTable::default();
    for number in 0..audiences {
        table.join(key(number), CORE);
    }
    table
}

fn on_node(number: u64) -> AudienceKey {
    // The node that the pod is on comes first.
    audience("", &format!("spec.nodeName=node-{:06}", number + NODE))
}

fn bench_selectors(criterion: &mut Criterion) {
    let event = change();
    let mut group = criterion.benchmark_group("selector");
    for (name, label, field) in [
        ("everything", "", ""),
        ("app=service-0", "app=service-0", ""),
        ("app notin (a, b)", "app notin (a,b)", ""),
        ("spec.nodeName=", "", "spec.nodeName=node-000007"),
        ("another spec.nodeName=", "", "spec.nodeName=node-000008"),
    ] {
        let key = audience(label, field);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(event.seen_through(black_box(&key))));
        });
    }
    group.finish();
}

fn bench_dispatch(criterion: &mut Criterion) {
    let event = change();
    let all = |number| audience(&format!("app=service-0,absent!=v{number}"), "");
    let none = |number| audience(&format!("app notin (service-0,v{number})"), "");
    let mut group = criterion.benchmark_group("dispatch");
    for audiences in AUDIENCES {
        for (name, table, concerned) in [
            ("one of N concerned", table(audiences, on_node), 1),
            ("all of N concerned", table(audiences, all), audiences),
            ("asked, none of N concerned", table(audiences, none), 0),
        ] {
            assert_eq!(table.concerned(&event).len() as u64, concerned);
            group.bench_function(BenchmarkId::new(name, audiences), |bencher| {
                bencher.iter(|| black_box(table.concerned(black_box(&event))));
            });
        }
    }
    group.finish();
}

fn bench_coming_and_going(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open and close");
    for audiences in AUDIENCES {
        let mut table = table(audiences, on_node);
        let key = on_node(audiences);
        group.bench_function(BenchmarkId::new("beside N audiences", audiences), |bencher| {
            bencher.iter(|| {
                let joined = table.join(key.clone(), CORE);
                table.leave(joined, CORE);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench_selectors, bench_dispatch, bench_coming_and_going);
criterion_main!(benches);
