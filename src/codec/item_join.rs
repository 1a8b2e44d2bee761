//! [`ItemJoin`]: how the items of a list stand next to each other, per representation.
//!
//! JSON items are joined `core,{core,{core` (the opening brace of the first item belongs to the
//! list's head); protobuf items are joined tag, length, core. It knows nothing of heads and tails.

use std::ops::Range;

/// The tag of a protobuf list's `items` field: field 2, length-delimited.
const ITEMS_TAG: u8 = 0x12;

/// How cores are joined into the items of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemJoin {
    /// `core,{core`.
    Json,
    /// `12 length core 12 length core`.
    Protobuf,
}

// === impl ItemJoin ===

impl ItemJoin {
    /// The bytes between two items.
    pub const fn separator(self) -> &'static [u8] {
        match self {
            Self::Json => b",{",
            Self::Protobuf => b"",
        }
    }

    /// The length of one item: its header, where there is one, and its core; no separator.
    pub const fn item_length(self, core_length: usize) -> usize {
        match self {
            Self::Json => core_length,
            Self::Protobuf => {
                let bits = usize::BITS - (core_length | 1).leading_zeros();
                1 + bits.div_ceil(7) as usize + core_length
            }
        }
    }

    /// Appends what stands directly before a core of this length inside its item.
    pub fn append_header(self, into: &mut Vec<u8>, core_length: usize) {
        if self == Self::Protobuf {
            into.push(ITEMS_TAG);
            let mut rest = core_length;
            while rest >= 0x80 {
                into.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            into.push(rest as u8);
        }
    }

    /// Appends an item, after a separator unless it is the first; tells where its core now stands.
    pub fn append(self, into: &mut Vec<u8>, is_first: bool, core: &[u8]) -> Range<usize> {
        if !is_first {
            into.extend_from_slice(self.separator());
        }
        self.append_header(into, core.len());
        let start = into.len();
        into.extend_from_slice(core);
        start..into.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_agree_with_what_is_written() {
        for join in [ItemJoin::Json, ItemJoin::Protobuf] {
            for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
                let core = vec![7; length];
                let mut first = Vec::new();
                let span = join.append(&mut first, true, &core);
                assert_eq!(first.len(), join.item_length(length));
                assert_eq!(&first[span], &core[..]);
                let mut second = first.clone();
                let span = join.append(&mut second, false, &core);
                assert_eq!(second.len(), 2 * first.len() + join.separator().len());
                assert_eq!(span.end, second.len());
            }
        }
    }
}
