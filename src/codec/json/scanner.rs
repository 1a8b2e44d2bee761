//! A cursor over JSON text: steps into what is wanted, checks and skips the rest.
//!
//! One pass, no allocation, no recursion; nesting is bounded. Guarantees that every byte it passed
//! is JSON by grammar. It does not check number ranges, surrogate pairs in strings it skips, or
//! whether keys repeat.
//! Hot path: runs once over every byte that the upstream sends.

use std::ops::Range;

use memchr::memchr2;

use super::string::JsonString;
use crate::codec::decode_error::DecodeError;

/// The deepest nesting taken. Go's encoding/json takes ten times as much, but real objects stay
/// below 30, and 16 words hold the kinds of this many open containers.
pub(in crate::codec) const MAX_DEPTH: usize = 1_000;

const WORDS: usize = MAX_DEPTH.div_ceil(64);

/// A position in a JSON text, and the containers open there.
pub(super) struct Scanner<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
    /// One bit per open container: set for an object, clear for an array.
    objects: [u64; WORDS],
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, position: usize) -> Self {
        Self { text, position, depth: 0, objects: [0; WORDS] }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Takes `literal` if it stands here, byte for byte.
    pub(super) fn take(&mut self, literal: &str) -> bool {
        let found = self.rest().starts_with(literal.as_bytes());
        if found {
            self.position += literal.len();
        }
        found
    }

    /// Fails unless all text has been passed.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.position == self.text.len() { Ok(()) } else { Err(self.expected("the end")) }
    }

    /// The next byte that is not a space, not passed yet.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, DecodeError> {
        loop {
            match self.text.as_bytes().get(self.position) {
                Some(b' ') => self.position += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(DecodeError::Truncated { at: self.position }),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), DecodeError> {
        if self.peek()? != byte {
            return Err(self.expected(name));
        }
        self.position += 1;
        Ok(())
    }

    pub(super) fn expected(&self, expected: &'static str) -> DecodeError {
        DecodeError::Expected { expected, at: self.position }
    }

    /// Steps into the object that stands here.
    pub(super) fn open_object(&mut self) -> Result<(), DecodeError> {
        self.expect(b'{', "an object")?;
        self.push(true)
    }

    /// Goes on as if the opening brace of an object stood just before.
    pub(super) fn resume_object(&mut self) -> Result<(), DecodeError> {
        self.push(true)
    }

    /// Steps into the array that stands here.
    pub(super) fn open_array(&mut self) -> Result<(), DecodeError> {
        self.expect(b'[', "an array")?;
        self.push(false)
    }

    /// Inside an object: the next member's key, with its value next; `None` when the object has
    /// ended. `first` is true before the first member.
    #[inline]
    pub(super) fn next_key(
        &mut self,
        first: &mut bool,
    ) -> Result<Option<JsonString<'a>>, DecodeError> {
        if self.peek()? == b'}' {
            self.position += 1;
            self.depth -= 1;
            return Ok(None);
        }
        if !std::mem::replace(first, false) {
            self.expect(b',', "a comma or the object's end")?;
        }
        self.key().map(Some)
    }

    /// Inside an array: whether another element stands next; the array is left when not.
    pub(super) fn next_element(&mut self, first: &mut bool) -> Result<bool, DecodeError> {
        if self.peek()? == b']' {
            self.position += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if !std::mem::replace(first, false) {
            self.expect(b',', "a comma or the array's end")?;
        }
        Ok(true)
    }

    /// The string that stands here.
    #[inline]
    pub(super) fn string(&mut self) -> Result<JsonString<'a>, DecodeError> {
        self.expect(b'"', "a string")?;
        let bytes = self.text.as_bytes();
        let opening = self.position - 1;
        let mut escaped = false;
        loop {
            let Some(found) = memchr2(b'"', b'\\', &bytes[self.position..]) else {
                return Err(DecodeError::Truncated { at: bytes.len() });
            };
            self.position += found + 1;
            if bytes[self.position - 1] == b'"' {
                let quoted = &self.text[opening..self.position];
                return Ok(JsonString::new(quoted, escaped, opening));
            }
            escaped = true;
            self.escape()?;
        }
    }

    /// The number, `true`, `false` or `null` that stands here, as written.
    pub(super) fn literal(&mut self) -> Result<&'a str, DecodeError> {
        let first = self.peek()?;
        let start = self.position;
        match first {
            b'-' | b'0'..=b'9' => self.number()?,
            _ if self.take("true") || self.take("false") || self.take("null") => {}
            _ => return Err(self.expected("a value")),
        }
        Ok(&self.text[start..self.position])
    }

    /// Passes the value that stands here, and returns where it stands.
    pub(super) fn skip_value(&mut self) -> Result<Range<usize>, DecodeError> {
        let floor = self.depth;
        self.peek()?;
        let start = self.position;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    self.open_object()?;
                    if self.peek()? != b'}' {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.open_array()?;
                    if self.peek()? != b']' {
                        continue;
                    }
                }
                _ => {
                    self.literal()?;
                }
            }
            if !self.step_on(floor)? {
                return Ok(start..self.position);
            }
        }
    }

    /// After a value: passes what closes, up to the next value. False when the containers opened
    /// since `floor` are all closed.
    #[inline]
    fn step_on(&mut self, floor: usize) -> Result<bool, DecodeError> {
        while self.depth > floor {
            let in_object = self.is_in_object();
            match self.peek()? {
                b',' => {
                    self.position += 1;
                    if in_object {
                        self.key()?;
                    }
                    return Ok(true);
                }
                b'}' if in_object => {}
                b']' if !in_object => {}
                _ => return Err(self.expected("a comma or the container's end")),
            }
            self.position += 1;
            self.depth -= 1;
        }
        Ok(false)
    }

    #[inline]
    fn key(&mut self) -> Result<JsonString<'a>, DecodeError> {
        let key = self.string()?;
        self.expect(b':', "a colon")?;
        Ok(key)
    }

    /// Passes an escape; the backslash has been passed.
    fn escape(&mut self) -> Result<(), DecodeError> {
        let rest = self.rest();
        match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 1,
            Some(b'u') => {
                let digits = rest.iter().skip(1).take(4);
                if digits.filter(|digit| digit.is_ascii_hexdigit()).count() != 4 {
                    return Err(self.expected("four hexadecimal digits"));
                }
                self.position += 5;
            }
            Some(_) => return Err(self.expected("an escape")),
            None => return Err(DecodeError::Truncated { at: self.position }),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), DecodeError> {
        self.skip_if(|byte| byte == b'-');
        if !self.skip_if(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.skip_if(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.skip_if(|byte| matches!(byte, b'e' | b'E')) {
            self.skip_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.expected("a digit"));
        }
        self.position += count;
        Ok(())
    }

    fn skip_if(&mut self, is: impl Fn(u8) -> bool) -> bool {
        let found = self.rest().first().is_some_and(|byte| is(*byte));
        self.position += usize::from(found);
        found
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.position..]
    }

    fn push(&mut self, object: bool) -> Result<(), DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(DecodeError::TooDeep { limit: MAX_DEPTH, at: self.position - 1 });
        }
        let (word, bit) = (self.depth / 64, 1_u64 << (self.depth % 64));
        if object {
            self.objects[word] |= bit;
        } else {
            self.objects[word] &= !bit;
        }
        self.depth += 1;
        Ok(())
    }

    fn is_in_object(&self) -> bool {
        let top = self.depth - 1;
        self.objects[top / 64] & (1 << (top % 64)) != 0
    }
}

#[cfg(test)]
pub(in crate::codec::json) mod tests;
