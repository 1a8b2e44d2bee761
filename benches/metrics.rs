//! What counting costs: a request, a hand-over to a watcher, and a scrape of many resources.
//!
//! Measured on one core without anybody else: as in the program, where cores share no counter.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use http::StatusCode;
use watchgate::telemetry::metrics::{
    Metrics,
    requests::{Answered, Source},
    resource::Resource,
};

const PODS: Resource<'static> = Resource { group: "", resource: "pods" };

/// About as many types as a large cluster has.
const RESOURCES: usize = 2000;

fn counting(criterion: &mut Criterion) {
    let metrics = Metrics::new(2);
    let answered = Answered {
        verb: "list",
        resource: PODS,
        status: StatusCode::OK,
        source: Source::Memory,
        reason: None,
        took: Duration::from_micros(40),
        length: Some(5000),
        gzip: false,
    };
    criterion.bench_function("metrics/count a request", |bencher| {
        bencher.iter(|| metrics.requests.count(black_box(1), black_box(&answered)));
    });
    let pods = metrics.watches.of(PODS);
    let received = Some(Instant::now());
    criterion.bench_function("metrics/count a hand-over", |bencher| {
        bencher.iter(|| pods.delivered(black_box(1), 1, 5500, black_box(received)));
    });
}

fn scraping(criterion: &mut Criterion) {
    let metrics = Metrics::new(2);
    for number in 0..RESOURCES {
        let name = format!("resources{number}");
        let resource = Resource { group: "example.com", resource: &name };
        metrics.watches.of(resource).delivered(0, 1, 5500, None);
    }
    let exposition = metrics.exposition().expect("distinct names");
    criterion.bench_function("metrics/scrape 2,000 watched resources", |bencher| {
        bencher.iter(|| exposition.render().expect("no empty family").len());
    });
}

criterion_group!(benches, counting, scraping);
criterion_main!(benches);
