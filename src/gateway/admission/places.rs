//! The places of every resource, and who waits for one.
//!
//! Watches have places of their own, and keep them only while they begin: they run for as long as an
//! hour, and nobody must be refused for that long. Guarantees: of one resource no more reads hold a
//! [`Place`] than there are; they are given in the order of asking; who goes away while waiting leaves
//! nothing behind. Waiting asks nothing of upstream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::AbortHandle,
    time::{sleep, timeout_at},
};

use crate::{api::resource::GroupVersionResource, shards::shard::Progress};

use super::{Deadlines, ForwardReason, Passage, Warmth};

/// The places of all resources.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Places {
    resources: DashMap<GroupVersionResource, Arc<Resource>>,
}

/// A read's right to run upstream, given back when it is dropped; a watch's after [`BEGINNING`] at
/// the latest.
#[derive(Debug)]
pub(in crate::gateway) struct Place {
    _held: Held,
}

#[derive(Debug)]
enum Held {
    Permit {
        _permit: OwnedSemaphorePermit,
    },
    /// A task that has the permit and lets go of it.
    Beginning(AbortHandle),
}

/// A read that memory did not answer.
#[derive(Debug)]
pub(in crate::gateway) struct Applicant<'a> {
    /// What it reads.
    pub(in crate::gateway) resource: &'a GroupVersionResource,
    /// Whether its answer runs on until it is ended.
    pub(in crate::gateway) is_watch: bool,
    /// Whether its answer has bookmarks.
    pub(in crate::gateway) bookmarks: bool,
    /// Why memory did not answer.
    pub(in crate::gateway) reason: ForwardReason,
    /// The shard that could, if there is one.
    pub(in crate::gateway) shard: Option<watch::Receiver<Progress>>,
    /// How long it may wait.
    pub(in crate::gateway) deadlines: Deadlines,
    /// How often it was told to ask memory again.
    pub(in crate::gateway) asked_again: u32,
}

/// What comes of waiting.
#[derive(Debug)]
pub(in crate::gateway) enum Admitted {
    /// To be forwarded, and the place kept until the answer's end.
    Forward(Option<Place>),
    /// Memory may answer now.
    AskAgain,
    /// There is no place, nor will there be one soon.
    Refused,
}

/// The shard that could answer, as the read sees it.
struct Awaited {
    shard: Option<watch::Receiver<Progress>>,
    bookmarks: bool,
}

#[derive(Debug)]
struct Resource {
    answers: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// One who waits; counted as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

/// Forwarded gets and lists of one resource that run at the same time, and as many watches that begin.
const PLACES: usize = 8;

/// Time between two looks at a shard: one that has still to learn of bookmarks changes with each event,
/// and thousands may wait.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What a forwarded watch costs upstream, it costs at its beginning: the state, or what was missed. More
/// than what others wait for its place, so that those who come together do not all get through.
const BEGINNING: Duration = Duration::from_secs(10);

/// Reads of one resource that wait at the same time: a few kilobytes each. More are refused at once.
const WAITING: usize = 8192;

/// Resources remembered before those are forgotten that nobody waits for.
const REMEMBERED: usize = 1024;

// === impl Places ===

impl Places {
    /// Lets a read wait for its way upstream, or for memory.
    pub(in crate::gateway) async fn admit(&self, applicant: Applicant<'_>) -> Admitted {
        let Applicant { resource, is_watch, reason, deadlines, asked_again, .. } = applicant;
        let mut shard = Awaited { shard: applicant.shard, bookmarks: applicant.bookmarks };
        let decide = |shard: &Awaited| Passage::decide(reason, shard.warmth(), asked_again);
        match decide(&shard) {
            Passage::Free => return Admitted::Forward(None),
            Passage::Again => return Admitted::AskAgain,
            Passage::Fill | Passage::Place => {}
        }
        let resource = self.resource(resource);
        let Some(_waiting) = Waiting::begin(&resource.waiting) else { return Admitted::Refused };
        let mut passage = decide(&shard);
        if passage == Passage::Fill {
            let changed = timeout_at(deadlines.fill.into(), shard.is_no_more(Warmth::Filling));
            passage = match changed.await {
                Ok(()) => decide(&shard),
                Err(_) => Passage::Place,
            };
        }
        match passage {
            Passage::Free => Admitted::Forward(None),
            Passage::Again => Admitted::AskAgain,
            // A fill that was begun anew meanwhile is waited for along with the place.
            Passage::Fill | Passage::Place => {
                let places = if is_watch { &resource.watches } else { &resource.answers };
                let take = if is_watch { Place::of_watch } else { Place::of_answer };
                place(places, take, shard, reason, deadlines).await
            }
        }
    }

    fn resource(&self, resource: &GroupVersionResource) -> Arc<Resource> {
        if let Some(resource) = self.resources.get(resource) {
            return Arc::clone(&resource);
        }
        if self.resources.len() >= REMEMBERED {
            // Places that are held keep their semaphore and would not be counted any more.
            self.resources.retain(|_, it| Arc::strong_count(it) > 1 || it.is_held());
        }
        Arc::clone(&self.resources.entry(resource.clone()).or_insert_with(|| {
            let places = || Arc::new(Semaphore::new(PLACES));
            let (answers, watches) = (places(), places());
            Arc::new(Resource { answers, watches, waiting: AtomicUsize::new(0) })
        }))
    }
}

// === impl Place ===

impl Place {
    fn of_answer(permit: OwnedSemaphorePermit) -> Self {
        Self { _held: Held::Permit { _permit: permit } }
    }

    fn of_watch(permit: OwnedSemaphorePermit) -> Self {
        let begun = tokio::spawn(async move {
            sleep(BEGINNING).await;
            drop(permit);
        });
        Self { _held: Held::Beginning(begun.abort_handle()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Beginning(task) = self {
            task.abort();
        }
    }
}

// === impl Resource ===

impl Resource {
    fn is_held(&self) -> bool {
        [&self.answers, &self.watches].into_iter().any(|it| it.available_permits() < PLACES)
    }
}

// === impl Waiting ===

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Option<Self> {
        let one_more = |count: usize| (count < WAITING).then_some(count + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Awaited ===

impl Awaited {
    fn warmth(&self) -> Warmth {
        let warmth = |it: &watch::Receiver<Progress>| Warmth::of(&it.borrow(), self.bookmarks);
        self.shard.as_ref().map_or(Warmth::Absent, warmth)
    }

    /// Whether it may be filled yet.
    fn is_cold(&self) -> bool {
        matches!(self.warmth(), Warmth::Filling | Warmth::Failing)
    }

    /// Waits until its warmth is another one. A shard that is gone is none any more.
    async fn is_no_more(&mut self, warmth: Warmth) {
        while self.warmth() == warmth
            && let Some(shard) = &mut self.shard
        {
            if shard.changed().await.is_err() {
                self.shard = None;
            } else if self.warmth() == warmth {
                sleep(BETWEEN_LOOKS).await;
            }
        }
    }
}

/// Waits for one of these places, or for a fill if that may yet come.
async fn place(
    places: &Arc<Semaphore>,
    take: fn(OwnedSemaphorePermit) -> Place,
    mut shard: Awaited,
    reason: ForwardReason,
    deadlines: Deadlines,
) -> Admitted {
    // One that was warm and did not answer will not do so for being warm.
    let may_warm = reason == ForwardReason::Cold && shard.is_cold();
    let fill = async {
        if !may_warm {
            return std::future::pending().await;
        }
        while shard.is_cold() {
            shard.is_no_more(shard.warmth()).await;
        }
    };
    let settled = async {
        tokio::select! {
            biased;
            () = fill => Admitted::AskAgain,
            permit = Arc::clone(places).acquire_owned() => match permit {
                Ok(permit) => Admitted::Forward(Some(take(permit))),
                // The semaphore is never closed.
                Err(_) => Admitted::Refused,
            },
        }
    };
    timeout_at(deadlines.place.into(), settled).await.unwrap_or(Admitted::Refused)
}

#[cfg(test)]
mod tests;
