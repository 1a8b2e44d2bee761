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
//! What readers keep alive beyond the present is an upper estimate, by [`Turnover`]: readers of one
//! version count once, and of several versions each counts what changed up to the next one.
//!
//! A reader costs its body one store per frame. Locks: one, held while readers come and go and for
//! the sweep; nothing else is locked or called under it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use slab::Slab;
use tracing::warn;

use super::turnover::Turnover;

/// All readers that have not finished.
#[derive(Debug, Default)]
pub struct Readers {
    enrolled: Mutex<Slab<Enrolled>>,
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
    /// When it was last seen to have moved.
    last: Instant,
    cut: Box<dyn Fn() + Send + Sync>,
}

/// What the readers of one shard keep alive: where they began, how many they are, and what of it
/// they have.
#[derive(Debug, Default)]
struct Shares {
    present: u64,
    begun: BTreeMap<u64, Share>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    readers: u64,
    parts: u64,
    whole: u64,
}

/// The share of who has events: all that the log lets go. Summed over readers it must not overflow.
const EVENTS: u64 = 1 << 40;

/// Shares are kept by shard, and apart for states and events.
type ShareKey = (*const Turnover, bool);

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
        let enrolled = Enrolled {
            holding,
            moved: Arc::clone(&moved),
            last: Instant::now(),
            cut: Box::new(cut),
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

    /// Bytes that only readers keep alive, at most.
    pub fn pinned(&self) -> u64 {
        Pinned::of(&self.enrolled.lock()).bytes
    }

    /// Cuts readers off until they keep no more than `room` alive, of which those that are not slow
    /// may use all, and never more than `most`. Returns what the others keep alive.
    pub fn relieve(&self, room: u64, most: u64, now: Instant) -> u64 {
        let mut cuts = Vec::new();
        let pinned = {
            let mut enrolled = self.enrolled.lock();
            let mut pinned = Pinned::of(&enrolled);
            let mut silent: Vec<(Duration, usize)> = Vec::with_capacity(enrolled.len());
            for (key, reader) in enrolled.iter_mut() {
                if reader.moved.swap(false, Ordering::Relaxed) {
                    reader.last = now;
                }
                silent.push((now.saturating_duration_since(reader.last), key));
            }
            silent.sort_unstable_by(|left, right| right.cmp(left));
            for (silence, key) in silent {
                let over = pinned.bytes > most || (pinned.bytes > room && silence >= SLOW);
                if silence < SILENCE && !over {
                    break;
                }
                let Some(reader) = enrolled.get_mut(key) else { continue };
                let holding = mem::replace(&mut reader.holding, Holding::Alone(0));
                pinned.remove(&holding);
                // Called without the lock: it ends the reader, which then comes to give up its place.
                cuts.push(mem::replace(&mut reader.cut, Box::new(|| {})));
            }
            pinned.bytes
        };
        if !cuts.is_empty() {
            let readers = cuts.len();
            warn!(readers, pinned, room, "cut off: clients that do not take what they asked for");
        }
        cuts.iter().for_each(|cut| cut());
        pinned
    }
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

/// What all readers together keep alive.
#[derive(Debug, Default)]
struct Pinned {
    bytes: u64,
    shares: HashMap<ShareKey, Shares>,
}

// === impl Pinned ===

impl Pinned {
    fn of(enrolled: &Slab<Enrolled>) -> Self {
        let mut pinned = Self::default();
        for (_, reader) in enrolled {
            match reader.holding.share() {
                Ok((key, present, since, share)) => {
                    let shares = pinned.shares.entry(key).or_default();
                    // Read once per shard, so that all of its readers are measured by one moment.
                    if shares.present == 0 {
                        shares.present = present;
                    }
                    shares.begun.entry(since).or_default().add(share);
                }
                Err(alone) => pinned.bytes += alone,
            }
        }
        pinned.bytes += pinned.shares.values().map(Shares::bytes).sum::<u64>();
        pinned
    }

    /// Takes one reader out.
    fn remove(&mut self, holding: &Holding) {
        match holding.share() {
            Ok((key, _, since, share)) => {
                let Some(shares) = self.shares.get_mut(&key) else { return };
                let before = shares.bytes_from(since);
                let Some(begun) = shares.begun.get_mut(&since) else { return };
                begun.readers -= 1;
                begun.parts -= share.parts;
                if begun.readers == 0 {
                    shares.begun.remove(&since);
                }
                self.bytes = self.bytes + shares.bytes_from(since) - before;
            }
            Err(alone) => self.bytes -= alone,
        }
    }
}

// === impl Shares ===

impl Shares {
    fn bytes(&self) -> u64 {
        let ends = self.begun.keys().skip(1).copied().chain([self.present]);
        self.begun.iter().zip(ends).map(|((since, share), end)| share.bytes(*since, end)).sum()
    }

    /// What those keep alive that began at `since` or were the last before it: what changes when
    /// one of the former goes.
    fn bytes_from(&self, since: u64) -> u64 {
        let end = |after: u64| {
            let later = self.begun.range(after.saturating_add(1)..).next();
            later.map_or(self.present, |(since, _)| *since)
        };
        let before = self.begun.range(..since).next_back();
        let at = self.begun.get_key_value(&since);
        before.into_iter().chain(at).map(|(since, share)| share.bytes(*since, end(*since))).sum()
    }
}

// === impl Share ===

impl Share {
    fn add(&mut self, other: Self) {
        self.readers += other.readers;
        self.parts = self.parts.saturating_add(other.parts);
        self.whole = self.whole.max(other.whole);
    }

    fn bytes(&self, since: u64, end: u64) -> u64 {
        end.saturating_sub(since).min(self.parts).min(self.whole)
    }
}

// === impl Holding ===

impl Holding {
    /// The reader's share, the present of its kind, and where it began; or what it holds alone.
    fn share(&self) -> Result<(ShareKey, u64, u64, Share), u64> {
        match self {
            Self::Alone(bytes) => Err(*bytes),
            Self::State { turnover, since, part, whole } => Ok((
                (Arc::as_ptr(turnover), true),
                turnover.replaced(),
                *since,
                Share { readers: 1, parts: *part, whole: *whole },
            )),
            Self::Events { turnover, since } => Ok((
                (Arc::as_ptr(turnover), false),
                turnover.forgotten(),
                *since,
                Share { readers: 1, parts: EVENTS, whole: EVENTS },
            )),
        }
    }
}

#[cfg(test)]
mod tests;
