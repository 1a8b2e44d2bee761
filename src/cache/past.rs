//! A shard's past: the state at an older version, kept or rebuilt from the log.
//!
//! The state at version N is the present one with every event after N undone. Only the first event
//! of each key after N matters for that: its previous object is what stood there at N
//! ([`Rebuild`]). States that pages of a list were cut from, and rebuilt ones, are kept for the next
//! page: few, and dropped with the log, on which all of this rests. What is older than upstream
//! itself keeps for certain ([`Horizon`]) is not shown.
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
#[derive(Debug, Default)]
pub struct PastStates {
    /// The most recently used last.
    kept: Vec<Arc<Snapshot>>,
    horizon: Horizon,
    /// What the kept states hold beyond the present one, as counted last.
    bytes: u64,
}

/// States kept per shard. Lists in pages that begin at more versions than this within minutes cost a
/// rebuild per page.
const KEPT: usize = 16;

// === impl PastStates ===

impl PastStates {
    /// The state at exactly `version` of a shard that is at `present` and has this log.
    pub fn find(&mut self, version: ResourceVersion, present: &Snapshot, log: &Log) -> Past {
        if self.horizon.hides(version) {
            return Past::Gone;
        }
        if let Some(place) = self.kept.iter().position(|state| state.resource_version == version) {
            let state = self.kept.remove(place);
            self.kept.push(Arc::clone(&state));
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
            .map(AsRef::as_ref)
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
        let same = |kept: &Arc<Snapshot>| kept.resource_version == state.resource_version;
        let place = self.kept.iter().position(same);
        let place = place.or_else(|| (self.kept.len() == KEPT).then_some(0));
        let removed = place.map(|place| self.kept.remove(place));
        self.kept.push(state);
        removed
    }

    /// Takes note that the shard shows `version` now. Gives back the states that are too old to be
    /// shown from now on.
    pub fn tend(&mut self, version: ResourceVersion, now: Instant) -> Vec<Arc<Snapshot>> {
        self.horizon.note(version, now);
        let horizon = &self.horizon;
        self.kept.extract_if(.., |state| horizon.hides(state.resource_version)).collect()
    }

    /// The kept states, the most recently used first.
    pub fn kept(&self) -> Vec<Arc<Snapshot>> {
        self.kept.iter().rev().cloned().collect()
    }

    /// Drops these states; the others were found to hold `bytes`.
    pub fn drop_kept(&mut self, dropped: &[Arc<Snapshot>], bytes: u64) {
        self.kept.retain(|kept| !dropped.iter().any(|dropped| Arc::ptr_eq(kept, dropped)));
        self.bytes = bytes;
    }

    /// What the kept states held beyond the present one when that was counted last.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
