//! A shard's log: its recent events in order, bounded by bytes and age.
//!
//! What an event replaced is, more often than not, what an earlier event of the log brought: both then
//! share it ([`Log::share`]), so that an event costs its own object and hardly more. Its weight is
//! counted with the later of the two, which keeps it alive longer. Frames that are made for watchers
//! are counted, too, when a chunk is sealed and whenever the log is limited.
//!
//! Guarantees: events have strictly rising versions; [`Log::since`] yields every event after a
//! version or says that the log does not reach back that far. Readers take shared chunks and read
//! them outside of any lock. A log grows at its end by every event, and at its beginning by
//! [`Log::prepend`] when somebody wants what happened before it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::api::version::ResourceVersion;

use super::event::{Change, Event, object_bytes};
use crate::codec::object::Object;

/// How much a log keeps.
#[derive(Clone, Copy, Debug)]
pub struct LogBudget {
    /// Bytes beyond which the oldest events go, whatever their age.
    pub bytes: u64,
    /// Events younger than this stay while the bytes allow it; older ones go.
    pub age: Duration,
}

/// Events of one resource, oldest first.
#[derive(Debug)]
pub struct Log {
    start: ResourceVersion,
    sealed: VecDeque<Sealed>,
    open: Vec<Arc<Event>>,
    open_weight: u64,
    /// Bytes of frames made of the open events.
    open_made: Arc<AtomicU64>,
    weight: u64,
    forgotten: u64,
    /// Bytes of frames made of the sealed events, as counted last.
    made: u64,
    budget: LogBudget,
}

/// Events of a log after some version, shared with it.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    chunks: VecDeque<Arc<[Arc<Event>]>>,
    next: usize,
}

#[derive(Debug)]
struct Sealed {
    events: Arc<[Arc<Event>]>,
    weight: u64,
    made: Arc<AtomicU64>,
    /// Of `made`, what is part of the log's sum.
    made_counted: u64,
    newest: Instant,
}

/// Events per chunk: taking a whole log costs one reference count per this many events, and at most
/// this many are copied from the open end.
const CHUNK: usize = 256;

// === impl Log ===

impl Log {
    /// An empty log of a resource whose state is known at `start`.
    pub fn new(start: ResourceVersion, budget: LogBudget) -> Self {
        Self {
            start,
            sealed: VecDeque::new(),
            open: Vec::new(),
            open_weight: 0,
            open_made: Arc::default(),
            weight: 0,
            forgotten: 0,
            made: 0,
            budget,
        }
    }

    /// The version after which every event is here.
    pub fn start(&self) -> ResourceVersion {
        self.start
    }

    /// Bytes the events keep alive.
    pub fn weight(&self) -> u64 {
        self.weight + self.made + self.open_made.load(Ordering::Relaxed)
    }

    /// Bytes of the events that it has let go since it began.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Bytes that more events may keep alive without any of these having to go.
    pub fn room(&self) -> u64 {
        self.budget.bytes.saturating_sub(self.weight())
    }

    /// Number of events kept.
    pub fn len(&self) -> usize {
        self.sealed.iter().map(|chunk| chunk.events.len()).sum::<usize>() + self.open.len()
    }

    /// Whether no event is kept.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.open.is_empty()
    }

    /// What counts the frames made of the next event that is pushed; see [`Event::counted`].
    pub fn frames_made(&self) -> &Arc<AtomicU64> {
        &self.open_made
    }

    /// The same object as an event of the log brought it, if one did: it need not be kept twice.
    pub fn share(&self, previous: Object) -> Object {
        match self.bringer(&previous) {
            Some((_, event)) if event.object() == &previous => event.object().clone(),
            _ => previous,
        }
    }

    /// The event that brought an object, with the number of its chunk, that of the open one last.
    fn bringer(&self, object: &Object) -> Option<(usize, &Arc<Event>)> {
        let version = object.resource_version();
        if version <= self.start {
            return None;
        }
        let place = self.sealed.partition_point(|chunk| {
            chunk.events.last().is_none_or(|last| last.resource_version() < version)
        });
        let chunk = self.sealed.get(place).map_or(&self.open[..], |chunk| &chunk.events);
        let index = chunk.binary_search_by_key(&version, |event| event.resource_version()).ok()?;
        let event = &chunk[index];
        matches!(event.change(), Change::Set { .. }).then_some((place, event))
    }

    /// Counts an object that a new event shares with an earlier one with the new one only.
    fn count_once(&mut self, event: &Event) {
        let Some(previous) = event.previous() else { return };
        let Some((place, _)) = self
            .bringer(previous)
            .filter(|(_, bringer)| Arc::ptr_eq(&bringer.object().attributes, &previous.attributes))
        else {
            return;
        };
        let shared = object_bytes(previous);
        match self.sealed.get_mut(place) {
            Some(chunk) => chunk.weight -= shared,
            None => self.open_weight -= shared,
        }
        self.weight -= shared;
    }

    /// Appends the next event and lets go of what the budget no longer covers. The caller has
    /// checked that its version is above all earlier ones.
    pub fn push(&mut self, event: Arc<Event>, now: Instant) {
        self.count_once(&event);
        let weight = event.weight();
        self.weight += weight;
        self.open_weight += weight;
        self.open.push(event);
        if self.open.len() >= CHUNK || self.open_weight > self.budget.bytes / 8 {
            self.seal(now);
        }
        self.trim(now);
    }

    /// Puts `events` before the first one: every event after `start` and up to the log's present
    /// start, in order. They count as arrived `now`, so they stay for the age budget like others.
    /// Returns whether there was room for them; otherwise nothing is changed.
    pub fn prepend(&mut self, start: ResourceVersion, events: &[Arc<Event>], now: Instant) -> bool {
        let added: u64 = events.iter().map(|event| event.weight()).sum();
        if start > self.start || added > self.room() {
            return false;
        }
        let mut chunks = Vec::new();
        let mut rest = events;
        while !rest.is_empty() {
            let mut weight = 0;
            let length = rest.iter().take(CHUNK).take_while(|event| {
                let goes_on = weight <= self.budget.bytes / 8;
                weight += if goes_on { event.weight() } else { 0 };
                goes_on
            });
            let (chunk, later) = rest.split_at(length.count());
            let (made, made_counted) = (Arc::default(), 0);
            chunks.push(Sealed { events: chunk.into(), weight, made, made_counted, newest: now });
            rest = later;
        }
        for chunk in chunks.into_iter().rev() {
            self.sealed.push_front(chunk);
        }
        self.weight += added;
        self.start = start;
        true
    }

    /// Lets go of what is over the byte budget or older than the age budget.
    pub fn trim(&mut self, now: Instant) {
        while let Some(oldest) = self.sealed.front() {
            let aged = now.saturating_duration_since(oldest.newest) > self.budget.age;
            if self.weight() <= self.budget.bytes && !aged {
                return;
            }
            self.weight -= oldest.weight;
            self.made -= oldest.made_counted;
            self.forgotten += oldest.weight + oldest.made_counted;
            if let Some(last) = oldest.events.last() {
                self.start = last.resource_version();
            }
            self.sealed.pop_front();
        }
    }

    /// Changes what the log may keep, from now on.
    pub fn limit(&mut self, bytes: u64, now: Instant) {
        self.budget.bytes = bytes;
        self.count_made();
        // Only sealed events can go, and nothing may come that would seal these.
        if self.open_weight + self.open_made.load(Ordering::Relaxed) > bytes / 8 {
            self.seal(now);
        }
        self.trim(now);
    }

    /// Every event after `version`, oldest first; `None` when the log begins later than that.
    pub fn since(&self, version: ResourceVersion) -> Option<Replay> {
        if version < self.start {
            return None;
        }
        let first = self.sealed.partition_point(|chunk| {
            chunk.events.last().is_none_or(|last| last.resource_version() <= version)
        });
        let mut chunks: VecDeque<_> =
            self.sealed.range(first..).map(|chunk| Arc::clone(&chunk.events)).collect();
        if !self.open.is_empty() {
            chunks.push_back(self.open.as_slice().into());
        }
        let next = chunks
            .front()
            .map_or(0, |chunk| chunk.partition_point(|event| event.resource_version() <= version));
        Some(Replay { chunks, next })
    }

    fn seal(&mut self, now: Instant) {
        let events: Arc<[Arc<Event>]> = std::mem::take(&mut self.open).into();
        let weight = std::mem::take(&mut self.open_weight);
        let made = std::mem::take(&mut self.open_made);
        self.sealed.push_back(Sealed { events, weight, made, made_counted: 0, newest: now });
        self.count_made();
    }

    /// Counts the frames that were made of sealed events.
    fn count_made(&mut self) {
        self.made = 0;
        for chunk in &mut self.sealed {
            chunk.made_counted = chunk.made.load(Ordering::Relaxed);
            self.made += chunk.made_counted;
        }
    }
}

// === impl Replay ===

impl Iterator for Replay {
    type Item = Arc<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let chunk = self.chunks.front()?;
            if let Some(event) = chunk.get(self.next) {
                self.next += 1;
                return Some(Arc::clone(event));
            }
            self.chunks.pop_front();
            self.next = 0;
        }
    }
}

#[cfg(test)]
mod tests;
