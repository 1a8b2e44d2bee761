//! The room for objects: what all shards together may hold, and those of single resources.
//!
//! Memory is looked at every few seconds only. A fill, which can bring gigabytes in that time, asks
//! here while it goes on ([`FillRoom::reach`]), and is stopped when what it has read does not fit
//! beside what there was at the last look and what other fills have read since.

use std::sync::Arc;

use compact_str::CompactString;
use hashbrown::HashMap;

use crate::{api::resource::GroupVersionResource, sync::Mutex};

/// A resource in any version: group (empty for the core group) and plural name.
pub type GroupResource = (CompactString, CompactString);

/// The room for objects (see the module). Without a limit until one is set.
#[derive(Debug, Default)]
pub struct ObjectRoom {
    state: Mutex<State>,
}

/// What a fill under way has taken; given back when dropped.
#[derive(Debug)]
pub struct FillRoom {
    /// `None` where there is no limit.
    room: Option<Arc<ObjectRoom>>,
    resource: GroupResource,
    taken: u64,
}

/// What a fill has read does not fit; it is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} bytes of objects have no room")]
pub struct NoRoom {
    /// What it has read so far.
    pub needed: u64,
}

#[derive(Debug, Default)]
struct State {
    total: Account,
    named: HashMap<GroupResource, Account>,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    limit: u64,
    /// As counted last, with the fills that have ended since the count began.
    held: u64,
    /// What fills held that ended since a count began.
    settled: u64,
    /// Taken by fills under way.
    filling: u64,
}

/// Smaller steps are not asked about.
const STEP: u64 = 256 << 10;

/// The resource of a type.
pub fn group_resource(gvr: &GroupVersionResource) -> GroupResource {
    (gvr.group.as_str().into(), gvr.resource.as_str().into())
}

// === impl ObjectRoom ===

impl ObjectRoom {
    /// What all shards hold is counted from now on. A fill that ends meanwhile may have been missed.
    pub(super) fn begin_count(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        for account in state.named.values_mut().chain([&mut state.total]) {
            account.settled = 0;
        }
    }

    /// Sets what all shards may hold, and what they were found to.
    pub(super) fn set_total(&self, limit: u64, held: u64) {
        self.state.lock().total.set(limit, held);
    }

    /// The same for one resource.
    pub(super) fn set_named(&self, resource: &GroupResource, limit: u64, held: u64) {
        self.state.lock().named.entry(resource.clone()).or_default().set(limit, held);
    }

    /// What a shard of this resource may take before a limit is reached.
    pub(super) fn left(&self, resource: &GroupResource) -> u64 {
        let state = self.state.lock();
        state.accounts(resource).map(Account::left).min().unwrap_or(u64::MAX)
    }
}

// === impl State ===

impl State {
    fn accounts(&self, resource: &GroupResource) -> impl Iterator<Item = &Account> {
        std::iter::once(&self.total).chain(self.named.get(resource))
    }

    fn change(&mut self, resource: &GroupResource, change: impl Fn(&mut Account)) {
        change(&mut self.total);
        if let Some(named) = self.named.get_mut(resource) {
            change(named);
        }
    }
}

// === impl Account ===

impl Account {
    /// A fill that was counted, and ended after the count began, counts twice until the next.
    const fn set(&mut self, limit: u64, held: u64) {
        self.limit = limit;
        self.held = held.saturating_add(self.settled);
    }

    fn left(&self) -> u64 {
        self.limit.saturating_sub(self.held).saturating_sub(self.filling)
    }
}

impl Default for Account {
    fn default() -> Self {
        Self { limit: u64::MAX, held: 0, settled: 0, filling: 0 }
    }
}

// === impl FillRoom ===

impl FillRoom {
    /// For a fill of this resource, which has read nothing yet.
    pub fn new(room: Option<Arc<ObjectRoom>>, gvr: &GroupVersionResource) -> Self {
        Self { room, resource: group_resource(gvr), taken: 0 }
    }

    /// The fill has read so much by now.
    ///
    /// # Errors
    /// [`NoRoom`] when that is more than there is room for.
    pub fn reach(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let Some(room) = &self.room else { return Ok(()) };
        if bytes < self.taken + STEP {
            return Ok(());
        }
        let more = bytes - self.taken;
        let mut state = room.state.lock();
        if state.accounts(&self.resource).any(|account| account.left() < more) {
            return Err(NoRoom { needed: bytes });
        }
        state.change(&self.resource, |account| account.filling += more);
        self.taken = bytes;
        Ok(())
    }

    /// The fill has ended: what it took is held, until memory is counted again.
    pub fn settle(mut self) {
        let taken = std::mem::take(&mut self.taken);
        if let Some(room) = &self.room {
            room.state.lock().change(&self.resource, |account| {
                account.filling = account.filling.saturating_sub(taken);
                account.held += taken;
                account.settled += taken;
            });
        }
    }
}

impl Drop for FillRoom {
    fn drop(&mut self) {
        if let Some(room) = &self.room
            && self.taken > 0
        {
            let taken = self.taken;
            room.state.lock().change(&self.resource, |account| {
                account.filling = account.filling.saturating_sub(taken);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn gvr(resource: &str) -> GroupVersionResource {
        GroupVersionResource::new("", "v1", resource)
    }

    #[test]
    fn fills_share_what_is_left() {
        let room = Arc::new(ObjectRoom::default());
        room.set_total(10 * MIB, 4 * MIB);
        let begin = |resource| FillRoom::new(Some(Arc::clone(&room)), &gvr(resource));
        let (mut pods, mut nodes) = (begin("pods"), begin("nodes"));
        assert_eq!(pods.reach(4 * MIB), Ok(()));
        assert_eq!(pods.reach(MIB), Ok(()), "what was taken is not given back by steps");
        assert_eq!(nodes.reach(3 * MIB), Err(NoRoom { needed: 3 * MIB }));
        assert_eq!(nodes.reach(2 * MIB), Ok(()));
        assert_eq!(room.left(&group_resource(&gvr("secrets"))), 0);
        drop(nodes);
        assert_eq!(room.left(&group_resource(&gvr("secrets"))), 2 * MIB);
        pods.settle();
        assert_eq!(room.left(&group_resource(&gvr("secrets"))), 2 * MIB, "held now");
        room.begin_count();
        room.set_total(10 * MIB, 7 * MIB);
        assert_eq!(room.left(&group_resource(&gvr("secrets"))), 3 * MIB, "counted anew");
        assert_eq!(FillRoom::new(None, &gvr("pods")).reach(u64::MAX), Ok(()), "without a limit");
    }

    #[test]
    fn a_fill_that_ends_while_memory_is_counted_is_not_forgotten() {
        let room = Arc::new(ObjectRoom::default());
        let pods = group_resource(&gvr("pods"));
        let set = |held| {
            room.set_named(&pods, 8 * MIB, held);
            room.set_total(10 * MIB, held);
        };
        set(0);
        let mut fill = FillRoom::new(Some(Arc::clone(&room)), &gvr("pods"));
        assert_eq!(fill.reach(6 * MIB), Ok(()));
        room.begin_count();
        fill.settle();
        set(MIB);
        assert_eq!(room.left(&pods), MIB, "of its own");
        assert_eq!(room.left(&group_resource(&gvr("secrets"))), 3 * MIB);
        room.begin_count();
        set(7 * MIB);
        assert_eq!(room.left(&group_resource(&gvr("secrets"))), 3 * MIB, "it was counted now");
    }

    #[test]
    fn a_named_resource_has_its_own_limit_too() {
        let room = Arc::new(ObjectRoom::default());
        room.set_total(10 * MIB, 0);
        room.set_named(&group_resource(&gvr("pods")), 3 * MIB, MIB);
        let mut pods = FillRoom::new(Some(Arc::clone(&room)), &gvr("pods"));
        let mut nodes = FillRoom::new(Some(Arc::clone(&room)), &gvr("nodes"));
        assert!(pods.reach(2 * MIB + 1).is_err());
        assert_eq!(nodes.reach(9 * MIB), Ok(()));
        assert!(pods.reach(2 * MIB).is_err(), "nor does it exceed the total");
        drop(nodes);
        assert_eq!(pods.reach(2 * MIB), Ok(()));
        drop(pods);
        assert_eq!(room.left(&group_resource(&gvr("pods"))), 2 * MIB);
    }
}
