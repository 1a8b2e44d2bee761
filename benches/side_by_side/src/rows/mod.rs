//! The rows of the table: what is asked of whom, how it is counted, and what is to be reached.

mod changes;
mod fanout;
mod forward;
mod growing;
mod memory;
mod mix;
mod reading;
mod row;

pub(crate) use growing::{over_bystanders, over_objects, over_watchers};
pub(crate) use row::{Row, Settings, all};
