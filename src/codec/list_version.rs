//! The version of a list that is handed on as it came.
//!
//! Reads no more of the body than it needs: built-in lists begin with their metadata, custom ones end
//! with it. A compressed body is inflated a few kilobytes at a time, and no more of it is kept. Of which
//! type the list is does not matter here, nor what its objects are: they are not looked at.

use std::io::{self, Read};

use flate2::read::GzDecoder;

use super::{decode_error::DecodeError, json, protobuf};
use crate::api::version::ResourceVersion;

/// Enough for what stands before the items of a list that begins with its metadata.
const HEAD: usize = 4096;

/// Enough for the metadata that a list ends with: its version, and a token that holds a key.
const TAIL: usize = 16 << 10;

/// A compressed list longer than this is not read to its end.
const LONGEST: u64 = 512 << 20;

/// The resourceVersion of a list in JSON or protobuf, compressed or not. To find the end of a compressed
/// one takes several milliseconds per megabyte, all else microseconds.
///
/// # Errors
/// The body is not a list that the API server wrote.
pub fn list_version(body: &[u8], gzip: bool) -> Result<ResourceVersion, DecodeError> {
    if !gzip {
        let tail = &body[body.len().saturating_sub(TAIL)..];
        return read(&body[..body.len().min(HEAD)], || Ok(tail));
    }
    let wrong = |_| DecodeError::Expected { expected: "gzip data", at: 0 };
    let mut plain = GzDecoder::new(body).take(LONGEST);
    let mut head = Vec::with_capacity(HEAD);
    plain.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(wrong)?;
    read(&head, || last_bytes(&mut plain, head.clone()).map_err(wrong))
}

/// The version in the list's beginning, or in its end.
fn read<T: AsRef<[u8]>>(
    head: &[u8],
    tail: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<ResourceVersion, DecodeError> {
    if head.starts_with(protobuf::envelope::MAGIC) {
        return protobuf::list::scan_version(head);
    }
    json::list::scan_version(head).or_else(|_| json::list::scan_version_at_end(tail()?.as_ref()))
}

/// The last bytes of a text whose beginning has been read.
fn last_bytes(rest: &mut impl Read, beginning: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut last = beginning;
    while rest.by_ref().take(TAIL as u64).read_to_end(&mut last)? > 0 {
        last.drain(..last.len().saturating_sub(TAIL));
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn compressed(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn version_of(body: &[u8]) -> Result<ResourceVersion, DecodeError> {
        let plain = list_version(body, false);
        assert_eq!(plain, list_version(&compressed(body), true));
        plain
    }

    fn items(count: usize) -> String {
        let item = r#"{"metadata":{"name":"é","resourceVersion":"3"}}"#;
        vec![item; count].join(",")
    }

    #[test]
    fn reads_metadata_at_either_end() {
        let expected = ResourceVersion::new(17).unwrap();
        for count in [0, 1, 1000] {
            let items = items(count);
            let built_in = format!(
                r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"17"}},"items":[{items}]}}"#
            );
            let custom = format!(
                r#"{{"apiVersion":"a/v1","items":[{items}],"kind":"BList","metadata":{{"continue":"","resourceVersion":"17"}}}}"#
            );
            assert_eq!(version_of(built_in.as_bytes()), Ok(expected));
            assert_eq!(version_of(custom.as_bytes()), Ok(expected), "{count} items");
        }
    }

    #[test]
    fn takes_no_item_for_the_list() {
        let item = r#"{"metadata":{"name":"a","resourceVersion":"3"}}"#;
        let filler = "x".repeat(HEAD + TAIL);
        for end in [
            format!(r#""items":[{item}]}}"#),
            format!(r#""items":[{item}],"kind":"BList"}}"#),
            format!(r#""items":[{item}],"metadata":{{"continue":""}}}}"#),
            format!(r#""items":[{item}],"metadata":{{"resourceVersion":"17"#),
            r#""items":[],"metadata":{"resourceVersion":"17"},"z":{"a":1}}"#.to_owned(),
        ] {
            version_of(format!(r#"{{"apiVersion":"{filler}",{end}"#).as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn keeps_little_of_a_large_list() {
        // As if it had been inflated: the items are never there all at once.
        let item: &[u8] = br#"{"metadata":{"name":"a","resourceVersion":"3"}},"#;
        let last = br#"{}],"kind":"BList","metadata":{"continue":"","resourceVersion":"17"}}"#;
        let chunk = item.repeat(20_000);
        let mut items: Box<dyn Read> = Box::new(&last[..]);
        for _ in 0..8 {
            items = Box::new(chunk.chain(items));
        }
        let kept = last_bytes(&mut items, br#"{"apiVersion":"a/v1","items":["#.to_vec()).unwrap();
        assert!(kept.len() == TAIL && kept.capacity() <= 8 * TAIL, "{}", kept.capacity());
        assert_eq!(json::list::scan_version_at_end(&kept), Ok(ResourceVersion::new(17).unwrap()));

        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(br#"{"apiVersion":"a/v1","items":["#).unwrap();
        for _ in 0..8 {
            encoder.write_all(&chunk).unwrap();
        }
        encoder.write_all(last).unwrap();
        encoder.write_all(b"\n").unwrap();
        let body = encoder.finish().unwrap();
        assert_eq!(list_version(&body, true), Ok(ResourceVersion::new(17).unwrap()));
        list_version(&body[..body.len() - 9], true).unwrap_err();
    }

    #[test]
    fn reads_protobuf() {
        let mut list = vec![0x0a, 8, 0x0a, 0, 0x12, 2, b'1', b'7', 0x1a, 0];
        for _ in 0..1000 {
            list.extend_from_slice(&[0x12, 4, 0x0a, 2, 0x0a, 0]);
        }
        let mut body = b"k8s\0\x0a\x0d\x0a\x02v1\x12\x07PodList\x12".to_vec();
        body.extend_from_slice(&[(list.len() & 0x7f) as u8 | 0x80, (list.len() >> 7) as u8]);
        body.extend_from_slice(&list);
        body.extend_from_slice(b"\x1a\0\x22\0");
        assert_eq!(version_of(&body), Ok(ResourceVersion::new(17).unwrap()));
        assert_eq!(version_of(&body[..200]), version_of(&body), "no more is needed");
        version_of(&body[..30]).unwrap_err();
    }

    #[test]
    fn refuses_what_is_no_list() {
        for bad in [&b""[..], b"{}", b"[]", br#"{"metadata":{}}"#, b"k8s\0", b"\xff"] {
            version_of(bad).unwrap_err();
        }
        list_version(b"not gzip", true).unwrap_err();
    }
}
