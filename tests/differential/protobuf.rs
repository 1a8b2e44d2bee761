//! As much of protobuf as it takes to cut fields out of messages and to tell frames apart.

use crate::varint::varint;

const MAGIC: &[u8] = b"k8s\0";

/// The message without the fields at `paths`, whose texts come beside it. The lengths of the messages
/// around a field go with it. `None` if it is no message.
pub(crate) fn without(message: &[u8], paths: &[&[u64]]) -> Option<(Vec<u8>, Vec<String>)> {
    let mut kept = Vec::with_capacity(message.len());
    let mut taken = Vec::new();
    walk(message, &mut Vec::new(), paths, &mut kept, &mut taken)?;
    Some((kept, taken))
}

/// Frames behind their lengths of four bytes; what is incomplete at the end is one, too.
pub(crate) fn frames(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let length = body.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let end = length.and_then(|length| usize::try_from(length).ok()?.checked_add(4));
        let end = end.filter(|end| *end <= body.len());
        let (frame, rest) = match end {
            Some(end) => (&body[4..end], &body[end..]),
            None => (body, &[][..]),
        };
        frames.push(frame.to_vec());
        body = rest;
    }
    frames
}

fn walk(
    message: &[u8],
    here: &mut Vec<u64>,
    paths: &[&[u64]],
    kept: &mut Vec<u8>,
    taken: &mut Vec<String>,
) -> Option<()> {
    let mut rest = message;
    if let Some(inside) = rest.strip_prefix(MAGIC) {
        kept.extend_from_slice(MAGIC);
        rest = inside;
    }
    while !rest.is_empty() {
        let (number, content, after) = field(rest)?;
        here.push(number);
        if paths.contains(&here.as_slice()) {
            taken.push(String::from_utf8(content.to_vec()).ok()?);
        } else if paths.iter().any(|path| path.starts_with(here)) {
            kept.push(rest[0]);
            walk(content, here, paths, kept, taken)?;
        } else {
            kept.extend_from_slice(&rest[..rest.len() - after.len()]);
        }
        here.pop();
        rest = after;
    }
    Some(())
}

/// A field's number, its content without the length, and what comes after it.
fn field(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (tag, rest) = varint(bytes).ok()?;
    let (content, after) = match tag & 7 {
        0 => {
            let (_, after) = varint(rest).ok()?;
            (&rest[..rest.len() - after.len()], after)
        }
        1 => rest.split_at_checked(8)?,
        2 => {
            let (length, rest) = varint(rest).ok()?;
            rest.split_at_checked(usize::try_from(length).ok()?)?
        }
        5 => rest.split_at_checked(4)?,
        _ => return None,
    };
    Some((tag >> 3, content, after))
}
