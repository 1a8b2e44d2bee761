//! Work that many callers want: those who come before it starts share its result.
//!
//! At most one run is under way and one waits for it. A run that has begun outlives the callers that
//! wanted it, so that a client going away does not restart the work for the others.

use std::{future::Future, sync::Arc};

use tokio::sync::watch;

use crate::sync::{Mutex, spawn};

/// Shares runs of one kind of work.
pub(super) struct Turns<T> {
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    running: bool,
    /// Callers of the run that has not started.
    next: Option<watch::Sender<Option<T>>>,
}

// === impl Turns ===

impl<T: Clone + Send + Sync + 'static> Turns<T> {
    /// Nothing under way.
    pub(super) fn new() -> Self {
        Self { state: Arc::new(Mutex::new(State { running: false, next: None })) }
    }

    /// The result of a run that starts after this call; `None` when the run panicked or the runtime
    /// ended. `work` is kept by the caller that starts the runs, so every caller must bring the same.
    pub(super) async fn share<F, R>(&self, work: F) -> Option<T>
    where
        F: Fn() -> R + Send + 'static,
        R: Future<Output = T> + Send + 'static,
    {
        let (mut receiver, start) = {
            let mut state = self.state.lock();
            let next = state.next.get_or_insert_with(|| watch::Sender::new(None));
            let receiver = next.subscribe();
            let start = !state.running;
            state.running = true;
            (receiver, start)
        };
        if start {
            let runs = Runs { state: Arc::clone(&self.state) };
            spawn(runs.run(work));
        }
        let result = receiver.wait_for(Option::is_some).await.ok()?;
        result.clone()
    }
}

/// The runs under way; when they end, however they end, the next caller starts anew.
struct Runs<T> {
    state: Arc<Mutex<State<T>>>,
}

impl<T: Clone + Send + Sync + 'static> Runs<T> {
    async fn run<F, R>(self, work: F)
    where
        F: Fn() -> R + Send,
        R: Future<Output = T> + Send,
    {
        while let Some(callers) = self.take_next() {
            if callers.receiver_count() == 0 {
                // All of them went away before their run began.
                continue;
            }
            let result = work().await;
            callers.send_replace(Some(result));
        }
    }

    fn take_next(&self) -> Option<watch::Sender<Option<T>>> {
        let mut state = self.state.lock();
        let next = state.next.take();
        state.running = next.is_some();
        next
    }
}

impl<T> Drop for Runs<T> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        // After a clean end another caller may have started already; only a panic leaves this set
        // with nobody running, and then the waiting callers must not wait for ever.
        if std::thread::panicking() {
            state.running = false;
            state.next = None;
        }
    }
}

impl<T> std::fmt::Debug for Turns<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").field("running", &self.state.lock().running).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_before_the_start_share_a_run() {
        let turns = Arc::new(Turns::new());
        let gate = Arc::new(Semaphore::new(0));
        let runs = Arc::new(AtomicUsize::new(0));
        let call = || {
            let (turns, gate, runs) = (Arc::clone(&turns), Arc::clone(&gate), Arc::clone(&runs));
            tokio::spawn(async move {
                let work = move || {
                    let (gate, runs) = (Arc::clone(&gate), Arc::clone(&runs));
                    async move {
                        let number = runs.fetch_add(1, Ordering::SeqCst);
                        gate.acquire().await.unwrap().forget();
                        number
                    }
                };
                turns.share(work).await
            })
        };
        let first = call();
        while runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let later: Vec<_> = (0..5).map(|_| call()).collect();
        tokio::task::yield_now().await;
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(0));
        for caller in later {
            assert_eq!(caller.await.unwrap(), Some(1), "all wait for one run after theirs");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_run_that_nobody_waits_for_does_not_begin() {
        let turns = Turns::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let work = || {
            let runs = Arc::clone(&runs);
            move || {
                let runs = Arc::clone(&runs);
                async move { runs.fetch_add(1, Ordering::SeqCst) }
            }
        };
        // Polled once: it waits for a run which has not begun yet.
        let mut gone = Box::pin(turns.share(work()));
        assert!(futures_util::poll!(&mut gone).is_pending());
        drop(gone);
        tokio::task::yield_now().await;
        assert_eq!(turns.share(work()).await, Some(0), "the first run to begin");
    }

    #[tokio::test]
    async fn a_panic_frees_the_callers() {
        let turns: Turns<u8> = Turns::new();
        let outcome = turns.share(|| async { panic!("the run fails") }).await;
        assert_eq!(outcome, None);
        assert_eq!(turns.share(|| async { 7 }).await, Some(7));
    }
}
