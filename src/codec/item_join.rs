//! How the cores of adjacent objects are joined into one run of list items.
//!
//! A page of the ordered map holds its cores joined, so that a run of items leaves the process as
//! one contiguous slice. What stands before the *first* item of a list is the list's affair
//! ([`ItemJoin::lead`]); what stands between two items is the [`ItemJoin::separator`].
//!
//! - JSON: `core,{core,{core`; a core lacks its opening brace, so the lead is `{`, the separator `,{`.
//! - protobuf: `12 len core 12 len core`; every item carries the tag of the list's `items` (field 2)
//!   and its length, so lead and separator are empty.

use std::ops::Range;

use bytes::Bytes;

use super::protobuf::wire;

/// The number of the field `items` in every Kubernetes list message.
const ITEMS: u8 = 2;

/// The way list items are joined in one representation family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemJoin {
    /// JSON text.
    Json,
    /// Kubernetes protobuf, full or metadata only.
    Protobuf,
}

// === impl ItemJoin ===

impl ItemJoin {
    /// What a list writes once before its first item.
    pub const fn lead(self) -> &'static [u8] {
        match self {
            Self::Json => b"{",
            Self::Protobuf => b"",
        }
    }

    /// What stands between two items.
    pub const fn separator(self) -> &'static [u8] {
        match self {
            Self::Json => b",{",
            Self::Protobuf => b"",
        }
    }

    /// Appends one item and returns where its core stands in `buffer`.
    ///
    /// `is_first` says that the item opens a run: no separator is written before it.
    pub fn append(&self, buffer: &mut Vec<u8>, is_first: bool, core: &[u8]) -> Range<usize> {
        match self {
            Self::Json => {
                if !is_first {
                    buffer.extend_from_slice(self.separator());
                }
            }
            Self::Protobuf => {
                wire::append_bytes_header(buffer, ITEMS, core.len());
            }
        }
        let start = buffer.len();
        buffer.extend_from_slice(core);
        start..buffer.len()
    }

    /// What stands directly before a core of this length, its separator aside.
    pub fn header(&self, core_length: usize) -> Bytes {
        match self {
            Self::Json => Bytes::new(),
            Self::Protobuf => {
                let mut header = Vec::with_capacity(6);
                wire::append_bytes_header(&mut header, ITEMS, core_length);
                header.into()
            }
        }
    }

    /// Bytes that an item takes in a run in which another item stands before it (in JSON, the
    /// first item of a run takes two fewer).
    pub const fn item_length(&self, core_length: usize) -> usize {
        match self {
            Self::Json => self.separator().len() + core_length,
            Self::Protobuf => wire::bytes_field_length(core_length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_json_items_with_the_opening_brace_of_the_next() {
        let mut buffer = Vec::new();
        let first = ItemJoin::Json.append(&mut buffer, true, b"\"a\":1}");
        let second = ItemJoin::Json.append(&mut buffer, false, b"}");
        assert_eq!(buffer, b"\"a\":1},{}");
        assert_eq!((&buffer[first], &buffer[second]), (&b"\"a\":1}"[..], &b"}"[..]));
    }

    #[test]
    fn tags_and_measures_protobuf_items() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_152] {
            let core = vec![7; length];
            let mut buffer = Vec::new();
            let range = ItemJoin::Protobuf.append(&mut buffer, true, &core);
            assert_eq!(buffer[0], 0x12);
            assert_eq!(range.end - range.start, length);
            assert_eq!(buffer.len(), ItemJoin::Protobuf.item_length(length), "{length}");
        }
        let mut buffer = Vec::new();
        ItemJoin::Protobuf.append(&mut buffer, true, b"ab");
        ItemJoin::Protobuf.append(&mut buffer, false, b"");
        assert_eq!(buffer, b"\x12\x02ab\x12\x00");
    }

    #[test]
    fn json_item_length_counts_the_separator() {
        let mut buffer = b"}".to_vec();
        ItemJoin::Json.append(&mut buffer, false, b"\"a\":1}");
        assert_eq!(buffer.len() - 1, ItemJoin::Json.item_length(6));
    }
}
