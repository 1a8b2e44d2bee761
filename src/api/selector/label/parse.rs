//! The grammar of label selectors (semantics §7.3).
//!
//! Accepts what the API server accepts, including its leniencies: `x in ()` means the empty value,
//! `x in (a,,b)` includes it, `in` and `notin` are legal keys and values. Only a NUL, which ends a
//! selector or a word there, is refused here. Error texts are the gateway's own and only for logs; the
//! request is forwarded so that the client gets upstream's.

use compact_str::CompactString;

use super::{Condition, Requirement};

/// A text that is not a label selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelSelectorError {
    /// Something else was expected at this place.
    #[error("label selector: expected {expected} at byte {at}")]
    Expected {
        /// What could have stood there.
        expected: &'static str,
        /// Offset in the selector.
        at: usize,
    },
    /// A key that no label can have.
    #[error("label selector: {0:?} is not a label key")]
    Key(CompactString),
    /// A value that no label can have.
    #[error("label selector: {0:?} is not a label value")]
    Value(CompactString),
    /// `>` and `<` compare 64-bit integers.
    #[error("label selector: {0:?} is not an integer")]
    Integer(CompactString),
}

/// Reads all requirements, in the order written.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, LabelSelectorError> {
    let mut parser = Parser { text, at: 0 };
    let mut requirements = Vec::new();
    if parser.peek() == Token::End {
        return Ok(requirements);
    }
    loop {
        requirements.push(parser.requirement()?);
        match parser.next() {
            Token::End => return Ok(requirements),
            Token::Symbol(",") => {}
            _ => return parser.expected("',' or the end"),
        }
    }
}

/// A lexical element; words include `in` and `notin`, which are only operators by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Symbol(&'t str),
    End,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

// === impl Parser ===

impl<'t> Parser<'t> {
    /// `key`, `!key` or `key operator value`.
    fn requirement(&mut self) -> Result<Requirement, LabelSelectorError> {
        let absent = self.peek() == Token::Symbol("!");
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(word) if is_label_key(word) => CompactString::from(word),
            Token::Word(word) => return Err(LabelSelectorError::Key(word.into())),
            _ => return self.expected("a key"),
        };
        let condition = if absent {
            Condition::Absent
        } else if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            Condition::Exists
        } else {
            self.condition()?
        };
        Ok(Requirement { key, condition })
    }

    /// An operator and what it compares with.
    fn condition(&mut self) -> Result<Condition, LabelSelectorError> {
        Ok(match self.next() {
            Token::Symbol("=" | "==") => Condition::In([self.value()?].into()),
            Token::Symbol("!=") => Condition::NotIn([self.value()?].into()),
            Token::Symbol(">") => Condition::GreaterThan(self.integer()?),
            Token::Symbol("<") => Condition::LessThan(self.integer()?),
            Token::Word("in") => Condition::In(self.set()?),
            Token::Word("notin") => Condition::NotIn(self.set()?),
            _ => return self.expected("in, notin, =, ==, !=, < or >"),
        })
    }

    /// One value; nothing before `,` or the end is the empty value.
    fn value(&mut self) -> Result<CompactString, LabelSelectorError> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(CompactString::const_new("")),
            Token::Word(word) => {
                self.next();
                label_value(word)
            }
            Token::Symbol(_) => self.expected("a value"),
        }
    }

    fn integer(&mut self) -> Result<i64, LabelSelectorError> {
        let value = self.value()?;
        value.parse().map_err(|_| LabelSelectorError::Integer(value))
    }

    /// `(a,b)`, where a missing element is the empty value. Sorted, without repeats.
    fn set(&mut self) -> Result<Box<[CompactString]>, LabelSelectorError> {
        if self.next() != Token::Symbol("(") {
            return self.expected("'('");
        }
        let mut values = Vec::new();
        loop {
            let value = match self.peek() {
                Token::Word(word) => {
                    self.next();
                    label_value(word)?
                }
                _ => CompactString::const_new(""),
            };
            values.push(value);
            match self.next() {
                Token::Symbol(",") => {}
                Token::Symbol(")") => break,
                _ => return self.expected("',' or ')'"),
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(values.into())
    }

    fn peek(&self) -> Token<'t> {
        Parser { text: self.text, at: self.at }.next()
    }

    fn next(&mut self) -> Token<'t> {
        let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\r', '\n']);
        let start = self.text.len() - rest.len();
        let length = match rest.as_bytes() {
            [] => 0,
            [b'=' | b'!', b'=', ..] => 2,
            [first, ..] if is_symbol(*first) => 1,
            bytes => bytes.iter().take_while(|byte| !ends_word(**byte)).count(),
        };
        self.at = start + length;
        match rest.as_bytes().first() {
            None => Token::End,
            Some(first) if is_symbol(*first) => Token::Symbol(&rest[..length]),
            Some(_) => Token::Word(&rest[..length]),
        }
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, LabelSelectorError> {
        Err(LabelSelectorError::Expected { expected, at: self.at })
    }
}

const fn is_symbol(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

const fn ends_word(byte: u8) -> bool {
    is_symbol(byte) || matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn label_value(word: &str) -> Result<CompactString, LabelSelectorError> {
    if is_name(word) { Ok(word.into()) } else { Err(LabelSelectorError::Value(word.into())) }
}

/// An optional DNS subdomain and `/`, then a name.
fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_name(text),
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_name(name),
    }
}

/// 1 to 63 letters, digits, `-`, `_`, `.`, with a letter or digit at both ends.
fn is_name(text: &str) -> bool {
    text.len() <= 63
        && has_alphanumeric_ends(text)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// At most 253 bytes of lower-case labels joined by dots.
fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            has_alphanumeric_ends(label)
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
}

fn has_alphanumeric_ends(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}
