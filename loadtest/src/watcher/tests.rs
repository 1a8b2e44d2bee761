//! A watcher against a server that follows a script.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream};
use http::Response;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::*;
use crate::{
    board::{Board, Group},
    history::{Faults, Final},
    ledger::Ledger,
    plan::{Plan, Write},
    resource::{Kind, Resource},
    scenario::workload::Watching,
    transport::{Protocol, Transport},
};

/// One answer.
struct Step {
    status: u16,
    retry_after: Option<&'static str>,
    body: String,
    /// Whether more is to come, which does not.
    open: bool,
}

/// Answers in order; afterwards nothing.
struct Script {
    steps: Mutex<Vec<Step>>,
    asked: Mutex<Vec<String>>,
    refused_connections: AtomicUsize,
}

struct Scripted(Arc<Script>);

impl Transport for Scripted {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, TransportError>> {
        let refused = &self.0.refused_connections;
        let refuse =
            refused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1));
        let connection: Arc<dyn Connection> = Arc::new(Self(Arc::clone(&self.0)));
        let refusal = || TransportError::Connect(std::io::Error::other("scripted"));
        Box::pin(async move { if refuse.is_ok() { Err(refusal()) } else { Ok(connection) } })
    }
}

impl Connection for Scripted {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Answer, TransportError>> {
        self.0.asked.lock().push(call.target);
        let mut steps = self.0.steps.lock();
        let step = if steps.is_empty() { None } else { Some(steps.remove(0)) };
        Box::pin(async move {
            let Some(step) = step else { return std::future::pending().await };
            let Step { status, retry_after, body, open } = step;
            let mut answer = Response::builder().status(status);
            if let Some(retry_after) = retry_after {
                answer = answer.header(header::RETRY_AFTER, retry_after);
            }
            let data = stream::iter([Ok(Frame::data(Bytes::from(body)))]);
            let body = if open {
                StreamBody::new(data.chain(stream::pending())).boxed_unsync()
            } else {
                StreamBody::new(data).boxed_unsync()
            };
            Ok(answer.body(body)?)
        })
    }

    fn is_open(&self) -> bool {
        true
    }
}

fn event(kind: &str, generation: u32, revision: u64) -> String {
    format!(
        r#"{{"type":"{kind}","object":{{"metadata":{{"resourceVersion":"{revision}","annotations":
        {{"watchgate-loadtest/write":"run/0/{generation}"}}}}}}}}"#
    )
    .replace('\n', "")
        + "\n"
}

fn refused(status: u16, retry_after: Option<&'static str>) -> Step {
    Step { status, retry_after, body: "too much".to_owned(), open: false }
}

fn watch(events: &[String]) -> Step {
    Step { status: 200, retry_after: None, body: events.concat(), open: false }
}

/// Three writes of one object, all done: created at 10, updated at 11 and 12.
fn ledger() -> Ledger {
    let mut plan = Plan::default();
    plan.add(1, 5, 1.0, Duration::from_secs(3));
    let ledger = Ledger::new(plan);
    for generation in 0..3 {
        ledger.begin(Write { slot: 0, generation });
        ledger.done(Write { slot: 0, generation }, Some(10 + u64::from(generation)));
    }
    ledger
}

struct Followed {
    watcher: Watcher,
    group: Arc<Group>,
    asked: Vec<String>,
    ended: Option<WatchError>,
}

async fn follow(
    start: Start,
    herded: bool,
    refused_connections: usize,
    steps: Vec<Step>,
) -> Followed {
    let mut spec = Watching::new("watchers", 1, Resource::of(Kind::ConfigMap));
    spec.start = Some(start);
    let ledger = Arc::new(ledger());
    let mut group = Group::new(spec, start == Start::List, Protocol::Http2, vec![1], 3);
    group.herded = herded;
    let group = Arc::new(group);
    let board = Arc::new(Board {
        run: "run".to_owned(),
        ledger: Arc::clone(&ledger),
        churns: Vec::new(),
        groups: vec![Arc::clone(&group)],
        askings: Vec::new(),
        made: Instant::now(),
    });
    let script = Arc::new(Script {
        steps: Mutex::new(steps),
        asked: Mutex::default(),
        refused_connections: AtomicUsize::new(0),
    });
    let identity = Identity {
        number: 0,
        group: Arc::clone(&group),
        slot: Arc::new(Slot::new(Arc::new(Scripted(Arc::clone(&script))))),
        namespace: None,
        label_selector: None,
        field_selector: None,
        slow: false,
    };
    let revision = (start == Start::Now).then_some(9);
    let history = History::new(ledger, [0].into());
    let mut watcher = Watcher::new(identity, board, history, revision, Instant::now());
    let herd = async {
        while herded && group.opened.count() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        script.refused_connections.store(refused_connections, Ordering::Relaxed);
        let at = Instant::now();
        group.herd.send_replace(Herding { share: 1.0, time: 1, at, connections: true });
        std::future::pending::<()>().await;
    };
    let watching = async {
        tokio::select! { ended = watcher.run() => ended, () = herd => unreachable!() }
    };
    let ended = timeout(Duration::from_secs(20), watching).await.ok();
    let asked = script.asked.lock().clone();
    Followed { watcher, group, asked, ended }
}

fn faults(followed: Followed) -> Faults {
    let ledger = Arc::new(ledger());
    let known = Final { ledger, begun: vec![3], state: Some(vec![Some(2)]) };
    followed.watcher.history.finish(&known, false)
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_and_nothing_is_lost() {
    let steps = vec![
        refused(429, Some("1")),
        refused(503, None),
        watch(&[event("ADDED", 0, 10)]),
        refused(408, None),
        watch(&[event("MODIFIED", 1, 11), event("MODIFIED", 2, 12)]),
    ];
    let followed = follow(Start::Now, false, 0, steps).await;
    assert!(followed.ended.is_none(), "{:?}", followed.ended);
    assert_eq!(followed.watcher.progress(), Progress::Synced);
    assert_eq!(followed.group.refused.count(), 3);
    assert!(followed.asked[4].ends_with("resourceVersion=10"), "{:?}", followed.asked);
    assert_eq!((followed.group.deliveries.count(), faults(followed)), (3, Faults::default()));
}

#[tokio::test(start_paused = true)]
async fn what_will_be_refused_again_ends_the_watcher() {
    for status in [401, 403, 410] {
        let steps = vec![watch(&[event("ADDED", 0, 10)]), refused(status, Some("1"))];
        let followed = follow(Start::Now, false, 0, steps).await;
        let Some(WatchError::Refused(refusal)) = &followed.ended else { panic!("{status}") };
        assert_eq!(refusal.status, status);
        assert_eq!((followed.group.refused.count(), faults(followed).lost), (0, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_is_a_duplicate_and_somebody_elses_is_not() {
    let whole = [
        event("ADDED", 0, 10),
        event("MODIFIED", 1, 11),
        event("MODIFIED", 1, 11),
        event("MODIFIED", 2, 12),
        event("MODIFIED", 2, 13),
    ];
    let followed = follow(Start::Now, false, 0, vec![watch(&whole)]).await;
    assert_eq!((followed.group.touched.count(), followed.group.deliveries.count()), (1, 3));
    assert_eq!(faults(followed), Faults { duplicate: 1, ..Faults::default() });
    // A watch that is resumed, and repeats what came before.
    let steps = vec![watch(&whole[..2]), watch(&whole[1..4])];
    let followed = follow(Start::Now, false, 0, steps).await;
    assert_eq!(faults(followed), Faults { duplicate: 2, ..Faults::default() });
}

#[tokio::test(start_paused = true)]
async fn an_initial_state_without_an_object_is_found_and_an_unfinished_one_is_not_synced() {
    let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"12","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
    let end = format!("{end}\n");
    let one = Faults { initial: 1, ..Faults::default() };
    for (steps, expected) in [
        (vec![event("ADDED", 2, 12), end.clone()], Faults::default()),
        (vec![event("ADDED", 1, 11), end.clone()], Faults { state_differs: 1, ..one }),
        (vec![end], one),
    ] {
        let followed = follow(Start::WatchList, false, 0, vec![watch(&steps)]).await;
        assert_eq!(followed.watcher.progress(), Progress::Synced);
        assert_eq!(faults(followed), expected);
    }
    let steps = vec![watch(&[event("ADDED", 2, 12)])];
    let followed = follow(Start::WatchList, false, 0, steps).await;
    assert_eq!(followed.watcher.progress(), Progress::Syncing);
    assert_eq!(faults(followed), Faults::default());
}

#[tokio::test(start_paused = true)]
async fn a_list_without_an_object_is_found() {
    let item = event("ADDED", 2, 12);
    let item = item.trim_end().trim_end_matches('}').split_once(r#""object":"#).unwrap().1;
    let list = |items: &str| {
        watch(&[format!(r#"{{"metadata":{{"resourceVersion":"12"}},"items":[{items}]}}"#)])
    };
    let whole = format!("{item}}}}}}}");
    for (steps, expected) in [
        (vec![refused(429, Some("2")), list(&whole)], Faults::default()),
        (vec![list("")], Faults { initial: 1, ..Faults::default() }),
    ] {
        let mut steps = steps;
        steps.push(watch(&[]));
        let followed = follow(Start::List, false, 0, steps).await;
        assert_eq!(followed.watcher.progress(), Progress::Synced, "{:?}", followed.ended);
        assert_eq!(faults(followed), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_herds_delay_lasts_until_the_watch_is_open_however_many_attempts_that_takes() {
    let open = vec![event("ADDED", 0, 10)];
    let steps = vec![Step { open: true, ..watch(&open) }, refused(503, None), watch(&[])];
    let followed = follow(Start::Now, true, 2, steps).await;
    let summary = followed.group.reopen.summary();
    assert_eq!(summary.count, 1, "{:?}", followed.ended);
}
