//! The locks, shared states and task starts of the watch protocol, from one place.
//!
//! In the program they are parking_lot's, arc-swap's and tokio's own, and this module is their names.
//! In this crate's unit tests they do the same, until a test explores interleavings: then each is also
//! an operation of shuttle, whose scheduler decides who goes on (`modelled`). Whoever takes part in
//! handing events to watchers, or in sharing work between callers, takes these from here.

#[cfg(test)]
pub(crate) mod modelled;

#[cfg(test)]
pub use self::modelled::{Mutex, Published, spawn};
#[cfg(not(test))]
pub use {arc_swap::ArcSwapOption as Published, parking_lot::Mutex, tokio::spawn};
