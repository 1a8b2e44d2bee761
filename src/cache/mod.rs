//! The watch cache: a pure state machine without clock, IO or locks.
//!
//! An event of the upstream stream goes through [`watch_cache::WatchCache::apply`] into the ordered
//! [`map`] and the [`log`]; the [`audience`] table says whom it concerns, and each such audience
//! gets one [`feed::Batch`]. A list reads a [`watch_cache::Snapshot`]; a watch reads a snapshot or
//! a [`log::Replay`], then the batches of its [`feed::Feed`]. Older states come from the [`past`].
//! Where a log begins too late for a watch, a [`backlog::Backlog`] brings the events before its
//! [`beginning::Beginning`].

pub mod audience;
pub mod backlog;
pub mod beginning;
pub mod event;
pub mod feed;
#[cfg(test)]
pub(crate) mod fixture;
pub mod joined;
pub mod log;
pub mod map;
pub mod past;
pub mod watch_cache;
