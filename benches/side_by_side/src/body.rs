//! Whether two answers say the same: byte by byte, apart from what is true of a list as a whole at one moment.
//!
//! Lists of the same objects may be of different resource versions, and continue tokens hold one: these two fields of a
//! list's own metadata may differ, if both sides have them. Everything else must not.

use std::{borrow::Cow, io::Read as _};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use watchgate_cluster::Response;

const PROTOBUF_MAGIC: &[u8] = b"k8s\0";
const ITEMS: &[u8] = b"\"items\":[";

/// The body as it was before compression.
pub(crate) fn plain(response: &Response) -> Result<Cow<'_, [u8]>> {
    match response.header("content-encoding") {
        None => Ok(Cow::Borrowed(&response.body)),
        Some("gzip") => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&response.body[..]).read_to_end(&mut plain)?;
            Ok(Cow::Owned(plain))
        }
        Some(other) => anyhow::bail!("content-encoding {other}, which was not asked for"),
    }
}

/// Says what differs.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Result<()> {
    let (a, b) = (Parts::of(a).context("A")?, Parts::of(b).context("B")?);
    ensure!(a.about == b.about, "about the list: A says {:?}, B says {:?}", a.about, b.about);
    if a.items != b.items {
        let at = a.items.iter().zip(&*b.items).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| {
            let part = &bytes[at.saturating_sub(60).min(bytes.len())..(at + 60).min(bytes.len())];
            String::from_utf8_lossy(part).into_owned()
        };
        anyhow::bail!(
            "bodies of {} and {} bytes differ at {at}: A has {:?}, B {:?}",
            a.items.len(),
            b.items.len(),
            around(&a.items),
            around(&b.items)
        );
    }
    Ok(())
}

/// The token for the next page of a JSON list.
pub(crate) fn continue_token(body: &[u8]) -> Result<String> {
    let (about, _) = json_parts(body)?.context("not a list")?;
    let token = about["metadata"]["continue"].as_str();
    Ok(token.context("a list without continue token")?.to_owned())
}

/// A list's metadata without what may differ, and the rest.
struct Parts<'a> {
    about: Value,
    items: Cow<'a, [u8]>,
}

impl<'a> Parts<'a> {
    fn of(body: &'a [u8]) -> Result<Self> {
        if let Some(unknown) = body.strip_prefix(PROTOBUF_MAGIC) {
            return Self::of_protobuf(unknown);
        }
        let Some((mut about, items)) = json_parts(body)? else {
            return Ok(Self { about: Value::Null, items: Cow::Borrowed(body) });
        };
        for field in ["resourceVersion", "continue"] {
            if let Some(value) = about["metadata"].get_mut(field) {
                *value = Value::Null;
            }
        }
        Ok(Self { about, items: Cow::Borrowed(items) })
    }

    /// `Unknown { typeMeta = 1, raw = 2 }` around a list `{ metadata = 1, items = 2 }`, or around an object, whose first two
    /// fields are metadata and spec: those of an object stay as they are.
    fn of_protobuf(unknown: &'a [u8]) -> Result<Self> {
        let mut items = Vec::new();
        let mut about = Vec::new();
        let mut is_list = false;
        for field in fields(unknown)? {
            if field.number == 1 {
                is_list = String::from_utf8_lossy(field.bytes).contains("List");
            }
            if field.number != 2 || !is_list {
                items.extend_from_slice(field.bytes);
                continue;
            }
            for field in fields(field.bytes)? {
                if field.number != 1 {
                    items.extend_from_slice(field.bytes);
                    continue;
                }
                for field in fields(field.bytes)? {
                    // resourceVersion = 2, continue = 3
                    let shown = if matches!(field.number, 2 | 3) { &[][..] } else { field.bytes };
                    about.push(Value::String(format!("{}: {shown:?}", field.number)));
                }
            }
        }
        Ok(Self { about: Value::Array(about), items: Cow::Owned(items) })
    }
}

/// `None` if it is no list: other objects have items within, too.
fn json_parts(body: &[u8]) -> Result<Option<(Value, &[u8])>> {
    let kind =
        body.strip_prefix(b"{\"kind\":\"").and_then(|rest| rest.split(|&byte| byte == b'"').next());
    if !kind.is_some_and(|kind| kind.ends_with(b"List")) {
        return Ok(None);
    }
    let Some(at) = memchr::memmem::find(body, ITEMS) else { return Ok(None) };
    let (head, items) = body.split_at(at + ITEMS.len());
    let mut text = head.to_vec();
    text.extend_from_slice(b"]}");
    let about = serde_json::from_slice(&text).context("what stands before the items")?;
    Ok(Some((about, items)))
}

/// One field of a protobuf message: with its length or as it is.
struct Field<'a> {
    number: u64,
    bytes: &'a [u8],
}

fn fields(mut message: &[u8]) -> Result<Vec<Field<'_>>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let length = match tag & 7 {
            0 => {
                let before = message;
                varint(&mut message)?;
                let bytes = &before[..before.len() - message.len()];
                found.push(Field { number: tag >> 3, bytes });
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?)?,
            5 => 4,
            other => anyhow::bail!("protobuf: wire type {other}"),
        };
        let (bytes, rest) = message.split_at_checked(length).context("protobuf: cut off")?;
        found.push(Field { number: tag >> 3, bytes });
        message = rest;
    }
    Ok(found)
}

fn varint(message: &mut &[u8]) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first().context("protobuf: cut off")?;
        *message = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    anyhow::bail!("protobuf: a number of more than 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(version: &str, rest: &str, items: &str) -> String {
        format!(
            r#"{{"kind":"PodList","metadata":{{"resourceVersion":"{version}"{rest}}},"items":[{items}]}}"#
        )
    }

    #[test]
    fn only_the_version_of_a_list_may_differ() {
        let compare = |a: &str, b: &str| compare(a.as_bytes(), b.as_bytes());
        let item = r#"{"metadata":{"resourceVersion":"1"},"spec":{"items":[1]}}"#;
        let other = r#"{"metadata":{"resourceVersion":"2"}}"#;
        assert!(compare(&list("5", "", item), &list("7", "", item)).is_ok());
        assert!(compare(&list("5", "", item), &list("5", "", other)).is_err());
        assert!(
            compare(&list("5", r#","continue":"x""#, item), &list("7", r#","continue":"y""#, item))
                .is_ok()
        );
        assert!(compare(&list("5", r#","continue":"x""#, item), &list("5", "", item)).is_err());
        let remaining = |number| list("5", &format!(r#","remainingItemCount":{number}"#), item);
        assert!(compare(&remaining(3), &remaining(4)).is_err());
        assert!(compare(item, item).is_ok() && compare(item, other).is_err());
    }

    #[test]
    fn the_same_holds_in_protobuf() {
        fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
            [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
        }
        let answer = |kind: &str, version: &str, item: &str| {
            let list =
                [field(1, &field(2, version.as_bytes())), field(2, item.as_bytes())].concat();
            let unknown = [field(1, &field(2, kind.as_bytes())), field(2, &list)].concat();
            [PROTOBUF_MAGIC, &unknown].concat()
        };
        assert!(compare(&answer("PodList", "5", "x"), &answer("PodList", "7", "x")).is_ok());
        assert!(compare(&answer("PodList", "5", "x"), &answer("PodList", "5", "y")).is_err());
        assert!(compare(&answer("Pod", "5", "x"), &answer("Pod", "7", "x")).is_err());
        assert!(compare(&answer("Pod", "5", "x"), &answer("Pod", "5", "x")[..9]).is_err());
    }

    #[test]
    fn finds_the_token() {
        let body = list("5", r#","continue":"abc""#, "{}");
        assert_eq!(continue_token(body.as_bytes()).unwrap(), "abc");
        assert!(continue_token(list("5", "", "{}").as_bytes()).is_err());
    }
}
