//! When the machine wants to know which store stands behind upstream, and what it makes of it.

use http::StatusCode;

use super::{tests::Script, *};
use crate::cache::fixture::pods;

fn lost(script: &mut Script, how: usize) {
    match how {
        0 => script.fail("connection reset"),
        1 => script.end(),
        2 => script.receive(&tests::error_frame(500)),
        3 => {
            script.receive(b"{");
            script.end();
        }
        _ => unreachable!("four ways"),
    }
}

#[test]
fn a_stream_that_is_lost_is_resumed_after_a_probe_only() {
    for how in 0..4 {
        // Streams are due after 450 s.
        for (seconds, waits) in [(2, true), (100, how != 1), (444, how != 1)] {
            let mut script = Script::filled();
            lost(script.later(seconds), how);
            if waits {
                script.wait();
            }
            let version = ResourceVersion::new(10).unwrap();
            assert_eq!(script.step(), Step::Probe(version), "{how} after {seconds} s");
            assert_eq!(script.step(), Step::Probe(version), "until it is answered");
            script.probed(Standing::Continues);
            assert!(script.ask().target.ends_with("&resourceVersion=10"));
        }
    }
}

#[test]
fn a_refused_resumption_is_probed_as_well() {
    let mut script = Script::filled();
    script.later(450).end();
    script.ask();
    script.answer(StatusCode::SERVICE_UNAVAILABLE.as_u16());
    script.wait();
    assert!(matches!(script.step(), Step::Probe(_)));
}

#[test]
fn a_stream_that_ends_when_it_is_due_is_resumed_at_once() {
    for seconds in [445, 450, 460] {
        let mut script = Script::filled();
        script.later(seconds).end();
        assert!(matches!(script.step(), Step::Send(_)), "after {seconds} s");
    }
}

#[test]
fn a_custom_type_whose_stream_ends_early_is_filled_anew() {
    let custom = ResourceType { origin: Origin::Custom, ..(*pods()).clone() };
    for seconds in [2, 100] {
        let mut script = Script::of(&custom).fill();
        script.later(seconds).end();
        // Not at once, since all streams may have ended; but soon, since the definition may have changed.
        let wait = script.wait();
        assert!(wait >= Duration::from_millis(200) && wait < Duration::from_secs(1), "{wait:?}");
        assert!(script.ask().target.contains("sendInitialEvents=true"), "after {seconds} s");
    }
    let mut script = Script::of(&custom).fill();
    script.later(450).end();
    assert!(script.ask().target.ends_with("&resourceVersion=10"), "it was due");
    let mut script = Script::of(&custom).fill();
    script.later(100).fail("connection reset");
    script.wait();
    assert!(matches!(script.step(), Step::Probe(_)), "nobody ended it");
}

#[test]
fn a_store_that_went_back_is_filled_from_anew() {
    let mut script = Script::filled();
    lost(script.later(20), 0);
    script.wait();
    script.step();
    script.probed(Standing::WentBack);
    script.wait();
    assert!(script.ask().target.contains("sendInitialEvents"));
}

#[test]
fn probes_are_repeated_soon_and_given_up_only_where_upstream_answers() {
    for (standing, given_up) in [
        (Standing::Unreachable("no route".into()), false),
        (Standing::Refused("upstream answered 500".into()), true),
    ] {
        let mut script = Script::filled();
        lost(script.later(20), 0);
        script.wait();
        script.taken();
        let mut said = Vec::new();
        for _ in 0..20 {
            match script.step() {
                Step::Probe(_) => script.probed(standing.clone()),
                // Withdrawn: nothing is shown that could be wrong.
                Step::Send(ask) => {
                    assert!(given_up && ask.target.contains("sendInitialEvents"));
                    break;
                }
                Step::Wait(wait) => panic!("waits {wait:?}"),
            }
            assert!(script.wait() <= Duration::from_secs(5));
            script.later(5);
            said.extend(script.taken());
        }
        assert_eq!(said.iter().any(|said| said.starts_with("withdraw")), given_up, "{said:?}");
    }
}

#[test]
fn lost_history_is_filled_soon_after_a_long_absence() {
    let mut script = Script::filled();
    script.later(20).fail("no route");
    for _ in 0..20 {
        script.wait();
        script.step();
        script.probed(Standing::Unreachable("no route".into()));
    }
    script.wait();
    script.ask();
    script.answer(200);
    script.receive(&tests::error_frame(410));
    assert!(script.wait() <= Duration::from_secs(2));
    assert!(script.ask().target.contains("sendInitialEvents"));
}

#[test]
fn a_stream_that_settled_in_between_ends_the_patience_with_errors() {
    let mut script = Script::filled();
    for _ in 0..3 {
        script.later(450).end();
        script.ask();
        script.answer(503);
        script.wait();
        script.ask();
        script.answer(200);
        assert!(script.taken().iter().all(|said| !said.starts_with("withdraw")));
    }
}
