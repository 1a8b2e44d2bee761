//! The codec as a whole: golden bytes (semantics §15), round trips, truncation.

mod bookmarks;
mod event_runs;
mod events;
mod limits;
mod lists;
mod real_bytes;
mod samples;
mod truncation;
