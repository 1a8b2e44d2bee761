//! Batches of requests on a cluster that stands still, with writes in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures_util::future::join_all;
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
const OPENING: Duration = Duration::from_secs(1);

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
        let (counted, mut failed) = runner.live(&mut writer, &mut world, batch).await?;
        tally.merge(counted);
        failures.append(&mut failed);
        explore(&runner.quick, &mut world).await?;
        let numbers = batch * plan.batch..(batch + 1) * plan.batch;
        let (counted, mut failed) = runner.batch(&world, numbers).await?;
        tally.merge(counted);
        failures.append(&mut failed);
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
    verdict: Verdict,
    answers: Answers,
    cache_status: String,
    repeats: usize,
}

// === impl Outcome ===

impl Outcome {
    fn count(
        self,
        (number, case): (u64, Case),
        start: u64,
        tally: &mut Tally,
        failures: &mut Vec<Failure>,
    ) {
        let Self { verdict, answers, cache_status, repeats } = self;
        tally.add(Class::of(&case, &answers.before, start), &cache_status);
        tally.repeated += usize::from(repeats > 0);
        match verdict {
            Verdict::Same => {}
            Verdict::Listed(heading) => tally.list(heading),
            Verdict::Unsettled(why) => {
                eprintln!("unsettled: {}: {why}", case.curl());
                tally.unsettled += 1;
            }
            Verdict::Different(difference) => {
                eprintln!("{number}: {}: {difference}", case.curl());
                failures.push(Failure { number, case, difference, answers, cache_status });
            }
        }
    }
}

// === impl Runner ===

impl Runner {
    /// Writes under watches that are open already. They can't be repeated, as the writes can't.
    async fn live(
        &self,
        writer: &mut Writer,
        world: &mut World,
        batch: u64,
    ) -> Result<(Tally, Vec<Failure>)> {
        let cases: Vec<(u64, Case)> = (0..LIVE)
            .map(|place| {
                let number = batch * LIVE + place;
                (number, Generator::new(world, !self.seed, number).live_watch())
            })
            .collect();
        let (open, written) = (Semaphore::new(0), world.written);
        let watches = cases.iter().map(|(_, case)| self.slow.open(case, written, &open));
        let writes = async {
            let all = u32::try_from(cases.len() * 3)?;
            // Some wait for a version that won't come and open late.
            drop(timeout(OPENING, open.acquire_many(all)).await);
            writer.write(world).await
        };
        let (watched, wrote) = tokio::join!(join_all(watches), writes);
        wrote?;
        let mut tally = Tally::default();
        let mut failures = Vec::new();
        for ((number, case), watched) in cases.into_iter().zip(watched) {
            let (answers, cache_status) = watched?;
            let verdict = judge(&case, &answers);
            let outcome = Outcome { verdict, answers, cache_status, repeats: 0 };
            outcome.count((number, case), world.start, &mut tally, &mut failures);
        }
        Ok((tally, failures))
    }

    async fn batch(
        &self,
        world: &World,
        numbers: std::ops::Range<u64>,
    ) -> Result<(Tally, Vec<Failure>)> {
        let cases: Vec<(u64, Case)> = numbers
            .map(|number| (number, Generator::new(world, self.seed, number).case()))
            .collect();
        // Slow ones first, so that the batch doesn't wait for a few at its end.
        let (slow, quick): (Vec<_>, Vec<_>) =
            cases.into_iter().partition(|(_, case)| is_slow(case));
        let outcomes = stream::iter(slow.into_iter().chain(quick))
            .map(|(number, case)| async move {
                let outcome = self.compare(&case, world.written).await;
                (number, case, outcome)
            })
            .buffer_unordered(QUICK + SLOW);
        let mut outcomes = std::pin::pin!(outcomes);
        let mut tally = Tally::default();
        let mut failures = Vec::new();
        while let Some((number, case, outcome)) = outcomes.next().await {
            outcome?.count((number, case), world.start, &mut tally, &mut failures);
        }
        Ok((tally, failures))
    }

    /// Asks until the answers say something. Where an older state is allowed, a lagging copy gets time
    /// to catch up.
    async fn compare(&self, case: &Case, written: u64) -> Result<Outcome> {
        let slow = is_slow(case);
        let lanes = if slow { &self.slow } else { &self.quick };
        let mut repeats = 0;
        loop {
            let (answers, cache_status) = lanes.ask(case, written, slow).await?;
            let verdict = judge(case, &answers);
            let again = match &verdict {
                Verdict::Same | Verdict::Listed(_) => false,
                Verdict::Unsettled(_) => true,
                Verdict::Different(_) => may_lag(case),
            };
            let Some(pause) = REPEATS.get(repeats).filter(|_| again) else {
                return Ok(Outcome { verdict, answers, cache_status, repeats });
            };
            if let Verdict::Different(difference) = verdict {
                eprintln!("again: {}: {difference}", case.curl());
            }
            tokio::time::sleep(*pause).await;
            repeats += 1;
        }
    }

    async fn shrunk(&self, world: &World, failures: Vec<Failure>) -> Vec<Failure> {
        let mut shown = Vec::new();
        for failure in failures.into_iter().take(FAILURES) {
            let fails = async |case: Case| {
                let outcome = self.compare(&case, world.written).await;
                outcome.is_ok_and(|outcome| matches!(outcome.verdict, Verdict::Different(_)))
            };
            let case = Box::pin(shrink(failure.case.clone(), 60, fails)).await;
            let smaller = self.compare(&case, world.written).await;
            shown.push(match smaller {
                Ok(Outcome {
                    verdict: Verdict::Different(difference),
                    answers,
                    cache_status,
                    ..
                }) => Failure { number: failure.number, case, difference, answers, cache_status },
                // Not to be repeated: as it was.
                _ => failure,
            });
        }
        shown
    }
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
            let Outcome { verdict, answers, .. } = runner.compare(&case, world.written).await?;
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
