//! Protobuf frames and lists.

use anyhow::{Context, Result, bail, ensure};

use super::{Frame, Object, Page, digest};
use crate::varint::varint;

/// The start of an object.
const MAGIC: &[u8] = b"k8s\0";

/// A field: its number, its content without the length, and its bytes with everything.
struct Field<'a> {
    number: u64,
    content: &'a [u8],
    whole: &'a [u8],
}

pub(super) fn frame(bytes: &[u8]) -> Result<Frame> {
    let fields = fields(bytes)?;
    let kind = text(&fields, 1)?;
    // WatchEvent.object, RawExtension.raw, Unknown.raw.
    let raw = unwrapped(one(&self::fields(one(&fields, 2)?)?, 1)?)?;
    if kind == "ERROR" {
        let (code, _) = varint(one(&self::fields(raw)?, 6)?)?;
        return Ok(Frame::Error(u16::try_from(code)?));
    }
    Ok(Frame::Object { kind, object: object(raw)? })
}

pub(super) fn page(bytes: &[u8]) -> Result<Page> {
    let list = fields(unwrapped(bytes)?)?;
    let metadata = fields(one(&list, 1)?)?;
    let items = list.iter().filter(|field| field.number == 2);
    let objects = items.map(|item| object(item.content)).collect::<Result<_>>()?;
    Ok(Page { version: text(&metadata, 2)?.parse()?, rest: text(&metadata, 3)?, objects })
}

fn unwrapped(bytes: &[u8]) -> Result<&[u8]> {
    let unknown = bytes.strip_prefix(MAGIC).context("no protobuf object")?;
    one(&fields(unknown)?, 2)
}

/// An object of any kind: its first field is its metadata.
fn object(raw: &[u8]) -> Result<Object> {
    let whole = fields(raw)?;
    let metadata = fields(one(&whole, 1)?)?;
    let mut initial_end = false;
    for annotation in metadata.iter().filter(|field| field.number == 12) {
        let pair = fields(annotation.content)?;
        initial_end |= text(&pair, 1)? == "k8s.io/initial-events-end" && text(&pair, 2)? == "true";
    }
    // The lengths around the version are of the moment, too.
    let inside = metadata.iter().filter(|field| field.number != 6);
    let outside = whole.iter().filter(|field| field.number != 1);
    let parts: Vec<&[u8]> = inside.chain(outside).map(|field| field.whole).collect();
    Ok(Object {
        namespace: text(&metadata, 3)?,
        name: text(&metadata, 1)?,
        version: text(&metadata, 6)?.parse()?,
        initial_end,
        content: digest(&parts),
        ..Object::default()
    })
}

fn one<'a>(fields: &[Field<'a>], number: u64) -> Result<&'a [u8]> {
    let found = fields.iter().find(|field| field.number == number);
    Ok(found.with_context(|| format!("no field {number}"))?.content)
}

/// A field's text; empty if it is missing.
fn text(fields: &[Field<'_>], number: u64) -> Result<String> {
    let found = fields.iter().find(|field| field.number == number);
    Ok(String::from_utf8(found.map(|field| field.content.to_vec()).unwrap_or_default())?)
}

fn fields(mut bytes: &[u8]) -> Result<Vec<Field<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (tag, inside) = varint(bytes)?;
        let (content, rest) = match tag & 7 {
            0 => {
                let (_, rest) = varint(inside)?;
                (&inside[..inside.len() - rest.len()], rest)
            }
            2 => {
                let (length, inside) = varint(inside)?;
                let length = usize::try_from(length)?;
                ensure!(length <= inside.len(), "a field longer than its message");
                inside.split_at(length)
            }
            other => bail!("wire type {other}"),
        };
        let whole = &bytes[..bytes.len() - rest.len()];
        found.push(Field { number: tag >> 3, content, whole });
        bytes = rest;
    }
    Ok(found)
}
