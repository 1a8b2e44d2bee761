//! Where tasks run: one single-threaded runtime per core for client connections, and one
//! multi-threaded runtime for work in the background.
//!
//! A connection and its streams never change thread: measured with hyper, rustls and 1,000 HTTP/2
//! watchers, a single-threaded runtime delivers 108,000–123,000 events per CPU-second where a
//! two-worker multi-threaded one delivers 63,000–80,000 (DESIGN, "Workers").
//!
//! Every task is started through [`Tasks`], so that each has a name and an end that can be waited
//! for, and a panic is counted and logged. Nothing here knows what the tasks do.

mod cores;
mod tasks;

pub use cores::{Core, Cores, Drained, Placement, Placer};
pub use tasks::{Panicked, Tasks};
