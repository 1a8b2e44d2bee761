//! The run: watchers, writers and references at once, then the verdict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::checker::record::{Ack, Asked, Done};
use crate::checker::scope::Scope;
use crate::course::{Course, Phase};
use crate::disturbance;
use crate::figures::Figures;
use crate::forms::Keys;
use crate::ground::{Ground, Side, Way};
use crate::injector::Fault;
use crate::kinds::KINDS;
use crate::observer::{Observed, observe, reference};
use crate::stream::Subject;
use crate::verdict::{Case, judge};
use crate::watcher::{Brought, Watcher};
use crate::writer::Writer;

/// Watchers of each kind; every seventh watches directly.
const WATCHERS: usize = 84;
const WRITERS: usize = 3;

/// A run's measures.
struct Measure {
    /// The churn lasts at least so long, and until there are `events`, but not longer than `most`.
    churn: Duration,
    most: Duration,
    /// The mean time between two writes of a writer.
    pause: Duration,
    disturbed: bool,
    events: usize,
    injections: usize,
}

/// Whether a long run is wanted.
pub(crate) fn is_long() -> bool {
    std::env::var("WATCHGATE_LONG").is_ok_and(|value| value == "1")
}

fn measure() -> Measure {
    match is_long() {
        true => Measure {
            churn: Duration::from_secs(300),
            most: Duration::from_secs(600),
            pause: Duration::from_millis(20),
            disturbed: true,
            events: 500_000,
            injections: 20_000,
        },
        false => Measure {
            churn: Duration::from_secs(30),
            most: Duration::from_secs(120),
            pause: Duration::from_millis(50),
            disturbed: false,
            events: 100_000,
            injections: 4_000,
        },
    }
}

/// Records many watchers during churn and holds what they saw against what happened.
pub(crate) async fn hold(ground: Arc<Ground>) -> Result<()> {
    let measure = measure();
    let course = Arc::new(Course::new(ground));
    let mut observers = observers(&course).await?;
    let mut watchers = JoinSet::new();
    for watcher in watchers_of(&course) {
        watchers.spawn(watcher.run());
    }
    let mut writers: JoinSet<Result<(usize, Vec<Ack>)>> = JoinSet::new();
    for (place, writer) in writers_of(&course, measure.pause) {
        writers.spawn(async move { Ok((place, writer.run().await?)) });
    }
    let started = Instant::now();
    if measure.disturbed {
        disturbance::during(&course, measure.churn).await?;
    } else {
        sleep(measure.churn).await;
    }
    // Some of them are the references'.
    let wanted = measure.events + measure.events / 10;
    while course.events() < wanted && started.elapsed() < measure.most {
        sleep(Duration::from_millis(200)).await;
    }
    let (open, churned) = (course.open(), started.elapsed());
    course.phase.send_replace(Phase::Settling);
    let mut acks = vec![Vec::new(); KINDS.len()];
    while let Some(written) = writers.join_next().await {
        let (place, written) = written??;
        acks[place].extend(written);
    }
    settle(&course).await?;
    course.phase.send_replace(Phase::Draining);
    let mut brought = Vec::new();
    while let Some(watcher) = watchers.join_next().await {
        brought.push(watcher??);
    }
    let mut observed: Vec<_> = KINDS.iter().map(|_| Vec::new()).collect();
    while let Some(form) = observers.join_next().await {
        let (kind, form, seen) = form??;
        observed[kind].push((form, seen));
    }
    let drained = started.elapsed();
    let end = version_at_the_end(&course).await?;
    let concurrent = course.peak();
    let cases = cases(observed, acks, brought, end)?;
    let judged = tokio::task::spawn_blocking(move || judge(&cases, measure.injections));
    let mut figures = judged.await??;
    figures.concurrent = concurrent;
    let judged = started.elapsed();
    eprintln!("{figures}churned {churned:.1?}, drained at {drained:.1?}, judged at {judged:.1?}");
    eprintln!("{open} watches were open when the writers were told to end");
    required(&figures, &measure)
}

/// Starts the reference watches and waits until they have the state at the begin.
async fn observers(course: &Arc<Course>) -> Result<JoinSet<Result<(usize, usize, Observed)>>> {
    let mut observers = JoinSet::new();
    let mut waits = Vec::new();
    for (place, kind) in KINDS.iter().enumerate() {
        for form in 0..kind.forms.len() {
            let (ready, wait) = oneshot::channel();
            let course = course.clone();
            waits.push(wait);
            observers
                .spawn(async move { Ok((place, form, observe(course, kind, form, ready).await?)) });
        }
    }
    for wait in waits {
        match wait.await {
            Ok(version) => course.knows_from(version),
            Err(_) => {
                let failed = observers.join_next().await.context("no observer")??;
                failed?;
            }
        }
    }
    Ok(observers)
}

fn watchers_of(course: &Arc<Course>) -> Vec<Watcher> {
    let mut watchers = Vec::new();
    for (number, kind) in KINDS.iter().enumerate() {
        let scopes = kind.scopes();
        for place in 0..WATCHERS {
            let way = match place % 11 {
                10 => Way::Slow,
                odd if odd % 2 == 1 => Way::Http1,
                _ => Way::Http2(place),
            };
            // Half of them in JSON.
            let form = if place % 2 == 0 { 0 } else { place / 2 % kind.forms.len() };
            watchers.push(Watcher {
                course: course.clone(),
                kind,
                form,
                scope: scopes[place % scopes.len()].clone(),
                place: number * WATCHERS + place,
                side: if place % 7 == 6 { Side::Direct } else { Side::Through },
                way,
            });
        }
    }
    watchers
}

fn writers_of(course: &Arc<Course>, pause: Duration) -> Vec<(usize, Writer)> {
    let mut writers = Vec::new();
    for (number, kind) in KINDS.iter().enumerate() {
        for place in 0..WRITERS {
            // Some write through the gateway.
            let side = if place == 1 { Side::Through } else { Side::Direct };
            let place = number + place * KINDS.len();
            writers.push((number, Writer { course: course.clone(), kind, place, side, pause }));
        }
    }
    writers
}

/// Waits until the gateway follows the API server again in every form.
async fn settle(course: &Arc<Course>) -> Result<()> {
    let scope = Scope::default();
    for kind in &KINDS {
        for &form in kind.forms {
            let subject = Subject { course, kind, scope: &scope, form };
            let started = Instant::now();
            loop {
                let client = course.ground.client(Side::Through, Way::Http1)?;
                let listed = subject.list(&client, Asked::Fresh, None, &mut Keys::default()).await;
                if listed.is_ok_and(|listed| listed.origin.as_deref() == Some("watchgate; hit")) {
                    break;
                }
                let waited = started.elapsed();
                ensure!(waited < Duration::from_secs(60), "{form:?} of {} lags", kind.resource);
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

/// A version of the store that no answer so far can be beyond.
async fn version_at_the_end(course: &Arc<Course>) -> Result<u64> {
    let (scope, kind) = (Scope::default(), &KINDS[0]);
    let subject = Subject { course, kind, scope: &scope, form: kind.forms[0] };
    let client = course.ground.client(Side::Direct, Way::Http1)?;
    Ok(subject.list(&client, Asked::Fresh, None, &mut Keys::default()).await?.list.version)
}

/// What was recorded, by kind.
fn cases(
    observed: Vec<Vec<(usize, Observed)>>,
    acks: Vec<Vec<Ack>>,
    brought: Vec<Brought>,
    end: u64,
) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for ((mut forms, acks), kind) in observed.into_iter().zip(acks).zip(&KINDS) {
        forms.sort_by_key(|(form, _)| *form);
        let forms = forms.into_iter().map(|(_, observed)| observed).collect();
        let reference = reference(forms, end)?;
        cases.push(Case { resource: kind.resource, reference, acks, brought: Vec::new() });
    }
    for brought in brought {
        let of = |case: &&mut Case| brought.recording.name.starts_with(case.resource);
        let case = cases.iter_mut().find(of).context("a watcher of nothing")?;
        case.brought.push(brought);
    }
    Ok(cases)
}

/// What a run has to come to.
fn required(figures: &Figures, measure: &Measure) -> Result<()> {
    ensure!(figures.violations == 0, "{} violations", figures.violations);
    ensure!(figures.concurrent >= 200, "only {} watches at once", figures.concurrent);
    ensure!(figures.events() >= measure.events, "only {} events", figures.events());
    ensure!(figures.injected() >= measure.injections, "{} faults", figures.injected());
    ensure!(figures.found == figures.injected(), "{} faults found", figures.found);
    ensure!(figures.replayed >= 50, "only {} lists replayed", figures.replayed);
    let refused = figures.refused_from_memory;
    ensure!(refused == 0, "the gateway refused {refused} watches by itself");
    // After a restart every watch resumes below the log's start.
    let (share, wanted) =
        (figures.origins.share("watch"), if measure.disturbed { 0.6 } else { 0.9 });
    ensure!(share >= wanted, "only {:.1} % of watches from memory", 100.0 * share);
    let sorts = figures.injected.len();
    ensure!(sorts == Fault::ALL.len(), "only {sorts} sorts of faults could be injected");
    let broken = figures.through.broken;
    ensure!(measure.disturbed || broken == 0, "{broken} watches broke off");
    ensure!(measure.disturbed || figures.unknown_writes == 0, "writes failed");
    Ok(())
}

/// Whether a write's fate is unknown.
pub(crate) fn is_unknown(ack: &Ack) -> bool {
    ack.done == Done::Unknown
}
