//! What of a body is of the moment: the versions of lists and bookmarks, and continue tokens.
//!
//! [`Essence`] takes them out of the bytes, and leaves everything else as it is.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::form::Form;
use crate::varint::varint;

/// Bytes without what is of the moment, and the version that was taken out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Essence {
    pub(crate) bytes: Vec<u8>,
    pub(crate) version: Option<u64>,
}

impl std::fmt::Debug for Essence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.bytes))
    }
}

/// The start of a protobuf object.
const MAGIC: &[u8] = b"k8s\0";

impl Essence {
    /// Of a list, or of anything else that is no list of the form.
    pub(crate) fn of_list(body: &[u8]) -> Result<Self> {
        if body.starts_with(MAGIC) {
            // Unknown.raw, then ListMeta: resourceVersion and continue.
            return protobuf(body, &[&[2, 1, 2], &[2, 1, 3]]);
        }
        let Ok(json) = serde_json::from_slice::<Value>(body) else {
            return Ok(Self { bytes: body.to_vec(), version: None });
        };
        if json.get("items").is_none() {
            return Ok(Self { bytes: without_current(body), version: None });
        }
        let metadata = &json["metadata"];
        let mut bytes = body.to_vec();
        for field in ["continue", "resourceVersion"] {
            if let Some(value) = metadata[field].as_str().filter(|value| !value.is_empty()) {
                // Pretty JSON has a space.
                cut(&mut bytes, format!("\"{field}\":\"{value}\"").as_bytes())
                    .or_else(|_| cut(&mut bytes, format!("\"{field}\": \"{value}\"").as_bytes()))?;
            }
        }
        Ok(Self { bytes, version: version(metadata["resourceVersion"].as_str())? })
    }

    /// Of a watch's frame: a bookmark loses its version, any other stays as it is.
    pub(crate) fn of_frame(frame: &[u8], form: Form) -> Result<Self> {
        if !is_bookmark(frame, form)? {
            return Ok(Self { bytes: without_current(frame), version: None });
        }
        if form.is_protobuf() {
            // WatchEvent.object.raw, Unknown.raw, ObjectMeta.resourceVersion.
            return protobuf(frame, &[&[2, 1, 2, 1, 6]]);
        }
        let json: Value = serde_json::from_slice(frame)?;
        let text = json["object"]["metadata"]["resourceVersion"].as_str();
        let mut bytes = frame.to_vec();
        let needle = format!("\"resourceVersion\":\"{}\"", text.context("no version")?);
        cut(&mut bytes, needle.as_bytes())?;
        Ok(Self { bytes, version: version(text)? })
    }
}

/// Whether a frame is a bookmark.
pub(crate) fn is_bookmark(frame: &[u8], form: Form) -> Result<bool> {
    if !form.is_protobuf() {
        return Ok(frame.starts_with(br#"{"type":"BOOKMARK""#));
    }
    let (_, kind, _) = field(frame)?;
    Ok(kind == b"BOOKMARK")
}

fn version(text: Option<&str>) -> Result<Option<u64>> {
    text.map(|text| text.parse().with_context(|| text.to_owned())).transpose()
}

/// The refusal of a version that is too large names the present one.
fn without_current(body: &[u8]) -> Vec<u8> {
    const BEFORE: &[u8] = b"Too large resource version: ";
    let Some(start) = body.windows(BEFORE.len()).position(|window| window == BEFORE) else {
        return body.to_vec();
    };
    let (head, rest) = body.split_at(start + BEFORE.len());
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
    let (numbers, tail) = rest.split_at(end);
    let kept: Vec<u8> = numbers.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect();
    [head, &kept, tail].concat()
}

/// Takes the occurrence of `part` out that belongs to the list or bookmark.
fn cut(bytes: &mut Vec<u8>, part: &[u8]) -> Result<()> {
    let places: Vec<usize> = bytes
        .windows(part.len())
        .enumerate()
        .filter_map(|(place, window)| (window == part).then_some(place))
        .collect();
    // An object may carry the list's version; built-in lists name theirs first, custom ones last.
    let custom = [&b"{\"apiVersion\""[..], b"{\n  \"apiVersion\""];
    let place = match custom.iter().any(|start| bytes.starts_with(start)) {
        true => places.last(),
        false => places.first(),
    };
    let place = *place.with_context(|| String::from_utf8_lossy(part).into_owned())?;
    bytes.drain(place..place + part.len());
    Ok(())
}

/// Takes the fields at `paths` out of a message, and the lengths of the messages around them.
fn protobuf(bytes: &[u8], paths: &[&[u64]]) -> Result<Essence> {
    let mut essence = Essence { bytes: Vec::new(), version: None };
    walk(bytes, &mut Vec::new(), paths, &mut essence)?;
    Ok(essence)
}

fn walk(bytes: &[u8], here: &mut Vec<u64>, paths: &[&[u64]], into: &mut Essence) -> Result<()> {
    let mut rest = bytes;
    if let Some(inside) = rest.strip_prefix(MAGIC) {
        into.bytes.extend_from_slice(MAGIC);
        rest = inside;
    }
    while !rest.is_empty() {
        let (number, content, after) = field(rest)?;
        here.push(number);
        into.bytes.push(rest[0]);
        if paths.contains(&here.as_slice()) {
            // The last field of each set of paths that is a number is the version.
            if let Ok(number) = std::str::from_utf8(content)?.parse() {
                into.version = Some(number);
            }
        } else if paths.iter().any(|path| path.starts_with(here)) {
            walk(content, here, paths, into)?;
        } else {
            into.bytes.extend_from_slice(&rest[1..rest.len() - after.len()]);
        }
        here.pop();
        rest = after;
    }
    Ok(())
}

/// A field's number, its content without the length, and what comes after it.
fn field(bytes: &[u8]) -> Result<(u64, &[u8], &[u8])> {
    let (tag, rest) = varint(bytes)?;
    match tag & 7 {
        0 => {
            let (_, after) = varint(rest)?;
            Ok((tag >> 3, &rest[..rest.len() - after.len()], after))
        }
        2 => {
            let (length, rest) = varint(rest)?;
            let length = usize::try_from(length)?;
            ensure!(length <= rest.len(), "a field longer than its message");
            let (content, after) = rest.split_at(length);
            Ok((tag >> 3, content, after))
        }
        other => anyhow::bail!("wire type {other}"),
    }
}
