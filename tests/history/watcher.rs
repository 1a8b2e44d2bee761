//! A watcher: lists and watches in every way, ends and resumes at versions it received, and keeps all it saw.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::checker::record::{Asked, End, Recording, Seen, Start, Step, Version};
use crate::checker::scope::{Scope, Term};
use crate::course::{Course, Phase};
use crate::figures::Origins;
use crate::forms::Keys;
use crate::ground::{Side, Way};
use crate::histories::is_long;
use crate::kinds::Kind;
use crate::seeded::Seeded;
use crate::stream::{Ask, Subject};

/// A watcher before it begins.
pub(crate) struct Watcher {
    pub(crate) course: Arc<Course>,
    pub(crate) kind: &'static Kind,
    /// Of the kind's forms.
    pub(crate) form: usize,
    pub(crate) scope: Scope,
    pub(crate) place: usize,
    pub(crate) side: Side,
    pub(crate) way: Way,
}

/// What a watcher brings home.
pub(crate) struct Brought {
    pub(crate) side: Side,
    pub(crate) recording: Recording,
    pub(crate) origins: Origins,
    /// Requests that weren't answered with 200.
    pub(crate) failures: Vec<String>,
    /// ERROR events: their codes and where they came from.
    pub(crate) refusals: Vec<String>,
}

/// Failures in a row after which a watcher gives up.
const MOST_FAILURES: usize = 600;

/// Longer than any run.
const LONG: u32 = 3_000;

impl Watcher {
    /// Watches until the run is drained.
    pub(crate) async fn run(self) -> Result<Brought> {
        let name = format!(
            "{} {} ({:?}, {:?}, {:?}, {:?})",
            self.kind.resource,
            self.place,
            self.side,
            self.way,
            self.kind.forms[self.form],
            self.scope
        );
        let (scope, form) = (self.scope.clone(), self.form);
        let mut at_work = AtWork {
            random: Seeded::new(0x3a7c_4e12 ^ self.place as u64),
            keys: Keys::default(),
            received: Vec::new(),
            last: None,
            brought: Brought {
                side: self.side,
                recording: Recording { name: name.clone(), scope, form, steps: Vec::new() },
                origins: Origins::default(),
                failures: Vec::new(),
                refusals: Vec::new(),
            },
            watcher: self,
        };
        at_work.run().await.context(name)?;
        Ok(at_work.brought)
    }
}

struct AtWork {
    watcher: Watcher,
    random: Seeded,
    keys: Keys,
    /// Versions that may be used, as they came.
    received: Vec<Version>,
    /// Where an informer would resume.
    last: Option<Version>,
    brought: Brought,
}

impl AtWork {
    async fn run(&mut self) -> Result<()> {
        let mut failures = 0;
        loop {
            let draining = self.watcher.course.is(Phase::Draining);
            let outcome = match self.random.percent(25) && !draining {
                true => self.list().await.map(|()| None),
                false => self.watch().await.map(Some),
            };
            match outcome {
                Ok(Some(End::Drained)) => return self.list_at_last().await,
                Ok(Some(End::Refused(_))) => {
                    self.last = None;
                    self.received.clear();
                }
                Ok(_) => failures = 0,
                Err(error) => {
                    failures += 1;
                    ensure!(failures < MOST_FAILURES, "{error:#}");
                    self.brought.failures.push(format!("{error:#}"));
                    sleep(Duration::from_millis(250)).await;
                }
            }
        }
    }

    /// How the next watch begins.
    fn start(&mut self, draining: bool) -> Start {
        let chance = self.random.below(100);
        let (Some(last), any) = (self.last, self.any()) else {
            return match self.random.percent(50) || draining {
                true => Start::Fresh,
                false => Start::Any,
            };
        };
        match (chance, any) {
            _ if draining => Start::After(last),
            (0..45, _) | (_, None) => Start::After(last),
            (45..65, Some(any)) => Start::After(any),
            (65..72, Some(any)) => Start::NotOlderThan(any),
            (72..82, _) => Start::Fresh,
            (82..92, _) => Start::Any,
            (92..96, _) => Start::FreshNow,
            _ => Start::AnyNow,
        }
    }

    /// One of the versions received so far; rather a late one, as only those are sure to be in upstream's memory.
    fn any(&mut self) -> Option<Version> {
        let from = self.received.len().saturating_sub(400);
        let late = &self.received[from..];
        (!late.is_empty()).then(|| *self.random.pick(late))
    }

    fn ask(&mut self) -> Ask {
        let draining = self.watcher.course.is(Phase::Draining);
        let start = self.start(draining);
        let bookmarks = self.random.percent(70);
        let random = &mut self.random;
        let (timeout, leave) = match random.below(10) {
            _ if draining => (LONG, None),
            // Watches that end by themselves have bookmarks before their end.
            0..4 => (3 + random.below(5) as u32, None),
            4..9 => (LONG, Some(Duration::from_millis(1_000 + random.below(16_000) as u64))),
            _ => (LONG, None),
        };
        // Some pauses of a long run are long enough to fall behind all that is kept for watchers.
        let longest = match is_long() && random.percent(20) {
            true => 50,
            false => 6,
        };
        let is_slow = self.watcher.way == Way::Slow;
        let slow = is_slow.then_some(Duration::from_secs(longest));
        // Those last as long as they may.
        let leave = leave.filter(|_| slow.is_none());
        Ask { start, bookmarks, timeout, leave, slow }
    }

    async fn watch(&mut self) -> Result<End> {
        let ask = self.ask();
        let Watcher { course, kind, scope, form, side, way, .. } = &self.watcher;
        let subject = Subject { course, kind, scope, form: kind.forms[*form] };
        let client = course.ground.client(*side, *way)?;
        let (random, keys) = (&mut self.random, &mut self.keys);
        let watched = subject.watch(&client, ask, random, keys, &mut |_, _| ()).await?;
        self.brought.origins.add("watch", watched.origin.as_deref());
        let end = watched.session.end;
        if let End::Refused(code) = end {
            let origin = watched.origin.as_deref().unwrap_or("direct");
            self.brought.refusals.push(format!("ERROR {code} ({origin})"));
        }
        self.remember(&watched.session.seen, ask.start);
        self.brought.recording.steps.push(Step::Watch(watched.session));
        Ok(end)
    }

    fn remember(&mut self, seen: &[Seen], start: Start) {
        let course = &self.watcher.course;
        let known = seen.iter().map(Seen::version).filter(|version| course.knows(*version));
        self.received.extend(known);
        // Initial events come in the order of keys, so that none of them tells what was reached (semantics §18.24).
        let live = match start.has_state() {
            true => seen.iter().position(Seen::is_initial_end),
            false => Some(0),
        };
        match live.and_then(|live| seen[live..].last()) {
            Some(seen) => self.last = Some(seen.version()),
            None if start.has_state() => self.last = None,
            None => {}
        }
        if let Some(version) = start.named().filter(|_| !start.has_state() && self.last.is_none()) {
            self.last = Some(version);
        }
    }

    async fn list(&mut self) -> Result<()> {
        let any = self.any();
        let ask = match (self.random.below(10), any) {
            (0..5, _) => Asked::Fresh,
            (5..8, Some(any)) => Asked::NotOlderThan(any),
            _ => Asked::Any,
        };
        // Upstream narrows the first page to a selected namespace, but not the following ones, whose token then leads nowhere:
        // in 1.36.3 such a list loses its rest.
        let narrowed =
            |term: &Term| matches!(term, Term::Is(field, _) if field == "metadata.namespace");
        let pages = !self.watcher.scope.fields.iter().any(narrowed);
        let limit = (pages && self.random.percent(20)).then_some(7);
        let version = self.list_as(ask, limit).await?;
        // Otherwise the next watch resumes where the last one ended, and covers what the list says.
        if self.last.is_none() || self.random.percent(50) {
            self.last = Some(version);
        }
        Ok(())
    }

    async fn list_as(&mut self, ask: Asked, limit: Option<usize>) -> Result<Version> {
        let Watcher { course, kind, scope, form, side, way, .. } = &self.watcher;
        let subject = Subject { course, kind, scope, form: kind.forms[*form] };
        let client = course.ground.client(*side, *way)?;
        let listed = subject.list(&client, ask, limit, &mut self.keys).await?;
        self.brought.origins.add("list", listed.origin.as_deref());
        let version = listed.list.version;
        if course.knows(version) {
            self.received.push(version);
        }
        self.brought.recording.steps.push(Step::List(listed.list));
        Ok(version)
    }

    /// The state in the end, which the drained watch has led to.
    async fn list_at_last(&mut self) -> Result<()> {
        self.list_as(Asked::Fresh, None).await.map(|_| ())
    }
}
