//! How deep objects may be nested. What is stored must be readable again after a restart.

use serde_json::Value;

/// The deepest nesting of an object: what serde_json reads by default.
pub(super) const MAX_DEPTH: usize = 127;

/// Whether a value is nested more than `levels` deep; looks no deeper than that.
pub(super) fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, below)),
        Value::Object(fields) => fields.values().any(|field| is_deeper(field, below)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_too_deep_can_be_read_again() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let deepest: Value = serde_json::from_str(&nested(MAX_DEPTH - 1)).unwrap();
        assert!(!is_deeper(&deepest, MAX_DEPTH));
        let deeper: Value = serde_json::from_str(&nested(MAX_DEPTH)).unwrap();
        assert!(is_deeper(&deeper, MAX_DEPTH));
    }
}
