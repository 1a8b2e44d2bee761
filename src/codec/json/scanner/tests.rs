use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The text after one value, or the error.
fn skip(text: &str) -> Result<&str, DecodeError> {
    let mut scanner = Scanner::new(text, 0);
    scanner.skip_value()?;
    Ok(&text[scanner.position()..])
}

#[test]
fn passes_one_value_and_stops_behind_it() {
    for value in [
        "{}",
        "[]",
        "0",
        "-1.5e+10",
        "1E-7",
        "true",
        "false",
        "null",
        r#""""#,
        r#""\"\\\/\u00e9""#,
        r#"{"a":[1,{"b":null}],"c":"}]"}"#,
        "[[],[[]],{}]",
        r#"[ 1 , 2 ]"#,
        r#"{ "a" : 1 }"#,
    ] {
        assert_eq!(skip(&format!("{value},rest")), Ok(",rest"), "{value}");
    }
}

#[test]
fn rejects_what_is_not_json() {
    for text in [
        "",
        "{",
        "[",
        "]",
        "}",
        "[}",
        "{]",
        "[1,]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        "[1 2]",
        "{1:2}",
        "01]",
        "-",
        "1.",
        "1e",
        "1e+",
        ".5",
        "+1",
        "tru",
        "nul",
        "True",
        r#"""#,
        r#""\"#,
        r#""\x""#,
        r#""\u12g4""#,
        r#""\u12"#,
        "'a'",
        "NaN",
    ] {
        // A number ends where its grammar ends; the caller sees what follows.
        let found = skip(text);
        assert!(found.is_err() || found != Ok(""), "{text}: {found:?}");
    }
}

#[test]
fn bounds_depth() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| format!("{}0{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(skip(&nested(MAX_DEPTH)), Ok(""));
        let too_deep = nested(MAX_DEPTH + 1);
        let found = skip(&too_deep);
        assert!(matches!(found, Err(DecodeError::TooDeep { limit: MAX_DEPTH, .. })), "{found:?}");
    }
    assert!(skip(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn counts_the_depth_of_the_containers_it_is_in() {
    let text = format!("{}0{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    let mut scanner = Scanner::new(&text, 1);
    scanner.resume_object().unwrap();
    assert!(scanner.skip_value().is_ok());
    let mut scanner = Scanner::new(&text, 0);
    scanner.resume_object().unwrap();
    assert!(matches!(scanner.skip_value(), Err(DecodeError::TooDeep { .. })));
}

/// Any JSON value, written with and without escapes.
pub(in crate::codec::json) fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn takes_what_serde_json_writes(value in values()) {
        let text = value.to_string();
        prop_assert_eq!(skip(&text), Ok(""));
    }

    #[test]
    fn agrees_with_serde_json_about_damaged_text(
        value in values(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}:,\"\\\\0-9a-u.+ -]"), 1..3),
    ) {
        let mut text = value.to_string();
        for (place, replacement) in changes {
            let at = place.index(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, &replacement);
            }
        }
        let own = skip(&text).is_ok_and(|rest| rest.trim_start_matches(' ').is_empty());
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => prop_assert!(own, "{}", text),
            // The scanner leaves number ranges and surrogate pairs alone.
            Err(error) if error.to_string().contains("out of range")
                || error.to_string().contains("surrogate")
                || error.to_string().contains("hex escape") => {}
            Err(error) => prop_assert!(!own, "{}: {}", text, error),
        }
    }
}
