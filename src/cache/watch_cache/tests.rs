//! The cache against a naive evaluation of the same history.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    cache::fixture::{
        Pod, audience, bookmark, codec,
        history::{History, QUESTIONS, Question, Write, write},
        version,
    },
    codec::{object::Object, watch_event::Form},
};

const CORE: CoreId = CoreId(0);
const BUDGET: LogBudget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(600) };

fn map(objects: Vec<Object>) -> OrderedMap {
    OrderedMap::from_objects(codec().item_join(), objects)
}

fn filled(objects: &[Pod], at: u64) -> WatchCache {
    let mut cache = WatchCache::new(&codec(), BUDGET);
    let objects = objects.iter().map(Pod::object).collect::<Vec<_>>();
    assert_eq!(cache.fill(Arrival::new(map(objects), version(at))).0, Ok(Fill::First));
    cache
}

fn versions(snapshot: &Snapshot) -> Vec<u64> {
    snapshot.objects.range(..).map(|object| object.resource_version().get()).collect()
}

#[test]
fn nothing_is_applied_before_a_fill() {
    let mut cache = WatchCache::new(&codec(), BUDGET);
    let (published, outcome) = cache.apply([Pod::new("ns", "a", 5).event("ADDED")], Instant::now());
    assert_eq!((published.events, outcome), (0, Err(Violation::NotFilled)));
    assert!(cache.snapshot().is_none() && cache.events_since(version(1)).is_none());
    assert!(!cache.advance(version(1), version(2)));
}

#[test]
fn a_fault_in_a_burst_keeps_what_came_before() {
    let mut cache = filled(&[Pod::new("ns", "a", 5)], 10);
    let audience = cache.audiences().join(audience("", "", ""), CORE);
    for (fault, violation) in [
        (
            Pod::new("ns", "c", 11).event("ADDED"),
            Violation::OutOfOrder { event: version(11), applied: version(11) },
        ),
        (
            Pod::new("ns", "nobody", 99).event("DELETED"),
            Violation::UnknownObject { event: version(99) },
        ),
    ] {
        let at = cache.resource_version().unwrap().get() + 1;
        let burst = [
            Pod::new("ns", "b", at).event("ADDED"),
            fault,
            Pod::new("ns", "d", 100).event("ADDED"),
        ];
        let (published, outcome) = cache.apply(burst, Instant::now());
        assert_eq!((published.events, outcome), (1, Err(violation)));
        assert_eq!(published.batches.len(), 1);
        assert_eq!(published.batches[0].0, audience);
        assert_eq!(published.batches[0].1, [CORE]);
        assert_eq!(cache.resource_version(), Some(version(at)));
    }
}

#[test]
fn a_fill_says_whether_watches_can_go_on() {
    let mut cache = filled(&[Pod::new("ns", "a", 5)], 10);
    let generation = cache.generation();
    cache.apply([Pod::new("ns", "a", 12).event("MODIFIED")], Instant::now()).1.unwrap();
    let same = || vec![Pod::new("ns", "a", 12).object()];
    assert_eq!(cache.fill(Arrival::new(map(same()), version(20))).0, Ok(Fill::Unchanged));
    assert_eq!((cache.generation(), cache.resource_version()), (generation, Some(version(20))));
    // An object may have come and gone between 12 and 20: a client that saw it must not be told
    // that the log covers what it missed.
    assert!(cache.events_since(version(19)).is_none(), "the log begins anew");
    assert!(cache.events_since(version(20)).is_some());
    assert_eq!(
        cache.fill(Arrival::new(map(same()), version(19))).0,
        Err(Violation::WentBack { found: version(19), shown: version(20) })
    );
    assert_eq!(cache.fill(Arrival::new(map(vec![]), version(21))).0, Ok(Fill::Changed));
    assert_eq!(cache.generation(), generation + 1);
    assert!(cache.events_since(version(20)).is_none(), "the log does not");
    assert!(cache.events_since(version(21)).is_some());
    drop(cache.clear());
    assert_eq!(cache.generation(), generation + 2);
    assert_eq!(
        cache.fill(Arrival::new(map(vec![]), version(3))).0,
        Ok(Fill::First),
        "after a clear also an older one"
    );
}

/// A definition that got a default shows other bytes without a write.
#[test]
fn the_same_version_in_other_bytes_is_a_change() {
    let mut cache = filled(&[Pod::new("ns", "a", 5)], 10);
    let generation = cache.generation();
    let other = Pod::new("ns", "a", 5).node("n");
    assert_eq!(
        cache.fill(Arrival::new(map(vec![other.object()]), version(20))).0,
        Ok(Fill::Changed)
    );
    assert_eq!(cache.generation(), generation + 1);
    let snapshot = cache.snapshot().unwrap();
    let shown = snapshot.objects.get("ns/a").unwrap();
    assert_eq!(shown.core, other.object().core);
}

/// A state is compared before the lock is taken: with what is held no longer, the comparison says
/// nothing.
#[test]
fn a_comparison_counts_only_for_what_is_still_held() {
    let pod = || map(vec![Pod::new("ns", "a", 5).object()]);
    let arrival =
        |at, held: &Snapshot| Arrival::new(pod(), version(at)).compared_with(&held.objects);
    let mut cache = filled(&[Pod::new("ns", "a", 5)], 10);
    let before = cache.snapshot().unwrap();
    assert_eq!(cache.fill(arrival(11, &before)).0, Ok(Fill::Unchanged));

    let overtaken = arrival(30, &before);
    cache.apply([Pod::new("ns", "a", 20).event("MODIFIED")], Instant::now()).1.unwrap();
    assert_eq!(cache.fill(overtaken).0, Ok(Fill::Changed), "equal to what was held before");

    let cleared = arrival(40, &cache.snapshot().unwrap());
    drop(cache.clear());
    assert_eq!(cache.fill(cleared).0, Ok(Fill::First));

    let refused = arrival(39, &cache.snapshot().unwrap());
    assert!(matches!(cache.fill(refused).0, Err(Violation::WentBack { .. })));
    assert_eq!(cache.snapshot().unwrap().objects.len(), 1);
}

/// Freeing 100,000 objects takes long; the owner does it when its lock is free again.
#[test]
fn what_goes_is_handed_back() {
    let other = || Arrival::new(map(vec![Pod::new("ns", "b", 15).object()]), version(20));
    let goings: [fn(&mut WatchCache, Arrival) -> Discarded; 3] =
        [|cache, other| cache.fill(other).1, |cache, _| cache.withdraw(), |cache, _| cache.clear()];
    for going in goings {
        let mut cache = filled(&[Pod::new("ns", "a", 5)], 10);
        cache.apply([Pod::new("ns", "c", 12).event("ADDED")], Instant::now()).1.unwrap();
        let event = Arc::downgrade(&cache.events_since(version(10)).unwrap().next().unwrap());
        let discarded = going(&mut cache, other());
        assert!(event.upgrade().is_some(), "the old log is still there");
        drop(discarded);
        assert!(event.upgrade().is_none());
    }
}

#[test]
fn advancing_needs_the_very_version() {
    let mut cache = filled(&[], 10);
    assert!(!cache.advance(version(9), version(20)));
    assert!(!cache.advance(version(10), version(9)));
    assert!(cache.advance(version(10), version(20)));
    assert_eq!(cache.resource_version(), Some(version(20)));
    assert!(!cache.advance(version(10), version(30)));
    let (_, outcome) = cache.apply([Pod::new("ns", "a", 20).event("ADDED")], Instant::now());
    assert!(matches!(outcome, Err(Violation::OutOfOrder { .. })));
}

/// An auxiliary watch can prove more than a fill that was asked for before: the store did not go
/// back then, and what is shown does not either.
#[test]
fn a_fill_overtaken_by_an_advance_is_no_restore() {
    let mut cache = filled(&[Pod::new("ns", "a", 5)], 10);
    assert!(cache.advance(version(10), version(30)));
    assert_eq!(
        cache.fill(Arrival::new(map(vec![Pod::new("ns", "a", 5).object()]), version(20))).0,
        Ok(Fill::Unchanged)
    );
    assert_eq!(cache.resource_version(), Some(version(30)));
    // The cache was wrong, which is why it is filled.
    assert_eq!(
        cache.fill(Arrival::new(map(vec![Pod::new("ns", "b", 5).object()]), version(25))).0,
        Ok(Fill::Changed)
    );
    assert_eq!(cache.resource_version(), Some(version(30)));
    assert_eq!(
        cache.fill(Arrival::new(map(vec![]), version(24))).0,
        Err(Violation::WentBack { found: version(24), shown: version(25) })
    );
    cache.apply([bookmark(28)], Instant::now()).1.unwrap();
    assert_eq!(cache.resource_version(), Some(version(30)), "late bookmarks change nothing");
}

/// A store that was restored and has grown is found between what the stream brought and what was
/// proven another way.
#[test]
fn a_fill_asked_for_after_an_advance_must_have_come_as_far() {
    let state = |at| Arrival::new(map(vec![Pod::new("ns", "a", 5).object()]), version(at));
    let mut cache = filled(&[Pod::new("ns", "a", 5)], 10);
    assert!(cache.advance(version(10), version(30)));
    cache.expect_fill();
    assert!(cache.advance(version(30), version(40)), "while it is on its way");
    let violation = Violation::WentBack { found: version(29), shown: version(30) };
    assert_eq!(cache.fill(state(29)).0, Err(violation));
    assert_eq!(cache.fill(state(30)).0, Ok(Fill::Unchanged));
    assert_eq!(cache.resource_version(), Some(version(40)));

    // What is withdrawn is still remembered; what is cleared is not.
    drop(cache.withdraw());
    let violation = Violation::WentBack { found: version(39), shown: version(40) };
    assert_eq!(cache.fill(state(39)).0, Err(violation));
    drop(cache.clear());
    cache.expect_fill();
    assert_eq!(cache.fill(state(3)).0, Ok(Fill::First));
}

#[test]
fn snapshots_do_not_change() {
    let mut cache = filled(&[Pod::new("ns", "a", 5)], 10);
    let before = cache.snapshot().unwrap();
    cache.apply([Pod::new("ns", "a", 12).event("MODIFIED")], Instant::now()).1.unwrap();
    assert_eq!((versions(&before), before.resource_version), (vec![5], version(10)));
    assert_eq!(versions(&cache.snapshot().unwrap()), [12]);
}

#[test]
fn the_log_of_a_later_fill_has_the_limit_given_before() {
    let mut cache = filled(&[], 10);
    cache.limit_log(0, Instant::now());
    cache.fill(Arrival::new(map(vec![Pod::new("ns", "a", 11).object()]), version(11))).0.unwrap();
    cache.apply([Pod::new("ns", "a", 12).event("MODIFIED")], Instant::now()).1.unwrap();
    assert_eq!(cache.log_start(), Some(version(12)));
    assert_eq!(cache.resident_bytes().1, 0);
}

/// A watcher that takes everything as it is published.
struct Watcher {
    question: &'static Question,
    audience: AudienceId,
    after: u64,
    received: Vec<(u64, String)>,
}

// === impl Watcher ===

impl Watcher {
    /// Joins at a version that the log may reach, as a shard does.
    fn join(cache: &mut WatchCache, question: usize, after: u64) -> Option<Self> {
        let question = &QUESTIONS[question % QUESTIONS.len()];
        let replay = cache.events_since(version(after))?;
        let key = question.audience();
        let seen = replay.filter_map(|event| Some((event.seen_through(&key)?, event)));
        let received = seen.map(|(kind, event)| frame(&event, kind)).collect();
        let audience = cache.audiences().join(key, CORE);
        Some(Self { question, audience, after, received })
    }
}

fn frame(event: &Event, kind: EventKind) -> (u64, String) {
    let bytes = event.frame(kind, Form::Full, &codec()).to_vec();
    (event.resource_version().get(), String::from_utf8(bytes).unwrap())
}

/// A history in bursts, with watchers that join between them.
struct Run {
    history: History,
    cache: WatchCache,
    watchers: Vec<Watcher>,
    snapshots: Vec<(u64, Snapshot)>,
    now: Instant,
}

// === impl Run ===

impl Run {
    fn new(before: &[Write], budget: u64) -> Self {
        let mut history = History::new();
        before.iter().for_each(|write| drop(history.write(write)));
        let mut cache = WatchCache::new(&codec(), LogBudget { bytes: budget, ..BUDGET });
        cache.fill(Arrival::new(map(history.objects()), version(history.version))).0.unwrap();
        let (watchers, snapshots) = (Vec::new(), Vec::new());
        Self { history, cache, watchers, snapshots, now: Instant::now() }
    }

    fn burst(&mut self, writes: &[Write]) {
        let burst: Vec<_> = writes.iter().filter_map(|write| self.history.write(write)).collect();
        let (published, outcome) = self.cache.apply(burst, self.now);
        outcome.unwrap();
        for (audience, cores, batch) in published.batches {
            assert_eq!(cores, [CORE]);
            for watcher in self.watchers.iter_mut().filter(|known| known.audience == audience) {
                let due = batch
                    .events()
                    .iter()
                    .filter(|(event, _)| event.resource_version().get() > watcher.after);
                watcher.received.extend(due.map(|(event, kind)| frame(event, *kind)));
            }
        }
        self.snapshots.push((self.history.version, self.cache.snapshot().unwrap()));
    }

    /// `back` versions before the present one, or after it.
    fn join(&mut self, question: usize, back: i64) {
        let after = self.history.version.saturating_add_signed(-back).max(1);
        let reachable = version(after) >= self.cache.log_start().unwrap();
        let watcher = Watcher::join(&mut self.cache, question, after);
        assert_eq!(watcher.is_some(), reachable);
        self.watchers.extend(watcher);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for watcher in &self.watchers {
            let expected = self.history.frames_after(watcher.question, watcher.after);
            prop_assert_eq!(&watcher.received, &expected, "after {}", watcher.after);
        }
        let last = self.cache.snapshot().unwrap();
        let state: Vec<_> = self.history.state.values().map(|pod| pod.version).collect();
        prop_assert_eq!(versions(&last), state);
        for (at, snapshot) in &self.snapshots {
            let Some(replay) = self.cache.events_since(version(*at)) else { continue };
            let mut objects = snapshot.objects.clone();
            for event in replay {
                match event.change() {
                    Change::Set { object, .. } => drop(objects.insert(object.clone())),
                    Change::Deleted { object, .. } => drop(objects.remove(object.key().as_str())),
                }
            }
            prop_assert!(
                fill::same_objects(&objects, &last.objects),
                "snapshot at {} and events",
                at
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn watchers_get_what_a_naive_evaluation_gives(
        before in prop::collection::vec(write(), 0..20),
        rounds in prop::collection::vec(
            (
                prop::collection::vec(write(), 0..8),
                prop::collection::vec((0..QUESTIONS.len(), -4..30_i64), 0..3),
                // Events leave the log by their age, too.
                prop_oneof![3 => Just(0), 1 => 1..700_u64],
            ),
            1..20,
        ),
        kilobytes in prop_oneof![1..20_u64, Just(1 << 20)],
    ) {
        let mut run = Run::new(&before, kilobytes << 10);
        for (writes, joins, seconds) in &rounds {
            run.now += Duration::from_secs(*seconds);
            run.burst(writes);
            joins.iter().for_each(|(question, back)| run.join(*question, *back));
        }
        run.check()?;
    }
}
