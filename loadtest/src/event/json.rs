//! Finds an event's type and what the check needs of its object's metadata, in JSON.
//!
//! Steps over values without building them and stops as soon as everything is found, which is
//! before `managedFields` and all of `spec`, `status` and `data` in what an API server sends. Follows
//! the structure of the text, so that nothing inside a string or deeper down is taken for metadata.

use super::{BadEvent, INITIAL_END_ANNOTATION, MARK_ANNOTATION, Scanned};

const DEEPEST: u32 = 512;

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

type Scan<T> = Result<T, BadEvent>;

/// Of one event.
///
/// # Errors
/// When the text has another shape as far as it is read.
pub fn event(text: &[u8]) -> Scan<Scanned<'_>> {
    let mut found = Scanned::default();
    let (mut typed, mut object) = (false, false);
    let mut cursor = Cursor { text, at: 0 };
    cursor.members(|cursor, key| {
        match key {
            "type" => {
                found.kind = cursor.string()?;
                typed = true;
            }
            "object" => {
                // Only a text that has the type behind the object is read to its end.
                object = true;
                cursor.metadata(&mut found, typed)?;
            }
            _ => cursor.skip()?,
        }
        Ok(typed && object)
    })?;
    if !typed || !object {
        return Err(BadEvent::Shape("without type or object"));
    }
    Ok(found)
}

/// Of one object.
///
/// # Errors
/// When the text has another shape as far as it is read.
pub fn object(text: &[u8]) -> Scan<Scanned<'_>> {
    let mut found = Scanned::default();
    Cursor { text, at: 0 }.metadata(&mut found, true)?;
    Ok(found)
}

/// A list's `resourceVersion` and `continue`, if its metadata is whole in this beginning of it.
///
/// # Errors
/// When the metadata is not there.
pub fn list(text: &[u8]) -> Scan<(&str, &str)> {
    let (mut version, mut token, mut found) = ("", "", false);
    let mut cursor = Cursor { text, at: 0 };
    cursor.members(|cursor, key| {
        if key != "metadata" {
            cursor.skip()?;
            return Ok(false);
        }
        cursor.members(|cursor, key| {
            match key {
                "resourceVersion" => version = cursor.string()?,
                "continue" => token = cursor.string()?,
                _ => cursor.skip()?,
            }
            Ok(false)
        })?;
        found = true;
        Ok(true)
    })?;
    if found { Ok((version, token)) } else { Err(BadEvent::Shape("without metadata")) }
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    /// Gives the key of each member of an object to `take`, which reads the value, until it says
    /// that it has enough.
    fn members(&mut self, mut take: impl FnMut(&mut Self, &'a str) -> Scan<bool>) -> Scan<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            if take(self, key)? {
                return Ok(());
            }
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(BadEvent::Shape("neither , nor } after a member")),
            }
        }
    }

    /// Reads an object's metadata; leaves the rest of it unread if it may `stop`.
    fn metadata(&mut self, found: &mut Scanned<'a>, stop: bool) -> Scan<()> {
        self.members(|cursor, key| {
            if key != "metadata" {
                cursor.skip()?;
                return Ok(false);
            }
            let (mut versioned, mut annotated) = (false, false);
            cursor.members(|cursor, key| {
                match key {
                    "resourceVersion" => {
                        found.revision = cursor.string()?;
                        versioned = true;
                    }
                    "annotations" => {
                        cursor.annotations(found)?;
                        annotated = true;
                    }
                    _ => cursor.skip()?,
                }
                Ok(stop && versioned && annotated)
            })?;
            Ok(stop)
        })
    }

    fn annotations(&mut self, found: &mut Scanned<'a>) -> Scan<()> {
        self.members(|cursor, key| {
            match key {
                MARK_ANNOTATION => found.mark = Some(cursor.string()?),
                INITIAL_END_ANNOTATION => found.initial_end = cursor.string()? == "true",
                _ => cursor.skip()?,
            }
            Ok(false)
        })
    }

    fn peek(&mut self) -> Scan<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !byte.is_ascii_whitespace() {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(BadEvent::Shape("ends early"))
    }

    fn next(&mut self) -> Scan<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.next()? == byte { Ok(()) } else { Err(BadEvent::Shape("not the expected member")) }
    }

    /// A string as it is written; escapes stay.
    fn string(&mut self) -> Scan<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        self.pass_string()?;
        std::str::from_utf8(&self.text[start..self.at - 1]).map_err(|_| BadEvent::Shape("no UTF-8"))
    }

    /// To behind the string whose opening quote was read.
    fn pass_string(&mut self) -> Scan<()> {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let found = memchr::memchr2(b'"', b'\\', rest).ok_or(BadEvent::Shape("ends early"))?;
            self.at += found + 1;
            if rest[found] == b'"' {
                return Ok(());
            }
            self.at += 1;
        }
    }

    /// To behind a value.
    fn skip(&mut self) -> Scan<()> {
        let mut depth = 0;
        loop {
            match self.next()? {
                b'"' => self.pass_string()?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b':' if depth > 0 => continue,
                b'-' | b'0'..=b'9' | b'a'..=b'z' => self.pass_word(),
                _ => return Err(BadEvent::Shape("not a value")),
            }
            if depth == 0 {
                return Ok(());
            }
            if depth > DEEPEST {
                return Err(BadEvent::Shape("too deep"));
            }
        }
    }

    fn pass_word(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let word = rest.iter().take_while(|it| it.is_ascii_alphanumeric() || b"+-.".contains(it));
        self.at += word.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_metadata_wherever_it_stands() {
        let sorted = br#"{"object":{"data":{"metadata":{"resourceVersion":"1"}},"metadata":
            {"annotations":{"watchgate-loadtest/write":"r/1/2"},"labels":{"a":"\\\"}"},
            "resourceVersion":"7"},"x":[1,-2.5e+3,true,null,{"y":[]}]},"type":"ADDED"}"#;
        let expected =
            Scanned { kind: "ADDED", revision: "7", mark: Some("r/1/2"), initial_end: false };
        assert_eq!(event(sorted).unwrap(), expected);
        assert_eq!(object(br#"{"metadata":{"resourceVersion":"7"}}"#).unwrap().revision, "7");
    }

    #[test]
    fn stops_when_it_has_everything() {
        let cut = br#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"7",
            "annotations":{}, cut"#;
        assert_eq!(event(cut).unwrap().revision, "7");
    }

    #[test]
    fn a_quoted_mark_is_no_mark() {
        let text = br#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"7","annotations":
            {"other":"\"watchgate-loadtest/write\":\"r/1/2\""}},
            "data":{"watchgate-loadtest/write":"r/1/2"}}}"#;
        assert_eq!(event(text).unwrap().mark, None);
    }

    #[test]
    fn lists_are_read_from_their_beginning() {
        let head =
            br#"{"kind":"PodList","metadata":{"resourceVersion":"9","continue":"abc"},"items":[{"#;
        assert_eq!(list(head).unwrap(), ("9", "abc"));
        assert!(list(br#"{"items":["#).is_err());
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in
            ["", "[]", "{", "{\"type\":1}", "{\"type\":\"A\"}", "{\"type\":\"A\",\"object\":5}"]
        {
            assert!(event(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        assert!(event(deep.as_bytes()).is_err());
    }
}
