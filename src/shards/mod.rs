//! Watch caches at work: who fills them, who reads them, who is woken.
//!
//! A [`shard::Shard`] puts one [`crate::cache::watch_cache::WatchCache`] behind a lock that only its
//! reflector and (un)subscribing watchers take, and publishes a snapshot for everybody else. A
//! [`hub::Hub`] per core receives what the shards publish and wakes that core's watchers; a
//! [`subscription::Subscription`] is one watcher's place. The [`registry::Registry`] names them all;
//! [`rebuilds::Rebuilds`] makes their older states.
//!
//! Locks: shard before hub, never the other way round.

pub mod counted;
pub mod history_room;
pub mod hub;
pub mod object_room;
mod outgrown;
pub mod pressure;
pub mod readers;
pub mod rebuilds;
pub mod registry;
pub mod shard;
pub mod subscription;
pub mod turnover;

#[cfg(test)]
mod tests;
