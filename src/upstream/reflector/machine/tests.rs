//! Upstream as a script: what the machine asks, and what it makes of the answers.

use proptest::prelude::*;

use super::*;
use crate::{
    cache::fixture::{Pod, bookmark_json, codec, line, pods},
    codec::watch_event::{ReceivedEvent, WatchEvent},
};

/// The machine with its clock, and all that it has handed over.
pub(super) struct Script {
    reflector: Reflector,
    now: Instant,
    effects: Vec<Effect>,
}

// === impl Script ===

impl Script {
    pub(super) fn new() -> Self {
        Self::of(&pods())
    }

    pub(super) fn of(resource: &ResourceType) -> Self {
        let reflector = Reflector::new(resource, Representation::Json);
        Self { reflector, now: Instant::now(), effects: Vec::new() }
    }

    /// Filled by a streaming list at version 10 with one Pod.
    pub(super) fn filled() -> Self {
        Self::new().fill()
    }

    pub(super) fn fill(self) -> Self {
        let mut script = self;
        script.ask();
        script.answer(200);
        script.receive(&initial());
        script
    }

    pub(super) fn later(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    pub(super) fn step(&mut self) -> Step {
        self.reflector.next(self.now, 0.5)
    }

    /// The next request, after a probe if it takes one.
    pub(super) fn ask(&mut self) -> Ask {
        match self.step() {
            Step::Send(ask) => ask,
            Step::Wait(wait) => panic!("waits {wait:?}"),
            Step::Probe(_) => {
                self.probed(Standing::Continues);
                match self.step() {
                    Step::Send(ask) => ask,
                    other => panic!("{other:?} after a probe"),
                }
            }
        }
    }

    pub(super) fn probed(&mut self, standing: Standing) {
        self.reflector.probed(standing, self.now, &mut self.effects);
    }

    /// With `random` at a half, what failures in a row call for and no more.
    pub(super) fn wait(&mut self) -> Duration {
        match self.step() {
            Step::Wait(wait) => wait,
            other => panic!("{other:?} without a wait"),
        }
    }

    pub(super) fn answer(&mut self, status: u16) -> Verdict {
        self.answer_after(status, None)
    }

    pub(super) fn answer_after(&mut self, status: u16, retry_after: Option<u64>) -> Verdict {
        let status = StatusCode::from_u16(status).unwrap();
        let retry_after = retry_after.map(Duration::from_secs);
        let (verdict, effect) = self.reflector.answered(status, retry_after, self.now);
        self.effects.extend(effect);
        verdict
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let chunk = Bytes::copy_from_slice(bytes);
        self.reflector.received(chunk, &codec(), self.now, &mut self.effects);
    }

    pub(super) fn fail(&mut self, reason: &str) {
        self.reflector.failed(reason, self.now, &mut self.effects);
    }

    pub(super) fn end(&mut self) {
        self.reflector.ended(&codec(), self.now, &mut self.effects);
    }

    /// What was handed over since the last call, in short.
    pub(super) fn taken(&mut self) -> Vec<String> {
        self.effects.drain(..).filter_map(|effect| describe(&effect)).collect()
    }
}

fn describe(effect: &Effect) -> Option<String> {
    let event = |event: &WatchEvent| match event {
        WatchEvent::Added(object) => format!("+{}", object.resource_version()),
        WatchEvent::Modified(object) => format!("~{}", object.resource_version()),
        WatchEvent::Deleted(object) => format!("-{}", object.resource_version()),
        WatchEvent::Bookmark(bookmark) => format!("={}", bookmark.resource_version),
        WatchEvent::Error(status) => format!("!{}", status.code),
    };
    match effect {
        Effect::Template(_) => None,
        Effect::Fill { objects, version, .. } => {
            let keys: Vec<_> = objects.range(..).map(|object| object.key().as_str()).collect();
            Some(format!("fill {version} {}", keys.join(" ")))
        }
        Effect::Apply(burst) => {
            Some(burst.iter().map(|one| event(&one.event)).collect::<Vec<_>>().join(" "))
        }
        Effect::Failure(reason) => Some(format!("failure: {reason}")),
        Effect::Withdraw { reason, .. } => Some(format!("withdraw: {reason}")),
    }
}

fn frame(kind: &str, object: &str) -> Vec<u8> {
    let mut frame = line(kind, object).to_vec();
    frame.push(b'\n');
    frame
}

fn pod_frame(kind: &str, name: &str, version: u64) -> Vec<u8> {
    frame(kind, &Pod::new("ns", name, version).json())
}

/// A streaming list's beginning: one Pod, complete at version 10.
fn initial() -> Vec<u8> {
    [pod_frame("ADDED", "a", 7), frame("BOOKMARK", &bookmark_json(10, true))].concat()
}

pub(super) fn error_frame(code: i32) -> Vec<u8> {
    let status = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"so it is","reason":"Expired","code":{code}}}"#
    );
    frame("ERROR", &status)
}

fn page(version: u64, continue_token: &str, pods: &[Pod]) -> String {
    let items: Vec<_> = pods
        .iter()
        .map(|pod| pod.json().replacen(r#""kind":"Pod","apiVersion":"v1","#, "", 1))
        .collect();
    let token = match continue_token {
        "" => String::new(),
        token => format!(r#","continue":"{token}""#),
    };
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"{token}}},"items":[{}]}}"#,
        items.join(",")
    ) + "\n"
}

#[test]
fn a_streaming_list_fills_and_goes_on_as_a_watch() {
    let mut script = Script::new();
    let ask = script.ask();
    assert_eq!(
        ask.target,
        "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=450\
         &sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    );
    assert!(ask.stream);
    assert_eq!(script.answer(200), Verdict::Read);
    script.receive(&pod_frame("ADDED", "a", 7));
    assert!(script.taken().is_empty(), "nothing is shown before it is complete");
    script.receive(&frame("BOOKMARK", &bookmark_json(10, true)));
    assert_eq!(script.taken(), ["fill 10 ns/a"]);
    script.receive(&pod_frame("MODIFIED", "a", 12));
    assert_eq!(script.taken(), ["~12"]);
    assert!(script.reflector.wants_more());
}

#[test]
fn chunks_may_be_cut_anywhere() {
    let stream = [
        initial(),
        pod_frame("ADDED", "b", 11),
        frame("BOOKMARK", &bookmark_json(13, false)),
        pod_frame("DELETED", "a", 14),
    ]
    .concat();
    let all = ["fill 10 ns/a", "+11", "=13", "-14"].join(" ");
    for cut in 0..=stream.len() {
        let mut script = Script::new();
        script.ask();
        script.answer(200);
        script.receive(&stream[..cut]);
        script.receive(&stream[cut..]);
        assert_eq!(script.taken().join(" "), all, "cut at {cut}");
    }
    let mut script = Script::new();
    script.ask();
    script.answer(200);
    for byte in &stream {
        script.receive(&[*byte]);
    }
    assert_eq!(script.taken(), ["fill 10 ns/a", "+11", "=13", "-14"], "byte by byte");
}

#[test]
fn refused_parameters_lead_to_a_paged_list() {
    for status in [422, 400] {
        let mut script = Script::new();
        script.ask();
        assert_eq!(script.answer(status), Verdict::Discard);
        let ask = script.ask();
        assert_eq!(ask.target, "/api/v1/pods?limit=500", "at once");
        assert!(!ask.stream);
        assert_eq!(script.answer(200), Verdict::Read);
        let first = page(20, "TOKEN", &[Pod::new("ns", "a", 7)]);
        let (left, right) = first.as_bytes().split_at(first.len() / 2);
        script.receive(left);
        script.receive(right);
        script.end();
        assert!(script.taken().is_empty(), "one page is no fill");
        assert_eq!(script.ask().target, "/api/v1/pods?limit=500&continue=TOKEN");
        script.answer(200);
        script.receive(page(20, "", &[Pod::new("ns", "b", 8)]).as_bytes());
        script.end();
        assert_eq!(script.taken(), ["fill 20 ns/a ns/b"]);
        assert_eq!(
            script.ask().target,
            "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=450&resourceVersion=20"
        );
    }
}

#[test]
fn a_page_that_expired_begins_the_list_anew() {
    let mut script = Script::new();
    script.ask();
    script.answer(422);
    script.ask();
    script.answer(200);
    script.receive(page(20, "TOKEN", &[Pod::new("ns", "a", 7)]).as_bytes());
    script.end();
    script.ask();
    assert_eq!(script.answer(410), Verdict::Discard);
    assert_eq!(script.taken(), ["failure: upstream answered 410 Gone"]);
    script.wait();
    assert_eq!(script.ask().target, "/api/v1/pods?limit=500", "without what was read before");
    script.answer(200);
    script.receive(page(30, "", &[]).as_bytes());
    script.end();
    assert_eq!(script.taken(), ["fill 30 "]);
}

#[test]
fn a_watch_that_ends_goes_on_after_its_last_version() {
    let mut script = Script::filled();
    script.receive(&pod_frame("ADDED", "b", 12));
    script.receive(&frame("BOOKMARK", &bookmark_json(15, false)));
    script.later(400).end();
    let target = script.ask().target;
    assert!(target.ends_with("&resourceVersion=15"), "{target}");
    assert!(!target.contains("sendInitialEvents"), "{target}");
    script.answer(200);
    script.reflector.failed("connection reset", script.now, &mut script.effects);
    script.wait();
    let target = script.ask().target;
    assert!(target.ends_with("&resourceVersion=15"), "{target}");
}

#[test]
fn a_late_bookmark_does_not_take_the_version_back() {
    let mut script = Script::filled();
    script.receive(&pod_frame("ADDED", "b", 12));
    script.receive(&frame("BOOKMARK", &bookmark_json(11, false)));
    script.later(400).end();
    let target = script.ask().target;
    assert!(target.ends_with("&resourceVersion=12"), "{target}");
}

#[test]
fn lost_history_is_filled_anew_however_it_is_said() {
    let mut script = Script::filled();
    script.taken();
    script.receive(&[pod_frame("ADDED", "b", 12), error_frame(410)].concat());
    assert_eq!(script.taken(), ["+12", "failure: upstream ended the watch: so it is"]);
    assert!(!script.reflector.wants_more());
    script.wait();
    assert!(script.ask().target.contains("sendInitialEvents"));

    let mut script = Script::filled();
    script.later(400).end();
    script.ask();
    assert_eq!(script.answer(410), Verdict::Discard);
    script.wait();
    assert!(script.ask().target.contains("sendInitialEvents"));
}

#[test]
fn other_errors_keep_the_history() {
    let mut script = Script::filled();
    script.receive(&[pod_frame("ADDED", "b", 12), error_frame(500)].concat());
    script.wait();
    assert!(script.ask().target.ends_with("&resourceVersion=12"));
    for status in [500, 503, 429, 401] {
        assert_eq!(script.answer(status), Verdict::Discard);
        script.wait();
        assert!(script.ask().target.ends_with("&resourceVersion=12"), "{status}");
    }
}

#[test]
fn errors_that_last_end_what_can_not_be_continued() {
    for status in [403, 404] {
        let mut script = Script::filled();
        script.later(400).end();
        script.ask();
        script.taken();
        script.answer(status);
        assert_eq!(script.taken().len(), 1);
        script.wait();
        assert!(script.ask().target.contains("sendInitialEvents"), "{status}: begins anew");
    }
    let mut script = Script::filled();
    script.receive(&error_frame(500));
    script.taken();
    script.wait();
    script.ask();
    for seconds in [10, 10] {
        script.later(seconds).answer(500);
        assert!(script.taken()[0].starts_with("failure: "));
        script.wait();
        assert!(script.ask().target.contains("&resourceVersion=10"));
    }
    script.later(11).answer(500);
    assert!(script.taken()[0].starts_with("withdraw: "), "after half a minute of errors");
    script.wait();
    assert!(script.ask().target.contains("sendInitialEvents"));
}

#[test]
fn an_error_among_the_initial_events_shows_nothing() {
    for bad in [error_frame(410), pod_frame("DELETED", "a", 9), pod_frame("MODIFIED", "a", 9)] {
        let mut script = Script::new();
        script.ask();
        script.answer(200);
        script.receive(&[pod_frame("ADDED", "a", 7), bad].concat());
        let taken = script.taken();
        assert!(taken.len() == 1 && taken[0].starts_with("failure: "), "{taken:?}");
        script.wait();
        assert!(script.ask().target.contains("sendInitialEvents"));
    }
}

#[test]
fn an_event_cut_off_by_the_end_is_told_and_comes_again() {
    let mut script = Script::filled();
    script.taken();
    script.receive(&pod_frame("ADDED", "b", 12));
    let cut = pod_frame("ADDED", "c", 13);
    script.receive(&cut[..cut.len() - 1]);
    script.later(400).end();
    let taken = script.taken();
    assert_eq!(taken[0], "+12");
    assert!(taken[1].starts_with("failure: the watch ended inside an event"), "{taken:?}");
    script.wait();
    assert!(script.ask().target.ends_with("&resourceVersion=12"));
}

#[test]
fn garbage_fills_anew_and_keeps_what_came_before() {
    for garbage in [&b"\xff\xfe\n"[..], b"\n", b"{}\n", b"{\"type\":\"ADDED\"}\n", b"null\n"] {
        let mut script = Script::filled();
        script.taken();
        script.receive(&[&pod_frame("ADDED", "b", 12)[..], garbage].concat());
        let taken = script.taken();
        assert_eq!(taken[0], "+12");
        assert!(taken[1].starts_with("failure: "), "{taken:?}");
        assert!(!script.reflector.wants_more());
        script.receive(&pod_frame("ADDED", "c", 13));
        assert!(script.taken().is_empty(), "the rest of the body is not read");
        script.wait();
        assert!(script.ask().target.contains("sendInitialEvents"));
    }
}

#[test]
fn waits_grow_until_a_stream_has_lasted() {
    let mut script = Script::filled();
    let mut waits = Vec::new();
    script.fail("no route");
    for _ in 0..12 {
        waits.push(script.wait().as_millis());
        assert!(matches!(script.step(), Step::Probe(_)));
        script.probed(Standing::Unreachable("no route".into()));
    }
    script.wait();
    script.ask();
    assert_eq!(waits[..4], [200, 400, 800, 1600]);
    assert_eq!(waits[11], 5_000, "trying to reach it costs upstream nothing");
    script.answer(200);
    script.later(5).receive(&error_frame(500));
    assert_eq!(
        script.wait().as_millis(),
        1_600,
        "upstream is back, but five seconds are no success"
    );
    let refused: Vec<_> = (0..5)
        .map(|_| {
            script.ask();
            script.answer(500);
            script.wait().as_millis()
        })
        .collect();
    assert_eq!(refused, [3_200, 6_400, 12_800, 25_600, 30_000], "it answers, but not as it should");
    script.ask();
    script.answer(200);
    script.later(11).receive(&error_frame(500));
    assert_eq!(script.wait().as_millis(), 200, "eleven are");
    script.ask();
    script.answer(200);
    script.later(11).end();
    script.ask();
}

#[test]
fn streams_that_end_at_once_are_not_asked_for_in_a_tight_loop() {
    let mut script = Script::filled();
    for expected in [200, 400, 800] {
        script.end();
        assert_eq!(script.wait().as_millis(), expected);
        script.ask();
        script.answer(200);
    }
}

/// A fill is the dearest request: one that is void at once must not be repeated five times a second.
#[test]
fn fills_that_are_void_at_once_come_ever_more_rarely() {
    let mut script = Script::new();
    for expected in [200, 400, 800, 1600] {
        script.ask();
        script.answer(200);
        script.receive(&[initial(), error_frame(410)].concat());
        assert_eq!(script.wait().as_millis(), expected);
    }
}

#[test]
fn upstream_may_ask_for_more_time_but_not_for_less() {
    for (asked, low, high) in
        [(None, 100, 300), (Some(5), 5_100, 5_300), (Some(9999), 30_100, 30_300)]
    {
        for (random, expected) in [(0.0, low), (1.0, high)] {
            let mut script = Script::new();
            script.ask();
            script.answer_after(429, asked);
            let step = script.reflector.next(script.now, random);
            assert_eq!(step, Step::Wait(Duration::from_millis(expected)), "{asked:?}");
        }
    }
}

#[test]
fn a_refused_hand_over_begins_anew() {
    let mut script = Script::filled();
    script.reflector.begin_anew(script.now);
    assert!(!script.reflector.wants_more());
    script.wait();
    assert!(script.ask().target.contains("sendInitialEvents"));
}

/// What can happen to a reflector; every order of these must be survived.
#[derive(Clone, Debug)]
enum Happening {
    Next,
    Answer(u16),
    Bytes(Vec<u8>),
    Valid(usize),
    End,
    Fail,
    Anew,
    Later(u64),
    Probed(Standing),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Next),
        2 => prop_oneof![Just(200), Just(410), Just(422), Just(500), Just(429)]
            .prop_map(Happening::Answer),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Happening::Bytes),
        4 => (0..8_usize).prop_map(Happening::Valid),
        1 => Just(Happening::End),
        1 => Just(Happening::Fail),
        1 => Just(Happening::Anew),
        1 => (0..20_u64).prop_map(Happening::Later),
        2 => prop_oneof![
            Just(Standing::Continues),
            Just(Standing::WentBack),
            Just(Standing::Unreachable("so".into())),
            Just(Standing::Refused("so".into())),
        ]
        .prop_map(Happening::Probed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// No order of answers and no bytes make it panic, and what it hands over is a fill first, then
    /// events after it.
    #[test]
    fn survives_anything(happenings in prop::collection::vec(happening(), 0..60)) {
        let mut script = Script::new();
        let mut number = 100;
        for happening in happenings {
            match happening {
                Happening::Next => drop(script.step()),
                Happening::Answer(status) => drop(script.answer(status)),
                Happening::Bytes(bytes) => script.receive(&bytes),
                Happening::Valid(which) => {
                    number += 1;
                    let bytes = match which {
                        0 => initial(),
                        1 => error_frame(410),
                        2 => error_frame(0),
                        3 => page(number, "", &[Pod::new("ns", "a", 7)]).into_bytes(),
                        4 => page(number, "more", &[]).into_bytes(),
                        5 => frame("BOOKMARK", &bookmark_json(number, false)),
                        6 => pod_frame("DELETED", "a", number),
                        _ => pod_frame("MODIFIED", "a", number),
                    };
                    script.receive(&bytes);
                }
                Happening::End => script.end(),
                Happening::Fail => {
                    script.reflector.failed("so", script.now, &mut script.effects);
                }
                Happening::Anew => script.reflector.begin_anew(script.now),
                Happening::Later(seconds) => drop(script.later(seconds)),
                Happening::Probed(standing) => script.probed(standing),
            }
        }
        let mut filled = false;
        for effect in &script.effects {
            match effect {
                Effect::Fill { .. } => filled = true,
                Effect::Apply(burst) => {
                    prop_assert!(filled && !burst.is_empty());
                    let is_error = |one: &ReceivedEvent| matches!(one.event, WatchEvent::Error(_));
                    prop_assert!(!burst.iter().any(is_error));
                }
                Effect::Template(_) | Effect::Failure(_) | Effect::Withdraw { .. } => {}
            }
        }
    }

    /// Whatever follows the fill, in whatever pieces, ends in a state that asks for something.
    #[test]
    fn arbitrary_bytes_never_panic(
        tail in prop::collection::vec(any::<u8>(), 0..400),
        pieces in 1..50_usize,
        representation in prop_oneof![
            Just(Representation::Json),
            Just(Representation::Protobuf),
            Just(Representation::ProtobufMetadata),
        ],
    ) {
        let mut effects = Vec::new();
        let codec = ResourceCodec::new(&pods(), representation);
        let mut reflector = Reflector::new(&pods(), representation);
        let now = Instant::now();
        reflector.next(now, 0.1);
        reflector.answered(StatusCode::OK, None, now);
        for piece in tail.chunks(pieces) {
            reflector.received(Bytes::copy_from_slice(piece), &codec, now, &mut effects);
        }
        reflector.ended(&codec, now, &mut effects);
        let filled = effects.iter().any(|effect| matches!(effect, Effect::Fill { .. }));
        prop_assert!(!filled, "random bytes are no list");
        prop_assert!(matches!(reflector.next(now, 0.1), Step::Wait(_)));
    }
}
