//! The reflector: keeps one shard filled from upstream.
//!
//! [`machine::Reflector`] decides what to ask next and what answers mean, without IO; [`driver`]
//! sends the requests, feeds the bytes in and hands the results to the shard.
//!
//! ```text
//!            ┌────────────── WatchList refused ──────────────┐
//!  Init ─► WatchListing ─ initial-events-end ─► Watching     ▼
//!   ▲          │ lost                            │  ▲     Listing (pages) ─► Watching
//!   │          ▼                            lost │  │ resumed, after a probe if it broke
//!   └──── wait, begin anew ◄── 410 ────────── Resuming
//! ```
//!
//! Fills are consistent (no resourceVersion), never from a lagging replica's cache. A lost stream
//! resumes at the last version; the shard's watchers notice nothing. Two other ways lead back to the
//! beginning: upstream answers but can't be followed (refused, unreadable, failing for half a
//! minute), and then the shard is *withdrawn*, watches end and reads are forwarded; or the shard was
//! *emptied* by somebody who noticed that the store went back.

pub mod driver;
pub mod fill_places;
pub mod machine;
mod template;
