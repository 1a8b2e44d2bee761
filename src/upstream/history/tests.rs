//! Extensions against a scripted upstream.

use std::{future::Future, pin::Pin};

use http::{Request, Response};

use super::*;
use crate::{
    cache::{
        audience::CoreId,
        fixture::{Pod, bookmark_json, line, pods, version},
        log::LogBudget,
    },
    codec::object::Representation,
    shards::hub::Hub,
    upstream::{Lane, LocalApiServer, RequestBody, UpstreamBody},
};

/// What upstream says to a query: status and body.
type Answers = dyn Fn(&str) -> (u16, String) + Send + Sync;

/// An upstream that answers so, and notes what it is asked.
struct Script {
    answers: Box<Answers>,
    asked: Mutex<Vec<String>>,
}

impl LocalApiServer for Script {
    fn call(
        &self,
        lane: Lane,
        request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<UpstreamBody>> + Send>> {
        assert_eq!(lane, Lane::Gateway);
        assert_eq!(request.uri().path(), "/api/v1/pods");
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (status, body) = (self.answers)(&query);
        self.asked.lock().push(query);
        let mut response = Response::new(UpstreamBody::full(body.into()));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        Box::pin(async move { response })
    }
}

struct World {
    script: Arc<Script>,
    histories: Arc<Histories>,
    shard: Arc<Shard>,
}

/// A shard filled at version 1000 with Pods a (at 900) and b (at 990).
fn world(answers: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> World {
    world_of(1 << 20, answers)
}

/// The same, with room for so many bytes of history.
fn world_of(bytes: u64, answers: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> World {
    let script = Arc::new(Script { answers: Box::new(answers), asked: Mutex::default() });
    let upstream = Upstream::Embedded(Arc::clone(&script) as Arc<dyn LocalApiServer>);
    let histories = Histories::new(upstream, Floors::default(), Handle::current());
    let hubs: Arc<[Arc<Hub>]> = Arc::new([Arc::new(Hub::new(CoreId(0)))]);
    let budget = LogBudget { bytes, age: Duration::from_secs(600) };
    let shard = Shard::new(ShardId(1), pods(), 1, Representation::Json, budget, hubs);
    fill(&shard, 1000);
    World { script, histories: Arc::new(histories), shard: Arc::new(shard) }
}

fn fill(shard: &Shard, at: u64) {
    let objects = [Pod::new("ns", "a", 900), Pod::new("ns", "b", 990)];
    let objects = objects.iter().map(Pod::object).collect();
    let cleared = shard.progress().borrow().cleared;
    shard.fill_with(objects, version(at), Instant::now(), cleared).unwrap();
}

impl World {
    /// Whether the log covers `version` after somebody asked for it.
    async fn covers(&self, number: u64) -> bool {
        self.histories.cover(&self.shard, version(number), Duration::from_secs(3)).await;
        self.shard.log_start().unwrap() <= version(number)
    }

    fn watches(&self) -> Vec<String> {
        self.script
            .asked
            .lock()
            .iter()
            .filter(|query| query.contains("watch=true"))
            .cloned()
            .collect()
    }
}

fn event(kind: &str, pod: &Pod) -> String {
    String::from_utf8(line(kind, &pod.json()).to_vec()).unwrap() + "\n"
}

fn mark(version: u64) -> String {
    String::from_utf8(line("BOOKMARK", &bookmark_json(version, false)).to_vec()).unwrap() + "\n"
}

fn refusal(asked: &str, floor: u64) -> (u16, String) {
    let status = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"too old resource version: {asked} ({floor})","reason":"Expired","code":410}}"#
    );
    (200, String::from_utf8(line("ERROR", &status).to_vec()).unwrap() + "\n")
}

fn list(at: &str, objects: &[Pod]) -> (u16, String) {
    let items: Vec<_> = objects
        .iter()
        .map(|pod| pod.json().replacen(r#""kind":"Pod","apiVersion":"v1","#, "", 1))
        .collect();
    let items = items.join(",");
    let head =
        format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{at}"}}"#);
    (200, format!(r#"{head},"items":[{items}]}}"#) + "\n")
}

/// The version that a query asks for.
fn asked(query: &str) -> &str {
    let (_, rest) = query.split_once("resourceVersion=").unwrap();
    rest.split('&').next().unwrap()
}

/// Pod a was changed at 900 and b created at 990; nothing needs the state before 990.
fn recent(query: &str) -> (u16, String) {
    assert!(query.contains("watch=true"), "no state is needed: {query}");
    (200, event("ADDED", &Pod::new("ns", "b", 990)) + &mark(1001))
}

#[tokio::test]
async fn many_who_come_together_are_covered_by_one_watch() {
    let world = Arc::new(world(|query| {
        let (a, b) = (Pod::new("ns", "a", 900), Pod::new("ns", "b", 990));
        match query.contains("watch=true") {
            true => (200, event("MODIFIED", &a) + &event("ADDED", &b) + &mark(1000)),
            false => list(asked(query), &[Pod::new("ns", "a", 7)]),
        }
    }));
    let askers: Vec<_> = (0..200)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.covers(700 + number).await })
        })
        .collect();
    for asker in askers {
        assert!(asker.await.unwrap());
    }
    assert_eq!(world.watches().len(), 1, "{:?}", world.watches());
    assert_eq!(world.script.asked.lock().len(), 2, "and one list");
    assert!(world.covers(685).await, "some way below the least");
    assert_eq!(world.watches().len(), 1, "{:?}", world.watches());
}

#[tokio::test]
async fn upstreams_floor_is_asked_for_once() {
    let world = world(|query| {
        let version = asked(query);
        match version.parse::<u64>().unwrap() {
            below if below < 970 => refusal(version, 970),
            _ => recent(query),
        }
    });
    assert!(world.covers(970).await, "from the floor, after one refusal");
    assert_eq!(world.watches().len(), 2);
    assert!(!world.covers(800).await);
    assert_eq!(world.watches().len(), 2, "known from memory");
    let floor = |asked| world.histories.floor_above(&world.shard, version(asked));
    assert_eq!(floor(969), Some(version(970)));
    assert_eq!(floor(970), None, "upstream still serves its floor");
    world.histories.floors.forget();
    assert_eq!(floor(969), None);
}

#[tokio::test]
async fn a_state_that_is_compacted_is_asked_for_nearer() {
    let world = world(|query| {
        let (a, b) = (Pod::new("ns", "a", 900), Pod::new("ns", "b", 990));
        if query.contains("watch=true") {
            // One event between the margin and what is wanted.
            let earlier = event("MODIFIED", &Pod::new("ns", "a", 690));
            return (200, earlier + &event("MODIFIED", &a) + &event("ADDED", &b) + &mark(1000));
        }
        match asked(query) {
            "700" => list("700", &[Pod::new("ns", "a", 690)]),
            _ => (410, String::new()),
        }
    });
    assert!(world.covers(700).await);
    assert_eq!(world.shard.log_start(), Some(version(700)));
}

#[tokio::test]
async fn one_version_that_is_too_old_does_not_keep_others_from_being_covered() {
    let world = world(|query| {
        let (a, b) = (Pod::new("ns", "a", 900), Pod::new("ns", "b", 990));
        if query.contains("watch=true") {
            return (200, event("MODIFIED", &a) + &event("ADDED", &b) + &mark(1000));
        }
        match asked(query) {
            "800" => list("800", &[Pod::new("ns", "a", 7)]),
            _ => (410, String::new()),
        }
    });
    assert!(!world.covers(700).await);
    assert!(world.covers(800).await, "at once, from exactly there");
    let watches = world.watches().len();
    assert!(!world.covers(600).await);
    assert_eq!(world.watches().len(), watches, "older states are compacted, too");
    let cleared = |clear: bool| {
        if clear {
            world.shard.clear(false);
        }
        world.shard.progress().borrow().cleared
    };
    let history = world.histories.of(&world.shard);
    assert!(history.demand.lock().is_compacted(version(700), cleared(false)));
    assert!(!history.demand.lock().is_compacted(version(700), cleared(true)), "another store");
}

#[tokio::test]
async fn what_is_not_proven_is_not_taken_and_not_asked_for_again_at_once() {
    for answer in [
        // The stream ended before it reached the log.
        (200, event("ADDED", &Pod::new("ns", "b", 990))),
        // An object that the shard does not hold.
        (200, event("ADDED", &Pod::new("ns", "c", 990)) + &mark(1000)),
        // The shard's objects are newer, and nothing tells how.
        (200, mark(1000)),
        (200, event("ADDED", &Pod::new("ns", "b", 990)) + "{}"),
        (503, String::new()),
    ] {
        let world = world(move |_| answer.clone());
        assert!(!world.covers(950).await);
        assert!(!world.covers(960).await);
        assert_eq!(world.watches().len(), 1);
        assert_eq!(world.shard.log_start(), Some(version(1000)));
    }
}

/// Each try reads all that upstream has: who finds no room must not try again at once.
#[tokio::test]
async fn what_has_no_room_is_not_asked_for_again_at_once() {
    fn changes(query: &str) -> String {
        assert!(query.contains("watch=true"), "no state is needed: {query}");
        let born = [("a", 900), ("b", 990)].map(|(name, at)| Pod::new("ns", name, at));
        born.map(|pod| event("ADDED", &pod)).concat()
    }
    let quiet = |query: &str| (200, changes(query) + &mark(1000));
    let busy = |query: &str| (200, changes(query) + &event("ADDED", &Pod::new("ns", "c", 1000)));
    // Room for nothing; for less than an event, with and without one at the very end; for one event.
    let cases =
        [(0, 0, 1000, false), (100, 1, 990, false), (100, 1, 1000, true), (1500, 1, 900, false)];
    for (bytes, asks, start, is_busy) in cases {
        let answers = move |query: &str| if is_busy { busy(query) } else { quiet(query) };
        let world = world_of(bytes, answers);
        assert!(!world.covers(850).await);
        assert_eq!(world.watches().len(), asks, "with {bytes}");
        assert_eq!(world.shard.log_start(), Some(version(start)), "with {bytes}");
        assert!(!world.covers(860).await);
        assert_eq!(world.watches().len(), asks, "not again, with {bytes}");
        assert_eq!(world.covers(950).await, start < 950, "with {bytes}");
    }
}

#[tokio::test]
async fn a_log_begun_anew_meanwhile_is_not_extended() {
    let shard: Arc<Mutex<Option<Arc<Shard>>>> = Arc::default();
    let filled = Arc::clone(&shard);
    let world = world(move |query| {
        if let Some(shard) = filled.lock().take() {
            // History was lost and the shard filled anew, while the extension was under way.
            fill(&shard, 1100);
        }
        recent(query)
    });
    *shard.lock() = Some(Arc::clone(&world.shard));
    assert!(!world.covers(980).await);
    assert_eq!(world.shard.log_start(), Some(version(1100)));
}

#[test]
fn extensions_go_further_than_they_must_but_not_below_the_floor() {
    let range = |least, start, floor: Option<u64>| {
        let range = range(version(least), version(start), floor.map(version));
        range.map(|range| (range.from.get(), range.least.get()))
    };
    assert_eq!(range(100_000, 100_010, None), Some((100_000, 100_000)));
    assert_eq!(range(100_000, 100_800, None), Some((99_950, 100_000)));
    assert_eq!(range(100_000, 180_000, None), Some((95_000, 100_000)));
    assert_eq!(range(100, 1_700, None), Some((50, 100)), "a young store");
    assert_eq!(range(1, 2, None), Some((1, 1)));
    assert_eq!(range(100_000, 116_000, Some(99_200)), Some((99_300, 100_000)));
    assert_eq!(range(100_000, 105_000, Some(100_000)), Some((100_000, 100_000)));
    assert_eq!(range(90_000, 105_000, Some(100_000)), Some((100_000, 100_000)));
    assert_eq!(range(90_000, 105_000, Some(105_000)), None);
    assert_eq!(range(105_000, 105_000, None), None);
}
