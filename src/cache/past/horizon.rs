//! [`Horizon`]: how old a state may be that is still shown.
//!
//! The API server has its store compacted every five minutes, to the version of five minutes before:
//! a state that was the store's latest less than five minutes ago can always be read there; an older
//! one for five minutes more at most, and which it is can't be seen from outside. So a version that
//! the shard had left behind four minutes ago is upstream's to answer, with objects or with 410. The
//! fifth minute is for the shard, which on a quiet resource hears once a minute how far the store is.
//!
//! How long ago a version from before the fill was the latest can't be seen from here, whatever the
//! log says about it since it was extended backwards: such a state is upstream's to answer, too.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::api::version::ResourceVersion;

/// How far back states are shown.
#[derive(Debug)]
pub(super) struct Horizon {
    /// Versions shown, and when; oldest first.
    samples: VecDeque<(Instant, ResourceVersion)>,
    /// States before it are not shown.
    oldest: ResourceVersion,
}

/// What upstream keeps for certain, less what a quiet shard lags.
pub(super) const AGE: Duration = Duration::from_mins(4);

/// Between samples.
const SAMPLE: Duration = Duration::from_secs(10);

// === impl Horizon ===

impl Horizon {
    /// Of a history that is seen from `version` on.
    pub(super) fn new(version: ResourceVersion) -> Self {
        Self { samples: VecDeque::new(), oldest: version }
    }

    /// Takes note of the version shown at `now`.
    pub(super) fn note(&mut self, version: ResourceVersion, now: Instant) {
        let since = |at: Instant| now.saturating_duration_since(at);
        if self.samples.back().is_none_or(|(at, _)| since(*at) >= SAMPLE) {
            self.samples.push_back((now, version));
        }
        while let Some((_, old)) = self.samples.pop_front_if(|(at, _)| since(*at) >= AGE) {
            self.oldest = self.oldest.max(old);
        }
    }

    /// Whether the state at this version is too old.
    pub(super) fn hides(&self, version: ResourceVersion) -> bool {
        version < self.oldest
    }
}
