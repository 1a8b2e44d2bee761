//! What readers keep alive together beyond the present, at most.
//!
//! The versions of a shard that readers have divide its past into intervals, each up to the next of
//! them. What went in an interval can only be held by who began before it, was a part of one state, and
//! is no more than what changed meanwhile ([`Turnover`]). And all who began before its end hold no more
//! than what they have: what is charged to one interval can't be charged to a later one again. With
//! that as the only condition that spans intervals, charging each as much as possible, oldest first,
//! gives the largest sum there can be.
//!
//! So a small reader hides nothing of a large one before it, and many small ones of different versions
//! are no more than their sizes. Who is left out makes the sum never larger.

use std::sync::Arc;

use super::Holding;
use crate::shards::turnover::Turnover;

/// Readers numbered in the order in which they may have to go.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    /// Bytes that nobody else has, each with the number of who has them.
    alone: Vec<(usize, u64)>,
    /// By shard, states and events apart, and then by version.
    shares: Vec<Share>,
}

/// What one reader has of a shard.
#[derive(Clone, Copy, Debug)]
struct Share {
    number: usize,
    /// The shard, and whether it is a state.
    of: (*const Turnover, bool),
    present: u64,
    since: u64,
    part: u64,
    whole: u64,
}

// === impl Pinned ===

impl Pinned {
    pub(super) fn of<'a>(holdings: impl Iterator<Item = &'a Holding>) -> Self {
        let mut pinned = Self::default();
        for (number, holding) in holdings.enumerate() {
            match holding {
                Holding::Alone(bytes) => pinned.alone.push((number, *bytes)),
                Holding::State { turnover, since, part, whole } => pinned.shares.push(Share {
                    number,
                    of: (Arc::as_ptr(turnover), true),
                    present: turnover.replaced(),
                    since: *since,
                    part: *part,
                    whole: *whole,
                }),
                // All that the log lets go.
                Holding::Events { turnover, since } => pinned.shares.push(Share {
                    number,
                    of: (Arc::as_ptr(turnover), false),
                    present: turnover.forgotten(),
                    since: *since,
                    part: u64::MAX,
                    whole: u64::MAX,
                }),
            }
        }
        pinned.shares.sort_unstable_by_key(|share| (share.of, share.since));
        pinned
    }

    /// What the readers from this number on keep alive.
    pub(super) fn bytes(&self, first: usize) -> u64 {
        let alone = self.alone.iter().filter(|(number, _)| *number >= first);
        let alone: u64 = alone.map(|(_, bytes)| bytes).sum();
        let shards = self.shares.chunk_by(|one, next| one.of == next.of);
        alone + shards.map(|shares| bytes_of_shard(shares, first)).sum::<u64>()
    }

    /// How many, of `from` to `to`, have to go for the others to keep at most `limit` bytes alive; `to`
    /// if that does not help.
    pub(super) fn fewest(&self, mut from: usize, mut to: usize, limit: u64) -> usize {
        if self.bytes(from) <= limit {
            return from;
        }
        while from < to {
            let middle = from.midpoint(to);
            if self.bytes(middle) > limit {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        from
    }
}

/// The sum over one shard's intervals (see the module).
fn bytes_of_shard(shares: &[Share], first: usize) -> u64 {
    // Each has read it at its own moment; all are measured by the last.
    let present = shares.iter().map(|share| share.present).max().unwrap_or(0);
    let mut staying = shares.iter().filter(|share| share.number >= first).peekable();
    let (mut bytes, mut held, mut largest) = (0_u64, 0_u64, 0);
    while let Some(share) = staying.next() {
        let (mut parts, mut whole) = (share.part, share.whole);
        while let Some(same) = staying.next_if(|next| next.since == share.since) {
            parts = parts.saturating_add(same.part);
            whole = whole.max(same.whole);
        }
        held = held.saturating_add(parts.min(whole));
        largest = largest.max(whole);
        let end = staying.peek().map_or(present, |next| next.since);
        bytes += end.saturating_sub(share.since).min(largest).min(held - bytes);
    }
    bytes
}
