//! The rows of the table: what is asked of whom, how it is counted, and what is to be reached.

mod changes;
mod fanout;
mod forward;
mod memory;
mod reading;
mod row;

pub(crate) use row::{Row, Settings, all};
