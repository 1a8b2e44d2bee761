//! watchgate: a watch cache and proxy gateway for the Kubernetes API.
//!
//! # The two journeys
//!
//! ```text
//! a request  net ─► gateway::read ─► identity::access ─Authorized─► gateway::serve
//!                      │                  │                            ├─► list   snapshot → segments
//!                      │                  │                            └─► watch  subscription → frames
//!                      └──────── reason ──┴────────────────────────────────► gateway::forward | tunnel
//! an event   upstream::reflector ─► codec ─► shards::Shard (cache::WatchCache)
//!              ─batches─► shards::Hub, one per core ─► the watchers' bodies
//! ```
//!
//! # Layout
//!
//! - [`api`], [`codec`], [`cache`]: the pure core; no IO, clocks, locks or logging.
//! - [`shards`]: watch caches at work, shared and published. [`upstream`]: what fills them, how fresh
//!   they are, and the way to the API server. [`identity`]: who asks, and may they.
//! - [`gateway`]: one request, from bytes in to bytes out. [`net`]: sockets and HTTP.
//! - [`sync`]: the locks of the watch protocol, where a model checker can take them over.
//! - [`embedded`]: an API store of its own, for trying. [`app`], [`config`], [`runtime`],
//!   [`telemetry`]: the program around it.
//!
//! Which module may use which is data in `tests/architecture.rs`; `docs/architecture.md` says why.

pub mod api;
pub mod app;
pub mod cache;
pub mod codec;
pub mod config;
pub mod embedded;
pub mod gateway;
pub mod identity;
pub mod net;
pub mod runtime;
pub mod shards;
pub mod sync;
pub mod telemetry;
pub mod upstream;
