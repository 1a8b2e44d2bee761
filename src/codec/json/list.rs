//! One page of a JSON list.

use std::ops::Range;

use memchr::memmem::rfind;

use super::{
    object::{ObjectShape, scan_core},
    scanner::Scanner,
    text,
};
use crate::{
    api::version::ResourceVersion,
    codec::{decode_error::DecodeError, object::ObjectAttributes, scanned::ScannedList},
};

/// The key of a list's metadata, as the API server writes it.
const METADATA_KEY: &[u8] = b"\"metadata\":";

/// Reads a list of `list_kind` in `api_version`, its members in any order: built-in lists begin
/// with their type, custom ones are sorted by key. `item_prefix` is what each item begins with.
pub(in crate::codec) fn scan_list(
    body: &[u8],
    list_kind: &str,
    api_version: &str,
    item_prefix: &str,
    shape: &ObjectShape,
) -> Result<ScannedList, DecodeError> {
    let mut scanner = Scanner::new(text(body)?, 0);
    let (mut kind, mut version, mut metadata, mut objects) = (false, false, None, None);
    let mut first = true;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key(&mut first)? {
        let repeated = |field| DecodeError::Repeated { field, at: key.at() };
        if key.is("kind") {
            kind = scanner.string()?.is(list_kind);
        } else if key.is("apiVersion") {
            version = scanner.string()?.is(api_version);
        } else if key.is("metadata") {
            if metadata.replace(scan_list_metadata(&mut scanner)?).is_some() {
                return Err(repeated("metadata"));
            }
        } else if key.is("items") {
            if objects.replace(scan_items(&mut scanner, item_prefix, shape)?).is_some() {
                return Err(repeated("items"));
            }
        } else {
            scanner.skip_value()?;
        }
    }
    let end = scanner.position();
    scanner.finish()?;
    if !(kind && version) {
        return Err(DecodeError::WrongType { at: 0 });
    }
    let missing = |field| DecodeError::Missing { field, at: end };
    let (resource_version, continue_token) = metadata.ok_or_else(|| missing("metadata"))?;
    Ok(ScannedList {
        resource_version: resource_version.ok_or_else(|| missing("metadata.resourceVersion"))?,
        continue_token,
        objects: objects.ok_or_else(|| missing("items"))?,
    })
}

/// The version of a list of any type, of which the beginning will do if the metadata is in it.
pub(in crate::codec) fn scan_version(body: &[u8]) -> Result<ResourceVersion, DecodeError> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        // Maybe cut within a character.
        Err(error) => std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default(),
    };
    let mut scanner = Scanner::new(text, 0);
    let mut first = true;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key(&mut first)? {
        if key.is("metadata") {
            let (version, _) = scan_list_metadata(&mut scanner)?;
            let at = scanner.position();
            return version.ok_or(DecodeError::Missing { field: "metadata.resourceVersion", at });
        }
        scanner.skip_value()?;
    }
    Err(DecodeError::Missing { field: "metadata", at: scanner.position() })
}

/// The version of a list of any type that ends with its metadata, from the end of the body. It may
/// begin anywhere in the list.
pub(in crate::codec) fn scan_version_at_end(tail: &[u8]) -> Result<ResourceVersion, DecodeError> {
    let missing = |field| DecodeError::Missing { field, at: tail.len() };
    let key = rfind(tail, METADATA_KEY).ok_or_else(|| missing("metadata"))?;
    let mut scanner = Scanner::new(text(&tail[key + METADATA_KEY.len()..])?, 0);
    let (version, _) = scan_list_metadata(&mut scanner)?;
    // One thing ends behind it, and all is over then: the metadata was of the list, not of an item.
    if !scanner.take("}") {
        return Err(scanner.expected("the end of the list"));
    }
    scanner.finish()?;
    version.ok_or_else(|| missing("metadata.resourceVersion"))
}

type ListVersionAndToken = (Option<ResourceVersion>, Option<String>);

fn scan_list_metadata(scanner: &mut Scanner<'_>) -> Result<ListVersionAndToken, DecodeError> {
    let (mut version, mut token) = (None, None);
    let mut first = true;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key(&mut first)? {
        if key.is("resourceVersion") {
            let (found, _) = super::object::scan_resource_version(scanner)?;
            version = Some(found);
        } else if key.is("continue") {
            let text = scanner.string()?.text()?;
            token = (!text.is_empty()).then(|| text.into_owned());
        } else {
            scanner.skip_value()?;
        }
    }
    Ok((version, token))
}

fn scan_items(
    scanner: &mut Scanner<'_>,
    item_prefix: &str,
    shape: &ObjectShape,
) -> Result<Vec<(ObjectAttributes, Range<usize>)>, DecodeError> {
    let mut objects = Vec::new();
    if scanner.take("null") {
        return Ok(objects);
    }
    let mut first = true;
    scanner.open_array()?;
    while scanner.next_element(&mut first)? {
        if scanner.peek()? != b'{' {
            return Err(scanner.expected("an object"));
        }
        if !scanner.take(item_prefix) {
            return Err(DecodeError::WrongType { at: scanner.position() });
        }
        objects.push(scan_core(scanner, shape)?);
    }
    Ok(objects)
}
