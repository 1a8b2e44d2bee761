//! Subscriptions that come and go on several threads while another writes: real threads, real
//! interleavings, bounded work. What each sees is checked against the versions written.

mod interleavings;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use super::{
    hub::Hub,
    shard::{NotCovered, Shard, ShardId},
    subscription::{Next, Subscription},
};
use crate::{
    cache::{
        audience::{AudienceKey, CoreId},
        fixture::{Pod, audience, pods, version},
        log::LogBudget,
        watch_cache::Fill,
    },
    codec::{object::Representation, watch_event::WatchEvent},
};

const CORES: u16 = 2;
const WRITES: u64 = 1500;
const FIRST: u64 = 10;

struct World {
    shard: Arc<Shard>,
    hubs: Arc<[Arc<Hub>]>,
    done: AtomicBool,
    seen: AtomicU64,
}

/// Unparks the thread that waits.
struct Unpark(thread::Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::SeqCst);
        self.0.unpark();
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let hubs: Arc<[Arc<Hub>]> =
            (0..CORES).map(|core| Arc::new(Hub::new(CoreId(core)))).collect();
        let budget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(3600) };
        let shard =
            Shard::new(ShardId(1), pods(), 1, Representation::Json, budget, Arc::clone(&hubs));
        let first = Pod::new("ns", "a", FIRST).object();
        shard.fill_with(vec![first], version(FIRST), Instant::now(), 0).unwrap();
        let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { shard: Arc::new(shard), hubs, done, seen }
    }

    /// One Pod, changed at every version; its label says whether the version is even.
    fn write(&self, events: &[WatchEvent]) {
        for burst in events.chunks(3) {
            self.shard.apply(burst.to_vec(), Instant::now()).unwrap();
        }
        self.done.store(true, Ordering::SeqCst);
    }

    /// Delivers, with a tick now and then, until told that all is over.
    fn run_hub(&self, hub: &Hub, over: &AtomicBool) {
        for turn in 0_u64.. {
            if turn.is_multiple_of(64) {
                hub.tick();
            } else {
                hub.deliver();
            }
            if over.load(Ordering::SeqCst) {
                return;
            }
            thread::yield_now();
        }
    }

    /// Watches again and again until the writer is done; the last watch reads to the end.
    fn watch(&self, hub: &Arc<Hub>, key: &AudienceKey, step: u64, patience: u64) {
        let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&unpark));
        loop {
            let is_last = self.done.load(Ordering::SeqCst);
            let (mut subscription, snapshot) =
                self.shard.subscribe_with_state(hub, key.clone()).unwrap();
            subscription.request_bookmark(0);
            let mut reader = Reader { at: snapshot.resource_version.get(), key, step };
            let goal = if is_last { FIRST + WRITES } else { reader.at + patience };
            reader.read(self, &mut subscription, goal, (&waker, &unpark));
            drop(subscription);
            if is_last {
                return;
            }
        }
    }
}

/// Follows the versions that one audience must see.
struct Reader<'a> {
    at: u64,
    key: &'a AudienceKey,
    step: u64,
}

// === impl Reader ===

impl Reader<'_> {
    fn read(
        &mut self,
        world: &World,
        subscription: &mut Subscription,
        goal: u64,
        (waker, unpark): (&Waker, &Unpark),
    ) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let goal = goal.min(FIRST + WRITES);
        while self.at + self.step <= goal {
            match subscription.poll_next(&mut Context::from_waker(waker)) {
                Next::Batch(batch) => {
                    for (event, _) in batch.events() {
                        self.saw(event.resource_version().get());
                    }
                }
                Next::Replay(replay, _) => {
                    for event in replay {
                        subscription.mark_seen(event.resource_version());
                        if event.seen_through(self.key).is_some() {
                            self.saw(event.resource_version().get());
                        }
                    }
                }
                Next::Bookmark(marked) => {
                    let missed = (self.at + 1..=marked.get()).find(|number| self.is_due(*number));
                    assert_eq!(missed, None, "a bookmark at {marked} is ahead of an event");
                }
                Next::Idle => {
                    // Nothing but a wake-up gets it on.
                    while !unpark.1.swap(false, Ordering::SeqCst) {
                        thread::park_timeout(Duration::from_millis(100));
                        assert!(Instant::now() < deadline, "stuck at {}: not woken", self.at);
                    }
                }
                Next::Ended => panic!("ended at {}", self.at),
            }
        }
        world.seen.fetch_add(1, Ordering::SeqCst);
    }

    fn is_due(&self, number: u64) -> bool {
        number > FIRST && number.is_multiple_of(self.step)
    }

    fn saw(&mut self, number: u64) {
        let expected = (self.at + 1..).find(|number| self.is_due(*number));
        assert_eq!(Some(number), expected, "after {}", self.at);
        self.at = number;
    }
}

fn changes() -> Vec<WatchEvent> {
    (FIRST + 1..=FIRST + WRITES)
        .map(|number| {
            let name = format!("p{}", number % 2);
            Pod::new("ns", &name, number).event("ADDED")
        })
        .collect()
}

#[test]
fn subscriptions_race_with_the_writer_and_miss_nothing() {
    let world = World::new();
    let events = changes();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for hub in world.hubs.iter() {
            scope.spawn(|| world.run_hub(hub, &over));
        }
        let watchers: Vec<_> = (0..4_u64)
            .map(|number| {
                let (world, hub) = (&world, &world.hubs[number as usize % world.hubs.len()]);
                scope.spawn(move || match number {
                    0 | 1 => world.watch(hub, &audience("", "", ""), 1, 7 + number),
                    // The Pod of even versions, by its name.
                    _ => world.watch(hub, &audience("", "", "metadata.name=p0"), 2, 40),
                })
            })
            .collect();
        let writer = scope.spawn(|| world.write(&events));
        let outcomes: Vec<_> = watchers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::SeqCst);
        writer.join().unwrap();
        for outcome in outcomes {
            outcome.unwrap();
        }
    });
    assert!(world.seen.load(Ordering::SeqCst) >= 4);
    assert_eq!(world.shard.figures().watchers, 0);
    assert_eq!(world.shard.figures().audiences, 0);
    assert!(world.hubs.iter().all(|hub| hub.watchers() == 0));
}

#[test]
fn a_shard_that_is_not_filled_or_reaches_less_far_back_says_so() {
    let world = World::new();
    let (shard, hub) = (&world.shard, &world.hubs[0]);
    let everything = || audience("", "", "");
    let after = |number| shard.subscribe_after(hub, everything(), version(number)).map(drop);
    assert_eq!(after(FIRST), Ok(()));
    assert_eq!(after(FIRST - 1), Err(NotCovered::TooOld));
    shard.clear(false);
    assert_eq!(after(FIRST), Err(NotCovered::NotFilled));
    let state = shard.subscribe_with_state(hub, everything()).map(drop);
    assert_eq!(state, Err(NotCovered::NotFilled));
    assert_eq!(shard.figures().watchers, 0, "who is refused is not counted");
}

#[test]
fn a_closed_shard_is_not_filled_again() {
    let world = World::new();
    world.shard.clear(true);
    let pod = Pod::new("ns", "a", 20).object();
    world.shard.fill_with(vec![pod], version(20), Instant::now(), 0).unwrap();
    assert!(world.shard.snapshot().is_none());
    assert!(world.shard.progress().borrow().closed);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_condition_the_patience_or_the_shard() {
    let world = World::new();
    let shard = Arc::clone(&world.shard);
    let reached = move |number: u64| {
        let shard = Arc::clone(&shard);
        async move {
            let wait = shard.wait_until(Duration::from_secs(3), |progress| {
                progress.version >= Some(version(number))
            });
            wait.await.is_some()
        }
    };
    assert!(reached(FIRST).await);
    assert!(!reached(FIRST + 1).await, "three seconds pass");
    let waiting = tokio::spawn(reached(FIRST + 1));
    tokio::task::yield_now().await;
    world.shard.apply(changes()[..1].to_vec(), Instant::now()).unwrap();
    assert!(waiting.await.unwrap());
    let waiting = tokio::spawn(reached(FIRST + 2));
    tokio::task::yield_now().await;
    let before = tokio::time::Instant::now();
    world.shard.clear(true);
    assert!(!waiting.await.unwrap());
    assert_eq!(tokio::time::Instant::now(), before, "at once");
}

/// An object may have come and gone in a gap that a refill closes: whoever began inside of it may
/// have seen it, and would never be told that it is gone.
#[test]
fn a_refill_without_changes_ends_only_watches_from_inside_the_gap() {
    let world = World::new();
    let (shard, hub) = (&world.shard, &world.hubs[0]);
    let mut watches: Vec<_> = [FIRST, FIRST + 1, FIRST + 9, FIRST + 10, FIRST + 11]
        .map(|number| {
            let audience = audience("", "", "");
            (number, shard.subscribe_after(hub, audience, version(number)).unwrap().0)
        })
        .into();
    let same = Pod::new("ns", "a", FIRST).object();
    let fill = shard.fill_with(vec![same], version(FIRST + 10), Instant::now(), 0);
    assert_eq!(fill, Ok(Fill::Unchanged));
    hub.deliver();
    let mut context = Context::from_waker(Waker::noop());
    for (number, watch) in &mut watches {
        let ended = matches!(watch.poll_next(&mut context), Next::Ended);
        assert_eq!(ended, (FIRST + 1..FIRST + 10).contains(number), "from {number}");
    }
    let late = shard.subscribe_after(hub, audience("", "", ""), version(FIRST + 9)).map(drop);
    assert_eq!(late, Err(NotCovered::TooOld), "the log begins after the gap");
}

/// What is on its way when a shard is emptied belongs to the store before.
#[test]
fn a_state_from_before_the_shard_was_emptied_is_not_taken() {
    let world = World::new();
    world.shard.clear(false);
    let pod = || vec![Pod::new("ns", "a", 5).object()];
    assert_eq!(world.shard.fill_with(pod(), version(5), Instant::now(), 0), Ok(Fill::Void));
    assert!(world.shard.snapshot().is_none());
    assert_eq!(world.shard.fill_with(pod(), version(5), Instant::now(), 1), Ok(Fill::First));
}
