//! The numbers of protobuf, for tests that take messages apart with other means than the code they judge.

use anyhow::{Result, bail};

/// The number at the beginning, and what comes after it.
pub(crate) fn varint(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[place + 1..]));
        }
    }
    bail!("a number without end")
}
