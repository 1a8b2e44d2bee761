//! What stands in for locks, shared states and task starts in unit tests, and the explorer.
//!
//! Outside of [`explore`] all of it behaves as in the program. Inside, one thread runs at a time, and
//! shuttle's scheduler chooses at every operation which one: so an interleaving that a machine would
//! meet once in a month is met by choice, and again from its seed. A thread that waits for ever, be it
//! for a lock or for a wake-up, is reported as a deadlock.

#![expect(missing_docs, reason = "documented where the names in the program come from")]

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
};

/// parking_lot's lock; when it was made inside of [`explore`], shuttle's as well.
pub struct Mutex<T> {
    real: parking_lot::Mutex<T>,
    modelled: Option<shuttle::sync::Mutex<()>>,
}

/// Holds the lock. The real one goes first: letting go of shuttle's may run another thread.
pub struct MutexGuard<'a, T> {
    real: parking_lot::MutexGuard<'a, T>,
    _modelled: Option<shuttle::sync::MutexGuard<'a, ()>>,
}

/// arc-swap's shared state; inside of [`explore`] other threads may run before it is looked at or
/// changed.
pub struct Published<T>(ArcSwapOption<T>);

/// How often each explorer runs a test when nothing else is said.
const RUNS: usize = 400;

/// How many places in a run the second explorer picks for changing threads against their priorities.
const DEPTH: usize = 3;

/// Where the schedules begin.
const SEED: u64 = 0x57a7_c4a7_e000_0001;

/// Runs `test` under many interleavings, chosen from a seed: half of them with a random thread at
/// every step, half with random priorities that change at a few steps, which finds what needs one
/// thread to be late for long. A failure prints the schedule that leads to it.
///
/// `WATCHGATE_INTERLEAVINGS=20` runs twenty times as many; `WATCHGATE_INTERLEAVINGS_SEED` others.
pub(crate) fn explore(test: impl Fn() + Send + Sync + 'static) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let runs = RUNS * number("WATCHGATE_INTERLEAVINGS").unwrap_or(1) as usize;
    let seed = number("WATCHGATE_INTERLEAVINGS_SEED").unwrap_or(SEED);
    let test = Arc::new(test);
    let schedulers: [Box<dyn Scheduler + Send>; 2] = [
        Box::new(RandomScheduler::new_from_seed(seed, runs)),
        Box::new(PctScheduler::new_from_seed(seed, DEPTH, runs)),
    ];
    for scheduler in schedulers {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        let test = Arc::clone(&test);
        Runner::new(scheduler, config).run(move || test());
    }
}

/// Starts a task where this one runs.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    if is_modelled() {
        drop(shuttle::future::spawn(work));
    } else {
        drop(tokio::spawn(work));
    }
}

fn is_modelled() -> bool {
    shuttle::current::try_get_current_task().is_some()
}

/// A point where another thread may run.
fn point() {
    if is_modelled() {
        shuttle::sync::atomic::AtomicBool::new(false).load(std::sync::atomic::Ordering::SeqCst);
    }
}

// === impl Mutex ===

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        let modelled = is_modelled().then(|| shuttle::sync::Mutex::new(()));
        Self { real: parking_lot::Mutex::new(value), modelled }
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        // Poisoned only while a failure found elsewhere is on its way out.
        let modelled =
            self.modelled.as_ref().map(|lock| lock.lock().unwrap_or_else(|it| it.into_inner()));
        let real = match modelled {
            Some(_) => self.real.try_lock().expect("shuttle's lock keeps all others out"),
            None => self.real.lock(),
        };
        MutexGuard { real, _modelled: modelled }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.real.fmt(f)
    }
}

// === impl MutexGuard ===

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.real
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.real
    }
}

// === impl Published ===

impl<T> Published<T> {
    pub fn empty() -> Self {
        Self(ArcSwapOption::empty())
    }

    pub fn load(&self) -> arc_swap::Guard<Option<Arc<T>>> {
        point();
        self.0.load()
    }

    pub fn load_full(&self) -> Option<Arc<T>> {
        point();
        self.0.load_full()
    }

    pub fn store(&self, value: Option<Arc<T>>) {
        point();
        self.0.store(value);
    }
}
