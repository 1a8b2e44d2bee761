//! Clients that ask for a list, or for a watch with its state, and take nothing of it.
//!
//! Which of them were cut off is seen when they read on at last: what was cut breaks off, what was not is whole.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use watchgate_cluster::{Cluster, Protocol, Streaming};

use crate::front::{Front, PATIENCE};

/// How far apart two readers must be for the gateway to know who came first: it looks at them every two
/// seconds, and a look may be late on a machine that has much to do.
const LOOKS: Duration = Duration::from_secs(4);

/// One that has its head and no more.
pub(super) struct Stalled {
    round: usize,
    opened: Instant,
    answer: Streaming,
}

/// What became of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    round: usize,
    opened: Instant,
    is_cut: bool,
}

impl Stalled {
    /// Asks on a connection of its own; the answer must come from memory.
    pub(super) async fn open(
        front: &Front,
        cluster: &Cluster,
        protocol: Protocol,
        target: &str,
        round: usize,
    ) -> Result<Self> {
        let answer = front.client_with(cluster, protocol)?.get(target).stream().await?;
        let status = answer.headers.get("cache-status").map(http::HeaderValue::as_bytes);
        ensure!(status == Some(b"watchgate; hit"), "{:?}", answer.headers);
        Ok(Self { round, opened: Instant::now(), answer })
    }

    /// Reads on: to the end or, since a watch has none, for as long as a state of `whole` bytes lasts.
    async fn fate(mut self, whole: usize) -> Result<Fate> {
        let mut length = 0;
        let is_cut = loop {
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            match chunk.context("neither the end nor more of it")? {
                Ok(Some(chunk)) => length += chunk.len(),
                Ok(None) => {
                    ensure!(length >= whole, "ended as if it were whole after {length} bytes");
                    break false;
                }
                Err(_) => break true,
            }
            if length >= whole {
                break false;
            }
        };
        Ok(Fate { round: self.round, opened: self.opened, is_cut })
    }
}

/// Has all read on.
pub(super) async fn fates(stalled: Vec<Stalled>, whole: usize) -> Result<Vec<Fate>> {
    try_join_all(stalled.into_iter().map(|reader| reader.fate(whole))).await
}

/// There is room for what the readers of one round keep alive, and not for two rounds: all others must have been
/// cut off, and nobody may have been who came later than those that were not. Whom the gateway saw for the first time in
/// the same look are the same age to it.
pub(super) fn the_oldest_were_cut(fates: &[Fate]) -> Result<()> {
    let (cut, left): (Vec<Fate>, Vec<Fate>) = fates.iter().partition(|fate| fate.is_cut);
    let first = left.first().context("those were cut as well for whom there was room")?;
    eprintln!(
        "{} of {} readers were cut off; left of round {}",
        cut.len(),
        fates.len(),
        first.round
    );
    ensure!(left.iter().all(|fate| fate.round == first.round), "of two rounds: {left:?}");
    for fate in &cut {
        let younger = fate.opened.saturating_duration_since(first.opened);
        ensure!(younger < LOOKS, "{fate:?} was cut, and not the older {first:?}");
    }
    Ok(())
}
