//! Reflector, cache, log, hub and watchers in one, against an upstream that lags, breaks, repeats
//! itself, loses its history and is restored from the past. Every watcher must get exactly what is due
//! to it, and every state shown must be one that the store had. No real time passes.

use http::StatusCode;
use proptest::prelude::*;

use super::{
    scripted_upstream::{Answer, ScriptedUpstream, Store},
    verdict::verdict,
    *,
};
use crate::{
    cache::{
        fixture::{
            codec,
            history::{QUESTIONS, Question, Write, write},
        },
        watch_cache::{Fill, Violation},
    },
    codec::watch_event::Form,
    upstream::reflector::machine::{Effect, Reflector, Standing, Step, Verdict},
};

#[derive(Clone, Debug)]
enum Action {
    Write(Vec<Write>),
    /// The reflector asks, or waits and then asks.
    Step,
    /// This many events are told, and bytes arrive in pieces of this size.
    Tell(usize, usize),
    /// Only so many bytes arrive.
    Arrive(usize),
    TellProgress,
    /// An event comes again, or one that nobody knows is deleted, or bytes that are no event.
    Misbehave(u8),
    /// The stream is told to end with this code.
    Refuse(i32),
    Break,
    End,
    Compact,
    /// The stream breaks, and what happened until it comes back is forgotten: an object that came and
    /// went, or any writes.
    LoseHistory(Result<u8, Vec<Write>>),
    /// The next request is refused with this status.
    Deny(u16),
    /// The store's state is put aside, and comes back.
    BackUp,
    Restore,
    SwitchPages,
    Deliver,
    Ticks(usize),
    Open(usize),
    OpenAfter(usize, i64),
    Read(usize),
    PollOnce(usize),
    Close(usize),
    LimitLog(u64),
    Wait(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let question = 0..QUESTIONS.len();
    let who = 0..8_usize;
    prop_oneof![
        30 => prop::collection::vec(write(), 0..5).prop_map(Action::Write),
        30 => Just(Action::Step),
        30 => (0..8_usize, prop_oneof![1..9_usize, 20..3000_usize])
            .prop_map(|(events, piece)| Action::Tell(events, piece)),
        4 => (1..500_usize).prop_map(Action::Arrive),
        8 => Just(Action::TellProgress),
        2 => (0..3_u8).prop_map(Action::Misbehave),
        2 => prop_oneof![Just(410), Just(500), Just(504)].prop_map(Action::Refuse),
        4 => Just(Action::Break),
        4 => Just(Action::End),
        2 => Just(Action::Compact),
        3 => (0..8_u8).prop_map(|key| Action::LoseHistory(Ok(key))),
        2 => prop::collection::vec(write(), 0..4)
            .prop_map(|writes| Action::LoseHistory(Err(writes))),
        2 => prop_oneof![Just(403), Just(404), Just(429), Just(500)].prop_map(Action::Deny),
        6 => Just(Action::BackUp),
        3 => Just(Action::Restore),
        1 => Just(Action::SwitchPages),
        20 => Just(Action::Deliver),
        6 => (1..70_usize).prop_map(Action::Ticks),
        10 => question.clone().prop_map(Action::Open),
        10 => (question, -3..15_i64).prop_map(|(which, back)| Action::OpenAfter(which, back)),
        12 => who.clone().prop_map(Action::Read),
        12 => who.clone().prop_map(Action::PollOnce),
        4 => who.prop_map(Action::Close),
        1 => (0..3000_u64).prop_map(Action::LimitLog),
        4 => (1..40_u64).prop_map(Action::Wait),
    ]
}

/// A watcher, with what is due to it.
struct Watcher {
    client: Client,
    question: &'static Question,
    /// Where its events begin.
    start: u64,
    /// The version from which on the shard tells it of events.
    begins: u64,
    initial: Option<Vec<String>>,
    /// Which of the store's histories it is about.
    epoch: usize,
    /// Versions between which nobody could see what came and went.
    unseen: Vec<(u64, u64)>,
    must_end: bool,
}

struct Joined {
    world: World,
    reflector: Reflector,
    upstream: ScriptedUpstream,
    now: Instant,
    watchers: Vec<Watcher>,
    max_frame: usize,
    /// The stores that ended with a restore, oldest first.
    past: Vec<Store>,
    /// Which of all stores the shard shows.
    epoch: usize,
    backup: Option<Store>,
    /// Whether the next request finds nobody: the store was restored, and what stood before it
    /// begins anew.
    is_down: bool,
    cleared: u64,
    /// The highest version shown since the shard was emptied.
    highest: u64,
    /// The version after which the shard was told of everything.
    covered_from: u64,
    /// Whether the log was limited, so that it may reach less far back.
    log_was_limited: bool,
    /// Whether events may have left the log, so that slow watchers may have to end.
    log_was_cut: bool,
}

// === impl Joined ===

impl Joined {
    fn new(before: &[Write], only_pages: bool, page_size: usize, max_frame: usize) -> Self {
        let mut upstream = ScriptedUpstream::new(only_pages, page_size);
        before.iter().for_each(|write| upstream.store.write(write));
        let world = World::unfilled();
        if let WatchEvent::Bookmark(bookmark) = bookmark(1) {
            world.shard.learn_template(bookmark.template);
        }
        Self {
            world,
            reflector: Reflector::new(&pods(), Representation::Json),
            upstream,
            now: Instant::now(),
            watchers: Vec::new(),
            max_frame,
            past: Vec::new(),
            epoch: 0,
            backup: None,
            is_down: false,
            cleared: 0,
            highest: 0,
            covered_from: 0,
            log_was_limited: false,
            log_was_cut: false,
        }
    }

    fn perform(&mut self, action: &Action) -> Result<(), TestCaseError> {
        match action {
            Action::Write(writes) => writes.iter().for_each(|write| self.write(write)),
            Action::Step => self.step(),
            Action::Tell(events, piece) => {
                self.upstream.tell(*events);
                while self.arrive(*piece) {}
            }
            Action::Arrive(count) => drop(self.arrive(*count)),
            Action::TellProgress => self.upstream.tell_progress(),
            Action::Misbehave(how) => self.misbehave(*how),
            Action::Refuse(code) => self.upstream.tell_wrongly(&error_line(*code)),
            Action::Break => self.break_off(),
            Action::End => self.end(),
            Action::Compact => self.upstream.compact(),
            Action::LoseHistory(lost) => self.lose_history(lost),
            Action::Deny(status) => {
                self.upstream.denial = Some(StatusCode::from_u16(*status).unwrap());
            }
            Action::BackUp => self.backup = Some(self.upstream.store.clone()),
            Action::Restore => self.restore(),
            Action::SwitchPages => self.upstream.only_pages ^= true,
            Action::Wait(seconds) => self.now += Duration::from_secs(*seconds),
            Action::LimitLog(bytes) => {
                self.world.shard.limit_log(*bytes, self.now);
                (self.log_was_limited, self.log_was_cut) = (true, true);
            }
            Action::Deliver => self.world.hub.deliver(),
            Action::Ticks(count) => self.world.ticks(*count),
            Action::Open(which) => self.open(*which),
            Action::OpenAfter(which, back) => self.open_after(*which, *back)?,
            Action::Read(who) => {
                self.watchers.get_mut(*who).into_iter().for_each(|it| it.client.read());
            }
            Action::PollOnce(who) => {
                self.watchers.get_mut(*who).into_iter().for_each(|it| {
                    it.client.poll();
                });
            }
            Action::Close(who) if *who < self.watchers.len() => {
                self.watchers.swap_remove(*who);
            }
            Action::Close(_) => {}
        }
        self.check_state()
    }

    fn write(&mut self, write: &Write) {
        // A restored store that overtakes what was shown before anybody asks it can't be told from
        // one that was never restored.
        let is_noticed = self.epoch == self.past.len();
        if is_noticed || self.upstream.store.version() + 5 < self.highest {
            self.upstream.store.write(write);
        }
    }

    /// What the driver does when no answer is under way.
    fn step(&mut self) {
        if self.upstream.is_answering() {
            return;
        }
        let ask = match self.reflector.next(self.now, 0.5) {
            Step::Wait(wait) => {
                self.now += wait;
                return;
            }
            Step::Probe(_) => {
                self.probe();
                return;
            }
            Step::Send(ask) => ask,
        };
        if std::mem::take(&mut self.is_down) {
            self.fail("connection refused");
            return;
        }
        let status = match self.upstream.ask(&ask.target) {
            Answer::Status(status) => status,
            Answer::Body => StatusCode::OK,
        };
        let (verdict, effect) = self.reflector.answered(status, None, self.now);
        assert_eq!(verdict == Verdict::Read, status == StatusCode::OK);
        self.act(effect.into_iter().collect());
    }

    /// What the driver learns of the store after a lost stream: its version.
    fn probe(&mut self) {
        let shown = self.world.shard.resource_version();
        let went_back = shown.is_some_and(|shown| self.upstream.store.version() < shown.get());
        let standing = if went_back { Standing::WentBack } else { Standing::Continues };
        if went_back {
            self.went_back();
        }
        let mut effects = Vec::new();
        self.reflector.probed(standing, self.now, &mut effects);
        self.act(effects);
    }

    /// Whether more may arrive.
    fn arrive(&mut self, count: usize) -> bool {
        let bytes = self.upstream.arrive(count);
        let is_over = bytes.is_empty();
        let mut effects = Vec::new();
        if !is_over {
            self.reflector.received(bytes.into(), &codec(), self.now, &mut effects);
            self.act(effects);
        } else if self.upstream.is_page() {
            self.reflector.ended(&codec(), self.now, &mut effects);
            self.upstream.hang_up();
            self.act(effects);
        }
        if !self.reflector.wants_more() {
            self.upstream.hang_up();
        }
        !is_over && self.upstream.is_answering()
    }

    fn misbehave(&mut self, how: u8) {
        let line = match how {
            0 => self.upstream.told_before(),
            1 => Some(frame_of(&Pod::new("ns9", "nobody", 1 << 40), "DELETED")),
            _ => Some(
                r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1"}}"#.to_owned() + "\n",
            ),
        };
        line.iter().for_each(|line| self.upstream.tell_wrongly(line));
    }

    fn break_off(&mut self) {
        if self.upstream.is_answering() {
            self.fail("connection reset");
        }
    }

    fn fail(&mut self, reason: &str) {
        let mut effects = Vec::new();
        self.reflector.failed(reason, self.now, &mut effects);
        self.upstream.hang_up();
        self.act(effects);
    }

    fn end(&mut self) {
        // A page's length is known: its end is never mistaken for a clean one.
        if self.upstream.is_answering() && !self.upstream.is_page() {
            let mut effects = Vec::new();
            self.reflector.ended(&codec(), self.now, &mut effects);
            self.upstream.hang_up();
            self.act(effects);
        }
    }

    fn lose_history(&mut self, lost: &Result<u8, Vec<Write>>) {
        self.break_off();
        match lost {
            Ok(key) => {
                let (key, labels, node) = (*key, 7, 1);
                self.write(&Write::Set { key, labels, node });
                self.write(&Write::Delete { key });
            }
            Err(writes) => writes.iter().for_each(|write| self.write(write)),
        }
        self.upstream.compact();
        for _ in 0..5 {
            self.step();
            while self.arrive(1 << 16) {}
        }
    }

    fn restore(&mut self) {
        let Some(backup) = self.backup.clone() else { return };
        self.break_off();
        self.is_down = true;
        let is_shared = self.highest <= backup.version();
        let was_noticed = self.epoch == self.past.len();
        self.past.push(self.upstream.restore(backup));
        if was_noticed && is_shared {
            // All that was shown happened in the restored store, too.
            let before = std::mem::replace(&mut self.epoch, self.past.len());
            let theirs = self.watchers.iter_mut().filter(|watcher| watcher.epoch == before);
            theirs.for_each(|watcher| watcher.epoch = self.past.len());
        }
    }

    /// As the program does when a consistent answer is older than what was shown.
    fn went_back(&mut self) {
        self.world.shard.clear(false);
        self.cleared += 1;
        self.highest = 0;
        self.epoch = self.past.len();
        self.watchers.iter_mut().for_each(|watcher| watcher.must_end = true);
        self.upstream.hang_up();
        self.reflector.begin_anew(self.now);
    }

    /// What the driver does with the machine's effects.
    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let shard = &self.world.shard;
            let outcome = match effect {
                Effect::Template(template) => {
                    shard.learn_template(template);
                    Ok(())
                }
                Effect::Fill { objects, version, requested } => {
                    let before = shard.resource_version();
                    let fill = shard.fill(objects, version, requested, self.cleared);
                    let before = before.map(ResourceVersion::get);
                    fill.map(|fill| self.filled(fill, before, version.get()))
                }
                Effect::Apply(burst) => shard.apply(burst, self.now).map(drop),
                Effect::Failure(reason) => {
                    shard.set_failure(&reason);
                    Ok(())
                }
                Effect::Withdraw { reason, unfillable } => {
                    shard.withdraw(&reason, unfillable);
                    self.watchers.iter_mut().for_each(|watcher| watcher.must_end = true);
                    Ok(())
                }
            };
            match outcome {
                Ok(()) => {}
                Err(Violation::WentBack { .. }) => return self.went_back(),
                Err(_) => {
                    self.reflector.begin_anew(self.now);
                    return;
                }
            }
        }
    }

    fn filled(&mut self, fill: Fill, before: Option<u64>, at: u64) {
        if fill != Fill::Unchanged || before.is_some_and(|before| before < at) {
            self.covered_from = at;
        }
        match (fill, before) {
            (Fill::Changed, _) => {
                self.watchers.iter_mut().for_each(|watcher| watcher.must_end = true);
            }
            (Fill::Unchanged, Some(before)) => {
                // Those that have ended are about versions of before, maybe of another store.
                let open = self.watchers.iter_mut().filter(|watcher| !watcher.must_end);
                for watcher in open {
                    watcher.must_end |= watcher.begins > before && watcher.begins < at;
                    watcher.unseen.push((before, at));
                }
                // Whoever was behind its feed has nothing to catch up from.
                self.log_was_cut |= at > before;
            }
            (Fill::First, _) => {}
            (fill, before) => panic!("{fill:?} of a shard that showed {before:?}"),
        }
    }

    fn open(&mut self, which: usize) {
        let Some(start) = self.shown() else { return };
        let question = &QUESTIONS[which];
        let client = self.world.with_state(question.audience(), self.limits());
        let state = self.store(self.epoch).state_at(start).iter();
        let initial = Some(question.initial_frames(state));
        let watcher = Watcher::new(client, question, start, start, self.epoch);
        self.watchers.push(Watcher { initial, ..watcher });
    }

    fn open_after(&mut self, which: usize, back: i64) -> Result<(), TestCaseError> {
        let Some(shown) = self.shown() else { return Ok(()) };
        let (question, start) = (&QUESTIONS[which], shown.saturating_add_signed(-back).max(1));
        let client = self.world.after(question.audience(), start, self.limits());
        let is_covered = start >= self.covered_from;
        prop_assert!(is_covered || client.is_none(), "{} is taken for covered", start);
        prop_assert!(client.is_some() || !is_covered || self.log_was_limited, "{} is", start);
        if let Some(client) = client {
            let begins = shown.max(start);
            self.watchers.push(Watcher::new(client, question, start, begins, self.epoch));
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        self.world.limits(3600, self.max_frame)
    }

    fn shown(&self) -> Option<u64> {
        self.world.shard.resource_version().map(ResourceVersion::get)
    }

    fn store(&self, epoch: usize) -> &Store {
        self.past.get(epoch).unwrap_or(&self.upstream.store)
    }

    /// What is shown is a state that the store had, and never an older one than before.
    fn check_state(&mut self) -> Result<(), TestCaseError> {
        let Some(snapshot) = self.world.shard.snapshot() else { return Ok(()) };
        let shown = snapshot.resource_version.get();
        prop_assert!(shown >= self.highest, "{} after {}", shown, self.highest);
        self.highest = shown;
        let body = |object| codec().single(object, Form::Full);
        let found: Vec<_> = snapshot.objects.range(..).map(body).collect();
        let state = self.store(self.epoch).state_at(shown).iter();
        let expected: Vec<_> = state.map(|pod| pod.json() + "\n").collect();
        prop_assert_eq!(found, expected, "the state at {}", shown);
        Ok(())
    }

    /// Lets upstream behave until the shard shows what the store has.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..200 {
            self.upstream.tell(usize::MAX);
            self.upstream.tell_progress();
            while self.arrive(1 << 16) {}
            self.check_state()?;
            let is_there = self.shown() == Some(self.upstream.store.version());
            if is_there && self.epoch == self.past.len() && self.upstream.is_answering() {
                return Ok(());
            }
            self.step();
        }
        Err(TestCaseError::fail("the shard never shows what the store has"))
    }

    fn check_watchers(&mut self) -> Result<(), TestCaseError> {
        self.world.hub.deliver();
        let mut watchers = std::mem::take(&mut self.watchers);
        for watcher in &mut watchers {
            // Only if woken: a wake-up that was lost shows as events that are missing.
            watcher.client.read();
            let history = &self.store(watcher.epoch).history;
            let mut due = history.frames_after(watcher.question, watcher.start);
            let is_unseen = |at: u64| watcher.unseen.iter().any(|gap| gap.0 < at && at <= gap.1);
            due.retain(|(version, _)| !is_unseen(*version));
            let (initial, start) = (watcher.initial.as_deref(), watcher.start);
            let is_complete = verdict(watcher.client.text(), initial, start, due, history.version)?;
            if watcher.must_end {
                prop_assert!(watcher.client.ended, "continuity was broken");
            } else if !self.log_was_cut {
                prop_assert!(!watcher.client.ended, "no reason to end");
            }
            prop_assert!(is_complete || watcher.client.ended, "events are missing");
        }
        Ok(())
    }
}

// === impl Watcher ===

impl Watcher {
    fn new(
        client: Client,
        question: &'static Question,
        start: u64,
        begins: u64,
        epoch: usize,
    ) -> Self {
        let (initial, unseen, must_end) = (None, Vec::new(), false);
        Self { client, question, start, begins, initial, epoch, unseen, must_end }
    }
}

fn frame_of(pod: &Pod, kind: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{}}}"#, pod.json()) + "\n"
}

fn error_line(code: i32) -> String {
    format!(
        r#"{{"type":"ERROR","object":{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"m","reason":"r","code":{code}}}}}"#
    ) + "\n"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn all_that_is_shown_happened_and_all_that_happened_is_shown(
        before in prop::collection::vec(write(), 0..10),
        actions in prop::collection::vec(action(), 10..150),
        only_pages in prop::bool::weighted(0.2),
        page_size in 1..6_usize,
        max_frame in prop_oneof![Just(64_usize), 100..2000_usize, Just(1 << 16)],
    ) {
        let clock = paused_clock();
        let _entered = clock.enter();
        let mut joined = Joined::new(&before, only_pages, page_size, max_frame);
        for action in &actions {
            joined.perform(action)?;
        }
        joined.settle()?;
        joined.check_watchers()?;
        prop_assert_eq!(joined.world.hub.watchers(), 0);
        prop_assert_eq!(joined.world.shard.figures().audiences, 0);
    }
}
