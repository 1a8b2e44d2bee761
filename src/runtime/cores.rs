//! The per-core runtimes, how work is placed on them, and how all of it is stopped.
//!
//! A task placed on a core stays on that core's thread. Placement looks at the number of
//! connections only: their cost evens out over many, and a better measure would have to be shared
//! between cores. Nothing is moved afterwards.

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;

/// How long background tasks get to end once they have been told to.
const BACKGROUND_STOP: Duration = Duration::from_secs(5);

/// How long a runtime waits for work it handed to its blocking threads.
const BLOCKING_STOP: Duration = Duration::from_secs(1);

/// How long the core threads get to end once their runtimes have been told to.
const THREAD_STOP: Duration = Duration::from_secs(3);

/// All runtimes of the process. Dropping it ends them without waiting for anything.
#[derive(Debug)]
pub struct Cores {
    placer: Placer,
    threads: Vec<JoinHandle<()>>,
    draining: CancellationToken,
    end: CancellationToken,
    background: Option<Runtime>,
    background_tasks: Tasks,
    stopping: CancellationToken,
}

/// One core: a thread that runs a single-threaded tokio runtime.
#[derive(Debug)]
pub struct Core {
    index: usize,
    runtime: Handle,
    tasks: Tasks,
    connections: AtomicUsize,
    draining: CancellationToken,
}

/// Places tasks on cores; cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Placer {
    cores: Arc<[Arc<Core>]>,
}

/// A connection's place on a core, counted as its load until dropped.
#[derive(Debug)]
pub struct Placement {
    core: Arc<Core>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Tasks on cores that were still running when the time was up; 0 when all ended by themselves.
    pub unfinished: usize,
}

/// Threads per core for what would hold up its connections: compression, long scans. More would only
/// take processor time from the connections.
const ASIDE: usize = 4;

/// What those threads yield to the cores' own: they get a third of a processor that both want. With
/// less, a list would wait for as long as there is other work.
const ASIDE_NICENESS: i32 = 5;

/// Lowers the priority of the calling thread, which is to do what may wait.
fn step_aside() {
    let own = rustix::thread::gettid();
    let lowered = rustix::process::getpriority_process(Some(own)).and_then(|niceness| {
        rustix::process::setpriority_process(Some(own), niceness + ASIDE_NICENESS)
    });
    if let Err(error) = lowered {
        // It works without, only less well beside others.
        tracing::debug!(%error, "the priority of a thread could not be lowered");
    }
}

// === impl Cores ===

impl Cores {
    /// Starts `count` core threads and the background runtime.
    ///
    /// # Errors
    /// When the operating system refuses a thread or an event queue.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let (draining, end) = (CancellationToken::new(), CancellationToken::new());
        // Ends the threads already started should a later step fail.
        let unwinding = end.clone().drop_guard();
        let tasks = Tasks::new();
        let mut cores = Vec::with_capacity(count.get());
        let mut threads = Vec::with_capacity(count.get());
        for index in 0..count.get() {
            let runtime = Builder::new_current_thread()
                .max_blocking_threads(ASIDE)
                .on_thread_start(step_aside)
                .enable_all()
                .build()?;
            cores.push(Arc::new(Core {
                index,
                runtime: runtime.handle().clone(),
                tasks: tasks.group(),
                connections: AtomicUsize::new(0),
                // A token of its own, so that connections that wait for it share nothing with
                // those of other cores.
                draining: draining.child_token(),
            }));
            let end = end.clone();
            threads.push(thread::Builder::new().name(format!("core-{index}")).spawn(
                move || {
                    runtime.block_on(end.cancelled());
                    runtime.shutdown_timeout(BLOCKING_STOP);
                },
            )?);
        }
        let background = Builder::new_multi_thread()
            .worker_threads(count.get())
            .thread_name("background")
            .enable_all()
            .build()?;
        unwinding.disarm();
        Ok(Self {
            placer: Placer { cores: cores.into() },
            threads,
            draining,
            end,
            background: Some(background),
            background_tasks: tasks.group(),
            stopping: CancellationToken::new(),
        })
    }

    /// As many cores as the process may use: processor set and cgroup quota are respected.
    ///
    /// # Errors
    /// As [`Cores::start`].
    pub fn start_all() -> io::Result<Self> {
        Self::start(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// What places connections on the cores.
    pub fn placer(&self) -> &Placer {
        &self.placer
    }

    /// The background runtime, for reflectors, reviews and the program itself.
    pub fn background(&self) -> &Handle {
        self.background_runtime().handle()
    }

    /// The tasks of the background runtime.
    pub fn background_tasks(&self) -> &Tasks {
        &self.background_tasks
    }

    /// Starts a task on the background runtime. It is to end when [`Cores::stopping`] is cancelled.
    pub fn spawn_background<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.background_tasks.spawn_on(name, self.background(), future);
    }

    /// Runs a future to its end on the calling thread, inside the background runtime.
    ///
    /// # Panics
    /// When called from a runtime's thread.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.background_runtime().block_on(future)
    }

    /// Cancelled when connections are to finish what they do and take no more.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Cancelled when background tasks are to end, after the connections are drained.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// How many tasks have panicked since the start.
    pub fn panics(&self) -> u64 {
        self.background_tasks.panics()
    }

    /// Tells all connections to finish and waits for them, at most for `limit`.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.draining.cancel();
        let cores = self.placer.cores();
        let all = join_all(cores.iter().map(|core| core.tasks.finished()));
        match timeout(limit, all).await {
            Ok(_) => Drained { unfinished: 0 },
            Err(_) => Drained { unfinished: cores.iter().map(|core| core.tasks.running()).sum() },
        }
    }

    /// Drains the connections, at most for `limit`, then ends background tasks and all threads.
    ///
    /// # Panics
    /// When called from a runtime's thread.
    pub fn stop(mut self, limit: Duration) -> Drained {
        let drained = self.block_on(self.drain(limit));
        self.stopping.cancel();
        let finished = self.background_tasks.finished();
        // The timer has to be made inside of the runtime, hence the async block.
        let ended = self.block_on(async { timeout(BACKGROUND_STOP, finished).await });
        if ended.is_err() {
            let tasks = self.background_tasks.running();
            tracing::warn!(tasks, "background tasks did not end in time and are dropped");
        }
        self.end.cancel();
        join_within(&mut self.threads, THREAD_STOP);
        if let Some(background) = self.background.take() {
            background.shutdown_timeout(BLOCKING_STOP);
        }
        drained
    }

    fn background_runtime(&self) -> &Runtime {
        self.background.as_ref().expect("taken only by stop and drop, which own the value")
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        self.draining.cancel();
        self.stopping.cancel();
        self.end.cancel();
        if let Some(background) = self.background.take() {
            // Unlike a plain drop this may happen inside of a runtime.
            background.shutdown_background();
        }
    }
}

/// Joins threads, giving up on those that do not end: a thread has no join with a limit.
fn join_within(threads: &mut Vec<JoinHandle<()>>, limit: Duration) {
    let started = Instant::now();
    while threads.iter().any(|thread| !thread.is_finished()) && started.elapsed() < limit {
        thread::sleep(Duration::from_millis(2));
    }
    for thread in threads.drain(..) {
        let name = thread.thread().name().unwrap_or("core").to_owned();
        if !thread.is_finished() {
            tracing::warn!(thread = name, "a core thread does not end and is left behind");
        } else if thread.join().is_err() {
            tracing::error!(thread = name, "a core thread ended by a panic");
        }
    }
}

// === impl Placer ===

impl Placer {
    /// The cores, by index.
    pub fn cores(&self) -> &[Arc<Core>] {
        &self.cores
    }

    /// Starts a task on the core with the fewest connections and returns the core's index.
    ///
    /// `make` gets the place it takes there and runs on the calling thread; the place is counted
    /// until whoever ends up owning the [`Placement`] drops it.
    pub fn spawn_on_least_loaded<M, F>(&self, name: &'static str, make: M) -> usize
    where
        M: FnOnce(Placement) -> F,
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let core = self
            .cores
            .iter()
            .min_by_key(|core| core.load())
            .expect("started with a non-zero number of cores");
        core.tasks.spawn_on(name, &core.runtime, make(Placement::on(core)));
        core.index
    }
}

// === impl Core ===

impl Core {
    /// Its number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many connections it has.
    pub fn load(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Its tasks. Start further ones of the same connection through this, from the core's thread.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The runtime, to start a task on this very core from another thread.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Cancelled when the connections of this core are to finish.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }
}

// === impl Placement ===

impl Placement {
    fn on(core: &Arc<Core>) -> Self {
        core.connections.fetch_add(1, Ordering::Relaxed);
        Self { core: Arc::clone(core) }
    }

    /// The core, for keeping beyond the placement.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Deref for Placement {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        self.core.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
