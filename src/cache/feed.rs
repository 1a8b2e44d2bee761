//! What one core has received for one audience and its watchers there have not yet taken.
//!
//! A feed holds [`Batch`]es: the events of one upstream burst, with the bytes that all watchers of
//! the audience send. A watcher is a position. A batch leaves when every watcher has passed it, after
//! some beats of the hub's clock, or when the feed is over its bound: then watchers behind it find
//! [`Pull::Behind`] and catch up from the shard's log. So whoever does not read keeps nothing alive
//! here: the log has a budget, and its readers can be cut off, which a feed's can't.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Instant,
};

use bytes::Bytes;

use crate::{
    api::version::ResourceVersion,
    codec::{
        ResourceCodec,
        watch_event::{EventKind, Form},
    },
};

use super::{event::Event, joined::JoinedRoom};

/// Events of one burst that concern one audience, shared by all cores.
#[derive(Debug)]
pub struct Batch {
    events: Box<[(Arc<Event>, EventKind)]>,
    form: Form,
    /// `None` when there was no room to join them.
    joined: OnceLock<Option<Bytes>>,
    room: Arc<JoinedRoom>,
    received: Option<Instant>,
}

/// The batches of one audience on one core.
#[derive(Debug, Default)]
pub struct Feed {
    batches: VecDeque<Queued>,
    first: u64,
    watchers: u32,
    /// Where the feed ended at the last beats, the latest first.
    ends: [u64; BEATS],
}

/// A watcher's place in a feed: the number of the next batch to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// What a watcher finds at its position.
#[derive(Debug)]
pub enum Pull {
    /// The next batch; the position has moved past it.
    Batch(Arc<Batch>),
    /// Nothing new.
    Drained,
    /// The feed no longer holds what comes next.
    Behind,
}

#[derive(Debug)]
struct Queued {
    batch: Arc<Batch>,
    waiting: u32,
}

/// Batches a feed holds for its slowest watcher; beyond that the watcher reads the shard's log.
const MAX_BATCHES: usize = 1024;

/// Whole beats for which a batch is held: whoever has not taken it by then does not read.
const BEATS: usize = 3;

/// Room for batches that a drained feed keeps: there may be as many feeds as watchers.
const KEPT: usize = 16;

// === impl Batch ===

impl Batch {
    /// A batch of at least one event, in version order, whose frames may be joined if `room` allows.
    pub fn new(events: Vec<(Arc<Event>, EventKind)>, form: Form, room: &Arc<JoinedRoom>) -> Self {
        let room = Arc::clone(room);
        Self { events: events.into(), form, joined: OnceLock::new(), room, received: None }
    }

    /// The same, of a burst that came from upstream at this moment.
    #[must_use]
    pub fn received_at(self, moment: Instant) -> Self {
        Self { received: Some(moment), ..self }
    }

    /// When the burst came from upstream.
    pub fn received(&self) -> Option<Instant> {
        self.received
    }

    /// All frames of the batch, joined on first use; `None` if there was no room for that then.
    pub fn bytes(&self, codec: &ResourceCodec) -> Option<&Bytes> {
        if let [(event, kind)] = &*self.events {
            return Some(event.frame(*kind, self.form, codec));
        }
        let frames = self.events.iter().map(|(event, kind)| event.frame(*kind, self.form, codec));
        self.joined.get_or_init(|| self.room.join(frames)).as_ref()
    }

    /// The events, in version order.
    pub fn events(&self) -> &[(Arc<Event>, EventKind)] {
        &self.events
    }

    /// Version of the last event.
    pub fn last(&self) -> Option<ResourceVersion> {
        self.events.last().map(|(event, _)| event.resource_version())
    }
}

// === impl Feed ===

impl Feed {
    /// A new watcher, which sees what is pushed from now on.
    pub fn attach(&mut self) -> Position {
        self.watchers += 1;
        self.end_position()
    }

    /// The watcher at `position` is gone.
    pub fn detach(&mut self, position: Position) {
        self.watchers = self.watchers.saturating_sub(1);
        let passed = position.0.saturating_sub(self.first);
        for queued in self.batches.iter_mut().skip(usize::try_from(passed).unwrap_or(usize::MAX)) {
            queued.waiting = queued.waiting.saturating_sub(1);
        }
        self.drop_taken();
    }

    /// Queues a batch for every watcher.
    pub fn push(&mut self, batch: Arc<Batch>) {
        if self.batches.len() >= MAX_BATCHES {
            self.batches.pop_front();
            self.first += 1;
        }
        self.batches.push_back(Queued { batch, waiting: self.watchers });
        self.drop_taken();
    }

    /// Takes the next batch of the watcher at `position`.
    pub fn pull(&mut self, position: &mut Position) -> Pull {
        let Some(offset) = position.0.checked_sub(self.first) else { return Pull::Behind };
        let queued = usize::try_from(offset).ok().and_then(|offset| self.batches.get_mut(offset));
        let Some(queued) = queued else { return Pull::Drained };
        queued.waiting = queued.waiting.saturating_sub(1);
        position.0 += 1;
        let batch = Arc::clone(&queued.batch);
        self.drop_taken();
        Pull::Batch(batch)
    }

    /// Moves a watcher that caught up elsewhere to the end.
    pub fn skip_to_end(&mut self, position: &mut Position) {
        self.detach(*position);
        *position = self.attach();
    }

    /// Forgets all batches: every watcher is behind.
    pub fn overrun(&mut self) {
        // One number is skipped so that even a watcher at the end finds itself behind.
        self.first = self.end() + 1;
        self.batches.clear();
    }

    /// One beat: forgets batches that have been here for a number of whole ones. Watchers that have
    /// not taken them are behind.
    pub fn beat(&mut self) {
        while self.first < self.ends[BEATS - 1] && self.batches.pop_front().is_some() {
            self.first += 1;
        }
        self.ends.rotate_right(1);
        self.ends[0] = self.end();
    }

    /// Where whoever has taken every batch so far stands.
    pub fn end_position(&self) -> Position {
        Position(self.end())
    }

    /// Whether nobody watches.
    pub fn is_abandoned(&self) -> bool {
        self.watchers == 0
    }

    /// Batches held.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether no batch is held.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    fn end(&self) -> u64 {
        self.first + self.batches.len() as u64
    }

    fn drop_taken(&mut self) {
        while self.batches.front().is_some_and(|queued| queued.waiting == 0) {
            self.batches.pop_front();
            self.first += 1;
        }
        if self.batches.is_empty() && self.batches.capacity() > KEPT {
            self.batches = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests;
