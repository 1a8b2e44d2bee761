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
    Indenter::default().push(compact, &mut out);
    out
}

/// Indents JSON that comes in parts, cut anywhere; see [`indent`]. White space outside of strings,
/// such as the line break that ends compact bodies, is left out.
#[derive(Clone, Debug, Default)]
pub struct Indenter {
    depth: usize,
    place: Place,
}

/// Where in the text the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    /// Behind `{` or `[`: whether a line begins depends on what follows.
    Opened,
    InString,
    /// Behind a backslash in a string.
    Escaped,
}

// === impl Indenter ===

impl Indenter {
    /// Appends the indented form of the next part.
    pub fn push(&mut self, mut part: &[u8], out: &mut Vec<u8>) {
        while !part.is_empty() {
            part = match self.place {
                Place::Escaped => {
                    out.push(part[0]);
                    self.place = Place::InString;
                    &part[1..]
                }
                Place::InString => self.string(part, out),
                Place::Outside | Place::Opened => {
                    self.outside(part[0], out);
                    &part[1..]
                }
            };
        }
    }

    /// Copies a string up to its end or its next escape; gives back what follows.
    fn string<'p>(&mut self, part: &'p [u8], out: &mut Vec<u8>) -> &'p [u8] {
        let Some(end) = part.iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
            out.extend_from_slice(part);
            return &[];
        };
        out.extend_from_slice(&part[..=end]);
        self.place = if part[end] == b'"' { Place::Outside } else { Place::Escaped };
        &part[end + 1..]
    }

    fn outside(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte.is_ascii_whitespace() {
            return;
        }
        let opened = std::mem::take(&mut self.place) == Place::Opened;
        let closes = matches!(byte, b'}' | b']');
        if closes {
            self.depth = self.depth.saturating_sub(1);
        }
        // A line begins behind what opens, unless it closes at once, and before what closes.
        if opened != closes {
            self.new_line(out);
        }
        out.push(byte);
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.place = Place::Opened;
            }
            b',' => self.new_line(out),
            b':' => out.push(b' '),
            b'"' => self.place = Place::InString,
            _ => {}
        }
    }

    fn new_line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + self.depth * 2, b' ');
    }
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

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[a\"\\\\{}\\[\\],: \n]{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a\"{}]{0,3}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// serde_json's pretty form is Go's, but for what Go escapes besides.
        #[test]
        fn indents_however_the_text_is_cut(value in json(), cuts in prop::collection::vec(0..60_usize, 0..9)) {
            let compact = format!("{value}\n");
            let mut rest = compact.as_bytes();
            let (mut indenter, mut out) = (Indenter::default(), Vec::new());
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                indenter.push(part, &mut out);
                rest = after;
            }
            indenter.push(rest, &mut out);
            let expected = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }

        #[test]
        fn a_json_reader_gets_the_text_back(text in ".*") {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
