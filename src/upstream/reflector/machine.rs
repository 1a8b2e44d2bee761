//! The reflector's decisions, without IO: states that carry their data, transitions that consume.
//!
//! The driver asks [`Reflector::next`] what to do, performs it and reports what came of it. Objects
//! and events come out as [`Effect`]s in upstream's order. Time and randomness are arguments.

use std::{
    mem,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    api::{resource::ResourceType, version::ResourceVersion},
    codec::{
        ResourceCodec,
        bookmark_template::BookmarkTemplate,
        frame_decoder::FrameDecoder,
        object::{Object, Representation},
        watch_event::WatchEvent,
    },
};

/// Decides how one shard is filled and kept.
#[derive(Debug)]
pub struct Reflector {
    path: String,
    representation: Representation,
    state: State,
    watch_list: bool,
    failures: u32,
    watching_since: Option<Instant>,
    /// Since when the shard's contents can't be continued, if they can't.
    stale_since: Option<Instant>,
}

/// What the driver is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this request as the gateway and report with [`Reflector::answered`].
    Send(Ask),
    /// Wait this long, then ask for the next step.
    Wait(Duration),
}

/// A request of the reflector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Path and query in origin form.
    pub target: String,
    /// The `Accept` header.
    pub accept: &'static str,
    /// A watch, read chunk by chunk; otherwise a list page, read whole.
    pub stream: bool,
    /// A watch that goes on after what the shard holds.
    pub resumes: bool,
    /// When upstream will end the stream at the latest; silence far beyond it is a dead peer.
    pub ends_after: Duration,
}

/// What the driver is to hand to the shard.
#[derive(Debug)]
pub enum Effect {
    /// The complete state at a version, requested at that time.
    Fill {
        /// All objects.
        objects: Vec<Object>,
        /// The version of the state.
        version: ResourceVersion,
        /// When the request for it was sent.
        requested: Instant,
    },
    /// What this type's bookmarks look like.
    Template(BookmarkTemplate),
    /// Events after what was handed over before.
    Apply(Vec<WatchEvent>),
    /// The stream broke, for a person to read. What the shard holds is still true up to its version.
    Failure(String),
    /// The shard cannot be brought up to date although upstream answers: what it holds grows old,
    /// and must not be served any longer.
    Withdraw {
        /// For a person to read.
        reason: String,
        /// It is for what upstream has, not for what upstream can bear.
        unfillable: bool,
    },
}

/// Whether the answer's body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes: it is data.
    Read,
    /// No: it is an error that the machine has taken note of.
    Discard,
}

#[derive(Debug)]
enum State {
    /// Nothing under way; `wait` first, then do `next`.
    Idle { next: Next, wait: Option<Wait> },
    /// The initial events of a streaming list are arriving.
    WatchListing { decoder: FrameDecoder, objects: Vec<Object>, requested: Instant },
    /// Pages of a list are arriving; `body` collects the present one.
    Listing { pages: Pages, body: Vec<u8> },
    /// Live events are arriving.
    Watching { decoder: FrameDecoder, version: ResourceVersion },
}

/// Why an answer is of no use.
#[derive(Debug)]
enum Trouble {
    /// The next one may be better.
    Broken(String),
    /// The next one may be better, and upstream has too much to do.
    Overloaded(String),
    /// As long as upstream has what it has, or the gateway no other rights, the next one is not.
    Lasting(String),
}

#[derive(Debug)]
enum Next {
    /// Begin anew.
    Fill,
    /// Ask for a page.
    Page(Pages),
    /// Watch on after this version.
    Watch(ResourceVersion),
}

/// How long to wait after a failure.
#[derive(Clone, Copy, Debug)]
struct Wait {
    /// What the failures in a row call for, to be spread.
    usual: Duration,
    /// What upstream asked for: no shard comes back earlier.
    least: Duration,
}

#[derive(Debug)]
struct Pages {
    objects: Vec<Object>,
    continue_token: Option<String>,
    requested: Instant,
}

/// Upstream ends a watch after this and a random part more; longer saves relisting when nothing
/// happens, shorter spreads load after a failover.
const WATCH_SECONDS: u64 = 300;

/// Objects per page of the fallback LIST, as client-go pages.
const PAGE_SIZE: u32 = 500;

/// One frame may be this large: etcd's default limit for a request is 1.5 MiB, configurable.
const MAX_FRAME: usize = 64 << 20;

/// One page may be this large: 500 objects of etcd's default limit are 750 MiB, of which no server
/// would answer a page in time.
const MAX_PAGE: usize = 512 << 20;

/// The code of an ERROR event that says that history is lost.
const GONE: i32 = 410;

/// The first wait after a failure; it doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const MAX_WAIT: Duration = Duration::from_secs(30);

/// For a connection that can't be made at all the wait stays short: trying costs upstream nothing,
/// and clients' watches are silent until it is back.
const MAX_UNREACHABLE_WAIT: Duration = Duration::from_secs(5);

/// Contents that could not be continued for this long, although upstream answers, are given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that lived this long was a success: the next failure waits shortly again.
const SETTLED: Duration = Duration::from_secs(10);

// === impl Reflector ===

impl Reflector {
    /// A reflector that has asked for nothing yet.
    pub fn new(resource: &ResourceType, representation: Representation) -> Self {
        Self {
            path: resource.gvr.path(),
            representation,
            state: State::Idle { next: Next::Fill, wait: None },
            watch_list: true,
            failures: 0,
            watching_since: None,
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
            State::Watching { version, .. } => Next::Watch(version),
            State::WatchListing { .. } | State::Listing { .. } => Next::Fill,
        };
        let ends_after = Duration::from_secs(WATCH_SECONDS).mul_f64(1.0 + random);
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
                Next::Watch(version)
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

    /// The body ended cleanly.
    pub fn ended(&mut self, codec: &ResourceCodec, now: Instant, effects: &mut Vec<Effect>) {
        match self.take() {
            State::Listing { pages, body } => self.page_read(pages, body, codec, now, effects),
            State::Watching { version, decoder } => match decoder.finish() {
                // Upstream's timeout, or its watch cache starting over: resume at once, but not in
                // a tight loop when it keeps ending streams.
                Ok(()) if self.was_settled(now) => {
                    self.failures = 0;
                    self.watching_since = None;
                    self.state = State::Idle { next: Next::Watch(version), wait: None };
                }
                Ok(()) => self.retry(Next::Watch(version), None, now),
                // What was cut off lies after `version` and comes again.
                Err(error) => {
                    self.retry(Next::Watch(version), None, now);
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
            State::Watching { version, .. } => self.retry(Next::Watch(version), None, now),
            State::Idle { next, wait } => self.state = State::Idle { next, wait },
            State::WatchListing { .. } | State::Listing { .. } => {
                self.retry(Next::Fill, None, now);
            }
        }
        if let State::Idle { wait: Some(wait), .. } = &mut self.state {
            wait.usual = wait.usual.min(MAX_UNREACHABLE_WAIT);
        }
        effects.push(Effect::Failure(reason.to_owned()));
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
            Next::Fill if self.watch_list => {
                State::WatchListing { decoder: self.decoder(), objects: Vec::new(), requested: now }
            }
            Next::Fill => State::Listing {
                pages: Pages { objects: Vec::new(), continue_token: None, requested: now },
                body: Vec::new(),
            },
            Next::Page(pages) => State::Listing { pages, body: Vec::new() },
            Next::Watch(version) => State::Watching { decoder: self.decoder(), version },
        }
    }

    fn ask(&self, next: &Next, ends_after: Duration) -> Ask {
        let path = &self.path;
        let seconds = ends_after.as_secs();
        let watch = format!("{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}");
        let (target, stream) = match next {
            Next::Fill if self.watch_list => {
                (format!("{watch}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), true)
            }
            Next::Fill => (format!("{path}?limit={PAGE_SIZE}"), false),
            Next::Page(pages) => {
                let token = pages.continue_token.as_deref().unwrap_or_default();
                let token = utf8_percent_encode(token, NON_ALPHANUMERIC);
                (format!("{path}?limit={PAGE_SIZE}&continue={token}"), false)
            }
            Next::Watch(version) => (format!("{watch}&resourceVersion={version}"), true),
        };
        let resumes = matches!(next, Next::Watch(_));
        Ask { target, accept: accept(self.representation, stream), stream, resumes, ends_after }
    }

    fn decoder(&self) -> FrameDecoder {
        FrameDecoder::new(self.representation, MAX_FRAME)
    }

    fn watch_listing(
        &mut self,
        mut decoder: FrameDecoder,
        (mut objects, requested): (Vec<Object>, Instant),
        codec: &ResourceCodec,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Trouble> {
        while let Some(frame) = decoder.next_frame().map_err(Trouble::lasting)? {
            match codec.decode_watch_event(frame).map_err(Trouble::lasting)? {
                WatchEvent::Added(object) => objects.push(object),
                WatchEvent::Bookmark(bookmark) if bookmark.initial_events_end => {
                    let version = bookmark.resource_version;
                    effects.push(Effect::Template(bookmark.template));
                    effects.push(Effect::Fill { objects, version, requested });
                    self.watching_since = Some(requested);
                    self.stale_since = None;
                    let watching = self.watching(decoder, version, codec, now, effects);
                    return watching.map_err(Trouble::Broken);
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => {
                    let reason = format!("upstream ended the list: {}", status.message);
                    return Err(Trouble::Broken(reason));
                }
                WatchEvent::Modified(_) | WatchEvent::Deleted(_) => {
                    let reason = "a change arrived among the initial events";
                    return Err(Trouble::Broken(reason.into()));
                }
            }
        }
        self.state = State::WatchListing { decoder, objects, requested };
        Ok(())
    }

    fn watching(
        &mut self,
        mut decoder: FrameDecoder,
        mut version: ResourceVersion,
        codec: &ResourceCodec,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), String> {
        let mut burst = Vec::new();
        let outcome = loop {
            let event = match decoder.next_frame() {
                Ok(Some(frame)) => codec.decode_watch_event(frame),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            };
            match event {
                Ok(WatchEvent::Error(status)) => {
                    let next = if status.code == GONE { Next::Fill } else { Next::Watch(version) };
                    if !burst.is_empty() {
                        self.stale_since = None;
                    }
                    effects.extend(some_burst(burst));
                    self.retry(next, None, now);
                    let reason = format!("upstream ended the watch: {}", status.message);
                    effects.push(self.unanswered(Trouble::Broken(reason), now));
                    return Ok(());
                }
                Ok(event) => {
                    version = version_of(&event).map_or(version, |found| found.max(version));
                    burst.push(event);
                }
                Err(error) => break Err(error.to_string()),
            }
        };
        if !burst.is_empty() {
            self.stale_since = None;
        }
        effects.extend(some_burst(burst));
        self.state = State::Watching { decoder, version };
        outcome
    }

    fn page_read(
        &mut self,
        mut pages: Pages,
        body: Vec<u8>,
        codec: &ResourceCodec,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let page = match codec.decode_list_page(body.into()) {
            Ok(page) => page,
            Err(error) => {
                self.retry(Next::Fill, None, now);
                effects.push(self.unanswered(Trouble::lasting(error), now));
                return;
            }
        };
        pages.objects.extend(page.objects);
        pages.continue_token = page.continue_token.filter(|token| !token.is_empty());
        let next = if pages.continue_token.is_some() {
            Next::Page(pages)
        } else {
            let Pages { objects, requested, .. } = pages;
            let version = page.resource_version;
            effects.push(Effect::Fill { objects, version, requested });
            self.stale_since = None;
            Next::Watch(version)
        };
        self.state = State::Idle { next, wait: None };
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

    fn was_settled(&self, now: Instant) -> bool {
        self.watching_since.is_some_and(|since| now.saturating_duration_since(since) >= SETTLED)
    }
}

// === impl Trouble ===

impl Trouble {
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    fn lasting(error: impl ToString) -> Self {
        Self::Lasting(error.to_string())
    }
}

// === impl Wait ===

impl Wait {
    /// `random` in [0, 1) keeps the shards of one gateway apart.
    fn spread(self, random: f64) -> Duration {
        self.least + self.usual.mul_f64(0.5 + random)
    }
}

/// The version up to which an event completes the stream.
fn version_of(event: &WatchEvent) -> Option<ResourceVersion> {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            Some(object.resource_version())
        }
        WatchEvent::Bookmark(bookmark) => Some(bookmark.resource_version),
        WatchEvent::Error(_) => None,
    }
}

fn some_burst(burst: Vec<WatchEvent>) -> Option<Effect> {
    (!burst.is_empty()).then_some(Effect::Apply(burst))
}

/// What to ask for so that the bytes can be handed on as they are.
pub fn accept(representation: Representation, stream: bool) -> &'static str {
    match (representation, stream) {
        (Representation::Json, _) => "application/json",
        (Representation::JsonMetadata, true) => {
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        }
        (Representation::JsonMetadata, false) => {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        }
        (Representation::Protobuf, _) => "application/vnd.kubernetes.protobuf",
        (Representation::ProtobufMetadata, true) => {
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        }
        (Representation::ProtobufMetadata, false) => {
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unreadable_tests;
