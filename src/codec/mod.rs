//! Bytes to meaning and back, without building objects. Pure.
//!
//! - Reading: [`frame_decoder::FrameDecoder`] splits an upstream watch body into frames;
//!   [`ResourceCodec`] reads frames and list pages into [`watch_event::WatchEvent`]s and
//!   [`object::Object`]s, whose bytes stay as the API server wrote them.
//! - Writing: [`ResourceCodec`] puts the constant bytes around an object's core, so that what
//!   leaves is what the API server would have sent (semantics §5.6, §6.3, §15).
//!
//! Not here: which form a client may ask for (`api`), and how Statuses are written.

mod attributes;
pub mod bookmark_template;
pub mod decode_error;
pub mod event_frames;
mod field_plan;
pub mod frame_decoder;
pub mod gzip;
pub mod item_join;
mod json;
mod label_sets;
mod list_frames;
pub mod list_version;
pub mod object;
mod protobuf;
mod resource_codec;
mod scanned;
pub mod segments;
pub mod watch_event;

pub use json::indent;
pub use resource_codec::ResourceCodec;

#[cfg(test)]
mod tests;
