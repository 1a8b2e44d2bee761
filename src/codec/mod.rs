//! Bytes to meaning and back, without building objects. Pure.

pub mod gzip;
pub mod item_join;
pub mod object;
pub mod segments;
