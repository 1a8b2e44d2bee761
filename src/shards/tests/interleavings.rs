//! The protocol between a shard, its hubs and their watchers, under many interleavings (see
//! [`crate::sync::modelled`]): no event lost or given twice, no bookmark ahead of an event, no watcher
//! that sleeps for ever.
//!
//! That these tests can fail was tried by breaking the code, one break at a time; each was found:
//!
//! | Break | What was seen |
//! | --- | --- |
//! | `Shard::apply` publishes before it sends to the hubs | a bookmark ahead of an event |
//! | `Shard::subscribe_after` lets go of the lock between log and hub | events lost |
//! | `Shard::catch_up` does | a watcher sleeps for ever |
//! | `Shard::fill` tells that watches end without the lock | a new watch ended |
//! | `Hub::attach`, `Hub::skip_to_end` leave the mailbox as it is | events given twice |
//! | `Hub::tick` reads the versions after it emptied the mailbox | a bookmark ahead of an event |
//! | `Hub::send` rings before it puts the message | a watcher sleeps for ever |
//! | a batch wakes only the first, an overrun or a bookmark nobody | a watcher sleeps for ever |
//! | `Hub::poll` keeps the first waker it was given | a watcher sleeps for ever |
//! | `EndBetween` with its bounds | a watch from either bound ended |
//! | `Shard::apply` counts what changed before it shows the new state | a state held and not counted |
//! | `Shard::publish` tells of a version before it shows it | an older state found |

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use shuttle::{
    future::block_on,
    thread::{self, JoinHandle},
};

use crate::{
    api::version::ResourceVersion,
    cache::{
        audience::{AudienceKey, CoreId},
        fixture::{Pod, audience, pods, version},
        log::LogBudget,
        watch_cache::Fill,
    },
    codec::{object::Representation, watch_event::WatchEvent},
    shards::{
        hub::{Hub, Message},
        shard::{Shard, ShardId},
        subscription::{Next, Subscription},
    },
    sync::modelled::explore,
};

const FIRST: u64 = 10;

/// A shard with its hubs, each of which delivers on a thread of its own.
struct World {
    shard: Arc<Shard>,
    hubs: Arc<[Arc<Hub>]>,
    over: Arc<AtomicBool>,
    delivering: Vec<JoinHandle<()>>,
}

/// What one watcher has seen, judged as it comes.
struct Seen {
    /// The last version seen, or where the watch began.
    at: u64,
    /// Only multiples of this concern it.
    step: u64,
}

/// How a watch ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Complete,
    Ended,
}

// === impl World ===

impl World {
    fn new(cores: u16, mailbox_size: usize) -> Self {
        let hub = |core| Arc::new(Hub::with_mailbox(CoreId(core), mailbox_size));
        let hubs: Arc<[Arc<Hub>]> = (0..cores).map(hub).collect();
        let budget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(3600) };
        let json = Representation::Json;
        let shard = Arc::new(Shard::new(ShardId(1), pods(), 1, json, budget, Arc::clone(&hubs)));
        let first = vec![Pod::new("ns", "first", FIRST).object()];
        shard.fill_with(first, version(FIRST), Instant::now(), 0).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let deliver = |hub: &Arc<Hub>| {
            let (hub, over) = (Arc::clone(hub), Arc::clone(&over));
            thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    block_on(hub.rung());
                    hub.deliver();
                }
            })
        };
        let delivering = hubs.iter().map(deliver).collect();
        Self { shard, hubs, over, delivering }
    }

    /// Writes these versions, each burst in one go.
    fn write(&self, bursts: &'static [&'static [u64]]) -> JoinHandle<()> {
        let shard = Arc::clone(&self.shard);
        thread::spawn(move || {
            for burst in bursts {
                let burst = burst.iter().copied().map(change).collect();
                shard.apply(burst, Instant::now()).unwrap();
            }
        })
    }

    fn tick(&self, core: usize, times: usize) -> JoinHandle<()> {
        let hub = Arc::clone(&self.hubs[core]);
        thread::spawn(move || (0..times).for_each(|_| hub.tick()))
    }

    /// A watcher on a thread of its own: from the state or after [`FIRST`], up to `last`.
    fn watch(&self, core: usize, step: u64, from_state: bool, last: u64) -> JoinHandle<Outcome> {
        let (shard, hub) = (Arc::clone(&self.shard), Arc::clone(&self.hubs[core]));
        thread::spawn(move || {
            let (mut subscription, mut seen) = subscribe(&shard, &hub, step, from_state);
            subscription.request_bookmark(0);
            seen.read(&mut subscription, last)
        })
    }

    /// Ends the hubs' threads; nobody may be left on them.
    fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        // Any message rings.
        self.hubs.iter().for_each(|hub| hub.send(Message::End(ShardId(999))));
        self.delivering.into_iter().for_each(|hub| hub.join().unwrap());
        let figures = self.shard.figures();
        assert_eq!((figures.watchers, figures.audiences), (0, 0));
        assert!(self.hubs.iter().all(|hub| hub.watchers() == 0));
    }
}

/// Pods of even and odd versions have names of their own.
fn change(number: u64) -> WatchEvent {
    Pod::new("ns", &format!("p{}", number % 2), number).event("MODIFIED")
}

fn audience_of(step: u64) -> AudienceKey {
    audience("", "", if step == 2 { "metadata.name=p0" } else { "" })
}

fn subscribe(
    shard: &Arc<Shard>,
    hub: &Arc<Hub>,
    step: u64,
    from_state: bool,
) -> (Subscription, Seen) {
    let key = audience_of(step);
    if from_state {
        let (subscription, snapshot) = shard.subscribe_with_state(hub, key).unwrap();
        return (subscription, Seen { at: snapshot.resource_version.get(), step });
    }
    let mut seen = Seen { at: FIRST, step };
    let after = shard.subscribe_after(hub, key.clone(), version(FIRST));
    let (mut subscription, replay) = after.unwrap();
    for event in replay {
        subscription.mark_seen(event.resource_version());
        if event.seen_through(&key).is_some() {
            seen.event(event.resource_version());
        }
    }
    (subscription, seen)
}

async fn next(subscription: &mut Subscription) -> Next {
    poll_fn(|context| match subscription.poll_next(context) {
        Next::Idle => Poll::Pending,
        other => Poll::Ready(other),
    })
    .await
}

// === impl Seen ===

impl Seen {
    /// Reads until `last` was seen or the watch ended.
    fn read(&mut self, subscription: &mut Subscription, last: u64) -> Outcome {
        while self.at + self.step <= last {
            match block_on(next(subscription)) {
                Next::Batch(batch) => {
                    batch
                        .events()
                        .iter()
                        .for_each(|(event, _)| self.event(event.resource_version()));
                }
                Next::Replay(replay, _) => {
                    for event in replay {
                        subscription.mark_seen(event.resource_version());
                        if event.seen_through(&audience_of(self.step)).is_some() {
                            self.event(event.resource_version());
                        }
                    }
                }
                Next::Bookmark(marked) => {
                    let missed = (self.at + 1..=marked.get()).find(|number| self.concerns(*number));
                    assert_eq!(missed, None, "the bookmark {marked} is ahead of an event");
                    subscription.request_bookmark(0);
                }
                Next::Ended => return Outcome::Ended,
                Next::Idle => unreachable!("is waited for"),
            }
        }
        Outcome::Complete
    }

    fn concerns(&self, number: u64) -> bool {
        number.is_multiple_of(self.step)
    }

    fn event(&mut self, version: ResourceVersion) {
        let expected = (self.at + 1..).find(|number| self.concerns(*number));
        assert_eq!(Some(version.get()), expected, "after {}", self.at);
        self.at = version.get();
    }
}

#[test]
fn every_event_reaches_every_watcher_once_and_no_bookmark_is_ahead() {
    explore(|| {
        let world = World::new(2, 100);
        let watchers = [
            world.watch(0, 1, true, 14),
            world.watch(0, 2, false, 14),
            world.watch(1, 1, false, 14),
        ];
        let writer = world.write(&[&[11], &[12, 13], &[14]]);
        let ticks = [world.tick(0, 3), world.tick(1, 2)];
        writer.join().unwrap();
        ticks.into_iter().for_each(|tick| tick.join().unwrap());
        for watcher in watchers {
            assert_eq!(watcher.join().unwrap(), Outcome::Complete);
        }
        world.end();
    });
}

#[test]
fn a_mailbox_that_is_overrun_costs_no_event() {
    explore(|| {
        let world = World::new(1, 1);
        let watchers = [world.watch(0, 1, true, 14), world.watch(0, 2, false, 14)];
        let writer = world.write(&[&[11], &[12], &[13], &[14]]);
        let tick = world.tick(0, 2);
        writer.join().unwrap();
        tick.join().unwrap();
        for watcher in watchers {
            assert_eq!(watcher.join().unwrap(), Outcome::Complete);
        }
        world.end();
    });
}

#[test]
fn watchers_may_leave_while_events_are_handed_out() {
    explore(|| {
        let world = World::new(2, 2);
        let leavers: Vec<_> = (0..2_usize)
            .map(|core| {
                let (shard, hub) = (Arc::clone(&world.shard), Arc::clone(&world.hubs[core]));
                thread::spawn(move || {
                    for from_state in [true, false] {
                        let (mut subscription, mut seen) = subscribe(&shard, &hub, 1, from_state);
                        subscription.request_bookmark(0);
                        seen.read(&mut subscription, 12);
                    }
                })
            })
            .collect();
        let stays = world.watch(0, 1, false, 14);
        let writer = world.write(&[&[11], &[12], &[13, 14]]);
        let tick = world.tick(0, 2);
        writer.join().unwrap();
        tick.join().unwrap();
        leavers.into_iter().for_each(|leaver| leaver.join().unwrap());
        assert_eq!(stays.join().unwrap(), Outcome::Complete);
        world.end();
    });
}

/// A read that waits for a version looks at the state as soon as it is told of it.
#[test]
fn who_is_told_of_a_version_finds_it() {
    explore(|| {
        let world = World::new(1, 100);
        let readers: Vec<_> = [11, 13]
            .map(|wanted| {
                let shard = Arc::clone(&world.shard);
                thread::spawn(move || {
                    let mut progress = shard.progress();
                    let reached = progress.wait_for(|it| it.version >= Some(version(wanted)));
                    let told = block_on(reached).unwrap().version;
                    assert!(shard.resource_version() >= told, "told of {told:?}");
                })
            })
            .into();
        let writer = world.write(&[&[11], &[12, 13]]);
        writer.join().unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        world.end();
    });
}

/// A list that takes the state that is shown has it counted from then on, or from before.
#[test]
fn a_state_is_never_counted_as_newer_than_it_is() {
    explore(|| {
        let world = World::new(1, 100);
        let reader = {
            let shard = Arc::clone(&world.shard);
            thread::spawn(move || {
                let since = shard.turnover().replaced();
                (since, shard.resource_version().unwrap().get())
            })
        };
        let writer = world.write(&[&[11]]);
        writer.join().unwrap();
        let (since, at) = reader.join().unwrap();
        assert!(at == 11 || world.shard.turnover().replaced() > since);
        world.end();
    });
}

/// Whoever only waits for a bookmark is woken for it, with the waker given last.
#[test]
fn a_bookmark_that_is_due_wakes() {
    explore(|| {
        let world = World::new(1, 100);
        let (shard, hub) = (Arc::clone(&world.shard), Arc::clone(&world.hubs[0]));
        let (mut subscription, _) = subscribe(&shard, &hub, 2, true);
        subscription.request_bookmark(0);
        let elsewhere = subscription.poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(elsewhere, Next::Idle));
        let tick = world.tick(0, 1);
        // Concerns another audience.
        let writer = world.write(&[&[11]]);
        let Next::Bookmark(marked) = block_on(next(&mut subscription)) else {
            panic!("no bookmark")
        };
        assert!((FIRST..=11).contains(&marked.get()), "{marked}");
        drop(subscription);
        tick.join().unwrap();
        writer.join().unwrap();
        world.end();
    });
}

/// A watch that began before the shard was filled with something else ends, and sees nothing of what
/// comes after; one that began afterwards goes on.
#[test]
fn watches_end_when_continuity_is_broken_and_only_then() {
    explore(|| {
        let world = World::new(1, 100);
        let (shard, hub) = (Arc::clone(&world.shard), Arc::clone(&world.hubs[0]));
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                let (shard, hub) = (Arc::clone(&shard), Arc::clone(&hub));
                thread::spawn(move || {
                    let (mut subscription, mut seen) = subscribe(&shard, &hub, 1, true);
                    let is_late = seen.at >= 20;
                    subscription.request_bookmark(0);
                    let outcome = seen.read(&mut subscription, if is_late { 21 } else { u64::MAX });
                    assert_eq!(outcome == Outcome::Ended, !is_late, "began and saw {}", seen.at);
                    assert!(is_late || seen.at <= 11, "saw {} of another history", seen.at);
                })
            })
            .collect();
        let writer = thread::spawn(move || {
            shard.apply(vec![change(11)], Instant::now()).unwrap();
            let other = vec![Pod::new("ns", "other", 19).object()];
            let fill = shard.fill_with(other, version(20), Instant::now(), 0);
            assert_eq!(fill, Ok(Fill::Changed));
            shard.apply(vec![change(21)], Instant::now()).unwrap();
        });
        let tick = world.tick(0, 2);
        writer.join().unwrap();
        tick.join().unwrap();
        watchers.into_iter().for_each(|watcher| watcher.join().unwrap());
        world.end();
    });
}

/// A refill that found the same objects ends those watches that began inside of its gap; all
/// others go on, whenever they came.
#[test]
fn a_refill_without_changes_ends_only_watches_from_inside_of_the_gap() {
    explore(|| {
        let world = World::new(1, 100);
        let (shard, hub) = (Arc::clone(&world.shard), Arc::clone(&world.hubs[0]));
        let watchers: Vec<_> = [FIRST, 15, 20]
            .map(|start| {
                let (shard, hub) = (Arc::clone(&shard), Arc::clone(&hub));
                thread::spawn(move || {
                    let after = shard.subscribe_after(&hub, audience_of(1), version(start));
                    let Ok((mut subscription, replay)) = after else {
                        assert!(start < 20, "the log begins at 20");
                        return;
                    };
                    let mut seen = Seen { at: 20, step: 1 };
                    for event in replay {
                        subscription.mark_seen(event.resource_version());
                        seen.event(event.resource_version());
                    }
                    let ended = seen.read(&mut subscription, 21) == Outcome::Ended;
                    assert_eq!(ended, start == 15, "a watch from {start}");
                })
            })
            .into();
        let writer = thread::spawn(move || {
            let same = vec![Pod::new("ns", "first", FIRST).object()];
            let fill = shard.fill_with(same, version(20), Instant::now(), 0);
            assert_eq!(fill, Ok(Fill::Unchanged));
            shard.apply(vec![change(21)], Instant::now()).unwrap();
        });
        writer.join().unwrap();
        watchers.into_iter().for_each(|watcher| watcher.join().unwrap());
        world.end();
    });
}
