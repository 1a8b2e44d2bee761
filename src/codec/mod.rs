//! Bytes to meaning and back, without building objects. Pure.

pub mod object;
pub mod segments;
