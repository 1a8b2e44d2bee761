//! Batches of requests on a cluster that stands still, with writes in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures_util::future::try_join_all;
use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::ask::Lanes;
use crate::case::Case;
use crate::generate::Generator;
use crate::judge::{Answers, Verdict, judge};
use crate::mangle::manglings;
use crate::report::Failure;
use crate::setup::Field;
use crate::shrink::shrink;
use crate::tally::{Class, Tally};
use crate::world::World;
use crate::writer::{Writer, explore, warm};

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) batches: u64,
    /// Requests of each batch.
    pub(crate) batch: u64,
}

/// Requests at the same time that are answered at once, and that take their time.
const QUICK: usize = 12;
const SLOW: usize = 64;

/// Watches that are open while the writer writes, of each batch.
const LIVE: u64 = 24;

/// They have so long to open.
const OPENING: Duration = Duration::from_secs(3);

/// So many failures are enough to look at.
const FAILURES: usize = 12;

/// A copy that lags has caught up after these.
const REPEATS: [Duration; 4] = [
    Duration::from_millis(30),
    Duration::from_millis(150),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// Asks everything of `plan`; an error shows the failures.
pub(crate) async fn run(field: Arc<Field>, plan: Plan) -> Result<Tally> {
    let runner = Runner {
        quick: Lanes::new(&field, QUICK)?,
        slow: Lanes::new(&field, SLOW)?,
        seed: plan.seed,
    };
    let mut world = World::new();
    warm(&runner.quick, &mut world).await?;
    let mut writer = Writer::new(&field, plan.seed);
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    let started = Instant::now();
    for batch in 0..plan.batches {
        let watches = runner.live_watches(&world, batch);
        let (open, written) = (Semaphore::new(0), world.written);
        let watching = runner.watch(&watches, written, &open);
        let rest = async {
            let all = u32::try_from(watches.len() * 3)?;
            // What doesn't open is found out by its answer.
            drop(timeout(OPENING, open.acquire_many(all)).await);
            writer.write(&mut world).await?;
            explore(&runner.quick, &mut world).await?;
            let numbers = batch * plan.batch..(batch + 1) * plan.batch;
            runner.batch(&world, numbers).await
        };
        let (watched, asked) = tokio::join!(watching, rest);
        for outcome in watched?.into_iter().chain(asked?) {
            outcome.count(world.start, &mut tally, &mut failures);
        }
        if failures.len() >= FAILURES {
            break;
        }
    }
    eprintln!("seed {}, {:?}\n{tally}", plan.seed, started.elapsed());
    if !failures.is_empty() {
        let count = failures.len();
        let shown: Vec<String> = Box::pin(runner.shrunk(&world, failures))
            .await
            .iter()
            .map(Failure::to_string)
            .collect();
        bail!("seed {}: {count} differences\n\n{}", plan.seed, shown.join("\n\n"));
    }
    let few = tally.unsettled * 200 <= tally.all();
    ensure!(few, "{} of {} cases never settled", tally.unsettled, tally.all());
    Ok(tally)
}

struct Runner {
    quick: Lanes,
    slow: Lanes,
    seed: u64,
}

/// What came of a case in the end.
struct Outcome {
    number: u64,
    case: Case,
    verdict: Verdict,
    answers: Answers,
    cache_status: String,
    repeats: usize,
}

// === impl Outcome ===

impl Outcome {
    fn count(self, start: u64, tally: &mut Tally, failures: &mut Vec<Failure>) {
        tally.add(Class::of(&self.case, &self.answers.before, start), &self.cache_status);
        tally.repeated += usize::from(self.repeats > 0);
        match &self.verdict {
            Verdict::Same => {}
            Verdict::Listed(heading) => tally.list(heading),
            Verdict::Unsettled(why) => {
                eprintln!("unsettled: {}: {why}", self.case.curl());
                tally.unsettled += 1;
            }
            Verdict::Different(difference) => {
                eprintln!("{}: {}: {difference}", self.number, self.case.curl());
            }
        }
        failures.extend(self.failure());
    }

    fn differs(&self) -> bool {
        matches!(self.verdict, Verdict::Different(_))
    }

    fn failure(self) -> Option<Failure> {
        let Self { number, case, verdict, answers, cache_status, .. } = self;
        let Verdict::Different(difference) = verdict else { return None };
        Some(Failure { number, case, difference, answers, cache_status })
    }
}

// === impl Runner ===

impl Runner {
    /// Watches that are to be open while the writer writes.
    fn live_watches(&self, world: &World, batch: u64) -> Vec<(u64, Case)> {
        let numbers = batch * LIVE..(batch + 1) * LIVE;
        let case = |number| Generator::new(world, !self.seed, number).live_watch();
        numbers.map(|number| (number, case(number))).collect()
    }

    /// Holds them to their ends. They can't be repeated, as the writes can't.
    async fn watch(
        &self,
        cases: &[(u64, Case)],
        written: u64,
        open: &Semaphore,
    ) -> Result<Vec<Outcome>> {
        let watches = cases.iter().map(async |(number, case)| {
            let (answers, cache_status) = self.slow.open(case, written, open).await?;
            let verdict = judge(case, &answers);
            let case = case.clone();
            Ok(Outcome { number: *number, case, verdict, answers, cache_status, repeats: 0 })
        });
        try_join_all(watches).await
    }

    async fn batch(&self, world: &World, numbers: std::ops::Range<u64>) -> Result<Vec<Outcome>> {
        let cases: Vec<(u64, Case)> = numbers
            .map(|number| (number, Generator::new(world, self.seed, number).case()))
            .collect();
        // Slow ones first, so that the batch doesn't wait for a few at its end.
        let (slow, quick): (Vec<_>, Vec<_>) =
            cases.into_iter().partition(|(_, case)| is_slow(case));
        stream::iter(slow.into_iter().chain(quick))
            .map(|(number, case)| self.compare(number, case, world.written))
            .buffer_unordered(QUICK + SLOW)
            .try_collect()
            .await
    }

    /// Asks until the answers say something. Where an older state is allowed, a lagging copy gets time
    /// to catch up.
    async fn compare(&self, number: u64, case: Case, written: u64) -> Result<Outcome> {
        let slow = is_slow(&case);
        let lanes = if slow { &self.slow } else { &self.quick };
        let mut repeats = 0;
        let mut asked = case.clone();
        loop {
            let (answers, cache_status) = lanes.ask(&asked, written, slow).await?;
            let verdict = judge(&asked, &answers);
            let again = match &verdict {
                Verdict::Same | Verdict::Listed(_) => false,
                Verdict::Unsettled(_) => true,
                Verdict::Different(_) => may_lag(&case),
            };
            let Some(pause) = REPEATS.get(repeats).filter(|_| again) else {
                return Ok(Outcome { number, case, verdict, answers, cache_status, repeats });
            };
            if let Verdict::Different(difference) = verdict {
                eprintln!("again: {}: {difference}", case.curl());
            }
            tokio::time::sleep(*pause).await;
            repeats += 1;
            asked = with_more_time(&case, repeats);
        }
    }

    async fn shrunk(&self, world: &World, failures: Vec<Failure>) -> Vec<Failure> {
        let mut shown = Vec::new();
        for failure in failures.into_iter().take(FAILURES) {
            let number = failure.number;
            let ask = |case: Case| Box::pin(self.compare(number, case, world.written));
            let fails = async |case: Case| ask(case).await.is_ok_and(|outcome| outcome.differs());
            let case = Box::pin(shrink(failure.case.clone(), 60, fails)).await;
            let smaller = ask(case).await.ok().and_then(Outcome::failure);
            // If not to be repeated: as it was.
            shown.push(smaller.unwrap_or(failure));
        }
        shown
    }
}

/// A busy machine may not say all in a second.
fn with_more_time(case: &Case, repeats: usize) -> Case {
    let mut case = case.clone();
    for pair in case.query.iter_mut().filter(|pair| *pair == "timeoutSeconds=1") {
        *pair = format!("timeoutSeconds={}", 1 + 2 * repeats);
    }
    case
}

/// Whether an answer takes a second or more.
fn is_slow(case: &Case) -> bool {
    let far = |version: u64| version > 1_000_000;
    let version = case.option("resourceVersion").and_then(|text| text.parse().ok());
    case.may_watch() || version.is_some_and(far)
}

/// Whether the gateway may answer with an older state than the API server.
fn may_lag(case: &Case) -> bool {
    case.may_watch() || matches!(case.bound(), crate::case::Bound::AtLeast(_))
}

/// The judge finds every mangled answer, for as many real cases.
pub(crate) async fn find_mangled(field: Arc<Field>, seed: u64, count: u64) -> Result<()> {
    let runner =
        Runner { quick: Lanes::new(&field, QUICK)?, slow: Lanes::new(&field, SLOW)?, seed };
    let mut world = World::new();
    Writer::new(&field, seed).write(&mut world).await?;
    explore(&runner.quick, &mut world).await?;
    let world = &world;
    let checks = stream::iter(0..count).map(|number| {
        let (case, runner) = (Generator::new(world, seed, number).case(), &runner);
        async move {
            let outcome = runner.compare(number, case, world.written).await?;
            let Outcome { case, verdict, answers, .. } = outcome;
            ensure!(!matches!(verdict, Verdict::Different(_)), "{}: {verdict:?}", case.curl());
            let right = Answers { ours: answers.before.clone(), ..answers.clone() };
            let same = [&verdict, &judge(&case, &right)].into_iter().all(|v| *v == Verdict::Same);
            if !same || case.ends_at_once() {
                return Ok(0);
            }
            let wrong = manglings(&case, &answers.before);
            let all = wrong.len();
            for (name, ours) in wrong {
                let verdict = judge(&case, &Answers { ours, ..answers.clone() });
                ensure!(
                    matches!(verdict, Verdict::Different(_)),
                    "{name} is not found: {}",
                    case.curl()
                );
            }
            Ok(all)
        }
    });
    let found: Vec<usize> = checks.buffer_unordered(QUICK + SLOW).try_collect().await?;
    let found: usize = found.iter().sum();
    eprintln!("{found} mangled answers of {count} cases were found");
    ensure!(found > 10 * usize::try_from(count)?, "only {found} mangled answers");
    Ok(())
}
