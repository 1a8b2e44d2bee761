//! Random histories, watchers and mishaps; every watcher must get exactly what is due to it.

use proptest::prelude::*;

use super::{verdict::verdict, *};
use crate::{
    cache::{
        audience::{AudienceId, AudienceTable, CoreId},
        feed::Batch,
        fixture::history::{History, QUESTIONS, Question, Write, write},
        watch_cache::Fill,
    },
    codec::watch_event::Form,
    shards::hub::Message,
};

#[derive(Clone, Debug)]
enum Action {
    Burst(Vec<Write>),
    Deliver,
    Ticks(usize),
    OpenWithState(usize),
    /// A question, and how far before the version shown (or after it) the watch begins.
    OpenAfter(usize, i64),
    Read(usize),
    PollOnce(usize),
    Close(usize),
    /// The stream was lost, and these writes with it.
    FillAfter(Vec<Write>),
    Clear,
    LimitLog(u64),
    /// More messages than a mailbox takes.
    Flood,
    /// The store moved by writes elsewhere, which an auxiliary watch proves.
    Advance(u8),
}

fn action() -> impl Strategy<Value = Action> {
    let writes = || prop::collection::vec(write(), 0..6);
    let question = 0..QUESTIONS.len();
    prop_oneof![
        24 => writes().prop_map(Action::Burst),
        16 => Just(Action::Deliver),
        4 => (1..70_usize).prop_map(Action::Ticks),
        8 => question.clone().prop_map(Action::OpenWithState),
        8 => (question, -4..20_i64).prop_map(|(which, back)| Action::OpenAfter(which, back)),
        12 => (0..10_usize).prop_map(Action::Read),
        12 => (0..10_usize).prop_map(Action::PollOnce),
        4 => (0..10_usize).prop_map(Action::Close),
        1 => Just(Action::FillAfter(Vec::new())),
        1 => writes().prop_map(Action::FillAfter),
        1 => (0..3000_u64).prop_map(Action::LimitLog),
        4 => (1..5_u8).prop_map(Action::Advance),
    ]
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let rare = prop_oneof![
        9 => Just(None),
        2 => Just(Some(Action::Flood)),
        1 => Just(Some(Action::Clear)),
    ];
    let some = || prop::collection::vec(action(), 5..50);
    (some(), rare, some())
        .prop_map(|(before, rare, after)| before.into_iter().chain(rare).chain(after).collect())
}

/// A watcher with what is due to it.
struct Watcher {
    client: Client,
    question: &'static Question,
    start: u64,
    /// The frames of the state it began with; none for one that began after a version.
    initial: Option<Vec<String>>,
    generation: u32,
}

struct Simulation {
    world: World,
    history: History,
    watchers: Vec<Watcher>,
    max_frame: usize,
    /// How often continuity was broken.
    generation: u32,
    /// Whether events may have left the log, so that slow watchers may have to end.
    log_was_cut: bool,
}

// === impl Simulation ===

impl Simulation {
    fn new(before: &[Write], max_frame: usize) -> Self {
        let mut history = History::new();
        before.iter().for_each(|write| drop(history.write(write)));
        let objects: Vec<_> = history.state.values().cloned().collect();
        let world = World::new(&objects, history.version);
        let watchers = Vec::new();
        Self { world, history, watchers, max_frame, generation: 0, log_was_cut: false }
    }

    fn perform(&mut self, action: &Action) {
        let World { shard, hub, .. } = &self.world;
        match action {
            Action::Burst(writes) => {
                let events = writes.iter().filter_map(|write| self.history.write(write)).collect();
                shard.apply(events, Instant::now()).unwrap();
            }
            Action::Deliver => hub.deliver(),
            Action::Ticks(count) => self.world.ticks(*count),
            Action::OpenWithState(which) => self.open_with_state(*which),
            Action::OpenAfter(which, back) => self.open_after(*which, *back),
            Action::Read(who) => {
                if let Some(watcher) = self.watchers.get_mut(*who) {
                    watcher.client.read();
                }
            }
            Action::PollOnce(who) => {
                if let Some(watcher) = self.watchers.get_mut(*who) {
                    watcher.client.poll();
                }
            }
            Action::Close(who) => {
                if *who < self.watchers.len() {
                    self.watchers.swap_remove(*who);
                }
            }
            Action::FillAfter(writes) => {
                writes.iter().for_each(|write| drop(self.history.write(write)));
                self.fill(writes);
            }
            Action::Clear => {
                shard.clear(false);
                self.generation += 1;
                self.fill(&[]);
            }
            Action::LimitLog(bytes) => {
                shard.limit_log(*bytes, Instant::now());
                self.log_was_cut = true;
            }
            Action::Flood => {
                let batch = Arc::new(Batch::new(Vec::new(), Form::Full, &Arc::default()));
                let message = Message::Batch(ShardId(999), some_audience(), batch);
                (0..70_000).for_each(|_| hub.send(message.clone()));
            }
            Action::Advance(versions) => {
                let from = shard.resource_version().unwrap();
                self.history.write(&Write::Elsewhere(*versions));
                assert!(shard.advance(from, version(self.history.version)));
            }
        }
    }

    fn fill(&mut self, lost: &[Write]) {
        let (objects, at) = (self.history.objects(), version(self.history.version));
        let cleared = self.world.shard.progress().borrow().cleared;
        let shown = self.world.shard.resource_version();
        let moved = shown.is_some_and(|shown| shown.get() < self.history.version);
        match self.world.shard.fill_with(objects, at, Instant::now(), cleared).unwrap() {
            Fill::Void => unreachable!("nobody empties the shard meanwhile"),
            Fill::Changed => self.generation += 1,
            Fill::First => {}
            Fill::Unchanged => {
                // The log begins anew: a watch that was behind its feed has nothing to catch up from.
                self.log_was_cut |= moved;
                // Objects that came and went unseen are missed by design: nobody can tell.
                let changes = lost.iter().any(|write| matches!(write, Write::Set { .. }));
                if changes {
                    self.watchers.clear();
                    self.history.forget();
                }
            }
        }
    }

    fn open_with_state(&mut self, which: usize) {
        let question = &QUESTIONS[which];
        let client = self.world.with_state(question.audience(), self.limits());
        let initial = Some(self.history.initial_frames(question));
        let (start, generation) = (self.shown(), self.generation);
        self.watchers.push(Watcher { client, question, start, initial, generation });
    }

    fn open_after(&mut self, which: usize, back: i64) {
        let question = &QUESTIONS[which];
        let start = self.shown().saturating_add_signed(-back).max(1);
        if let Some(client) = self.world.after(question.audience(), start, self.limits()) {
            let generation = self.generation;
            self.watchers.push(Watcher { client, question, start, initial: None, generation });
        }
    }

    fn limits(&self) -> Limits {
        self.world.limits(3600, self.max_frame)
    }

    fn shown(&self) -> u64 {
        self.world.shard.resource_version().unwrap().get()
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        self.world.hub.deliver();
        for watcher in &mut self.watchers {
            // Only if woken: a wake-up that was lost shows as events that are missing.
            watcher.client.read();
            let is_complete = watcher.check(&self.history)?;
            if watcher.generation < self.generation {
                prop_assert!(watcher.client.ended, "continuity was broken");
            } else if !self.log_was_cut {
                prop_assert!(!watcher.client.ended, "no reason to end");
            }
            prop_assert!(is_complete || watcher.client.ended, "events are missing");
        }
        Ok(())
    }
}

/// The number of an audience, of another shard.
fn some_audience() -> AudienceId {
    AudienceTable::default().join(everything(), CoreId(0))
}

// === impl Watcher ===

impl Watcher {
    /// Whether all that is due has come; what has come must be due, in order, and once.
    fn check(&self, history: &History) -> Result<bool, TestCaseError> {
        let due = history.frames_after(self.question, self.start);
        verdict(self.client.text(), self.initial.as_deref(), self.start, due, history.version)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_watcher_gets_exactly_what_is_due(
        before in prop::collection::vec(write(), 0..10),
        actions in actions(),
        max_frame in prop_oneof![Just(64_usize), 100..2000_usize, Just(1 << 16)],
    ) {
        let clock = paused_clock();
        let _entered = clock.enter();
        let mut simulation = Simulation::new(&before, max_frame);
        for action in &actions {
            simulation.perform(action);
        }
        simulation.check()?;
        simulation.watchers.clear();
        prop_assert_eq!(simulation.world.hub.watchers(), 0);
        prop_assert_eq!(simulation.world.shard.figures().audiences, 0);
    }
}
