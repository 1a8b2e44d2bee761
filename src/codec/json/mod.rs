//! Kubernetes JSON, read in place.
//!
//! Takes what the API server writes: one value, UTF-8, no control byte anywhere. Everything inside
//! is checked against JSON's grammar, because it is sent on as it came.

pub(super) mod bookmark;
pub mod indent;
pub(super) mod list;
pub(super) mod object;
mod scanner;
mod string;
pub(super) mod watch_event;

use super::decode_error::DecodeError;

/// The text of a frame or body, if it can be JSON that the API server wrote: UTF-8 without control
/// bytes, less one final line break. A line break elsewhere would split a client's watch frame.
fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    // Without an early exit this is a few vector instructions.
    if bytes.iter().fold(false, |found, byte| found | (*byte < b' ')) {
        let at = bytes.iter().position(|byte| *byte < b' ').unwrap_or_default();
        return Err(DecodeError::ControlByte { at });
    }
    std::str::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8 { at: error.valid_up_to() })
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
