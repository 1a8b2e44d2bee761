//! Bodies taken apart: what must be the same byte for byte, and what is of the moment.
//!
//! Of the moment are the version and the continue token of a list, the versions of bookmarks, and the
//! present version that two error texts name. They are cut out of the bytes; everything else stays.

use std::ops::Range;

use crate::protobuf;

/// A list without what is of the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) bytes: Vec<u8>,
    pub(crate) version: Option<u64>,
    pub(crate) token: Option<String>,
}

/// A watch, event by event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    /// All but bookmarks, and the bookmark that ends the initial events, without its version.
    pub(crate) events: Vec<Vec<u8>>,
    /// The other bookmarks, without their versions.
    pub(crate) bookmarks: Vec<Vec<u8>>,
    /// The version of the bookmark that ends the initial events.
    pub(crate) initial: Option<u64>,
}

const END: &[u8] = b"initial-events-end";
const PROTOBUF: &[u8] = b"k8s\0";

// === impl List ===

impl List {
    /// Takes a list apart; a body of another form stays whole.
    pub(crate) fn of(body: &[u8]) -> Self {
        if body.starts_with(PROTOBUF) {
            return Self::of_protobuf(body).unwrap_or_else(|| Self::whole(body));
        }
        let Some(region) = metadata(body) else { return Self::whole(body) };
        let version = value(body, &region, "resourceVersion");
        let token = value(body, &region, "continue");
        let text = |range: &Option<Range<usize>>| {
            let bytes = body.get(range.clone()?)?;
            String::from_utf8(bytes.to_vec()).ok()
        };
        let list = Self {
            bytes: Vec::new(),
            version: text(&version).and_then(|text| text.parse().ok()),
            token: text(&token).filter(|text| !text.is_empty()),
        };
        let mut cuts: Vec<Range<usize>> = [version, token].into_iter().flatten().collect();
        cuts.sort_by_key(|range| range.start);
        Self { bytes: without(body, &cuts), ..list }
    }

    fn whole(body: &[u8]) -> Self {
        Self { bytes: body.to_vec(), ..Self::default() }
    }

    /// Unknown.raw, its ListMeta: resourceVersion and continue.
    fn of_protobuf(body: &[u8]) -> Option<Self> {
        // TypeMeta comes first, and in it the kind last.
        let length = usize::from(*body.get(5)?);
        body.get(6..6 + length)?.ends_with(b"List").then_some(())?;
        let (bytes, taken) = protobuf::without(body, &[&[2, 1, 2], &[2, 1, 3]])?;
        let mut list = Self { bytes, ..Self::default() };
        for text in taken {
            match text.parse() {
                Ok(version) => list.version = Some(version),
                Err(_) if text.is_empty() => {}
                Err(_) => list.token = Some(text),
            }
        }
        Some(list)
    }
}

/// Where the digits of the list's version stand.
pub(crate) fn version_place(body: &[u8]) -> Option<Range<usize>> {
    if body.starts_with(PROTOBUF) {
        let digits = List::of(body).version?.to_string();
        let length = u8::try_from(digits.len()).ok()?;
        let field = [&[0x12, length], digits.as_bytes()].concat();
        let start = find(body, &field)? + 2;
        return Some(start..start + digits.len());
    }
    value(body, &metadata(body)?, "resourceVersion")
}

/// Where the list's own metadata stand. Typed lists have them in front of their items; in lists with
/// sorted keys, which are those of custom resources and all YAML, they come last.
fn metadata(body: &[u8]) -> Option<Range<usize>> {
    let front = &body[..body.len().min(200)];
    if body.starts_with(b"apiVersion:") {
        find(front, b"\nitems:").or_else(|| find(front, b"\ncolumnDefinitions:"))?;
        let start = rfind(body, b"\nmetadata:")? + 1;
        let mut end = start + find(&body[start..], b"\n").unwrap_or(body.len() - start);
        while body[end..].starts_with(b"\n ") {
            end += 1 + find(&body[end + 1..], b"\n").unwrap_or(body.len() - end - 1);
        }
        return Some(start..end);
    }
    if find(front, b"\"apiVersion\"").is_some_and(|at| at < 6) {
        find(front, b"\"items\":")?;
        return Some(rfind(body, b"\"metadata\":")?..body.len());
    }
    let start = find(body, b"\"metadata\":")?;
    let items = [&b"\"items\":"[..], b"\"columnDefinitions\":"];
    let end = items.iter().filter_map(|key| find(&body[start..], key)).min()?;
    Some(start..start + end)
}

/// Where the value of a metadata field stands, without quotes.
fn value(body: &[u8], region: &Range<usize>, field: &str) -> Option<Range<usize>> {
    let text = &body[region.clone()];
    let yaml = format!("  {field}:");
    let json = format!("\"{field}\":");
    let key = if text.starts_with(b"metadata") { yaml } else { json };
    let mut start = find(text, key.as_bytes())? + key.len();
    while text.get(start).is_some_and(|byte| matches!(byte, b' ' | b'"')) {
        start += 1;
        if text[start - 1] == b'"' {
            break;
        }
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\n' | b',' | b'}');
    let length = text[start..].iter().position(ends).unwrap_or(text.len() - start);
    Some(region.start + start..region.start + start + length)
}

// === impl Stream ===

impl Stream {
    /// Takes a watch's body apart; `None` if it is none.
    pub(crate) fn of(body: &[u8], content_type: Option<&str>) -> Option<Self> {
        let frames = match content_type {
            Some("application/vnd.kubernetes.protobuf;stream=watch") => protobuf::frames(body),
            _ if body.is_empty() || body.starts_with(b"{\"type\":\"") => {
                body.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
            }
            _ => return None,
        };
        let mut stream = Self::default();
        for frame in frames {
            let Some((bytes, version)) = bookmark(&frame) else {
                stream.events.push(without_present(&frame));
                continue;
            };
            if find(&frame, END).is_some() {
                stream.initial = version;
                stream.events.push(bytes);
            } else {
                stream.bookmarks.push(bytes);
            }
        }
        Some(stream)
    }
}

/// A bookmark without its version; `None` if the frame is another event.
fn bookmark(frame: &[u8]) -> Option<(Vec<u8>, Option<u64>)> {
    if frame.starts_with(b"{\"type\":\"BOOKMARK\"") {
        let mut cuts = Vec::new();
        let mut at = 0;
        while let Some(range) = value(frame, &(at..frame.len()), "resourceVersion") {
            at = range.end;
            cuts.push(range);
        }
        let version =
            cuts.first().and_then(|range| std::str::from_utf8(&frame[range.clone()]).ok());
        let version = version.and_then(|text| text.parse().ok());
        return Some((without(frame, &cuts), version));
    }
    if !frame.starts_with(b"\x0a\x08BOOKMARK") {
        return None;
    }
    // WatchEvent.object.raw, Unknown.raw, ObjectMeta.resourceVersion.
    let (bytes, taken) = protobuf::without(frame, &[&[2, 1, 2, 1, 6]])?;
    Some((bytes, taken.first().and_then(|text| text.parse().ok())))
}

/// Without the present version in the refusal of one that is too large.
pub(crate) fn without_present(body: &[u8]) -> Vec<u8> {
    const BEFORE: &[u8] = b"Too large resource version: ";
    const CURRENT: &[u8] = b", current: ";
    let Some(start) = find(body, BEFORE) else { return body.to_vec() };
    let Some(at) = find(&body[start..], CURRENT) else { return body.to_vec() };
    let from = start + at + CURRENT.len();
    let digits = body[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    // The number is a part of lengths in protobuf: its digits count, they are only made equal.
    let mut body = body.to_vec();
    body[from..from + digits].fill(b'0');
    body
}

fn without(body: &[u8], cuts: &[Range<usize>]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(body.len());
    let mut at = 0;
    for cut in cuts {
        rest.extend_from_slice(&body[at..cut.start]);
        at = cut.end;
    }
    rest.extend_from_slice(&body[at..]);
    rest
}

pub(crate) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

fn rfind(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(text, part)
}
