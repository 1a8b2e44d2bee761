//! The watch cache: a pure state machine without clock, IO or locks.

pub mod map;
