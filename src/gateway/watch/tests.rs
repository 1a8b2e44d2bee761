//! Watches on a shard and a hub that are driven by hand: what is sent against what a naive
//! evaluation of the same history gives, and when it is sent. No real time passes.

mod joined;
mod readers;
mod scripted_upstream;
mod simulation;
mod verdict;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::{Wake, Waker},
    time::Instant,
};

use super::*;
use crate::{
    cache::{
        fixture::{Pod, audience, bookmark, pods, version},
        joined::JoinedRoom,
        log::LogBudget,
    },
    codec::{object::Representation, watch_event::WatchEvent},
    identity::{
        credential::{Credential, KeyedHash},
        grant::Grants,
        review::{Decision, ReviewError},
    },
    shards::{
        history_room::HistoryRoom,
        hub::Hub,
        shard::{Shard, ShardId},
    },
};

/// A runtime whose clock moves only when it is told to.
fn paused_clock() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Room for joined batches: short bursts find some, long ones none.
const JOINED: usize = 1500;

/// A shard of Pods with one hub, and a clock that stands.
struct World {
    shard: Arc<Shard>,
    hub: Arc<Hub>,
    grants: Grants,
    draining: CancellationToken,
}

/// A watch that is polled by hand, and only when it was woken.
struct Client {
    body: WatchBody,
    woken: Arc<Flag>,
    received: Vec<u8>,
    ended: bool,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

// === impl World ===

impl World {
    fn new(objects: &[Pod], at: u64) -> Self {
        let world = Self::unfilled();
        let objects = objects.iter().map(Pod::object).collect();
        world.shard.fill_with(objects, version(at), Instant::now(), 0).unwrap();
        world
    }

    fn unfilled() -> Self {
        use crate::cache::audience::CoreId;
        let hub = Arc::new(Hub::new(CoreId(0)));
        let hubs: Arc<[Arc<Hub>]> = [Arc::clone(&hub)].into();
        let budget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(3600) };
        let shard = Shard::new(ShardId(1), pods(), 1, Representation::Json, budget, hubs);
        let history_room = Arc::new(HistoryRoom::new(u64::MAX));
        let shard = shard.sharing(history_room, Arc::new(JoinedRoom::new(JOINED)));
        if let WatchEvent::Bookmark(bookmark) = bookmark(1) {
            shard.learn_template(bookmark.template);
        }
        let (grants, draining) = (Grants::default(), CancellationToken::new());
        Self { shard: Arc::new(shard), hub, grants, draining }
    }

    fn grant(&self, check: fn() -> Result<Decision, ReviewError>) -> Grant {
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", http::HeaderValue::from_static("Bearer some-token"));
        let Credential::Bearer(token) = Credential::of(&headers) else { panic!("no token") };
        let fingerprint = KeyedHash::new().unwrap().fingerprint(&token, []);
        let decided = tokio::time::Instant::now().into_std();
        self.grants.hold(fingerprint, decided, move || std::future::ready(check()))
    }

    fn limits(&self, seconds: u64, max_frame: usize) -> Limits {
        Limits {
            timeout: Duration::from_secs(seconds),
            grant: self.grant(|| Ok(Decision::Allowed)),
            draining: self.draining.clone(),
            max_frame,
            enrolment: None,
        }
    }

    fn template(&self) -> Option<Arc<BookmarkTemplate>> {
        self.shard.snapshot().and_then(|snapshot| snapshot.template.clone())
    }

    /// A watch with bookmarks that begins with the state.
    fn with_state(&self, audience: AudienceKey, limits: Limits) -> Client {
        let state = self.shard.subscribe_with_state(&self.hub, audience.clone());
        let (subscription, snapshot) = state.unwrap();
        let start = Start::State {
            objects: snapshot.objects.owned_range(..),
            version: snapshot.resource_version,
            announce_end: true,
        };
        Client::new(WatchBody::new(subscription, audience, start, self.template(), limits))
    }

    /// A watch with bookmarks that begins after a version, if the log reaches back to it.
    fn after(&self, audience: AudienceKey, after: u64, limits: Limits) -> Option<Client> {
        let version = version(after);
        let events = self.shard.subscribe_after(&self.hub, audience.clone(), version);
        let (subscription, replay) = events.ok()?;
        let start = Start::After { replay, version };
        let template = self.template();
        Some(Client::new(WatchBody::new(subscription, audience, start, template, limits)))
    }

    fn apply(&self, pod: &Pod, kind: &str) {
        self.shard.apply(vec![pod.event(kind)], Instant::now()).unwrap();
        self.hub.deliver();
    }

    fn ticks(&self, count: usize) {
        (0..count).for_each(|_| self.hub.tick());
    }
}

// === impl Client ===

impl Client {
    fn new(body: WatchBody) -> Self {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        Self { body, woken, received: Vec::new(), ended: false }
    }

    /// Polls once if woken; the number of bytes that came, `None` when there was no frame.
    fn poll(&mut self) -> Option<usize> {
        if self.ended || !self.woken.0.swap(false, Ordering::SeqCst) {
            return None;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        match self.body.poll_data(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(None) => {
                self.ended = true;
                None
            }
            Poll::Ready(Some(frame)) => {
                // Whoever got a frame polls again without being woken.
                self.woken.wake_by_ref();
                self.received.extend(frame.iter().flatten());
                Some(frame.len())
            }
        }
    }

    /// Reads until it would sleep.
    fn read(&mut self) {
        while !self.ended && self.woken.0.load(Ordering::SeqCst) {
            self.poll();
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.received).unwrap()
    }

    /// What came since the last call, line by line: type and version.
    fn taken(&mut self) -> Vec<String> {
        self.read();
        let lines = self.text().split_inclusive('\n').map(in_short).collect();
        self.received.clear();
        lines
    }
}

/// `ADDED 5` for a line; the annotated bookmark is `END 5`.
fn in_short(line: &str) -> String {
    assert!(line.ends_with('\n'), "{line} is cut");
    let word = line.split('"').nth(3).unwrap();
    let word = if line.contains("initial-events-end") { "END" } else { word };
    format!("{word} {}", version_in(line))
}

fn version_in(line: &str) -> u64 {
    let (_, rest) = line.split_once(r#""resourceVersion":""#).unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

fn everything() -> AudienceKey {
    audience("", "", "")
}

fn pod(name: &str, version: u64) -> Pod {
    Pod::new("ns", name, version)
}

#[tokio::test(start_paused = true)]
async fn the_state_comes_first_and_its_end_is_marked() {
    let world = World::new(&[pod("a", 7), pod("b", 5)], 10);
    let mut client = world.with_state(everything(), world.limits(600, 1 << 16));
    assert_eq!(client.taken(), ["ADDED 7", "ADDED 5", "END 10"]);
    world.apply(&pod("a", 11), "MODIFIED");
    assert_eq!(client.taken(), ["MODIFIED 11"]);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_each_minute_and_before_the_end() {
    let world = World::new(&[], 10);
    let mut client = world.after(everything(), 10, world.limits(100, 1 << 16)).unwrap();
    assert!(client.taken().is_empty());
    world.ticks(60);
    assert!(client.taken().is_empty(), "nothing newer than the start");
    world.apply(&pod("a", 11), "ADDED");
    assert!(world.shard.advance(version(11), version(15)));
    world.ticks(37);
    assert_eq!(client.taken(), ["ADDED 11"]);
    world.ticks(1);
    assert_eq!(client.taken(), ["BOOKMARK 15"], "two seconds before its end");
    world.ticks(100);
    assert!(client.taken().is_empty(), "and none after it");
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_is_not_ahead_of_events_in_the_mailbox() {
    let world = World::new(&[], 10);
    let mut client = world.after(everything(), 10, world.limits(600, 1 << 16)).unwrap();
    client.read();
    world.ticks(59);
    // Applied, not delivered: the tick itself must bring it in.
    world.shard.apply(vec![pod("a", 11).event("ADDED")], Instant::now()).unwrap();
    world.ticks(1);
    assert_eq!(client.taken(), ["ADDED 11", "BOOKMARK 11"]);
    world.ticks(60);
    world.shard.apply(vec![pod("a", 12).event("MODIFIED")], Instant::now()).unwrap();
    assert_eq!(client.taken(), ["BOOKMARK 11"], "what came later comes after");
    world.hub.deliver();
    assert_eq!(client.taken(), ["MODIFIED 12"]);
}

#[tokio::test(start_paused = true)]
async fn a_future_start_skips_what_comes_before() {
    let world = World::new(&[], 10);
    let mut client = world.after(everything(), 13, world.limits(600, 1 << 16)).unwrap();
    assert!(client.taken().is_empty());
    for number in 11..16 {
        world.apply(&pod("a", number), if number == 11 { "ADDED" } else { "MODIFIED" });
    }
    assert_eq!(client.taken(), ["MODIFIED 14", "MODIFIED 15"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_goes_on_from_the_log_and_ends_when_it_is_gone() {
    let world = World::new(&[pod("a", 7)], 10);
    let mut slow = world.after(everything(), 10, world.limits(600, 1 << 16)).unwrap();
    slow.read();
    let write = |numbers: std::ops::Range<u64>| {
        numbers.for_each(|number| world.apply(&pod("a", number), "MODIFIED"));
    };
    write(11..2000);
    let expected: Vec<_> = (11..2000).map(|number| format!("MODIFIED {number}")).collect();
    assert_eq!(slow.taken(), expected, "more than a feed holds");
    write(2000..4000);
    world.shard.limit_log(0, Instant::now());
    assert!(slow.taken().is_empty());
    assert!(slow.ended, "without a word");
}

#[tokio::test(start_paused = true)]
async fn bursts_that_find_no_room_are_sent_frame_by_frame() {
    let world = World::new(&[pod("a", 7)], 10);
    let mut client = world.after(everything(), 10, world.limits(600, 1 << 16)).unwrap();
    client.read();
    let mut segments = |numbers: std::ops::Range<u64>| {
        let events = numbers.clone().map(|number| pod("a", number).event("MODIFIED")).collect();
        world.shard.apply(events, Instant::now()).unwrap();
        world.hub.deliver();
        let waker = Waker::from(Arc::clone(&client.woken));
        let Poll::Ready(Some(frame)) = client.body.poll_data(&mut Context::from_waker(&waker))
        else {
            panic!("events are there")
        };
        frame.iter().for_each(|segment| client.received.extend_from_slice(segment));
        let expected: Vec<_> = numbers.map(|number| format!("MODIFIED {number}")).collect();
        assert_eq!(client.taken(), expected);
        frame.segment_count()
    };
    assert_eq!(segments(11..14), 1, "joined");
    assert_eq!(segments(14..64), 50, "too long");
    assert_eq!(segments(64..66), 1);
}

#[tokio::test(start_paused = true)]
async fn only_a_broken_history_ends_watches() {
    let world = World::new(&[pod("a", 7)], 10);
    let mut client = world.after(everything(), 10, world.limits(600, 1 << 16)).unwrap();
    let same = vec![pod("a", 7).object()];
    world.shard.fill_with(same, version(20), Instant::now(), 0).unwrap();
    world.apply(&pod("a", 21), "MODIFIED");
    assert_eq!(client.taken(), ["MODIFIED 21"]);
    world.apply(&pod("a", 22), "MODIFIED");
    world.shard.fill_with(vec![], version(30), Instant::now(), 0).unwrap();
    let mut next = world.after(everything(), 30, world.limits(600, 1 << 16)).unwrap();
    world.hub.deliver();
    world.apply(&pod("a", 31), "ADDED");
    assert_eq!(client.taken(), ["MODIFIED 22"], "what came before is given out, nothing of after");
    assert!(client.ended);
    world.apply(&pod("b", 32), "ADDED");
    assert_eq!(next.taken(), ["ADDED 31", "ADDED 32"]);
    world.shard.clear(false);
    world.hub.deliver();
    next.read();
    assert!(next.ended);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_its_time_its_permission_and_its_connection() {
    let world = World::new(&[], 10);
    let mut timed = world.after(everything(), 10, world.limits(5, 1 << 16)).unwrap();
    let mut drained = world.after(everything(), 10, world.limits(600, 1 << 16)).unwrap();
    let revoked = world.grant(|| Ok(Decision::Denied));
    let limits = Limits { grant: revoked, ..world.limits(600, 1 << 16) };
    let mut denied = world.after(everything(), 10, limits).unwrap();
    [&mut timed, &mut drained, &mut denied].into_iter().for_each(Client::read);
    tokio::time::sleep(Duration::from_secs(6)).await;
    [&mut timed, &mut drained, &mut denied].into_iter().for_each(Client::read);
    assert_eq!([timed.ended, drained.ended, denied.ended], [true, false, false]);
    tokio::time::sleep(Duration::from_secs(6)).await;
    world.draining.cancel();
    [&mut drained, &mut denied].into_iter().for_each(Client::read);
    tokio::time::sleep(end::DRAIN_SPREAD + Duration::from_secs(1)).await;
    [&mut drained, &mut denied].into_iter().for_each(Client::read);
    assert_eq!([drained.ended, denied.ended], [true, true]);
    assert_eq!(world.hub.watchers(), 3);
    drop((timed, drained, denied));
    assert_eq!((world.hub.watchers(), world.shard.figures().watchers), (0, 0));
}

/// Frames are cut to what the connection takes at once; the end must not fall inside an event.
#[tokio::test(start_paused = true)]
async fn an_event_that_was_begun_is_finished() {
    let world = World::new(&[pod("a", 7), pod("b", 8), pod("c", 9)], 10);
    let mut client = world.with_state(everything(), world.limits(5, 200));
    assert_eq!(client.poll(), Some(200));
    tokio::time::sleep(Duration::from_secs(6)).await;
    client.read();
    assert!(client.ended);
    assert!(client.text().ends_with('\n'), "{}", client.text());
}

/// One match at the beginning must not make one turn of all that follows.
#[tokio::test(start_paused = true)]
async fn a_turn_is_bounded_also_after_a_match() {
    let objects: Vec<_> = (0..5000)
        .map(|number| {
            pod(&format!("p{number:05}"), 7).label("rare", if number == 0 { "1" } else { "0" })
        })
        .collect();
    let world = World::new(&objects, 10);
    let rare = || audience("", "rare=1", "");
    let turns = |mut client: Client| {
        let mut turns = 0;
        while !client.ended && client.woken.0.load(Ordering::SeqCst) {
            client.poll();
            turns += 1;
        }
        (turns, client.taken())
    };
    let (in_state, mut taken) = turns(world.with_state(rare(), world.limits(600, 1 << 16)));
    assert!(in_state > 10, "{in_state} turns for {} bytes", 5000 * 150);
    taken.extend(turns(world.with_state(rare(), world.limits(600, 1 << 16))).1);
    let burst: Vec<_> = (0..5000)
        .map(|number| {
            let rare = if number == 0 { "1" } else { "0" };
            pod("a", 11 + number).label("rare", rare).event("MODIFIED")
        })
        .collect();
    world.shard.apply(burst, Instant::now()).unwrap();
    let after = world.after(rare(), 10, world.limits(600, 1 << 16)).unwrap();
    let (in_log, _) = turns(after);
    assert!(in_log > 10, "{in_log} turns for 5000 events");
}
