//! What is independent of the objects: splitting of streams, joining of gzip bodies.

use std::io::Read;

use bytes::{Buf, Bytes};
use flate2::read::GzDecoder;
use watchgate::codec::{
    frame_decoder::{FrameDecoder, FrameError},
    gzip::{BlockDeflater, DeflatedBlock, GzipJoin},
    object::Representation,
};

/// The longest frame: one that real events keep to, and one that they do not.
const LARGE_BOUND: usize = 4 << 10;
const SMALL_BOUND: usize = 300;

/// More parts take longer and show no more.
const MAX_PARTS: usize = 12;

const MAX_BODY: usize = 3_000;

/// What one way of splitting a body into chunks gives.
type Split = (Vec<Bytes>, Result<(), FrameError>);

/// First byte: odd for protobuf, with its second bit for a small bound; then a body. However it is cut into chunks, the same frames come
/// out, and with their delimiters they are the body again.
pub fn frames(input: &[u8]) {
    let Some((first, body)) = input.split_first() else { return };
    let is_protobuf = first % 2 == 1;
    let representation = if is_protobuf { Representation::Protobuf } else { Representation::Json };
    let bound = if first & 2 == 0 { LARGE_BOUND } else { SMALL_BOUND };
    // A longer one takes longer and shows no more.
    let body = &body[..body.len().min(MAX_BODY)];
    let whole = split(representation, bound, body, body.len().max(1));
    for step in [1, 2, 3, 5, 7, 64, usize::from(*first) + 1] {
        assert_eq!(split(representation, bound, body, step), whole, "in chunks of {step}");
    }
    let mut joined = Vec::new();
    for frame in &whole.0 {
        assert!(frame.len() <= bound);
        if is_protobuf {
            joined.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        }
        joined.extend_from_slice(frame);
        if !is_protobuf {
            joined.push(b'\n');
        }
    }
    assert!(body.starts_with(&joined), "frames are not what came");
    assert_eq!(whole.1 == Ok(()), joined.len() == body.len());
    if let Err(FrameError::Truncated { received }) = whole.1 {
        assert_eq!(received, body.len() - joined.len());
    }
}

fn split(representation: Representation, bound: usize, body: &[u8], step: usize) -> Split {
    let mut decoder = FrameDecoder::new(representation, bound);
    let mut frames = Vec::new();
    for chunk in body.chunks(step) {
        decoder.push(Bytes::copy_from_slice(chunk));
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_frame(), Err(error), "once failed, always");
                    return (frames, Err(error));
                }
            }
        }
    }
    let end = decoder.finish();
    (frames, end)
}

/// Parts, each led by a byte that says how it goes in: one gzip member comes out that holds them.
pub fn gzip_join(input: &[u8]) {
    let mut deflater = BlockDeflater::new();
    let (mut join, mut plain) = (GzipJoin::new(), Vec::new());
    let mut rest = input;
    for _ in 0..MAX_PARTS {
        let Some((how, after)) = rest.split_first() else { break };
        let length = after.len().min(usize::from(*how) * 3);
        let (part, after) = after.split_at(length);
        rest = after;
        plain.extend_from_slice(part);
        match how % 4 {
            0 => join.push_stored(part),
            1 => join.push(&DeflatedBlock::stored(part)),
            2 => join.push(&deflater.block([part])),
            // Many times the same, so that references reach far, and in segments.
            _ => {
                join.push(&deflater.block((0..40).map(|_| part)));
                (1..40).for_each(|_| plain.extend_from_slice(part));
            }
        }
    }
    let announced = join.finished_length();
    let mut body = join.finish();
    let body = body.copy_to_bytes(body.remaining());
    assert_eq!(body.len(), announced);
    let mut inflated = Vec::new();
    let mut decoder = GzDecoder::new(&body[..]);
    decoder.read_to_end(&mut inflated).expect("a gzip body");
    assert!(inflated == plain, "{} bytes became {}", plain.len(), inflated.len());
    assert!(decoder.into_inner().is_empty(), "one member and nothing behind it");
}
