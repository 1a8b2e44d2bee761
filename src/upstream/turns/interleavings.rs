//! Shared runs under many interleavings (see [`crate::sync::modelled`]).
//!
//! Each of these breaks was tried and found: starting a run although one is under way; giving a
//! caller the result of the run that was under way when it came; leaving `running` set when the last
//! run ends.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use shuttle::{
    future::{block_on, yield_now},
    thread,
};

use super::Turns;
use crate::sync::modelled::explore;

/// Counts the runs, and how many are under way.
#[derive(Default)]
struct Work {
    started: AtomicUsize,
    running: AtomicUsize,
}

// === impl Work ===

impl Work {
    /// One run, which gives its number.
    async fn run(self: Arc<Self>) -> usize {
        assert_eq!(self.running.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
        let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        yield_now().await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        number
    }
}

/// Asks for a run; what it gives must have started after the question.
fn ask(turns: &Turns<usize>, work: &Arc<Work>) {
    let before = work.started.load(Ordering::SeqCst);
    let shared = Arc::clone(work);
    let number = block_on(turns.share(move || Arc::clone(&shared).run()));
    assert!(number.is_some_and(|number| number > before), "{number:?}, {before} had started");
}

#[test]
fn every_caller_gets_a_run_that_starts_after_it_asked() {
    explore(|| {
        let (turns, work) = (Arc::new(Turns::new()), Arc::new(Work::default()));
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (turns, work) = (Arc::clone(&turns), Arc::clone(&work));
                thread::spawn(move || ask(&turns, &work))
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert!(work.started.load(Ordering::SeqCst) <= 4);
        ask(&turns, &work);
    });
}

#[test]
fn callers_may_go_away_at_any_time() {
    explore(|| {
        let (turns, work) = (Arc::new(Turns::new()), Arc::new(Work::default()));
        let goes = {
            let (turns, work) = (Arc::clone(&turns), Arc::clone(&work));
            shuttle::future::spawn(async move {
                let shared = Arc::clone(&work);
                turns.share(move || Arc::clone(&shared).run()).await
            })
        };
        let stays = {
            let (turns, work) = (Arc::clone(&turns), Arc::clone(&work));
            thread::spawn(move || ask(&turns, &work))
        };
        goes.abort();
        stays.join().unwrap();
        ask(&turns, &work);
    });
}
