//! What a hub knows of its watchers: where they stand, whom to wake, what they asked for.
//!
//! Guarantees that a watcher whose waker was taken is woken: it is among those to be woken until a
//! slice of them takes it. Wakes nobody itself, and has no lock of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::Waker,
};

use hashbrown::HashMap;
use slab::Slab;

use crate::{
    api::version::ResourceVersion,
    cache::{
        audience::AudienceId,
        feed::{Batch, Feed, Position},
    },
    sync::Mutex,
};

use super::{
    super::shard::{Shard, ShardId},
    Mailbox, Message,
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) feeds: HashMap<(ShardId, AudienceId), Members>,
    pub(super) watchers: Slab<Watcher>,
    pub(super) due: BTreeMap<u64, Vec<usize>>,
    /// Feeds that may hold batches: those that were pushed to since the last beat, or held some then.
    filled: Vec<(ShardId, AudienceId)>,
    /// Of watchers that have something to look at, still to be called.
    pub(super) waking: VecDeque<Waker>,
}

#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) feed: Feed,
    pub(super) watchers: Vec<usize>,
    /// Whether it is among those that may hold batches.
    is_filled: bool,
}

#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) position: Position,
    /// Where it stands among the feed's members.
    pub(super) place: usize,
    /// The version after which its events begin.
    pub(super) begins: ResourceVersion,
    pub(super) waker: Option<Waker>,
    pub(super) bookmark: Bookmark,
    /// Where its feed stood when the watch was told to end. Batches from there on belong to another
    /// history, which this watcher must not go on with.
    pub(super) end: Option<Position>,
}

#[derive(Debug)]
pub(super) enum Bookmark {
    None,
    /// To be given at this second, at the version that the shard then shows.
    Requested(u64, Arc<Shard>),
    Due(ResourceVersion),
}

/// Watchers woken before others get a turn: their looks and writes take about a millisecond.
const SLICE: usize = 256;

/// Room for wakers and names of feeds that is kept from one burst to the next: 64 KiB each.
const KEPT: usize = 4096;

// === impl State ===

impl State {
    /// Empties the mailbox; whom it concerns is to be woken.
    pub(super) fn take_in(&mut self, mailbox: &Mutex<Mailbox>) {
        let Mailbox { messages, overrun } = std::mem::take(&mut *mailbox.lock());
        if overrun {
            for members in self.feeds.values_mut() {
                members.feed.overrun();
            }
            let wakers = self.watchers.iter_mut().filter_map(|(_, watcher)| watcher.waker.take());
            self.waking.extend(wakers);
        }
        for message in messages {
            match message {
                Message::Batch(shard, audience, batch) => self.push(shard, audience, batch),
                Message::End(shard) => self.end(shard, |_| true),
                Message::EndBetween(shard, after, before) => {
                    self.end(shard, |begins| begins > after && begins < before);
                }
            }
        }
    }

    fn push(&mut self, shard: ShardId, audience: AudienceId, batch: Arc<Batch>) {
        let Some(members) = self.feeds.get_mut(&(shard, audience)) else { return };
        members.feed.push(batch);
        if !std::mem::replace(&mut members.is_filled, true) {
            self.filled.push((shard, audience));
        }
        for watcher in &members.watchers {
            let watcher = self.watchers.get_mut(*watcher);
            self.waking.extend(watcher.and_then(|watcher| watcher.waker.take()));
        }
    }

    /// Marks the end of a shard's watches that began where `concerns` says.
    fn end(&mut self, shard: ShardId, concerns: impl Fn(ResourceVersion) -> bool) {
        for (_, members) in self.feeds.iter().filter(|((of, _), _)| *of == shard) {
            let end = members.feed.end_position();
            for watcher in &members.watchers {
                if let Some(watcher) = self.watchers.get_mut(*watcher)
                    && concerns(watcher.begins)
                {
                    watcher.end.get_or_insert(end);
                    self.waking.extend(watcher.waker.take());
                }
            }
        }
    }

    /// One beat for the feeds that hold batches: only stalled watchers have not taken the old ones.
    pub(super) fn age(&mut self) {
        let feeds = &mut self.feeds;
        self.filled.retain(|key| {
            let Some(members) = feeds.get_mut(key) else { return false };
            members.feed.beat();
            members.is_filled = !members.feed.is_empty();
            members.is_filled
        });
        if self.filled.is_empty() && self.filled.capacity() > KEPT {
            self.filled = Vec::new();
        }
    }

    /// Watchers whose bookmark is due at `second`, with the version their shard shows.
    pub(super) fn take_due(&mut self, second: u64) -> Vec<(usize, Option<ResourceVersion>)> {
        let later = self.due.split_off(&(second + 1));
        let due = std::mem::replace(&mut self.due, later);
        due.into_iter()
            .flat_map(|(asked, watchers)| watchers.into_iter().map(move |key| (asked, key)))
            .filter_map(|(asked, key)| match &self.watchers.get(key)?.bookmark {
                Bookmark::Requested(at, shard) if *at == asked => {
                    Some((key, shard.resource_version()))
                }
                // The number was given to another watcher, or the request was replaced.
                _ => None,
            })
            .collect()
    }

    pub(super) fn mark_due(&mut self, due: Vec<(usize, Option<ResourceVersion>)>) {
        for (key, version) in due {
            if let Some(watcher) = self.watchers.get_mut(key) {
                watcher.bookmark = version.map_or(Bookmark::None, Bookmark::Due);
                self.waking.extend(watcher.waker.take());
            }
        }
    }

    /// The next to be woken, and whether there are more.
    pub(super) fn next_slice(&mut self) -> (Vec<Waker>, bool) {
        let count = self.waking.len().min(SLICE);
        let slice = self.waking.drain(..count).collect();
        if self.waking.is_empty() && self.waking.capacity() > KEPT {
            self.waking = VecDeque::new();
        }
        (slice, !self.waking.is_empty())
    }
}
