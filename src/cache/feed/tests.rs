//! The feed against a model in which every watcher has a list of its own.

use proptest::prelude::*;

use super::*;
use crate::cache::{
    event::Change,
    fixture::{Pod, codec, version},
};

fn batch(number: u64) -> Arc<Batch> {
    let object = Pod::new("ns", "a", number).object();
    let event = Arc::new(Event::new(Change::Set { object, previous: None }));
    Arc::new(Batch::new(vec![(event, EventKind::Added)], Form::Full, &Arc::default()))
}

fn number(batch: &Batch) -> u64 {
    batch.last().unwrap().get()
}

#[test]
fn a_batch_is_its_frames_in_order() {
    let events: Vec<_> = [(3, EventKind::Added), (5, EventKind::Deleted), (6, EventKind::Modified)]
        .into_iter()
        .map(|(number, kind)| {
            let object = Pod::new("ns", "a", number).object();
            let previous = Some(Pod::new("ns", "a", number - 1).object());
            (Arc::new(Event::new(Change::Set { object, previous })), kind)
        })
        .collect();
    let codec = codec();
    let expected: Vec<u8> = events
        .iter()
        .flat_map(|(event, kind)| event.frame(*kind, Form::Full, &codec).to_vec())
        .collect();
    let room = Arc::new(JoinedRoom::new(2 * expected.len() - 1));
    let batches = [events.clone(), events.clone()].map(|of| Batch::new(of, Form::Full, &room));
    assert_eq!(batches[0].bytes(&codec).unwrap(), &expected);
    assert_eq!(room.left(), expected.len() - 1, "exactly as long as it is");
    assert_eq!(batches[0].last(), Some(version(6)));
    assert_eq!(batches[0].events().len(), 3);
    assert_eq!(batches[1].bytes(&codec), None, "no room");
    let single = Batch::new(events[..1].to_vec(), Form::Full, &Arc::new(JoinedRoom::new(0)));
    assert!(expected.starts_with(single.bytes(&codec).unwrap()), "the event's own");
    drop(batches);
    assert_eq!(room.left(), 2 * expected.len() - 1);
}

#[test]
fn nothing_is_kept_for_nobody() {
    let mut feed = Feed::default();
    feed.push(batch(1));
    assert!(feed.is_empty() && feed.is_abandoned());
    let position = feed.attach();
    feed.push(batch(2));
    assert_eq!(feed.len(), 1);
    feed.detach(position);
    assert!(feed.is_empty() && feed.is_abandoned());
}

#[test]
fn a_drained_feed_gives_its_room_back() {
    let mut feed = Feed::default();
    let mut position = feed.attach();
    for sent in 1..100 {
        feed.push(batch(sent));
    }
    while let Pull::Batch(_) = feed.pull(&mut position) {}
    assert!(feed.batches.capacity() <= KEPT);
    feed.push(batch(100));
    assert!(matches!(feed.pull(&mut position), Pull::Batch(batch) if number(&batch) == 100));
}

#[test]
fn a_feed_is_bounded_and_says_so() {
    let mut feed = Feed::default();
    let (mut slow, mut fast) = (feed.attach(), feed.attach());
    for sent in 1..=MAX_BATCHES as u64 + 1 {
        feed.push(batch(sent));
        assert!(matches!(feed.pull(&mut fast), Pull::Batch(batch) if number(&batch) == sent));
    }
    assert_eq!(feed.len(), MAX_BATCHES);
    assert!(matches!(feed.pull(&mut slow), Pull::Behind));
    assert!(matches!(feed.pull(&mut slow), Pull::Behind), "until it has caught up");
    feed.skip_to_end(&mut slow);
    assert!(feed.is_empty(), "nobody else waits for the old ones");
    assert!(matches!(feed.pull(&mut slow), Pull::Drained));
    feed.push(batch(5000));
    assert!(matches!(feed.pull(&mut slow), Pull::Batch(batch) if number(&batch) == 5000));
}

#[test]
fn what_nobody_takes_for_some_beats_puts_the_slow_behind_and_nobody_else() {
    let mut feed = Feed::default();
    let (mut slow, mut fast) = (feed.attach(), feed.attach());
    for at in 1..=2 {
        feed.push(batch(at));
        assert!(matches!(feed.pull(&mut fast), Pull::Batch(_)));
    }
    feed.beat();
    feed.push(batch(3));
    for _ in 1..BEATS {
        feed.beat();
        assert_eq!(feed.len(), 3);
    }
    feed.beat();
    assert_eq!(feed.len(), 1);
    assert!(matches!(feed.pull(&mut slow), Pull::Behind));
    assert!(matches!(feed.pull(&mut fast), Pull::Batch(next) if number(&next) == 3));
    feed.detach(slow);
    assert!(feed.is_empty(), "nobody waits for it any more");
    (0..BEATS).for_each(|_| feed.beat());
    feed.push(batch(4));
    feed.beat();
    assert!(matches!(feed.pull(&mut fast), Pull::Batch(next) if number(&next) == 4));
}

#[test]
fn an_overrun_puts_everybody_behind_but_not_newcomers() {
    let mut feed = Feed::default();
    let mut old = feed.attach();
    feed.overrun();
    let mut new = feed.attach();
    assert!(matches!(feed.pull(&mut old), Pull::Behind), "also who had taken everything");
    assert!(matches!(feed.pull(&mut new), Pull::Drained));
    feed.push(batch(1));
    assert!(matches!(feed.pull(&mut new), Pull::Batch(_)));
    assert!(matches!(feed.pull(&mut old), Pull::Behind));
    feed.detach(old);
    assert!(feed.is_empty());
    assert!(matches!(feed.pull(&mut new), Pull::Drained));
}

#[derive(Clone, Debug)]
enum Step {
    Attach,
    Detach(usize),
    Pull(usize),
    CatchUp(usize),
    Push,
    /// More than a feed holds.
    Flood,
    Overrun,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..8_usize;
    prop_oneof![
        4 => Just(Step::Attach),
        2 => who.clone().prop_map(Step::Detach),
        12 => who.clone().prop_map(Step::Pull),
        2 => who.prop_map(Step::CatchUp),
        8 => Just(Step::Push),
        1 => Just(Step::Overrun),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flooded = (prop::collection::vec(step(), 0..150), prop::collection::vec(step(), 0..150));
    prop_oneof![
        8 => prop::collection::vec(step(), 0..300),
        1 => flooded.prop_map(|(before, after)| {
            before.into_iter().chain([Step::Flood]).chain(after).collect()
        }),
    ]
}

/// A watcher as the model sees it.
struct Watcher {
    position: Position,
    due: VecDeque<u64>,
    behind: bool,
}

#[derive(Default)]
struct Model {
    feed: Feed,
    watchers: Vec<Watcher>,
    sent: u64,
}

// === impl Model ===

impl Model {
    fn push(&mut self, shared: Option<&Arc<Batch>>) {
        self.sent += 1;
        let batch = shared.map_or_else(|| batch(self.sent), Arc::clone);
        let number = number(&batch);
        self.feed.push(batch);
        for watcher in &mut self.watchers {
            watcher.due.push_back(number);
            watcher.behind |= watcher.due.len() > MAX_BATCHES;
        }
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Attach if self.watchers.len() < 8 => {
                let position = self.feed.attach();
                self.watchers.push(Watcher { position, due: VecDeque::new(), behind: false });
            }
            Step::Attach => {}
            Step::Push => self.push(None),
            Step::Flood => {
                let shared = batch(1 << 40);
                (0..MAX_BATCHES).for_each(|_| self.push(Some(&shared)));
            }
            Step::Overrun => {
                self.feed.overrun();
                self.watchers.iter_mut().for_each(|watcher| watcher.behind = true);
            }
            Step::Detach(who) if *who < self.watchers.len() => {
                self.feed.detach(self.watchers.swap_remove(*who).position);
            }
            Step::CatchUp(who) | Step::Pull(who) | Step::Detach(who) => {
                let Some(watcher) = self.watchers.get_mut(*who) else { return Ok(()) };
                if matches!(step, Step::CatchUp(_)) {
                    self.feed.skip_to_end(&mut watcher.position);
                    watcher.due.clear();
                    watcher.behind = false;
                    return Ok(());
                }
                let found = match self.feed.pull(&mut watcher.position) {
                    Pull::Batch(batch) => Some(Some(number(&batch))),
                    Pull::Drained => Some(None),
                    Pull::Behind => None,
                };
                let expected = (!watcher.behind).then(|| watcher.due.pop_front());
                prop_assert_eq!(found, expected);
            }
        }
        Ok(())
    }

    /// The feed holds what someone still waits for, and no more.
    fn held(&self) -> usize {
        let longest = self.watchers.iter().filter(|watcher| !watcher.behind);
        longest.map(|watcher| watcher.due.len()).max().unwrap_or(0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_batch_is_lost_or_repeated_unless_behind_is_said(steps in steps()) {
        let mut model = Model::default();
        for step in &steps {
            model.apply(step)?;
            let behind = model.watchers.iter().any(|watcher| watcher.behind);
            prop_assert!(model.feed.len() <= MAX_BATCHES);
            prop_assert!(model.feed.len() >= model.held());
            if !behind {
                prop_assert_eq!(model.feed.len(), model.held(), "{:?}", step);
            }
            prop_assert_eq!(model.feed.is_abandoned(), model.watchers.is_empty());
        }
        for watcher in std::mem::take(&mut model.watchers) {
            model.feed.detach(watcher.position);
        }
        prop_assert!(model.feed.is_empty(), "nothing is kept for nobody");
    }
}
