//! JSON text as Go's `encoding/json` writes it: strings and indentation.
//!
//! The API server's bytes come from that encoder, so whatever the gateway words itself escapes the
//! same characters: `<`, `>`, `&`, U+2028 and U+2029 besides what JSON demands (semantics §6.3).
//! Only writing; serde_json reads.
//!
//! Hot path: runs of plain bytes are copied whole.

/// Appends `text` as a quoted JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut plain_from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let Some((escape, consumed)) = escape_at(bytes, at) else {
            at += 1;
            continue;
        };
        out.extend_from_slice(&bytes[plain_from..at]);
        out.extend_from_slice(escape.as_bytes());
        if escape == UNICODE_PREFIX {
            write_hex_byte(out, bytes[at]);
        }
        at += consumed;
        plain_from = at;
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

/// Indents compact, valid JSON by two spaces as `json.Indent` does; empty objects and lists stay
/// `{}` and `[]`, and no newline is added at the end.
pub fn indent(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut is_escaped = false;
    for (at, &byte) in compact.iter().enumerate() {
        if in_string {
            out.push(byte);
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                if !matches!(compact.get(at + 1), Some(b'}' | b']')) {
                    new_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    new_line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', depth * 2));
}

/// What stands before the two hexadecimal digits of an escaped ASCII byte.
const UNICODE_PREFIX: &str = r"\u00";

/// The escape of the character at `at` and how many bytes it replaces; `None` for a plain byte.
/// [`UNICODE_PREFIX`] asks for the byte's two hexadecimal digits to follow.
fn escape_at(bytes: &[u8], at: usize) -> Option<(&'static str, usize)> {
    match bytes[at] {
        b'"' => Some((r#"\""#, 1)),
        b'\\' => Some((r"\\", 1)),
        b'\n' => Some((r"\n", 1)),
        b'\r' => Some((r"\r", 1)),
        b'\t' => Some((r"\t", 1)),
        0x08 => Some((r"\b", 1)),
        0x0c => Some((r"\f", 1)),
        0..0x20 | b'<' | b'>' | b'&' => Some((UNICODE_PREFIX, 1)),
        // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
        0xe2 => match bytes.get(at + 1..at + 3) {
            Some([0x80, 0xa8]) => Some((r"\u2028", 3)),
            Some([0x80, 0xa9]) => Some((r"\u2029", 3)),
            _ => None,
        },
        _ => None,
    }
}

fn write_hex_byte(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 0xf)]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_what_go_escapes() {
        for (text, expected) in [
            ("", r#""""#),
            ("plain/ü", r#""plain/ü""#),
            ("a<b>c&d", r#""a\u003cb\u003ec\u0026d""#),
            ("\"\\\n\r\t\u{8}\u{c}", r#""\"\\\n\r\t\b\f""#),
            ("\0\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""),
            ("\u{2028}x\u{2029}\u{202a}", "\"\\u2028x\\u2029\u{202a}\""),
        ] {
            assert_eq!(written(text), expected, "{text:?}");
        }
    }

    #[test]
    fn indents_as_go_does() {
        let compact = br#"{"a":{},"b":[],"c":[1,{"d":"x,{\"}:"}],"e\\":"\\"}"#;
        let expected = r#"{
  "a": {},
  "b": [],
  "c": [
    1,
    {
      "d": "x,{\"}:"
    }
  ],
  "e\\": "\\"
}"#;
        assert_eq!(String::from_utf8(indent(compact)).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn a_json_reader_gets_the_text_back(text in ".*") {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
