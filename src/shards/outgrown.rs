//! Shards that were closed because memory was short, and when they may be opened again.
//!
//! Guarantee: a shard that does not fit is not filled and closed over and over. It is opened again
//! when as much as it held is free, or after a pause that doubles each time, since it may have become
//! smaller. Time and room are arguments.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::shard::ShardKey;

/// What was closed for memory.
#[derive(Debug, Default)]
pub(super) struct Outgrown {
    by_key: HashMap<ShardKey, Closing>,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    /// What its objects took.
    bytes: u64,
    at: Instant,
    /// Closings in a row before this one.
    before: u32,
}

/// The first pause; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What was closed this long ago is forgotten: the next closing is the first again.
const FORGOTTEN: Duration = Duration::from_secs(2 * 3600);

// === impl Outgrown ===

impl Outgrown {
    /// A shard of this size was closed.
    pub(super) fn close(&mut self, key: &ShardKey, bytes: u64, now: Instant) {
        self.by_key.retain(|_, closing| now.saturating_duration_since(closing.at) < FORGOTTEN);
        let before = self.by_key.get(key).map_or(0, |closing| closing.before + 1);
        self.by_key.insert(key.clone(), Closing { bytes, at: now, before });
    }

    /// What the shard will take, as far as that is known.
    pub(super) fn bytes(&self, key: &ShardKey) -> u64 {
        self.by_key.get(key).map_or(0, |closing| closing.bytes)
    }

    /// Whether the shard may be opened while `room` bytes are free.
    pub(super) fn may_open(&self, key: &ShardKey, room: u64, now: Instant) -> bool {
        self.by_key.get(key).is_none_or(|closing| {
            let pause = FIRST_PAUSE.saturating_mul(1 << closing.before.min(10)).min(LONGEST_PAUSE);
            closing.bytes <= room || now.saturating_duration_since(closing.at) >= pause
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::fixture::pods, codec::object::Representation};

    #[test]
    fn what_does_not_fit_is_opened_again_less_and_less_often() {
        let [json, metadata] = [Representation::Json, Representation::JsonMetadata]
            .map(|representation| ShardKey { gvr: pods().gvr.clone(), representation });
        let mut outgrown = Outgrown::default();
        let mut now = Instant::now();
        assert!(outgrown.may_open(&json, 0, now), "of another one nothing is known");
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            outgrown.close(&json, 100, now);
            assert_eq!(outgrown.bytes(&json), 100);
            assert!(outgrown.may_open(&json, 100, now), "it fits");
            assert!(outgrown.may_open(&metadata, 99, now), "another one");
            let pause = Duration::from_secs(60 * minutes);
            assert!(!outgrown.may_open(&json, 99, now + pause - Duration::from_secs(1)));
            now += pause;
            assert!(outgrown.may_open(&json, 99, now), "after {minutes} minutes");
        }
        now += FORGOTTEN;
        outgrown.close(&metadata, 1, now);
        assert_eq!(outgrown.bytes(&json), 0, "forgotten");
    }
}
