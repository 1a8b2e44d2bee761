//! Long-lived tasks: named, tracked, their panics caught, counted and logged. Work that ends with a
//! request or a connection may be spawned directly.
//!
//! A group of tasks can be waited for ([`Tasks::finished`]); all groups made from one another
//! share one count of panics. A panic ends its task only: the runtime and the other tasks go on.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::FutureExt as _;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::task::TaskTracker;

/// A group of running tasks. Clones stand for the same group.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    panics: Arc<AtomicU64>,
}

/// The task ended by a panic, which has been logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task panicked")]
pub struct Panicked;

// === impl Tasks ===

impl Tasks {
    /// An empty group with a panic count of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty group that adds to the same panic count.
    pub fn group(&self) -> Self {
        Self { tracker: TaskTracker::new(), panics: Arc::clone(&self.panics) }
    }

    /// Starts a task on the runtime of the caller.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<Result<F::Output, Panicked>>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.spawn_on(name, &Handle::current(), future)
    }

    /// Starts a task on a given runtime; callable from any thread.
    pub fn spawn_on<F>(
        &self,
        name: &'static str,
        runtime: &Handle,
        future: F,
    ) -> JoinHandle<Result<F::Output, Panicked>>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let panics = Arc::clone(&self.panics);
        // Nothing of a task that panicked is looked at again, so no broken invariant can be seen
        // through it: that is what unwind safety is about.
        let caught = AssertUnwindSafe(future).catch_unwind();
        // Not an async block: that keeps a future that it awaits twice, and tasks are many.
        let watched = caught.map(move |ended| {
            ended.map_err(|payload| {
                panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, panic = panic_text(&*payload), "a task panicked");
                Panicked
            })
        });
        self.tracker.spawn_on(watched, runtime)
    }

    /// How many tasks of this and of all related groups have panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// How many tasks of this group are running.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Ends when no task of this group runs any more, those started meanwhile included.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// The message of a panic, where it is text.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_counted_and_ends_only_its_task() {
        let tasks = Tasks::new();
        let related = tasks.group();
        let failing = tasks.spawn("failing", async { panic!("on purpose") });
        let fine = related.spawn("fine", async { 7 });
        let outcome: Result<(), Panicked> = failing.await.expect("the panic is caught inside");
        assert_eq!(outcome, Err(Panicked));
        assert_eq!(fine.await.expect("not aborted"), Ok(7));
        assert_eq!((tasks.panics(), related.panics()), (1, 1));
        tasks.finished().await;
        assert_eq!(tasks.running(), 0);
    }

    #[test]
    fn panic_messages_are_read_where_they_are_text() {
        assert_eq!(panic_text(&"fixed"), "fixed");
        assert_eq!(panic_text(&"made".to_owned()), "made");
        assert_eq!(panic_text(&7), "not text");
    }
}
