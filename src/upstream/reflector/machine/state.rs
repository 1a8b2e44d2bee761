//! The states of a reflector: each carries its data.

use std::time::{Duration, Instant};

use crate::{
    api::version::ResourceVersion, cache::map::MapBuilder, codec::frame_decoder::FrameDecoder,
};

#[derive(Debug)]
pub(super) enum State {
    /// Nothing under way; `wait` first, then do `next`.
    Idle { next: Next, wait: Option<Wait> },
    /// The initial events of a streaming list are arriving.
    WatchListing { decoder: FrameDecoder, objects: MapBuilder, requested: Instant },
    /// Pages of a list are arriving; `body` collects the present one.
    Listing { pages: Pages, body: Vec<u8> },
    /// Live events are arriving.
    Watching { decoder: FrameDecoder, version: ResourceVersion },
}

/// Why an answer is of no use.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The next one may be better.
    Broken(String),
    /// The next one may be better, and upstream has too much to do.
    Overloaded(String),
    /// As long as upstream has what it has, or the gateway no other rights, the next one is not.
    Lasting(String),
}

#[derive(Debug)]
pub(super) enum Next {
    /// Begin anew.
    Fill,
    /// Ask for a page.
    Page(Pages),
    /// Watch on after this version, if need be when it is known that upstream still has that history.
    Watch { version: ResourceVersion, probed: bool },
}

/// How long to wait after a failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// What the failures in a row call for, to be spread.
    pub(super) usual: Duration,
    /// What upstream asked for: no shard comes back earlier.
    pub(super) least: Duration,
}

#[derive(Debug)]
pub(super) struct Pages {
    pub(super) objects: MapBuilder,
    pub(super) continue_token: Option<String>,
    pub(super) requested: Instant,
}

// === impl Next ===

impl Next {
    /// After a stream that was lost: another store may stand behind the next one.
    pub(super) const fn lost(version: ResourceVersion) -> Self {
        Self::Watch { version, probed: false }
    }
}

// === impl Trouble ===

impl Trouble {
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn lasting(error: impl ToString) -> Self {
        Self::Lasting(error.to_string())
    }
}

// === impl Wait ===

impl Wait {
    /// `random` in [0, 1) keeps the shards of one gateway apart.
    pub(super) fn spread(self, random: f64) -> Duration {
        self.least + self.usual.mul_f64(0.5 + random)
    }
}
