//! Bytes to meaning and back, without building objects. Pure.

pub mod item_join;
pub mod object;
