//! Runs a [`Reflector`] against upstream and its shard until aborted.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tokio::{
    sync::watch,
    time::{timeout, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{
    api::version::ResourceVersion,
    cache::watch_cache::{Fill, Snapshot, Violation},
    codec::bookmark_template::BookmarkTemplate,
    shards::{
        object_room::{FillRoom, NoRoom},
        shard::{Progress, Shard},
    },
    telemetry::metrics::cache::Cause,
    upstream::{
        Lane, RequestBody, Upstream, UpstreamBody,
        probe::{Probed, sample},
        reflector::{
            fill_places::{FillPlace, FillPlaces},
            machine::{Ask, Effect, Reflector, Standing, Step, Verdict},
            template,
        },
    },
};

mod refill;

use self::refill::Refill;

/// What the reflectors of one upstream share; cloning shares it.
#[derive(Clone)]
pub struct Surroundings {
    /// Where the objects come from.
    pub upstream: Upstream,
    /// How many shards are filled at once.
    pub places: FillPlaces,
    /// Told when everything cached is void.
    pub went_back: WentBack,
    /// Told when a shard does not fit the memory.
    pub outgrown: Outgrown,
}

/// Called when what a shard is being filled with has no room: it is to be closed.
pub type Outgrown = Arc<dyn Fn(&Shard, NoRoom) + Send + Sync>;

/// Called when the store behind upstream was restored from the past: everything cached is void.
pub type WentBack = Arc<dyn Fn(&Shard, &Violation) + Send + Sync>;

/// A stream that goes on this much longer than its own deadline has a peer that lost count.
const OVERTIME: Duration = Duration::from_secs(30);

/// What was probed after a stream was lost must be reached within this time after it was resumed:
/// upstream sends at once what happened meanwhile.
const CATCHING_UP: Duration = Duration::from_secs(3);

/// The head of an answer must arrive within this time; upstream's own limit is 60 s.
const HEAD_TIMEOUT: Duration = Duration::from_secs(70);

/// Keeps `shard` filled. Ends only by being aborted.
pub async fn run(shard: Arc<Shard>, surroundings: Surroundings) {
    let reflector = Reflector::new(shard.resource(), shard.key().representation);
    let mut cleared = shard.progress();
    let seen = cleared.borrow_and_update().cleared;
    let mut driver = Driver {
        shard,
        surroundings,
        reflector,
        cleared,
        seen,
        expected: None,
        learning: None,
        filling: None,
        refill: Refill::default(),
    };
    loop {
        // Whatever the machine wanted to go on with is gone.
        if driver.was_cleared() {
            driver.expected = None;
            driver.refill.cause = Cause::Cleared;
            driver.reflector.begin_anew(Instant::now());
        }
        if driver.reflector.is_about_to_fill() {
            driver.take_place().await;
        }
        match driver.reflector.next(Instant::now(), rand::random()) {
            Step::Wait(wait) => driver.wait(wait).await,
            Step::Probe(_) => driver.probe().await,
            Step::Send(ask) => driver.perform(ask).await,
        }
    }
}

struct Driver {
    shard: Arc<Shard>,
    surroundings: Surroundings,
    reflector: Reflector,
    cleared: watch::Receiver<Progress>,
    /// How often the shard had been emptied when that was last looked at.
    seen: u64,
    /// What the stream must lead to after it was lost and resumed.
    expected: Option<Expected>,
    /// A bookmark on its way, where the fill brought none.
    learning: Option<Learning>,
    /// Held from the first request of a fill to its end.
    filling: Option<Filling>,
    refill: Refill,
}

/// What a fill under way has taken.
struct Filling {
    _place: FillPlace,
    room: FillRoom,
}

/// What the store held when it was probed, and until when the shard must have got there.
struct Expected {
    probed: Probed,
    until: Instant,
}

/// A request for a bookmark.
type Learning = Pin<Box<dyn Future<Output = Option<BookmarkTemplate>> + Send>>;

// === impl Driver ===

impl Driver {
    /// Waits for the shard's turn to be filled.
    async fn take_place(&mut self) {
        self.filling = None;
        let place = Box::pin(self.surroundings.places.take(&self.shard)).await;
        self.filling = Some(Filling { _place: place, room: self.shard.fill_room() });
    }

    /// Notes how far a fill has come. One that does not fit is given up, and its shard with it.
    fn note_filling(&mut self) {
        let Some(bytes) = self.reflector.filling_bytes() else {
            // It failed, or has ended.
            self.filling = None;
            return;
        };
        let Some(filling) = &mut self.filling else { return };
        if let Err(no_room) = filling.room.reach(bytes) {
            self.filling = None;
            self.reflector.begin_anew(Instant::now());
            (self.surroundings.outgrown)(&self.shard, no_room);
        }
    }

    async fn perform(&mut self, ask: Ask) {
        debug!(shard = %self.shard.key(), target = ask.target, "asking upstream");
        if !self.reflector.is_watching() {
            // A fill tells all by itself, and takes the time that it takes.
            self.expected = None;
        }
        if ask.begins_fill {
            self.refill.begins(&self.shard);
            self.shard.expect_fill();
        }
        let mut effects = Vec::new();
        // Boxed, as is what else is over soon: a shard's task is as large as all it ever waits for at
        // once, and there are thousands that wait for their streams.
        let answer = Box::pin(send(&self.surroundings.upstream, &ask)).await;
        match answer {
            Err(reason) => {
                self.reflector.failed(&reason, Instant::now(), &mut effects);
            }
            Ok(response) => {
                if response.status() == StatusCode::GONE {
                    self.refill.cause = Cause::Expired;
                }
                let retry_after = retry_after(response.headers());
                let (verdict, effect) =
                    self.reflector.answered(response.status(), retry_after, Instant::now());
                effects.extend(effect);
                if verdict == Verdict::Read {
                    self.read(response.into_body(), &ask).await;
                }
            }
        }
        self.act(effects, Instant::now());
        self.note_filling();
    }

    /// Whether the shard was emptied since this was last asked.
    fn was_cleared(&mut self) -> bool {
        let before = std::mem::replace(&mut self.seen, self.cleared.borrow_and_update().cleared);
        before != self.seen
    }

    /// Waits, but not when there is something to be done anew.
    async fn wait(&mut self, time: Duration) {
        let seen = self.seen;
        let emptied = self.cleared.wait_for(|progress| progress.cleared != seen);
        // Either way the loop goes on.
        let _ended_early = timeout(time, emptied).await;
    }

    /// After a lost stream: asks what the store holds before going on. One that was restored from the
    /// past would keep a watch from the future silent, and later continue another history.
    async fn probe(&mut self) {
        let held = self.shard.snapshot();
        let probed = Box::pin(sample(&self.surroundings.upstream, &self.shard.key().gvr)).await;
        let standing = match probed {
            Err(error) if error.is_answer() => Standing::Refused(error.to_string()),
            Err(error) => Standing::Unreachable(error.to_string()),
            Ok(probed) => self.judge(probed, held.as_deref()),
        };
        let mut effects = Vec::new();
        self.reflector.probed(standing, Instant::now(), &mut effects);
        self.act(effects, Instant::now());
    }

    fn judge(&mut self, probed: Probed, held: Option<&Snapshot>) -> Standing {
        let Some(held) = held else { return Standing::Continues };
        if let Some(violation) = probed.contradicts(held) {
            // Unless somebody else noticed while the probe was under way.
            if self.cleared.borrow().cleared == self.seen {
                (self.surroundings.went_back)(&self.shard, &violation);
            }
            self.refill.cause = Cause::Cleared;
            return Standing::WentBack;
        }
        let until = Instant::now() + CATCHING_UP;
        self.expected = (!probed.is_part_of(held)).then_some(Expected { probed, until });
        Standing::Continues
    }

    /// Whether the shard went where the probe said that it must, as far as that can be told.
    fn check_expected(&mut self) {
        let Some(Expected { probed, until }) = &self.expected else { return };
        let Some(held) = self.shard.snapshot() else { return };
        let (found, shown) = (probed.version, held.resource_version);
        if probed.is_part_of(&held) {
            self.expected = None;
        } else if shown >= found {
            let beginning = self.shard.beginning().filter(|beginning| beginning.version <= found);
            let follows = beginning
                .is_none_or(|beginning| probed.follows_from(&beginning.versions_at(found)));
            self.expected = None;
            if !follows {
                (self.surroundings.went_back)(&self.shard, &Violation::Rewritten { found, shown });
                self.refill.cause = Cause::Cleared;
                self.reflector.begin_anew(Instant::now());
            }
        } else if Instant::now() >= *until {
            info!(shard = %self.shard.key(), "a resumed stream does not catch up: filling anew");
            self.expected = None;
            self.refill.cause = Cause::Stalled;
            self.reflector.begin_anew(Instant::now());
        }
    }

    async fn read(&mut self, mut body: UpstreamBody, ask: &Ask) {
        let seen = self.seen;
        let overtime = Instant::now() + ask.ends_after + OVERTIME;
        while self.reflector.wants_more() {
            let mut effects = Vec::new();
            let catching_up = self.expected.as_ref().map(|expected| expected.until);
            let deadline = catching_up.unwrap_or(overtime);
            let frame = tokio::select! {
                biased;
                _ = self.cleared.wait_for(|progress| progress.cleared != seen) => return,
                frame = timeout_at(deadline.into(), body.frame()) => frame,
                learnt = learnt(&mut self.learning) => {
                    if let Some(template) = learnt {
                        self.shard.learn_template(template);
                    }
                    continue;
                }
            };
            // Bursts count from here: decoding them is part of their delay.
            let received = Instant::now();
            match frame {
                // What was expected did not come: said below.
                Err(_) if catching_up.is_some() => {}
                Err(_) => {
                    self.reflector.failed(
                        "the stream did not end in time",
                        Instant::now(),
                        &mut effects,
                    );
                }
                Ok(Some(Err(error))) => {
                    self.reflector.failed(&error.to_string(), Instant::now(), &mut effects);
                }
                Ok(None) => {
                    let codec = Arc::clone(self.shard.codec());
                    self.refill.cause = Cause::Ended;
                    self.reflector.ended(&codec, Instant::now(), &mut effects);
                    self.act(effects, received);
                    return;
                }
                Ok(Some(Ok(frame))) => {
                    if let Ok(chunk) = frame.into_data() {
                        let codec = Arc::clone(self.shard.codec());
                        self.refill.cause = Cause::Broken;
                        self.reflector.received(chunk, &codec, received, &mut effects);
                    }
                }
            }
            self.act(effects, received);
            self.note_filling();
        }
    }

    /// Asks for a bookmark, unless the shard knows what they look like.
    fn learn(&mut self, version: ResourceVersion) {
        if self.shard.snapshot().is_none_or(|snapshot| snapshot.template.is_some()) {
            return;
        }
        let (shard, upstream) = (Arc::clone(&self.shard), self.surroundings.upstream.clone());
        self.learning =
            Some(Box::pin(async move { template::learn(&shard, &upstream, version).await }));
    }

    /// Performs what came of something received then.
    fn act(&mut self, effects: Vec<Effect>, received: Instant) {
        for effect in effects {
            let outcome = match effect {
                Effect::Template(template) => {
                    self.shard.learn_template(template);
                    Ok(())
                }
                Effect::Fill { objects, version, requested } => {
                    let count = objects.len();
                    self.expected = None;
                    let filled = self.shard.fill(objects, version, requested, self.seen);
                    if let Some(filling) = self.filling.take() {
                        filling.room.settle();
                    }
                    self.learn(version);
                    if let Ok(fill) = filled {
                        self.refill.ends(&self.shard, fill);
                    }
                    filled.map(|fill| match fill {
                        Fill::Void => {}
                        Fill::First => info!(shard = %self.shard.key(), count, %version, "filled"),
                        Fill::Unchanged => {
                            info!(shard = %self.shard.key(), %version, "history lost, nothing changed");
                        }
                        Fill::Changed => {
                            warn!(shard = %self.shard.key(), %version, "history lost, watches ended");
                        }
                    })
                }
                Effect::Apply(burst) => self.shard.apply(burst, received).map(|_| ()),
                Effect::Failure(reason) => {
                    warn!(shard = %self.shard.key(), reason, "the shard's upstream stream broke");
                    self.shard.set_failure(&reason);
                    Ok(())
                }
                Effect::Withdraw { reason, unfillable } => {
                    warn!(shard = %self.shard.key(), reason, "upstream's state cannot be kept");
                    self.refill.cause = Cause::Withdrawn;
                    self.refill.begins(&self.shard);
                    self.shard.withdraw(&reason, unfillable);
                    Ok(())
                }
            };
            if let Err(violation) = outcome {
                warn!(shard = %self.shard.key(), %violation, "filling the shard anew");
                self.refill.cause = Cause::Violation;
                if violation.is_a_restore() {
                    (self.surroundings.went_back)(&self.shard, &violation);
                    self.refill.cause = Cause::Cleared;
                }
                self.reflector.begin_anew(Instant::now());
                return;
            }
        }
        self.check_expected();
    }
}

async fn send(upstream: &Upstream, ask: &Ask) -> Result<Response<UpstreamBody>, String> {
    let request = Request::get(&ask.target)
        .header(header::ACCEPT, ask.accept)
        .body(RequestBody::empty())
        .map_err(|error| error.to_string())?;
    let answer = upstream.send(Lane::Gateway, request);
    match timeout(HEAD_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("upstream did not answer within {HEAD_TIMEOUT:?}")),
    }
}

/// Waits for the request for a bookmark; for ever, if there is none.
async fn learnt(learning: &mut Option<Learning>) -> Option<BookmarkTemplate> {
    let Some(request) = learning else { return std::future::pending().await };
    let template = request.await;
    *learning = None;
    template
}

/// The delay of a `Retry-After` header in seconds, the only form that the API server uses.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
