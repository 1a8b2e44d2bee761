//! "When in doubt, forward" must not become a herd: how a read that memory could answer, but does
//! not at present, may go upstream. Pure; the waiting is done in [`places`].
//!
//! Per resource a few such reads run upstream at a time, watches apart. The others wait for the fill or
//! for a place, and are then told what upstream tells while it initialises: 429, try again (semantics
//! §3.1). Not held back: what memory could never answer, and what nothing is gained by holding back.

use std::time::{Duration, Instant};

use crate::shards::shard::Progress;

use super::reason::ForwardReason;

pub(super) mod places;

/// The way upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// At once, however many others there are.
    Free,
    /// The shard may answer meanwhile: ask it again.
    Again,
    /// Wait for the fill only, as long as it may take; then as [`Passage::Place`].
    Fill,
    /// Wait for a place, or for a fill if the shard has none.
    Place,
}

/// How far the shard is that could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warmth {
    /// There is none to wait for: its type changed, and whoever asks again opens another.
    Absent,
    /// It is being filled, or learns what bookmarks look like and the read needs them.
    Filling,
    /// Its fill fails for now, since upstream does not answer or has too much to do.
    Failing,
    /// It can't be filled with what upstream has.
    Unfillable,
    /// It is filled.
    Warm,
}

/// Until when a read waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// For the fill alone: to read the same from upstream meanwhile would only slow the fill.
    pub(super) fill: Instant,
    /// For a place.
    pub(super) place: Instant,
}

/// What a client waits for a shard's first fill before it is read past it.
const FILL: Duration = Duration::from_secs(3);

/// What it waits in all.
const PLACE: Duration = Duration::from_secs(6);

/// Whether reads that are not answered for this reason may have to wait.
pub(super) const fn holds_back(reason: ForwardReason) -> bool {
    matches!(
        reason,
        ForwardReason::Cold
            | ForwardReason::Exact
            | ForwardReason::NotProven
            | ForwardReason::Uncovered
    )
}

// === impl Passage ===

impl Passage {
    /// Decides. `asked_again` is how often [`Passage::Again`] was the answer for this read.
    ///
    /// Without a place go reads for which memory has no room, too: it may not have any for hours, and
    /// nothing will come of waiting. Their number is the operator's matter (`--cache-max-bytes`).
    pub(super) const fn decide(reason: ForwardReason, warmth: Warmth, asked_again: u32) -> Self {
        match (reason, warmth) {
            (_, Warmth::Unfillable) => Self::Free,
            _ if !holds_back(reason) => Self::Free,
            (ForwardReason::Cold, Warmth::Filling) => Self::Fill,
            (ForwardReason::Cold, Warmth::Warm | Warmth::Absent) if asked_again < 2 => Self::Again,
            _ => Self::Place,
        }
    }
}

// === impl Warmth ===

impl Warmth {
    /// Of a shard with this progress, for a read that needs `bookmarks` or doesn't.
    pub(super) const fn of(progress: &Progress, bookmarks: bool) -> Self {
        match progress {
            Progress { closed: true, .. } => Self::Absent,
            Progress { version: Some(_), .. } if progress.bookmarks || !bookmarks => Self::Warm,
            Progress { unfillable: true, .. } => Self::Unfillable,
            Progress { failure: Some(_), .. } => Self::Failing,
            _ => Self::Filling,
        }
    }
}

// === impl Deadlines ===

impl Deadlines {
    /// Of a request that arrived then, and whose client waits at most `timeout`.
    pub(super) fn of(arrived: Instant, timeout: Option<Duration>) -> Self {
        let after = |wait: Duration| arrived + timeout.map_or(wait, |timeout| wait.min(timeout));
        Self { fill: after(FILL), place: after(PLACE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WARMTHS: [Warmth; 5] =
        [Warmth::Absent, Warmth::Filling, Warmth::Failing, Warmth::Unfillable, Warmth::Warm];

    #[test]
    fn what_memory_never_answers_is_not_held_back() {
        let never = [
            ForwardReason::Accept,
            ForwardReason::Credentials,
            ForwardReason::Denied,
            ForwardReason::Memory,
            ForwardReason::Method,
            ForwardReason::Options,
            ForwardReason::Policy,
            ForwardReason::Quorum,
            ForwardReason::Review,
            ForwardReason::Upgrade,
        ];
        for (reason, warmth) in never.iter().flat_map(|reason| WARMTHS.map(|it| (*reason, it))) {
            assert_eq!(Passage::decide(reason, warmth, 0), Passage::Free, "{reason:?} {warmth:?}");
        }
    }

    #[test]
    fn what_cannot_be_filled_forwards() {
        for reason in [ForwardReason::Cold, ForwardReason::NotProven, ForwardReason::Uncovered] {
            assert_eq!(Passage::decide(reason, Warmth::Unfillable, 0), Passage::Free);
            assert_eq!(Passage::decide(reason, Warmth::Failing, 0), Passage::Place, "a herd");
            assert_eq!(Passage::decide(reason, Warmth::Absent, 2), Passage::Place);
        }
    }

    #[test]
    fn a_cold_read_waits_for_the_fill_and_asks_again() {
        assert_eq!(Passage::decide(ForwardReason::Cold, Warmth::Filling, 0), Passage::Fill);
        assert_eq!(Passage::decide(ForwardReason::Cold, Warmth::Warm, 1), Passage::Again);
        assert_eq!(Passage::decide(ForwardReason::Cold, Warmth::Absent, 1), Passage::Again);
        assert_eq!(Passage::decide(ForwardReason::Cold, Warmth::Warm, 2), Passage::Place);
        for reason in [ForwardReason::Exact, ForwardReason::NotProven, ForwardReason::Uncovered] {
            assert_eq!(Passage::decide(reason, Warmth::Warm, 0), Passage::Place);
        }
    }

    #[test]
    fn warmth_is_told_by_progress() {
        let version = crate::api::version::ResourceVersion::new(1);
        let failing = Progress { failure: Some("x".into()), ..Progress::default() };
        let of = |progress: &Progress| Warmth::of(progress, false);
        assert_eq!(of(&Progress::default()), Warmth::Filling);
        assert_eq!(of(&failing), Warmth::Failing);
        let unfillable = Progress { unfillable: true, ..failing.clone() };
        assert_eq!(of(&unfillable), Warmth::Unfillable);
        assert_eq!(of(&Progress { version, ..failing.clone() }), Warmth::Warm);
        assert_eq!(of(&Progress { version, closed: true, ..failing }), Warmth::Absent);
        let filled = Progress { version, ..Progress::default() };
        assert_eq!(Warmth::of(&filled, true), Warmth::Filling, "bookmarks are not known yet");
        assert_eq!(Warmth::of(&Progress { bookmarks: true, ..filled }, true), Warmth::Warm);
    }
}
