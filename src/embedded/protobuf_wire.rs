//! Protobuf's wire format: numbered fields, one after another, of which no schema is needed.

/// The bytes are not protobuf, or end too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A field's value as it is on the wire.
#[derive(Clone, Copy)]
pub(super) enum Wire<'b> {
    /// A varint.
    Number(u64),
    /// Eight bytes.
    Fixed(u64),
    /// Length-delimited.
    Bytes(&'b [u8]),
}

/// The fields of a message, in the order they come.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

// === impl Wire ===

impl<'b> Wire<'b> {
    pub(super) fn bytes(self) -> Result<&'b [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Fixed(_) => Err(Malformed),
        }
    }

    pub(super) fn text(self) -> Result<&'b str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(super) fn integer(self) -> Result<i64, Malformed> {
        match self {
            // Negative numbers are written as their two's complement.
            Self::Number(number) => Ok(number.cast_signed()),
            Self::Fixed(_) | Self::Bytes(_) => Err(Malformed),
        }
    }

    pub(super) fn double(self) -> Result<f64, Malformed> {
        match self {
            Self::Fixed(bits) => Ok(f64::from_bits(bits)),
            Self::Number(_) | Self::Bytes(_) => Err(Malformed),
        }
    }
}

// === impl Reader ===

impl<'b> Reader<'b> {
    /// The next field's number and value.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'b>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
                self.0 = rest;
                Wire::Fixed(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            _ => return Err(Malformed),
        };
        Ok(Some((number, wire)))
    }

    /// The next varint: a tag, a length, or an item of a packed list.
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}
