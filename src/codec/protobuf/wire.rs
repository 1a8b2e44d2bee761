//! The protobuf wire format: fields read in place, and the few writers framing needs.
//!
//! Positions are offsets into the whole frame, so that spans of nested messages can be cut out of
//! it. Takes only minimal varints and no groups: Kubernetes writes neither, and minimal lengths
//! make a message's header recomputable from its span.

use std::ops::Range;

use crate::codec::decode_error::DecodeError;

/// Fields of one message.
#[derive(Clone, Debug)]
pub(in crate::codec) struct MessageReader<'a> {
    frame: &'a [u8],
    position: usize,
    end: usize,
    /// Whether a field may go on beyond the end; it is as long as what is there then.
    is_beginning: bool,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::codec) struct Field {
    pub(in crate::codec) number: u32,
    pub(in crate::codec) value: FieldValue,
    /// Offset of the field's tag.
    pub(in crate::codec) at: usize,
}

/// A field's value as far as the wire tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::codec) enum FieldValue {
    Varint(u64),
    /// A fixed-width number, passed over.
    Fixed,
    /// Where a string, a message or packed numbers stand in the frame.
    Bytes(Range<usize>),
}

// === impl MessageReader ===

impl<'a> MessageReader<'a> {
    /// Reads the message that stands at `span` in `frame`.
    pub(in crate::codec) fn new(frame: &'a [u8], span: Range<usize>) -> Self {
        let end = span.end.min(frame.len());
        Self { frame, position: span.start.min(end), end, is_beginning: false }
    }

    /// Reads a message from which on `frame` may be cut off.
    pub(in crate::codec) fn of_beginning(frame: &'a [u8], start: usize) -> Self {
        Self { is_beginning: true, ..Self::new(frame, start..frame.len()) }
    }

    /// The next field, `None` at the message's end.
    pub(in crate::codec) fn next(&mut self) -> Result<Option<Field>, DecodeError> {
        if self.position == self.end {
            return Ok(None);
        }
        let at = self.position;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(DecodeError::Expected { expected: "a field number", at })?;
        let value = match tag & 7 {
            0 => FieldValue::Varint(self.varint()?),
            1 => self.pass(8).map(|_| FieldValue::Fixed)?,
            2 => {
                let length = self.varint()?;
                FieldValue::Bytes(self.pass(length)?)
            }
            5 => self.pass(4).map(|_| FieldValue::Fixed)?,
            _ => return Err(DecodeError::Expected { expected: "a wire type but groups", at }),
        };
        Ok(Some(Field { number, value, at }))
    }

    /// Where the next field of this number stands.
    pub(in crate::codec) fn find(mut self, number: u32) -> Result<Range<usize>, DecodeError> {
        while let Some(field) = self.next()? {
            if field.number == number {
                return field.bytes();
            }
        }
        Err(DecodeError::Missing { field: "a part of the message", at: self.end })
    }

    fn pass(&mut self, length: u64) -> Result<Range<usize>, DecodeError> {
        let start = self.position;
        let rest = self.end - start;
        if length <= rest as u64 {
            self.position += length as usize;
        } else if self.is_beginning {
            self.position = self.end;
        } else {
            return Err(DecodeError::Truncated { at: self.end });
        }
        Ok(start..self.position)
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let at = self.position;
        let wrong = DecodeError::Expected { expected: "a minimal varint of 64 bits", at };
        let mut value = 0_u64;
        for index in 0..10 {
            if self.position == self.end {
                return Err(DecodeError::Truncated { at: self.end });
            }
            let byte = self.frame[self.position];
            self.position += 1;
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return if byte == 0 && index > 0 { Err(wrong) } else { Ok(value) };
            }
        }
        Err(wrong)
    }
}

// === impl Field ===

impl Field {
    /// The span of a string or message.
    pub(in crate::codec) fn bytes(&self) -> Result<Range<usize>, DecodeError> {
        match &self.value {
            FieldValue::Bytes(span) => Ok(span.clone()),
            _ => Err(DecodeError::Expected { expected: "a length-delimited field", at: self.at }),
        }
    }

    /// The text of a string.
    pub(in crate::codec) fn text<'a>(&self, frame: &'a [u8]) -> Result<&'a str, DecodeError> {
        let span = self.bytes()?;
        std::str::from_utf8(&frame[span.clone()])
            .map_err(|error| DecodeError::NotUtf8 { at: span.start + error.valid_up_to() })
    }

    /// The number of a varint field.
    pub(in crate::codec) fn number(&self) -> Result<u64, DecodeError> {
        match self.value {
            FieldValue::Varint(number) => Ok(number),
            _ => Err(DecodeError::Expected { expected: "a varint field", at: self.at }),
        }
    }
}

/// Where the first field of this number stands in the message at `span`.
pub(in crate::codec) fn find(
    frame: &[u8],
    span: Range<usize>,
    number: u32,
) -> Result<Range<usize>, DecodeError> {
    MessageReader::new(frame, span).find(number)
}

/// The tag of a length-delimited field, whose `number` is below 16.
pub(in crate::codec) const fn tag_of_bytes(number: u8) -> u8 {
    number << 3 | 2
}

/// Appends `value` seven bits at a time, lowest first.
pub(in crate::codec) fn append_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

/// How many bytes [`append_varint`] writes.
pub(in crate::codec) const fn varint_length(value: u64) -> usize {
    // One byte more for every seven bits; zero takes one as well.
    ((u64::BITS - (value | 1).leading_zeros()).div_ceil(7)) as usize
}

/// Appends a length-delimited field whose `number` is below 16.
pub(in crate::codec) fn append_bytes(buffer: &mut Vec<u8>, number: u8, value: &[u8]) {
    append_bytes_header(buffer, number, value.len());
    buffer.extend_from_slice(value);
}

/// Appends the tag and length of a length-delimited field whose `number` is below 16.
pub(in crate::codec) fn append_bytes_header(buffer: &mut Vec<u8>, number: u8, length: usize) {
    buffer.push(tag_of_bytes(number));
    append_varint(buffer, length as u64);
}

/// How many bytes a length-delimited field of a `number` below 16 takes.
pub(in crate::codec) const fn bytes_field_length(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_survive_and_are_measured() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut buffer = vec![0x08];
            append_varint(&mut buffer, value);
            assert_eq!(buffer.len() - 1, varint_length(value), "{value}");
            let field = MessageReader::new(&buffer, 0..buffer.len()).next().unwrap().unwrap();
            assert_eq!(field.number().unwrap(), value);
        }
    }

    #[test]
    fn rejects_groups_overlong_varints_and_field_zero() {
        for bytes in [
            &[0x0b, 0x0c][..],
            &[0x08, 0x80, 0x00],
            &[0x02, 0x00],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        ] {
            let found = MessageReader::new(bytes, 0..bytes.len()).next();
            assert!(matches!(found, Err(DecodeError::Expected { .. })), "{bytes:x?}: {found:?}");
        }
    }

    #[test]
    fn never_reads_past_its_message() {
        // The inner length reaches past the span, though the frame goes on.
        let frame = [0x0a, 0x05, 1, 2, 3, 4, 5];
        let found = MessageReader::new(&frame, 0..4).next();
        assert_eq!(found, Err(DecodeError::Truncated { at: 4 }));
    }
}
