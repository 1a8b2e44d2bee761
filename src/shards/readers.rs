//! Readers that have not finished: lists on their way out, watches in their initial state, watches
//! that read the log because they lag.
//!
//! Each keeps a version of a shard, or a part of its log, alive for as long as its client takes. A
//! client that takes nothing would do so for ever: acknowledging TCP segments and pings is enough to
//! stay connected. So every such reader is enrolled here with what it holds and a way to end it,
//! and [`Readers::relieve`], called every two seconds, cuts
//!
//! - whoever took nothing for [`SILENCE`];
//! - while there is no room for what readers alone keep alive: those that took nothing for
//!   [`SLOW`], the longest silent first;
//! - while they keep more alive than they may at most: anybody, in the same order.
//!
//! Of those that are equally silent, as all are that came since the last call, the oldest go first: a
//! client that reads is soon done.
//!
//! What readers keep alive beyond the present is an upper estimate, by [`Turnover`] (`readers/pinned.rs`):
//! what changed between the beginnings of two readers is held by those before it, who together hold no
//! more than they have. Readers of one version have it once.
//!
//! A reader costs its body one store per frame. Locks: one, held while readers come and go and for
//! the sweep; nothing else is locked or called under it.

mod pinned;

use std::{
    cmp::Reverse,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use slab::Slab;
use tracing::warn;

use self::pinned::Pinned;
use super::turnover::Turnover;

/// All readers that have not finished.
#[derive(Debug, Default)]
pub struct Readers {
    enrolled: Mutex<Slab<Enrolled>>,
    /// How many were cut off so far.
    cut: AtomicU64,
}

/// What a reader keeps alive.
#[derive(Clone, Debug)]
pub enum Holding {
    /// Bytes that nobody else has.
    Alone(u64),
    /// A state.
    State {
        /// Of the shard that it was taken from.
        turnover: Arc<Turnover>,
        /// [`Turnover::replaced`] when it was taken, or earlier; zero when that is not known.
        since: u64,
        /// At most so much of it, in bytes.
        part: u64,
        /// All of it.
        whole: u64,
    },
    /// Events of the log, all of which it had.
    Events {
        /// Of the shard whose log it is.
        turnover: Arc<Turnover>,
        /// [`Turnover::forgotten`] when they were taken.
        since: u64,
    },
}

/// One reader's place, given up when it is dropped.
pub struct Reader {
    readers: Arc<Readers>,
    key: usize,
    moved: Arc<AtomicBool>,
}

struct Enrolled {
    holding: Holding,
    moved: Arc<AtomicBool>,
    begun: Instant,
    /// When it was last seen to have moved.
    last: Instant,
    /// Ends it; taken by who calls it.
    cut: Option<Box<dyn Fn() + Send + Sync>>,
}

/// A client that takes nothing for this long is cut off. kube-apiserver gives a list a minute in all.
pub const SILENCE: Duration = Duration::from_secs(60);

/// A client that takes nothing for this long is slow: it is cut off when memory is short.
pub const SLOW: Duration = Duration::from_secs(5);

// === impl Readers ===

impl Readers {
    /// Enrols a reader; `cut` ends it from any thread, by having its body dropped.
    pub fn enrol(
        self: &Arc<Self>,
        holding: Holding,
        cut: impl Fn() + Send + Sync + 'static,
    ) -> Reader {
        let moved = Arc::new(AtomicBool::new(true));
        let begun = Instant::now();
        let enrolled = Enrolled {
            holding,
            moved: Arc::clone(&moved),
            begun,
            last: begun,
            cut: Some(Box::new(cut)),
        };
        let key = self.enrolled.lock().insert(enrolled);
        Reader { readers: Arc::clone(self), key, moved }
    }

    /// Readers that have not finished.
    pub fn len(&self) -> usize {
        self.enrolled.lock().len()
    }

    /// Whether all have finished.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were cut off since the start.
    pub fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// Bytes that only readers keep alive, at most.
    pub fn pinned(&self) -> u64 {
        let enrolled = self.enrolled.lock();
        Pinned::of(enrolled.iter().map(|(_, reader)| &reader.holding)).bytes(0)
    }

    /// Cuts readers off until they keep no more than `room` alive, of which those that are not slow
    /// may use all, and never more than `most`. Returns what the others keep alive.
    pub fn relieve(&self, room: u64, most: u64, now: Instant) -> u64 {
        let mut cuts = Vec::new();
        let pinned = {
            let mut enrolled = self.enrolled.lock();
            let silent = silences(&mut enrolled, now);
            let pinned =
                Pinned::of(silent.iter().filter_map(|(_, key)| Some(&enrolled.get(*key)?.holding)));
            let longer_than = |limit| silent.partition_point(|(silence, _)| *silence >= limit);
            let gone = longer_than(SILENCE);
            let gone = pinned.fewest(gone, longer_than(SLOW), room.min(most));
            let gone = pinned.fewest(gone, silent.len(), most);
            for (_, key) in &silent[..gone] {
                let Some(reader) = enrolled.get_mut(*key) else { continue };
                reader.holding = Holding::Alone(0);
                // Called without the lock: it ends the reader, which then comes to give up its place.
                cuts.extend(reader.cut.take());
            }
            pinned.bytes(gone)
        };
        if !cuts.is_empty() {
            let readers = cuts.len();
            warn!(readers, pinned, room, "cut off: clients that do not take what they asked for");
        }
        self.cut.fetch_add(cuts.len() as u64, Ordering::Relaxed);
        cuts.iter().for_each(|cut| cut());
        pinned
    }
}

/// How long each reader has taken nothing, in the order in which they are to go.
fn silences(enrolled: &mut Slab<Enrolled>, now: Instant) -> Vec<(Duration, usize)> {
    let mut silent: Vec<_> = (enrolled.iter_mut())
        .map(|(key, reader)| {
            if reader.moved.swap(false, Ordering::Relaxed) {
                reader.last = now;
            }
            let silence = now.saturating_duration_since(reader.last);
            (Reverse(silence), reader.begun, key)
        })
        .collect();
    silent.sort_unstable();
    silent.into_iter().map(|(Reverse(silence), _, key)| (silence, key)).collect()
}

// === impl Reader ===

impl Reader {
    /// Notes that the client took something.
    pub fn moved(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The cut, and what is held, are dropped after the lock.
        let _enrolled = self.readers.enrolled.lock().try_remove(self.key);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolled").field("holding", &self.holding).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
