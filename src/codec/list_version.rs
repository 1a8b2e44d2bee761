//! The version of a list that is handed on as it came.
//!
//! Reads no more of the body than it needs: built-in lists begin with their metadata, custom ones
//! end with it. Of which type the list is does not matter here, nor what its objects are.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::{decode_error::DecodeError, json, protobuf};
use crate::api::version::ResourceVersion;

/// Enough for what stands before the items of a list that begins with its metadata.
const HEAD: usize = 4096;

/// A compressed list longer than this is not read to its end.
const LONGEST: usize = 512 << 20;

/// The resourceVersion of a list in JSON or protobuf, compressed or not. Takes as long as a scan of
/// the whole body at worst: a millisecond per megabyte, several when it is compressed.
///
/// # Errors
/// The body is not a list that the API server wrote.
pub fn list_version(body: &[u8], gzip: bool) -> Result<ResourceVersion, DecodeError> {
    if !gzip {
        return read(&body[..body.len().min(HEAD)]).or_else(|_| read(body));
    }
    read(&inflate(body, HEAD)?).or_else(|_| read(&inflate(body, LONGEST)?))
}

fn read(body: &[u8]) -> Result<ResourceVersion, DecodeError> {
    if body.starts_with(protobuf::envelope::MAGIC) {
        protobuf::list::scan_version(body)
    } else {
        json::list::scan_version(body)
    }
}

/// The first bytes of what was compressed.
fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut plain = Vec::new();
    let inflated = GzDecoder::new(body).take(limit as u64).read_to_end(&mut plain);
    match inflated {
        Ok(_) => Ok(plain),
        Err(_) => Err(DecodeError::Expected { expected: "gzip data", at: 0 }),
    }
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
        version_of(&body[..200]).unwrap_err();
    }

    #[test]
    fn refuses_what_is_no_list() {
        for bad in [&b""[..], b"{}", b"[]", br#"{"metadata":{}}"#, b"k8s\0", b"\xff"] {
            version_of(bad).unwrap_err();
        }
        list_version(b"not gzip", true).unwrap_err();
    }
}
