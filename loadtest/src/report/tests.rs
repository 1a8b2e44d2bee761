use super::*;
use crate::{
    accounting::{Accounting, Work},
    resource::{Kind, Resource},
    scenario::workload::{Asking, Churn, Watching, Workload},
    watch_run::short,
};

/// A run in which everything was right.
fn report() -> RunReport {
    let pods = || Resource::of(Kind::Pod);
    let workloads = vec![
        Workload::Watchers(Watching::new("watches", 4, pods())),
        Workload::Churn(Churn::new("writes", pods(), 10.0)),
        Workload::ListStorm(Asking::new("lists", pods())),
    ];
    let accounting = Accounting::new(Vec::new());
    let sample = accounting.sample().unwrap();
    let samples = [sample.clone(), sample.clone(), sample];
    let work = Work { idle_watches: 4, deliveries: 40 };
    RunReport {
        server: "127.0.0.1:1".into(),
        scenario: short("x", Protocol::Http2, std::time::Duration::from_secs(1), workloads),
        run: "run".into(),
        interrupted: false,
        problems: Vec::new(),
        filled: Vec::new(),
        open_seconds: 0.1,
        watches: vec![group()],
        writes: vec![ChurnReport {
            name: "writes".into(),
            due: 10,
            attempted: 10,
            succeeded: 10,
            failed: 0,
            cut_off: 0,
            failures: BTreeMap::new(),
            latency: DelaySummary::default(),
            steps: Vec::new(),
        }],
        requests: vec![AskReport {
            name: "lists".into(),
            protocol: Protocol::Http2,
            clients: 1,
            due: 5,
            answers: 5,
            failed: 0,
            unanswered: 0,
            answers_per_second: 5.0,
            bytes: 1,
            latency: DelaySummary::default(),
            steps: Vec::new(),
            failures: BTreeMap::new(),
        }],
        phases: Vec::new(),
        costs: accounting.costs(&samples, work, DelaySummary::default()),
        series: Series::default(),
    }
}

fn group() -> GroupReport {
    GroupReport {
        name: "watches".into(),
        informers: false,
        watches: 4,
        slow: 0,
        protocol: Protocol::Http2,
        connections: 1,
        synced: 4,
        not_begun: 0,
        not_synced: 0,
        refused: BTreeMap::new(),
        reopened: 0,
        broken: BTreeMap::new(),
        faulty: 0,
        faults: Faults::default(),
        deliveries: 40,
        deliveries_per_second: 40.0,
        foreign: 0,
        touched: 0,
        bytes: 1,
        delay: DelaySummary::default(),
        delay_steps: Vec::new(),
        last_watcher_delay: DelaySummary::default(),
        sync: DelaySummary::default(),
        sync_steps: Vec::new(),
        reopen: DelaySummary::default(),
    }
}

fn verdict(change: impl FnOnce(&mut RunReport)) -> Verdict {
    let mut report = report();
    change(&mut report);
    // What is printed says the same.
    let text = report.to_string();
    assert!(text.contains(&report.verdict().to_string()), "{text}");
    report.verdict()
}

#[test]
fn what_did_not_happen_makes_a_run_incomplete() {
    assert_eq!(verdict(|_| {}), Verdict::Passed);
    let asked_again = |it: &mut RunReport| {
        it.watches[0].refused.insert("429 too much".into(), 7);
        it.watches[0].touched = 3;
    };
    assert_eq!(verdict(asked_again), Verdict::Passed);
    let changes: [fn(&mut RunReport); 7] = [
        |it| it.interrupted = true,
        |it| it.problems.push("a process ended".into()),
        |it| it.watches[0].not_begun = 1,
        |it| it.watches[0].not_synced = 1,
        |it| it.writes[0].attempted = 9,
        |it| it.writes[0].cut_off = 1,
        |it| it.requests[0].answers = 0,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(verdict(change), Verdict::Incomplete, "{index}");
    }
    let stopped = |it: &mut RunReport| (it.interrupted, it.requests[0].unanswered) = (true, 1);
    assert_eq!(verdict(stopped), Verdict::Incomplete);
}

#[test]
fn what_was_wrong_makes_it_failed_whatever_else() {
    let changes: [fn(&mut RunReport); 5] = [
        |it| it.watches[0].faults.initial = 1,
        |it| it.watches[0].broken = [("410".to_owned(), 1)].into(),
        |it| it.writes[0].failed = 1,
        |it| it.requests[0].failed = 1,
        |it| it.requests[0].unanswered = 1,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(verdict(change), Verdict::Failed, "{index}");
    }
    let both = |it: &mut RunReport| (it.interrupted, it.watches[0].faults.lost) = (true, 1);
    assert_eq!(verdict(both), Verdict::Failed);
    assert_eq!([Verdict::Failed, Verdict::Passed].into_iter().max(), Some(Verdict::Failed));
}
