//! A shard's past: the state at an older version, kept or rebuilt from the log.
//!
//! The state at version N is the present one with every event after N undone. Only the first event
//! of each key after N matters for that: its previous object is what stood there at N
//! ([`Rebuild`]). States that pages of a list were cut from, and rebuilt ones, are kept for the next
//! page: few, and dropped with the log, on which all of this rests. What is older than upstream
//! itself keeps for certain (`horizon.rs`) is not shown; what was before the fill is such a state.
//!
//! No clock, no IO: the owner says what time it is and how much memory the kept states may hold.

mod horizon;
mod rebuild;

use std::{sync::Arc, time::Instant};

use crate::api::version::ResourceVersion;

use super::{log::Log, watch_cache::Snapshot};

use horizon::Horizon;
pub use rebuild::Rebuild;

/// What a shard has for a reader of the state at one version.
#[derive(Debug)]
pub enum Past {
    /// The state.
    Held(Arc<Snapshot>),
    /// How to make it; that takes time, and no lock.
    Rebuild(Rebuild),
    /// The shard is not there yet.
    Ahead,
    /// It is no longer known, or too old to be shown.
    Gone,
}

/// The states that are kept, and how far back states may be shown.
#[derive(Debug)]
pub struct PastStates {
    /// The most recently used last.
    kept: Vec<Kept>,
    horizon: Horizon,
    /// What the kept states hold beyond the present one, as counted last.
    bytes: u64,
}

#[derive(Debug)]
struct Kept {
    state: Arc<Snapshot>,
    /// When it was first seen to be idle since its last use.
    idle_since: Option<Instant>,
}

/// States kept per shard. Lists in pages that begin at more versions than this within minutes cost a
/// rebuild per page.
const KEPT: usize = 16;

// === impl PastStates ===

impl PastStates {
    /// None kept yet of a history that is seen from `version` on.
    pub fn new(version: ResourceVersion) -> Self {
        Self { kept: Vec::new(), horizon: Horizon::new(version), bytes: 0 }
    }

    /// The state at exactly `version` of a shard that is at `present` and has this log.
    pub fn find(&mut self, version: ResourceVersion, present: &Snapshot, log: &Log) -> Past {
        if self.horizon.hides(version) {
            return Past::Gone;
        }
        if let Some(place) = self.place_of(version) {
            let Kept { state, .. } = self.kept.remove(place);
            self.kept.push(Kept::new(Arc::clone(&state)));
            return Past::Held(state);
        }
        if version > present.resource_version {
            return Past::Ahead;
        }
        let Some(events) = log.since(version) else { return Past::Gone };
        // A kept state in between is nearer; one above the present is not of the log's making.
        let base = self
            .kept
            .iter()
            .map(|kept| kept.state.as_ref())
            .filter(|state| (version..=present.resource_version).contains(&state.resource_version))
            .min_by_key(|state| state.resource_version)
            .unwrap_or(present);
        let rebuild = Rebuild::new(base.clone(), events, version);
        match rebuild.unchanged() {
            Some(state) => Past::Held(Arc::new(state)),
            None => Past::Rebuild(rebuild),
        }
    }

    /// Keeps a state for the pages to come. What has to make room for it is given back, since
    /// letting go of it takes time.
    pub fn keep(&mut self, state: Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        let place = self.place_of(state.resource_version);
        let place = place.or_else(|| (self.kept.len() == KEPT).then_some(0));
        let removed = place.map(|place| self.kept.remove(place).state);
        self.kept.push(Kept::new(state));
        removed
    }

    /// Takes note that the shard shows `version` now. Gives back the states that are too old to be
    /// shown from now on, and those that nobody wanted for long.
    pub fn tend(&mut self, version: ResourceVersion, now: Instant) -> Vec<Arc<Snapshot>> {
        self.horizon.note(version, now);
        let horizon = &self.horizon;
        let aged = self
            .kept
            .extract_if(.., |kept| horizon.hides(kept.state.resource_version) || kept.is_idle(now));
        aged.map(|kept| kept.state).collect()
    }

    /// The kept states, the most recently used first.
    pub fn kept(&self) -> Vec<Arc<Snapshot>> {
        self.kept.iter().rev().map(|kept| Arc::clone(&kept.state)).collect()
    }

    /// Drops these states; the others were found to hold `bytes`.
    pub fn drop_kept(&mut self, dropped: &[Arc<Snapshot>], bytes: u64) {
        let is_dropped = |kept: &Kept| dropped.iter().any(|state| Arc::ptr_eq(&kept.state, state));
        self.kept.retain(|kept| !is_dropped(kept));
        self.bytes = bytes;
    }

    /// What the kept states held beyond the present one when that was counted last.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn place_of(&self, version: ResourceVersion) -> Option<usize> {
        self.kept.iter().position(|kept| kept.state.resource_version == version)
    }
}

// === impl Kept ===

impl Kept {
    fn new(state: Arc<Snapshot>) -> Self {
        Self { state, idle_since: None }
    }

    /// Whether nobody used it for as long as states are shown. Lists in pages are long over then.
    fn is_idle(&mut self, now: Instant) -> bool {
        let since = *self.idle_since.get_or_insert(now);
        now.saturating_duration_since(since) >= horizon::AGE
    }
}

#[cfg(test)]
mod tests;
