//! Indented JSON for readers: a body's bytes as Go's `json.Indent` would set them (semantics §6.3).
//!
//! Works on segments as they come from the pages of a list; values are not looked at. The result is
//! bounded, because an object nested deeply grows by far more than its size.

use bytes::Bytes;

use crate::{api::go_json::Indenter, codec::segments::Segments};

/// The most bytes that a body may grow to.
pub const INDENTED_MAX: usize = 64 << 20;

/// Bytes of compact text that are indented between two looks at the bound. What they grow to is
/// bounded by their nesting, which the scanner bounds.
const STEP: usize = 4 << 10;

/// A body that would be longer than [`INDENTED_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("indented, the body would be longer than {INDENTED_MAX} bytes")]
pub struct TooLong;

/// The indented form of a compact JSON body, without a line break at the end. About 1 ms per MiB:
/// large bodies are for threads that serve no connections.
pub fn indent(compact: &Segments) -> Result<Segments, TooLong> {
    if compact.len() > INDENTED_MAX {
        return Err(TooLong);
    }
    let mut indenter = Indenter::default();
    let mut out = Vec::with_capacity(compact.len() * 2);
    for segment in compact.iter() {
        for step in segment.chunks(STEP) {
            indenter.push(step, &mut out);
            if out.len() > INDENTED_MAX {
                return Err(TooLong);
            }
        }
    }
    out.shrink_to_fit();
    Ok(Segments::from(Bytes::from(out)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(segments: &Segments) -> String {
        let bytes: Vec<u8> = segments.iter().flat_map(|segment| segment.to_vec()).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn joins_segments_into_one_text() {
        let parts = [r#"{"kind":"List","items":["#, r#"{"a":"x\"#, r#""y","b":{}}"#, "]}\n"];
        let compact: Segments =
            parts.into_iter().map(|part| Bytes::from_static(part.as_bytes())).collect();
        let expected = "{\n  \"kind\": \"List\",\n  \"items\": [\n    {\n      \"a\": \"x\\\"y\",\n      \
                        \"b\": {}\n    }\n  ]\n}";
        assert_eq!(text(&indent(&compact).unwrap()), expected);
    }

    #[test]
    fn refuses_what_grows_without_measure() {
        let deep = format!("{}{}1{}", "[".repeat(9000), "1,".repeat(9000), "]".repeat(9000));
        let compact = Segments::from(Bytes::from(deep));
        assert_eq!(indent(&compact).unwrap_err(), TooLong);
    }
}
