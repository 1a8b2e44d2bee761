//! Gzip bodies put together from parts that were compressed once.
//!
//! A [`DeflatedBlock`] is raw DEFLATE data that ends on a byte boundary and refers to nothing
//! before it, with the CRC and the length of what it stands for. [`GzipJoin`] puts blocks one
//! after another into **one** gzip member: header, blocks, an empty final block, the combined
//! CRC-32 and the length. So a large answer of which little changed costs little compression.
//!
//! Only [`BlockDeflater::block`] takes more than microseconds (1 to 2 µs per KiB,
//! `docs/decisions/0012`): call it where a millisecond hurts nobody.

mod checksum;

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

pub use self::checksum::Checksum;
use super::segments::Segments;

/// For bodies that are sent once. kube-apiserver uses Go's level of this number.
const FOR_ONE: Compression = Compression::new(1);

/// For blocks that are sent more than once: 0.62 times as long as those of level 1, in 1.9 times
/// its time. On blocks of 64 KiB, level 1 is 1.4 to 1.5 times as long as kube-apiserver's whole
/// streams, this one is not longer; higher ones take more time and gain little.
const FOR_MANY: Compression = Compression::new(4);

/// Deflate, no name, no time, fastest compression, unknown system: what Go's gzip writes.
const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff];

/// A final block with the fixed code and nothing but its end marker.
const FINAL_BLOCK: [u8; 2] = [3, 0];

/// The most that one stored block can hold.
const STORED_MAX: usize = 0xffff;

/// Room asked for whenever the output is full; more than a flush marker needs.
const OUTPUT_STEP: usize = 4096;

/// A byte-aligned, self-contained stretch of DEFLATE data without a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeflatedBlock {
    /// The DEFLATE data.
    pub bytes: Bytes,
    /// CRC-32 and number of the bytes it stands for.
    pub checksum: Checksum,
}

/// Makes blocks, one after another. Its 260 KiB of state cost 14 µs to set up and 1 µs to use
/// again, so a worker that compresses keeps one.
#[derive(Debug)]
pub struct BlockDeflater {
    stream: Compress,
}

/// A gzip body in the making.
#[derive(Debug)]
pub struct GzipJoin {
    segments: Segments,
    checksum: Checksum,
}

/// Hands all of `input` to the stream, and with a flush also all that it holds back to `output`.
fn write_through(
    stream: &mut Compress,
    mut input: &[u8],
    output: &mut Vec<u8>,
    flush: FlushCompress,
) {
    loop {
        if output.capacity() - output.len() < OUTPUT_STEP / 4 {
            output.reserve(OUTPUT_STEP + output.len());
        }
        let before = stream.total_in();
        stream
            .compress_vec(input, output, flush)
            .expect("a stream that was never finished accepts input and flushes");
        input = &input[(stream.total_in() - before) as usize..];
        // Room left over means that nothing is held back.
        if input.is_empty() && output.len() < output.capacity() {
            return;
        }
    }
}

/// A whole body as one gzip member. Takes the time of [`BlockDeflater::block`].
pub fn compress(plain: &Segments) -> Segments {
    let mut gzip = GzipJoin::new();
    let mut deflater = BlockDeflater::for_one();
    gzip.push(&deflater.block(plain.iter().map(AsRef::as_ref)));
    gzip.finish()
}

// === impl BlockDeflater ===

impl BlockDeflater {
    /// A deflater of blocks that are worth keeping.
    pub fn new() -> Self {
        Self::at(FOR_MANY)
    }

    /// A deflater of blocks that are sent once.
    pub fn for_one() -> Self {
        Self::at(FOR_ONE)
    }

    fn at(level: Compression) -> Self {
        Self { stream: Compress::new(level, false) }
    }

    /// Compresses the concatenation of `segments`.
    pub fn block<'a>(&mut self, segments: impl IntoIterator<Item = &'a [u8]>) -> DeflatedBlock {
        self.stream.reset();
        let mut checksum = Hasher::new();
        let mut length = 0;
        let mut output = Vec::with_capacity(OUTPUT_STEP);
        for segment in segments {
            checksum.update(segment);
            length += segment.len() as u64;
            write_through(&mut self.stream, segment, &mut output, FlushCompress::None);
        }
        write_through(&mut self.stream, &[], &mut output, FlushCompress::Full);
        output.shrink_to_fit();
        let checksum = Checksum::new(checksum.finalize(), length);
        DeflatedBlock { bytes: output.into(), checksum }
    }
}

impl Default for BlockDeflater {
    fn default() -> Self {
        Self::new()
    }
}

// === impl DeflatedBlock ===

impl DeflatedBlock {
    /// A block that holds `text` as it is: for texts too short to be worth compressing.
    pub fn stored(text: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(text.len() + 5 * text.len().div_ceil(STORED_MAX));
        for part in text.chunks(STORED_MAX) {
            let length = part.len() as u16;
            bytes.push(0);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&(!length).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        Self { bytes: bytes.into(), checksum: Checksum::of(text) }
    }
}

// === impl GzipJoin ===

impl GzipJoin {
    /// A body of which only the header is there.
    pub fn new() -> Self {
        Self::with_capacity(1)
    }

    /// The same, with room for this many blocks.
    pub fn with_capacity(blocks: usize) -> Self {
        // Header and trailer come to it.
        let mut segments = Segments::with_capacity(blocks + 2);
        segments.push(Bytes::from_static(HEADER));
        Self { segments, checksum: Checksum::EMPTY }
    }

    /// Appends a block, sharing its bytes; one of nothing leaves no trace.
    pub fn push(&mut self, block: &DeflatedBlock) {
        self.segments.push(block.bytes.clone());
        self.checksum = self.checksum.then(&block.checksum);
    }

    /// Appends a short text uncompressed (a list's head, separator or tail). A text that is
    /// appended often is better kept as [`DeflatedBlock::stored`].
    pub fn push_stored(&mut self, text: &[u8]) {
        self.push(&DeflatedBlock::stored(text));
    }

    /// The number of bytes that the finished body will have if nothing is added.
    pub fn finished_length(&self) -> usize {
        self.segments.len() + FINAL_BLOCK.len() + 8
    }

    /// The whole body; its length is exact.
    pub fn finish(mut self) -> Segments {
        let mut trailer = Vec::with_capacity(FINAL_BLOCK.len() + 8);
        trailer.extend_from_slice(&FINAL_BLOCK);
        trailer.extend_from_slice(&self.checksum.crc32().to_le_bytes());
        // ISIZE is the length modulo 2^32 (RFC 1952).
        trailer.extend_from_slice(&(self.checksum.length() as u32).to_le_bytes());
        self.segments.push(trailer.into());
        self.segments
    }
}

impl Default for GzipJoin {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use bytes::Buf;
    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn inflate(body: Segments) -> Vec<u8> {
        let mut text = Vec::new();
        let mut decoder = GzDecoder::new(body.reader());
        decoder.read_to_end(&mut text).expect("valid gzip");
        assert_eq!(decoder.into_inner().into_inner().len(), 0, "bytes after the only member");
        text
    }

    #[test]
    fn a_deflater_can_be_kept_by_a_worker() {
        const fn may_move_to_a_thread<T: Send + 'static>() {}
        may_move_to_a_thread::<BlockDeflater>();
    }

    #[test]
    fn an_empty_body_is_valid() {
        let join = GzipJoin::new();
        let length = join.finished_length();
        let body = join.finish();
        assert_eq!((body.len(), inflate(body)), (length, Vec::new()));
    }

    #[test]
    fn long_texts_are_stored_in_several_blocks() {
        let text: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        let mut join = GzipJoin::new();
        join.push_stored(&text);
        assert_eq!(inflate(join.finish()), text);
    }

    #[test]
    fn incompressible_blocks_larger_than_the_output_step_survive() {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(300_000)
        .collect();
        let block = BlockDeflater::new().block([&noise[..]]);
        assert!(block.bytes.len() >= noise.len());
        let mut join = GzipJoin::new();
        join.push(&block);
        join.push(&block);
        assert_eq!(inflate(join.finish()), [&noise[..], &noise[..]].concat());
    }

    proptest! {
        #[test]
        fn blocks_and_texts_in_any_order_decode_to_what_they_stand_for(
            parts in prop::collection::vec(
                (any::<bool>(), prop::collection::vec("[a-c]{0,40}", 0..6), 1..400_usize),
                0..12,
            ),
        ) {
            let mut expected = Vec::new();
            let mut deflater = BlockDeflater::new();
            let mut join = GzipJoin::new();
            for (stored, texts, times) in parts {
                let texts: Vec<Vec<u8>> =
                    texts.into_iter().map(|text| text.repeat(times).into_bytes()).collect();
                expected.extend(texts.concat());
                if stored {
                    join.push_stored(&texts.concat());
                } else {
                    join.push(&deflater.block(texts.iter().map(Vec::as_slice)));
                }
            }
            let length = join.finished_length();
            let body = join.finish();
            prop_assert_eq!(body.len(), length);
            prop_assert_eq!(inflate(body), expected);
        }
    }
}
