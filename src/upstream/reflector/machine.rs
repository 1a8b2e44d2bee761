//! The reflector's decisions, without IO: states that carry their data, transitions that consume.
//!
//! The driver asks [`Reflector::next`] what to do, performs it and reports what came of it. Objects
//! and events come out as [`Effect`]s in upstream's order. Time and randomness are arguments.
//!
//! Guarantees: a stream that did not end when it was due is only resumed after a probe found nothing
//! that speaks against it: another store may stand behind the next one.

mod ask;
mod effect;
mod pages;
mod state;
mod streams;

use std::{
    mem,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;

use crate::{
    api::{
        resource::{Origin, ResourceType},
        version::ResourceVersion,
    },
    cache::map::MapBuilder,
    codec::{ResourceCodec, frame_decoder::FrameDecoder, object::Representation},
};

use self::state::{Next, Pages, State, Trouble, Wait};

pub use self::{
    ask::{Ask, PAGE_SIZE, Step, accept},
    effect::{Effect, Standing, Verdict},
};

/// Decides how one shard is filled and kept.
#[derive(Debug)]
pub struct Reflector {
    path: String,
    origin: Origin,
    representation: Representation,
    state: State,
    watch_list: bool,
    failures: u32,
    /// Whether the latest failure was that upstream could not be reached.
    unreachable: bool,
    watching_since: Option<Instant>,
    /// When upstream is to end the stream under way.
    due: Option<Instant>,
    /// Since when the shard's contents can't be continued, if they can't.
    stale_since: Option<Instant>,
}

/// Upstream ends a watch after this and a random part more; longer saves relisting when nothing
/// happens, shorter spreads load after a failover.
const WATCH_SECONDS: u64 = 300;

/// One frame may be this large: etcd's default limit for a request is 1.5 MiB, configurable.
pub const MAX_FRAME: usize = 64 << 20;

/// One page may be this large: 500 objects of etcd's default limit are 750 MiB, of which no server
/// would answer a page in time.
pub const MAX_PAGE: usize = 512 << 20;

/// The first wait after a failure; it doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const MAX_WAIT: Duration = Duration::from_secs(30);

/// For a connection that can't be made at all the wait stays short: trying costs upstream nothing,
/// and clients' watches are silent until it is back.
const MAX_UNREACHABLE_WAIT: Duration = Duration::from_secs(5);

/// Failures in a row that still count once upstream is reached again: what it does then, such as
/// having lost its history, must not be followed by the wait that its absence called for.
const FAILURES_WHEN_BACK: u32 = 3;

/// An upstream that shuts down ends all streams at the same moment: the fills that follow are spread
/// over 0.6 s. Not over more, since a definition that changed ends streams as well, and until the fill
/// what is shown has the old form.
const BEFORE_REFILL: Wait = Wait { usual: Duration::from_millis(600), least: Duration::ZERO };

/// Contents that could not be continued for this long, although upstream answers, are given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that ends this long before it is due ended by itself.
const PUNCTUAL: Duration = Duration::from_secs(5);

/// A stream that lived this long was a success: the next failure waits shortly again.
const SETTLED: Duration = Duration::from_secs(10);

// === impl Reflector ===

impl Reflector {
    /// A reflector that has asked for nothing yet.
    pub fn new(resource: &ResourceType, representation: Representation) -> Self {
        Self {
            path: resource.gvr.path(),
            origin: resource.origin,
            representation,
            state: State::Idle { next: Next::Fill, wait: None },
            watch_list: true,
            failures: 0,
            unreachable: false,
            watching_since: None,
            due: None,
            stale_since: None,
        }
    }

    /// What to do now. `random` in [0, 1) spreads waits and stream ends.
    pub fn next(&mut self, now: Instant, random: f64) -> Step {
        let idle = mem::replace(&mut self.state, State::Idle { next: Next::Fill, wait: None });
        let next = match idle {
            State::Idle { next, wait: Some(wait) } => {
                self.state = State::Idle { next, wait: None };
                return Step::Wait(wait.spread(random));
            }
            State::Idle { next, wait: None } => next,
            // The driver lost its stream without saying so; nothing is lost by asking again.
            State::Watching { version, .. } => Next::lost(version),
            State::WatchListing { .. } | State::Listing { .. } => Next::Fill,
        };
        if let Next::Watch { version, probed: false } = next {
            self.state = State::Idle { next, wait: None };
            return Step::Probe(version);
        }
        let ends_after = Duration::from_secs(WATCH_SECONDS).mul_f64(1.0 + random);
        self.due = Some(now + ends_after);
        let ask = self.ask(&next, ends_after);
        self.state = self.begin(next, now);
        Step::Send(ask)
    }

    /// The answer's head. `retry_after` is what upstream asked for.
    pub fn answered(
        &mut self,
        status: StatusCode,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> (Verdict, Option<Effect>) {
        if status == StatusCode::OK {
            if matches!(self.state, State::Watching { .. }) {
                self.watching_since = Some(now);
            }
            return (Verdict::Read, None);
        }
        let state = self.take();
        let reason = format!("upstream answered {status}");
        let next = match (state, status) {
            // Servers before 1.32, or with the WatchList feature off, refuse the parameters.
            (
                State::WatchListing { .. },
                StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST,
            ) if self.watch_list => {
                self.watch_list = false;
                self.state = State::Idle { next: Next::Fill, wait: None };
                return (Verdict::Discard, None);
            }
            (State::Watching { version, .. }, status) if status != StatusCode::GONE => {
                Next::lost(version)
            }
            _ => Next::Fill,
        };
        // Neither missing rights nor a type that is gone mend themselves in a moment.
        let trouble = match status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Trouble::Lasting(reason),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Trouble::Overloaded(reason),
            _ => Trouble::Broken(reason),
        };
        self.retry(next, retry_after, now);
        (Verdict::Discard, Some(self.unanswered(trouble, now)))
    }

    /// Bytes of the body, in order.
    pub fn received(
        &mut self,
        chunk: Bytes,
        codec: &ResourceCodec,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let outcome = match self.take() {
            State::Listing { body, .. } if body.len() + chunk.len() > MAX_PAGE => {
                Err(Trouble::Lasting(format!("a page of the list is longer than {MAX_PAGE} bytes")))
            }
            State::Listing { pages, mut body } => {
                body.extend_from_slice(&chunk);
                self.state = State::Listing { pages, body };
                Ok(())
            }
            State::WatchListing { mut decoder, objects, requested } => {
                decoder.push(chunk);
                let listing = (objects, requested);
                self.watch_listing(decoder, listing, codec, now, effects)
            }
            State::Watching { mut decoder, version } => {
                decoder.push(chunk);
                self.watching(decoder, version, codec, now, effects).map_err(Trouble::Broken)
            }
            idle @ State::Idle { .. } => {
                self.state = idle;
                Ok(())
            }
        };
        if let Err(trouble) = outcome {
            self.retry(Next::Fill, None, now);
            effects.push(self.unanswered(trouble, now));
        }
    }

    /// Whether the body under way is still wanted; after a refused event it is not.
    pub fn wants_more(&self) -> bool {
        !matches!(self.state, State::Idle { .. })
    }

    /// Whether what is under way continues the shard's contents, rather than replacing them.
    pub fn is_watching(&self) -> bool {
        matches!(self.state, State::Watching { .. })
    }

    /// The body ended cleanly.
    pub fn ended(&mut self, codec: &ResourceCodec, now: Instant, effects: &mut Vec<Effect>) {
        match self.take() {
            State::Listing { pages, body } => self.page_read(pages, body, codec, now, effects),
            State::Watching { version, decoder } => match decoder.finish() {
                // Upstream's timeout, its watch cache starting over, or its end: resume at once, but
                // not in a tight loop when it keeps ending streams.
                Ok(()) if self.was_settled(now) => {
                    let (next, wait) = if self.is_due(now) {
                        (Next::Watch { version, probed: true }, None)
                    } else {
                        let next = self.ended_early(version);
                        let is_fill = matches!(next, Next::Fill);
                        (next, is_fill.then_some(BEFORE_REFILL))
                    };
                    self.failures = 0;
                    self.stale_since = None;
                    self.watching_since = None;
                    self.state = State::Idle { next, wait };
                }
                Ok(()) => self.retry(self.ended_early(version), None, now),
                // What was cut off lies after `version` and comes again.
                Err(error) => {
                    self.retry(Next::lost(version), None, now);
                    effects.push(Effect::Failure(error.to_string()));
                }
            },
            State::WatchListing { .. } => {
                self.retry(Next::Fill, None, now);
                effects.push(Effect::Failure("upstream ended the stream early".into()));
            }
            idle @ State::Idle { .. } => self.state = idle,
        }
    }

    /// The request or its body failed.
    pub fn failed(&mut self, reason: &str, now: Instant, effects: &mut Vec<Effect>) {
        match self.take() {
            State::Watching { version, .. } => self.retry(Next::lost(version), None, now),
            State::Idle { next, wait } => self.state = State::Idle { next, wait },
            State::WatchListing { .. } | State::Listing { .. } => {
                self.retry(Next::Fill, None, now);
            }
        }
        self.unreachable = true;
        self.come_back_soon();
        effects.push(Effect::Failure(reason.to_owned()));
    }

    /// What came of a [`Step::Probe`].
    pub fn probed(&mut self, standing: Standing, now: Instant, effects: &mut Vec<Effect>) {
        let State::Idle { next: Next::Watch { version, .. }, wait: None } = self.state else {
            return;
        };
        match standing {
            Standing::Continues => {
                if mem::take(&mut self.unreachable) {
                    self.failures = self.failures.min(FAILURES_WHEN_BACK);
                }
                let next = Next::Watch { version, probed: true };
                self.state = State::Idle { next, wait: None };
            }
            Standing::WentBack => self.retry(Next::Fill, None, now),
            Standing::Unreachable(reason) => {
                self.unreachable = true;
                self.retry(Next::lost(version), None, now);
                self.come_back_soon();
                effects.push(Effect::Failure(reason));
            }
            Standing::Refused(reason) => {
                self.retry(Next::lost(version), None, now);
                self.come_back_soon();
                effects.push(self.unanswered(Trouble::Broken(reason), now));
            }
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now + PUNCTUAL >= due)
    }

    /// Upstream ended a watch before its time. So it does when a definition changes, which may give
    /// the same versions other bytes (semantics §8).
    fn ended_early(&self, version: ResourceVersion) -> Next {
        match self.origin {
            Origin::Custom => Next::Fill,
            Origin::BuiltIn => Next::lost(version),
        }
    }

    /// The shard refused what was handed over: begin anew.
    pub fn begin_anew(&mut self, now: Instant) {
        self.retry(Next::Fill, None, now);
    }

    fn take(&mut self) -> State {
        mem::replace(&mut self.state, State::Idle { next: Next::Fill, wait: None })
    }

    fn begin(&self, next: Next, now: Instant) -> State {
        match next {
            Next::Fill if self.watch_list => State::WatchListing {
                decoder: self.decoder(),
                objects: self.no_objects(),
                requested: now,
            },
            Next::Fill => State::Listing {
                pages: Pages { objects: self.no_objects(), continue_token: None, requested: now },
                body: Vec::new(),
            },
            Next::Page(pages) => State::Listing { pages, body: Vec::new() },
            Next::Watch { version, .. } => State::Watching { decoder: self.decoder(), version },
        }
    }

    fn no_objects(&self) -> MapBuilder {
        MapBuilder::new(self.representation.item_join())
    }

    /// Whether the next step sends the first request of a fill.
    pub fn is_about_to_fill(&self) -> bool {
        match &self.state {
            State::Idle { next, wait } => matches!(next, Next::Fill) && wait.is_none(),
            // The driver lost its stream.
            State::WatchListing { .. } | State::Listing { .. } => true,
            State::Watching { .. } => false,
        }
    }

    /// About the memory that the objects of the fill under way hold; `None` while none is.
    pub fn filling_bytes(&self) -> Option<u64> {
        match &self.state {
            State::WatchListing { objects, .. } => Some(objects.resident_bytes()),
            State::Listing { pages, body } => {
                Some(pages.objects.resident_bytes() + body.len() as u64)
            }
            State::Idle { next: Next::Page(pages), .. } => Some(pages.objects.resident_bytes()),
            State::Idle { .. } | State::Watching { .. } => None,
        }
    }

    fn decoder(&self) -> FrameDecoder {
        FrameDecoder::new(self.representation, MAX_FRAME)
    }

    /// What an answer that is no data means for what the shard holds. Upstream is there, so it is
    /// given up at once when the trouble lasts, else after a while; then everything begins anew.
    fn unanswered(&mut self, trouble: Trouble, now: Instant) -> Effect {
        let (reason, lasting, unfillable) = match trouble {
            Trouble::Broken(reason) => (reason, false, true),
            Trouble::Overloaded(reason) => (reason, false, false),
            Trouble::Lasting(reason) => (reason, true, true),
        };
        let since = *self.stale_since.get_or_insert(now);
        if !lasting && now.saturating_duration_since(since) < PATIENCE {
            return Effect::Failure(reason);
        }
        if let State::Idle { next, .. } = &mut self.state {
            *next = Next::Fill;
        }
        Effect::Withdraw { reason, unfillable }
    }

    /// Waits longer with every failure in a row. A fill alone does not end the row: where what
    /// follows it fails at once, filling again and again would be the greatest load of all.
    fn retry(&mut self, next: Next, retry_after: Option<Duration>, now: Instant) {
        if self.was_settled(now) {
            self.failures = 0;
            self.stale_since = None;
        }
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.min(10));
        let wait = Wait {
            usual: doubled.min(MAX_WAIT),
            least: retry_after.unwrap_or_default().min(MAX_WAIT),
        };
        self.failures = self.failures.saturating_add(1);
        self.watching_since = None;
        self.state = State::Idle { next, wait: Some(wait) };
    }

    /// Shortens the wait: until something is heard of upstream, old contents are shown.
    fn come_back_soon(&mut self) {
        if let State::Idle { wait: Some(wait), .. } = &mut self.state {
            wait.usual = wait.usual.min(MAX_UNREACHABLE_WAIT);
        }
    }

    fn was_settled(&self, now: Instant) -> bool {
        self.watching_since.is_some_and(|since| now.saturating_duration_since(since) >= SETTLED)
    }
}

#[cfg(test)]
mod probe_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unreadable_tests;
