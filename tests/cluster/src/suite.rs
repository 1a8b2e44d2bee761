//! A test binary whose tests share one fixture, usually a [`Cluster`].
//!
//! libtest can't ignore a test at run time, so such a binary has `harness = false` and a main function which runs a
//! [`Suite`]; its command line is that of any other test binary. Where no cluster can be started, its tests are reported as
//! ignored with the reason, and fail if `CI` is `true`. The fixture starts with the first test that runs, and is stopped
//! after the last; a fixture which doesn't start fails all tests.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock};
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::programs::{Availability, availability};

const PATIENCE: Duration = Duration::from_secs(180);

type Pinned<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Body<F> = Box<dyn FnOnce(Arc<F>) -> Pinned<Result<()>> + Send>;
type Start<F> = Box<dyn Fn() -> Pinned<Result<F>> + Send + Sync>;

/// What the tests of a suite share.
pub trait Fixture: Send + Sync + 'static {
    /// What helps to understand a failed test, such as the ends of logs.
    fn report(&self) -> String;

    /// Ends it in order.
    fn stop(self) -> impl Future<Output = Result<()>> + Send;
}

impl Fixture for Cluster {
    fn report(&self) -> String {
        self.logs()
    }

    fn stop(self) -> impl Future<Output = Result<()>> + Send {
        Self::stop(self)
    }
}

/// Tests which share a fixture.
pub struct Suite<F> {
    start: Start<F>,
    tests: Vec<Test<F>>,
    patience: Duration,
}

struct Test<F> {
    name: String,
    exclusive: bool,
    missing: Option<String>,
    body: Body<F>,
}

/// What all tests of a running suite hold.
struct Shared<F> {
    start: Start<F>,
    started: OnceCell<std::result::Result<Arc<F>, String>>,
    turns: RwLock<()>,
    patience: Duration,
    runtime: Runtime,
}

impl<F: Fixture> Suite<F> {
    /// A suite whose fixture is started by `start`.
    pub fn new<S>(start: impl Fn() -> S + Send + Sync + 'static) -> Self
    where
        S: Future<Output = Result<F>> + Send + 'static,
    {
        let start: Start<F> = Box::new(move || Box::pin(start()));
        Self { start, tests: Vec::new(), patience: PATIENCE }
    }

    /// Lets every test take so long; three minutes by default.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Adds a test, which may run beside others.
    #[must_use]
    pub fn test<T>(self, name: &str, body: impl FnOnce(Arc<F>) -> T + Send + 'static) -> Self
    where
        T: Future<Output = Result<()>> + Send + 'static,
    {
        self.add(name, false, None, body)
    }

    /// Adds a test that needs more than the cluster. Where that is `missing`, for the reason given, the test is reported as
    /// ignored, and fails if `CI` is `true`.
    #[must_use]
    pub fn test_unless<T>(
        self,
        missing: Option<String>,
        name: &str,
        body: impl FnOnce(Arc<F>) -> T + Send + 'static,
    ) -> Self
    where
        T: Future<Output = Result<()>> + Send + 'static,
    {
        self.add(name, false, missing, body)
    }

    /// Adds a test during which no other runs, because it disturbs the fixture: it restarts the API server, for example.
    #[must_use]
    pub fn exclusive<T>(self, name: &str, body: impl FnOnce(Arc<F>) -> T + Send + 'static) -> Self
    where
        T: Future<Output = Result<()>> + Send + 'static,
    {
        self.add(name, true, None, body)
    }

    fn add<T>(
        mut self,
        name: &str,
        exclusive: bool,
        missing: Option<String>,
        body: impl FnOnce(Arc<F>) -> T + Send + 'static,
    ) -> Self
    where
        T: Future<Output = Result<()>> + Send + 'static,
    {
        let body: Body<F> = Box::new(move |fixture| Box::pin(body(fixture)));
        self.tests.push(Test { name: name.to_owned(), exclusive, missing, body });
        self
    }

    /// Runs the tests which the command line picks. A main function returns what this returns.
    pub fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("no tokio runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
        let shared = Arc::new(Shared {
            start: self.start,
            started: OnceCell::new(),
            turns: RwLock::default(),
            patience: self.patience,
            runtime,
        });
        let trials = self
            .tests
            .into_iter()
            .map(|test| {
                let shared = shared.clone();
                Trial::ignorable_test(test.name.clone(), move || shared.run(test))
            })
            .collect();
        let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
        if let Some(shared) = Arc::into_inner(shared) {
            shared.finish(conclusion.has_failed());
        }
        conclusion.exit_code()
    }
}

impl<F: Fixture> Shared<F> {
    fn run(&self, test: Test<F>) -> std::result::Result<Completion, Failed> {
        let missing = match availability() {
            Availability::Missing(reason) => Some(reason),
            _ => test.missing.clone(),
        };
        if let Some(reason) = missing {
            if std::env::var("CI").is_ok_and(|value| value == "true") {
                return Err(format!("CI must run this test, but there is {reason}").into());
            }
            return Ok(Completion::ignored_with(reason));
        }
        self.runtime.block_on(self.take_turn(test)).map_err(|error| format!("{error:?}"))?;
        Ok(Completion::Completed)
    }

    async fn take_turn(&self, test: Test<F>) -> Result<()> {
        let start = || async { (self.start)().await.map(Arc::new).map_err(|e| format!("{e:?}")) };
        let fixture = match self.started.get_or_init(start).await {
            Ok(fixture) => fixture.clone(),
            Err(error) => anyhow::bail!("the fixture didn't start: {error}"),
        };
        let (_alone, _together) = if test.exclusive {
            (Some(self.turns.write().await), None)
        } else {
            (None, Some(self.turns.read().await))
        };
        // A task of its own, so that a panic doesn't pass through the fixture's lock.
        let task = tokio::spawn((test.body)(fixture));
        let abort = task.abort_handle();
        let Ok(ended) = timeout(self.patience, task).await else {
            abort.abort();
            anyhow::bail!("the test wasn't done in {:?}", self.patience);
        };
        match ended {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(anyhow::anyhow!(said(&*error.into_panic()))),
            Err(error) => Err(error).context("the test's task"),
        }
    }

    fn finish(self, failed: bool) {
        let Some(Ok(fixture)) = self.started.into_inner() else {
            return;
        };
        if failed {
            eprintln!("{}", fixture.report());
        }
        // A test's own tasks may still hold the fixture; then it is dropped with them.
        if let Some(fixture) = Arc::into_inner(fixture)
            && let Err(error) = self.runtime.block_on(fixture.stop())
        {
            eprintln!("stopping the fixture: {error:#}");
        }
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "a panic without message".to_owned())
}
