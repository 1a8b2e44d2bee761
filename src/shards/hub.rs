//! The watchers of one core: their feeds, their wakers, their bookmarks.
//!
//! Shards put messages into the hub's mailbox; the hub's task, on the watchers' own thread, empties
//! it, fills the feeds and wakes. So a burst costs one wake-up across threads per core, whatever the
//! number of watchers. They are woken in the order in which they came, some at a time, so that the
//! first connections write while later ones still wait. Guarantees: messages of a shard are delivered
//! in their order; when the mailbox overflows nothing is lost, watchers then read their shard's log.
//!
//! Hot path: taking messages in and polling a subscription.
//! Locks: a shard's lock may be held when the hub's are taken, never the reverse.

mod state;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    api::version::ResourceVersion,
    cache::{
        audience::{AudienceId, CoreId},
        feed::{Batch, Pull},
    },
    sync::Mutex,
};

use self::state::{Bookmark, State, Watcher};
use super::shard::{Shard, ShardId};

/// One core's share of all watches.
#[derive(Debug)]
pub struct Hub {
    core: CoreId,
    mailbox: Mutex<Mailbox>,
    bell: Notify,
    state: Mutex<State>,
    second: AtomicU64,
    /// The most messages that the mailbox holds.
    mailbox_size: usize,
}

/// From a shard to a hub.
#[derive(Clone, Debug)]
pub enum Message {
    /// Events for an audience that has watchers on this core.
    Batch(ShardId, AudienceId, Arc<Batch>),
    /// All watches of the shard end.
    End(ShardId),
    /// Those watches of the shard end that began between these versions, both excluded: what
    /// happened there is not known.
    EndBetween(ShardId, ResourceVersion, ResourceVersion),
}

/// A watcher's membership in a feed.
#[derive(Debug)]
pub struct Ticket {
    /// The audience joined.
    pub(super) audience: AudienceId,
    shard: ShardId,
    watcher: usize,
}

/// What [`Hub::poll`] found.
#[derive(Debug)]
pub(super) struct Signals {
    pub(super) pull: Pull,
    pub(super) bookmark: Option<ResourceVersion>,
    pub(super) ended: bool,
}

#[derive(Debug, Default)]
struct Mailbox {
    messages: Vec<Message>,
    overrun: bool,
}

/// Messages waiting for one core. They hold handles, not copies, but keep events alive beyond their
/// log; at this number the mailbox is emptied and watchers read their logs instead.
const MAX_MESSAGES: usize = 65_536;

/// Bookmarks are due on this beat (semantics §5.4: the API server ticks once a second).
pub const TICK: Duration = Duration::from_secs(1);

// === impl Hub ===

impl Hub {
    /// A hub without watchers.
    pub fn new(core: CoreId) -> Self {
        Self {
            core,
            mailbox: Mutex::default(),
            bell: Notify::new(),
            state: Mutex::default(),
            second: AtomicU64::new(0),
            mailbox_size: MAX_MESSAGES,
        }
    }

    /// A hub whose mailbox holds only so many messages.
    #[cfg(test)]
    pub(super) fn with_mailbox(core: CoreId, mailbox_size: usize) -> Self {
        Self { mailbox_size, ..Self::new(core) }
    }

    /// The core whose watchers these are.
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// Ticks since the hub began to run.
    pub fn now(&self) -> u64 {
        self.second.load(Ordering::Relaxed)
    }

    /// Open watches on this core.
    pub fn watchers(&self) -> usize {
        self.state.lock().watchers.len()
    }

    /// Delivers messages and bookmarks until dropped; to be run on the core's own thread.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = self.rung() => self.collect(),
                _ = ticks.tick() => self.beat(),
            }
            while self.wake_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Resolves when messages may have come since it last did.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Queues a message. Called under the sending shard's lock, which keeps the order.
    pub fn send(&self, message: Message) {
        {
            let mut mailbox = self.mailbox.lock();
            if mailbox.messages.len() >= self.mailbox_size {
                mailbox.messages.retain(|message| !matches!(message, Message::Batch(..)));
                mailbox.overrun = true;
            }
            mailbox.messages.push(message);
        }
        self.bell.notify_one();
    }

    /// Moves the mailbox into the feeds and wakes whom it concerns.
    #[cfg(test)]
    pub(crate) fn deliver(&self) {
        self.collect();
        while self.wake_some() {}
    }

    /// Moves the mailbox into the feeds.
    fn collect(&self) {
        self.state.lock().take_in(&self.mailbox);
    }

    /// Wakes some of those that have something to look at; returns whether there are more. Outside of
    /// the hub's locks.
    fn wake_some(&self) -> bool {
        let (slice, more) = self.state.lock().next_slice();
        slice.into_iter().for_each(Waker::wake);
        more
    }

    /// One beat, and wakes whom it concerns.
    #[cfg(test)]
    pub(crate) fn tick(&self) {
        self.beat();
        while self.wake_some() {}
    }

    /// One beat: bookmarks that are due get the version that their shard shows now, and batches that
    /// nobody has taken for some beats are forgotten.
    fn beat(&self) {
        let second = self.second.fetch_add(1, Ordering::Relaxed) + 1;
        let mut state = self.state.lock();
        let due = state.take_due(second);
        // The versions were read before the mailbox is emptied, so everything up to them is in
        // the feeds when the watchers look.
        state.take_in(&self.mailbox);
        state.mark_due(due);
        state.age();
    }

    /// Lets the hub's task wake whom something concerns that was found outside of it.
    fn ring_if_due(&self, state: &State) {
        if !state.waking.is_empty() {
            self.bell.notify_one();
        }
    }

    /// Adds a watcher. Called under the shard's lock, so nothing sent before reaches it and
    /// everything sent later does.
    pub(super) fn attach(
        &self,
        shard: ShardId,
        audience: AudienceId,
        begins: ResourceVersion,
    ) -> Ticket {
        let mut state = self.state.lock();
        // What is still in the mailbox was applied before this watcher's start.
        state.take_in(&self.mailbox);
        self.ring_if_due(&state);
        let State { feeds, watchers, .. } = &mut *state;
        let members = feeds.entry((shard, audience)).or_default();
        let position = members.feed.attach();
        let place = members.watchers.len();
        let watcher = watchers.insert(Watcher {
            position,
            place,
            begins,
            waker: None,
            bookmark: Bookmark::None,
            end: None,
        });
        members.watchers.push(watcher);
        Ticket { audience, shard, watcher }
    }

    pub(super) fn detach(&self, ticket: &Ticket) {
        let mut state = self.state.lock();
        let Some(watcher) = state.watchers.try_remove(ticket.watcher) else { return };
        let key = (ticket.shard, ticket.audience);
        let State { feeds, watchers, .. } = &mut *state;
        let Some(members) = feeds.get_mut(&key) else { return };
        members.feed.detach(watcher.position);
        members.watchers.swap_remove(watcher.place);
        if let Some(moved) = members.watchers.get(watcher.place)
            && let Some(moved) = watchers.get_mut(*moved)
        {
            moved.place = watcher.place;
        }
        if members.feed.is_abandoned() {
            feeds.remove(&key);
        }
    }

    /// Moves a watcher to the end of its feed: it has read the rest elsewhere, under the shard's
    /// lock, so what is still in the mailbox is part of that.
    pub(super) fn skip_to_end(&self, ticket: &Ticket) {
        let mut state = self.state.lock();
        state.take_in(&self.mailbox);
        self.ring_if_due(&state);
        let State { feeds, watchers, .. } = &mut *state;
        if let (Some(members), Some(watcher)) =
            (feeds.get_mut(&(ticket.shard, ticket.audience)), watchers.get_mut(ticket.watcher))
        {
            members.feed.skip_to_end(&mut watcher.position);
        }
    }

    pub(super) fn poll(&self, ticket: &mut Ticket, context: &Context<'_>) -> Signals {
        let mut state = self.state.lock();
        let State { feeds, watchers, .. } = &mut *state;
        let (Some(members), Some(watcher)) =
            (feeds.get_mut(&(ticket.shard, ticket.audience)), watchers.get_mut(ticket.watcher))
        else {
            return Signals { pull: Pull::Drained, bookmark: None, ended: true };
        };
        // Events that were delivered before the end are still given out.
        if watcher.end.is_some_and(|end| watcher.position >= end) {
            return Signals { pull: Pull::Drained, bookmark: None, ended: true };
        }
        let pull = members.feed.pull(&mut watcher.position);
        let mut bookmark = None;
        if matches!(pull, Pull::Drained) {
            if let Bookmark::Due(version) = watcher.bookmark {
                bookmark = Some(version);
                watcher.bookmark = Bookmark::None;
            } else {
                match &mut watcher.waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
            }
        }
        Signals { pull, bookmark, ended: false }
    }

    pub(super) fn request_bookmark(&self, ticket: &Ticket, shard: Arc<Shard>, second: u64) {
        let mut state = self.state.lock();
        let second = second.max(self.now() + 1);
        let State { watchers, due, .. } = &mut *state;
        if let Some(watcher) = watchers.get_mut(ticket.watcher) {
            watcher.bookmark = Bookmark::Requested(second, shard);
            due.entry(second).or_default().push(ticket.watcher);
        }
    }
}
