//! The driver against a scripted upstream.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::{
    cache::{
        fixture::{Pod, bookmark_json, line, pods, version},
        log::LogBudget,
    },
    codec::object::Representation,
    shards::shard::ShardId,
    upstream::LocalApiServer,
};

/// Answers probes with one Pod at version 10, and streaming lists with the same, slowly.
struct Script;

impl LocalApiServer for Script {
    fn call(
        &self,
        _: Lane,
        request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<UpstreamBody>> + Send>> {
        let pod = Pod::new("ns", "b", 9).json();
        let body = if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            let frames = [line("ADDED", &pod), line("BOOKMARK", &bookmark_json(10, true))];
            let slowly = stream::once(tokio::time::sleep(Duration::from_millis(100)))
                .flat_map(move |()| stream::iter(frames.clone()))
                .flat_map(|frame| stream::iter([frame, Bytes::from_static(b"\n")]))
                .map(|chunk| Ok::<_, std::io::Error>(Frame::data(chunk)))
                .chain(stream::pending());
            UpstreamBody::local(StreamBody::new(slowly))
        } else {
            let list = format!(r#"{{"metadata":{{"resourceVersion":"10"}},"items":[{pod}]}}"#);
            UpstreamBody::full(list.into())
        };
        async move { Response::new(body) }.boxed()
    }
}

fn driver() -> Driver {
    let budget = LogBudget { bytes: 1 << 20, age: Duration::from_secs(600) };
    let shard = Shard::new(ShardId(1), pods(), 1, Representation::Json, budget, Arc::from([]));
    let shard = Arc::new(shard);
    Driver {
        reflector: Reflector::new(shard.resource(), Representation::Json),
        cleared: shard.progress(),
        shard,
        surroundings: Surroundings {
            upstream: Upstream::Embedded(Arc::new(Script)),
            places: FillPlaces::default(),
            went_back: Arc::new(|_, violation| panic!("{violation}")),
            outgrown: Arc::new(|_, no_room| panic!("{no_room}")),
        },
        seen: 0,
        expected: None,
        learning: None,
        filling: None,
        refill: Refill::default(),
    }
}

/// Upstream answered the resumption with 410, or in a way for which the contents were given up.
#[tokio::test]
async fn a_fill_is_not_held_to_what_a_resumed_stream_had_to_bring() {
    for held in [Some(5), None] {
        let mut driver = driver();
        if let Some(at) = held {
            driver.shard.fill_with(Vec::new(), version(at), Instant::now(), 0).unwrap();
        }
        let probed = sample(&driver.surroundings.upstream, &driver.shard.key().gvr).await.unwrap();
        driver.expected = Some(Expected { probed, until: Instant::now() });
        let Step::Send(ask) = driver.reflector.next(Instant::now(), 0.5) else {
            panic!("it does not fill")
        };
        let filled = driver.shard.progress();
        tokio::select! {
            () = driver.perform(ask) => panic!("the fill was given up"),
            version = reaches(filled) => assert_eq!(version, 10, "filled from {held:?}"),
        }
    }
}

async fn reaches(mut progress: watch::Receiver<Progress>) -> u64 {
    let filled = |progress: &Progress| progress.version.is_some_and(|found| found.get() >= 10);
    progress.wait_for(filled).await.unwrap().version.unwrap().get()
}

/// Upstream's store was restored to before what an auxiliary watch has proven, but grew beyond what
/// the shard's own stream had brought.
#[tokio::test]
async fn a_fill_below_what_was_proven_another_way_is_a_restore() {
    for (advanced, while_under_way, restored) in
        [(Some(20), None, true), (None, Some(20), false), (None, None, false)]
    {
        let mut driver = driver();
        let shard = Arc::clone(&driver.shard);
        shard.fill_with(Vec::new(), version(5), Instant::now(), 0).unwrap();
        let told = Arc::new(parking_lot::Mutex::new(None));
        let tell = Arc::clone(&told);
        driver.surroundings.went_back = Arc::new(move |_, violation| {
            *tell.lock() = Some(violation.clone());
        });
        let advance = |to: Option<u64>| {
            to.is_none_or(|to| shard.advance(shard.resource_version().unwrap(), version(to)))
        };
        assert!(advance(advanced));
        let Step::Send(ask) = driver.reflector.next(Instant::now(), 0.5) else {
            panic!("it does not fill")
        };
        let filled = driver.shard.progress();
        let mut perform = std::pin::pin!(driver.perform(ask));
        assert!(perform.as_mut().now_or_never().is_none(), "upstream takes its time");
        assert!(advance(while_under_way));
        let taken = async move {
            let mut filled = filled;
            let is_taken = |progress: &Progress| {
                progress.filled.is_some_and(|filled| filled.version.get() == 10)
            };
            filled.wait_for(is_taken).await.map(drop).unwrap();
        };
        tokio::select! {
            () = taken => assert!(!restored),
            // It was refused, and so is the rest of the stream.
            () = perform => assert!(restored),
        }
        let violation = Violation::WentBack { found: version(10), shown: version(20) };
        assert_eq!(told.lock().take(), restored.then_some(violation));
    }
}
