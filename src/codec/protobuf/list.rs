//! One page of a protobuf list.

use std::ops::Range;

use super::{
    envelope::{Envelope, MAGIC, RAW},
    object::{METADATA, MessageShape, read_resource_version, scan_core},
    wire::{self, MessageReader},
};
use crate::{
    api::version::ResourceVersion,
    codec::{decode_error::DecodeError, scanned::ScannedList, watch_event::ListMetadata},
};

/// `items` in every list.
const ITEMS: u32 = 2;

/// Reads a list page of the envelope's type.
pub(in crate::codec) fn scan_list(
    body: &[u8],
    envelope: &Envelope,
    shape: &MessageShape,
) -> Result<ScannedList, DecodeError> {
    let list = envelope.open(body, 0..body.len())?;
    let mut metadata = None;
    let mut objects = Vec::new();
    let mut fields = MessageReader::new(body, list);
    while let Some(field) = fields.next()? {
        match field.number {
            METADATA if metadata.is_some() => {
                return Err(DecodeError::Repeated { field: "metadata", at: field.at });
            }
            METADATA => metadata = Some(scan_list_metadata(body, field.bytes()?)?),
            ITEMS => {
                let core = field.bytes()?;
                objects.push((scan_core(body, &core, shape)?, core));
            }
            _ => {}
        }
    }
    let (resource_version, continue_token) = metadata.unwrap_or_default();
    let missing = DecodeError::Missing { field: "metadata.resourceVersion", at: body.len() };
    Ok(ScannedList { resource_version: resource_version.ok_or(missing)?, continue_token, objects })
}

/// The list's ListMeta field; the API server writes its strings even when empty (semantics §15).
pub(in crate::codec) fn list_metadata(metadata: &ListMetadata<'_>) -> Vec<u8> {
    let mut message = Vec::new();
    wire::append_bytes(&mut message, 1, b"");
    wire::append_bytes(&mut message, 2, metadata.resource_version.to_string().as_bytes());
    wire::append_bytes(&mut message, 3, metadata.continue_token.unwrap_or_default().as_bytes());
    if let Some(remaining) = metadata.remaining_item_count {
        message.push(4 << 3);
        wire::append_varint(&mut message, remaining);
    }
    let mut field = Vec::with_capacity(wire::bytes_field_length(message.len()));
    wire::append_bytes(&mut field, 1, &message);
    field
}

/// The version of a list of any type, which begins with its metadata: so much of it must be there.
pub(in crate::codec) fn scan_version(head: &[u8]) -> Result<ResourceVersion, DecodeError> {
    let list = MessageReader::of_beginning(head, MAGIC.len()).find(RAW)?;
    let metadata = wire::find(head, list, METADATA)?;
    let missing = DecodeError::Missing { field: "metadata.resourceVersion", at: head.len() };
    scan_list_metadata(head, metadata)?.0.ok_or(missing)
}

type ListVersionAndToken = (Option<ResourceVersion>, Option<String>);

fn scan_list_metadata(body: &[u8], span: Range<usize>) -> Result<ListVersionAndToken, DecodeError> {
    let (mut version, mut token) = (None, None);
    let mut fields = MessageReader::new(body, span);
    while let Some(field) = fields.next()? {
        match field.number {
            2 => version = Some(read_resource_version(body, &field)?),
            3 => {
                let text = field.text(body)?;
                token = (!text.is_empty()).then(|| text.to_owned());
            }
            _ => {}
        }
    }
    Ok((version, token))
}
