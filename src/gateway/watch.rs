//! A watch served from memory: a cursor that turns cached state and events into frames.
//!
//! ```text
//! Initial ─► InitialEnd ─► Live ◄─► Replay ─► Ended
//!    (state as ADDED, then the annotated bookmark)   (slow: events from the log)
//! ```
//!
//! Guarantees (semantics §5): every event after the start that concerns the watcher, once, in order;
//! a bookmark never ahead of an event that is still to come; ends without a word when its time is
//! over, its permission is withdrawn or continuity is broken. It holds no queue: a slow client costs
//! its position.
//!
//! Hot path: [`WatchBody::poll_data`].

pub(super) mod begin;
mod end;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    api::version::ResourceVersion,
    cache::{audience::AudienceKey, log::Replay, map::OwnedRange},
    codec::{
        ResourceCodec, bookmark_template::BookmarkTemplate, event_frames::EventRun,
        segments::Segments, watch_event::EventKind,
    },
    identity::grant::Grant,
    shards::{
        readers::{Holding, Reader},
        subscription::{Next, Subscription},
    },
    telemetry::metrics::watches,
};

use self::end::End;
use super::enrolment::Enrolment;

/// The body of a watch answered from memory.
pub struct WatchBody {
    codec: Arc<ResourceCodec>,
    audience: AudienceKey,
    subscription: Subscription,
    phase: Phase,
    pending: Segments,
    /// Events up to this version are not for this watcher.
    after: ResourceVersion,
    bookmarks: Option<Bookmarks>,
    end: End,
    max_frame: usize,
    enrolment: Option<Enrolment>,
    /// While it keeps a state or events alive.
    reader: Option<Reader>,
}

/// How a watch begins.
#[derive(Debug)]
pub enum Start {
    /// With the state at a version, given as ADDED events.
    State {
        /// The objects in scope, in key order.
        objects: OwnedRange,
        /// The version of that state.
        version: ResourceVersion,
        /// Whether the annotated bookmark closes the initial events.
        announce_end: bool,
    },
    /// With the events after a version.
    After {
        /// Those that are in the log.
        replay: Replay,
        /// The version.
        version: ResourceVersion,
    },
}

/// When a watch ends by itself.
#[derive(Debug)]
pub struct Limits {
    /// Its time.
    pub timeout: Duration,
    /// Its permission.
    pub grant: Grant,
    /// Cancelled when the connection is to finish.
    pub draining: CancellationToken,
    /// The longest frame to hand out.
    pub max_frame: usize,
    /// Where it is enrolled while it keeps more alive than the present.
    pub enrolment: Option<Enrolment>,
}

#[derive(Debug)]
enum Phase {
    Initial { objects: OwnedRange, version: ResourceVersion, announce_end: bool },
    Replay(Replay),
    Live,
    Ended,
}

/// What one turn's look at cached state or the log gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    /// Frames are pending.
    Found,
    /// Nothing for this watcher, but there is more to look at.
    Nothing,
    /// There is no more.
    Over,
}

/// Progress marks, for those who asked for them.
#[derive(Debug)]
struct Bookmarks {
    template: Arc<BookmarkTemplate>,
    /// Only later versions are worth a bookmark.
    start: ResourceVersion,
    /// The hub's second two before the watch's end.
    last_call: u64,
}

/// Bookmarks come this often (semantics §5.4).
const BOOKMARK_PERIOD: u64 = 60;

/// And once more this long before the end.
const LAST_CALL: u64 = 2;

/// Bytes of cached state looked at per turn: a turn must stay below a millisecond.
const SCAN: usize = 64 << 10;

/// Events looked at per turn when replaying the log.
const REPLAYED: usize = 256;

// === impl WatchBody ===

impl WatchBody {
    /// A watch of `audience` that begins with `start`; `template` when bookmarks are wanted.
    pub fn new(
        subscription: Subscription,
        audience: AudienceKey,
        start: Start,
        template: Option<Arc<BookmarkTemplate>>,
        limits: Limits,
    ) -> Self {
        let (phase, after) = match start {
            Start::State { objects, version, announce_end } => {
                (Phase::Initial { objects, version, announce_end }, version)
            }
            Start::After { replay, version } => (Phase::Replay(replay), version),
        };
        let Limits { timeout, grant, draining, max_frame, enrolment } = limits;
        let bookmarks = template.map(|template| Bookmarks {
            template,
            start: after,
            last_call: subscription.hub().now() + timeout.as_secs().saturating_sub(LAST_CALL),
        });
        let codec = Arc::clone(subscription.shard().codec());
        let end = End::new(timeout, grant, draining);
        let pending = Segments::new();
        let body = Self {
            codec,
            audience,
            subscription,
            phase,
            pending,
            after,
            bookmarks,
            end,
            max_frame,
            enrolment,
            reader: None,
        };
        body.schedule_bookmark();
        body
    }

    /// Counts what the beginning keeps alive, until the client has taken it.
    #[must_use]
    pub fn holding(mut self, holding: Holding) -> Self {
        self.hold(holding);
        self
    }

    fn note_progress(&self) {
        if let Some(reader) = &self.reader {
            reader.moved();
        }
    }

    fn hold(&mut self, holding: Holding) {
        self.reader = self.enrolment.as_ref().map(|enrolment| enrolment.enrol(holding));
    }

    /// The next frame; `None` is the end.
    pub fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Segments>> {
        if !matches!(self.phase, Phase::Ended) && self.end.has_come(context) {
            // What is pending goes out: a stream must not end in the middle of an event.
            self.phase = Phase::Ended;
        }
        if self.pending.len() < self.max_frame && self.poll_fill(context).is_pending() {
            // The scan found nothing yet but has more to look at; others come first.
            self.note_progress();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.pending.is_empty() {
            self.note_progress();
            return Poll::Ready(Some(self.take_frame()));
        }
        match self.phase {
            Phase::Ended => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }

    /// Adds to `pending` what is at hand. Pending only when a turn's work is done without result.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.pending.len() < self.max_frame {
            match &mut self.phase {
                // One scan a turn, whatever it found; the frame goes out and the rest follows.
                Phase::Initial { .. } => match self.fill_from_state() {
                    Scan::Over => {}
                    Scan::Found => break,
                    Scan::Nothing => return Poll::Pending,
                },
                Phase::Replay(_) => match self.fill_from_log() {
                    Scan::Over => {}
                    Scan::Found => break,
                    Scan::Nothing => return Poll::Pending,
                },
                Phase::Live => match self.subscription.poll_next(context) {
                    Next::Batch(batch) => self.fill_from_batch(&batch),
                    Next::Replay(replay, since) => {
                        self.phase = Phase::Replay(replay);
                        let turnover = Arc::clone(self.subscription.shard().turnover());
                        self.hold(Holding::Events { turnover, since });
                    }
                    Next::Bookmark(version) => self.add_bookmark(version),
                    Next::Idle => break,
                    Next::Ended => self.phase = Phase::Ended,
                },
                Phase::Ended => break,
            }
        }
        Poll::Ready(())
    }

    fn fill_from_state(&mut self) -> Scan {
        let Phase::Initial { objects, version, announce_end } = &mut self.phase else {
            return Scan::Over;
        };
        let batch = objects.next_batch(SCAN);
        if batch.is_empty() {
            let (version, announce_end) = (*version, *announce_end);
            self.phase = Phase::Live;
            self.reader = None;
            if announce_end && let Some(bookmarks) = &self.bookmarks {
                let template = &bookmarks.template;
                let form = self.audience.form;
                self.pending.push(self.codec.frame_bookmark(template, version, true, form));
            }
            return Scan::Over;
        }
        let (mut events, before) = (0, self.pending.len());
        let mut run = EventRun::default();
        for object in batch.iter().filter(|object| self.audience.admits(object)) {
            run.push(&self.codec, EventKind::Added, object, self.audience.form);
            events += 1;
        }
        self.pending.append(run.finish());
        count(&self.subscription, watches::Phase::Initial, events, self.pending.len() - before);
        if self.pending.is_empty() { Scan::Nothing } else { Scan::Found }
    }

    fn fill_from_log(&mut self) -> Scan {
        let Phase::Replay(replay) = &mut self.phase else { return Scan::Over };
        for _ in 0..REPLAYED {
            let Some(event) = replay.next() else {
                self.phase = Phase::Live;
                self.reader = None;
                return Scan::Over;
            };
            let version = event.resource_version();
            if let Some(kind) = event.seen_through(&self.audience)
                && version > self.after
            {
                let frame = event.frame(kind, self.audience.form, &self.codec);
                count(&self.subscription, watches::Phase::Replayed, 1, frame.len());
                self.pending.push(frame.clone());
            }
            self.subscription.mark_seen(version);
            if self.pending.len() >= self.max_frame {
                return Scan::Found;
            }
        }
        if self.pending.is_empty() { Scan::Nothing } else { Scan::Found }
    }

    fn fill_from_batch(&mut self, batch: &crate::cache::feed::Batch) {
        let first = batch.events().first().map(|(event, _)| event.resource_version());
        let (hub, counted) = (self.subscription.hub(), self.subscription.shard().counted());
        let (core, received) = (usize::from(hub.core().0), batch.received());
        if first.is_some_and(|first| first > self.after)
            && let Some(bytes) = batch.bytes(&self.codec)
        {
            if let Some(counted) = counted {
                counted.watches().delivered(core, batch.events().len(), bytes.len(), received);
            }
            self.pending.push(bytes.clone());
            return;
        }
        // Or there was no room to join them. A watch from a version that the shard has not reached skips
        // what comes before it.
        for (event, kind) in batch.events() {
            if event.resource_version() > self.after {
                let frame = event.frame(*kind, self.audience.form, &self.codec);
                if let Some(counted) = counted {
                    counted.watches().delivered(core, 1, frame.len(), received);
                }
                self.pending.push(frame.clone());
            }
        }
    }

    fn add_bookmark(&mut self, version: ResourceVersion) {
        if let Some(bookmarks) = &self.bookmarks
            && version > bookmarks.start
        {
            let form = self.audience.form;
            let frame = self.codec.frame_bookmark(&bookmarks.template, version, false, form);
            self.pending.push(frame);
        }
        self.schedule_bookmark();
    }

    fn schedule_bookmark(&self) {
        let Some(bookmarks) = &self.bookmarks else { return };
        let now = self.subscription.hub().now();
        if now < bookmarks.last_call {
            let second = (now + BOOKMARK_PERIOD).min(bookmarks.last_call);
            self.subscription.request_bookmark(second);
        }
    }

    fn take_frame(&mut self) -> Segments {
        if self.pending.len() <= self.max_frame {
            return std::mem::take(&mut self.pending);
        }
        self.pending.split_to(self.max_frame)
    }
}

/// Counts events that a watcher is given other than as they come.
fn count(subscription: &Subscription, phase: watches::Phase, events: usize, bytes: usize) {
    if let Some(counted) = subscription.shard().counted() {
        counted.watches().recalled(usize::from(subscription.hub().core().0), phase, events, bytes);
    }
}

impl fmt::Debug for WatchBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBody")
            .field("audience", &self.audience)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
