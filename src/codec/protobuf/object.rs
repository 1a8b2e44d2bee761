//! One pass over an object's protobuf message: its attributes.
//!
//! The top level, ObjectMeta and what leads to selectable fields are read; everything else is
//! passed over by length.

use std::ops::Range;

use compact_str::CompactString;

use super::wire::{Field, FieldValue, MessageReader};
use crate::{
    api::{resource::Scope, selector::field_schema::Scalar, version::ResourceVersion},
    codec::{
        attributes::FoundMetadata,
        decode_error::DecodeError,
        field_plan::{FieldNode, FieldPlan, FieldValues},
        object::ObjectAttributes,
    },
};

/// `metadata` in every object and list.
pub(super) const METADATA: u32 = 1;

/// Fields of ObjectMeta.
pub(super) const NAME: u32 = 1;
pub(super) const NAMESPACE: u32 = 3;
pub(super) const RESOURCE_VERSION: u32 = 6;
pub(super) const LABELS: u32 = 11;
pub(super) const ANNOTATIONS: u32 = 12;

/// What the scanner must know of a resource.
#[derive(Clone, Debug)]
pub(in crate::codec) struct MessageShape {
    /// The selectable fields by field number.
    pub(in crate::codec) plan: FieldPlan<u32>,
    pub(in crate::codec) scope: Scope,
}

/// Reads the object whose message stands at `core` in `frame`. Its first field must be
/// `metadata`, as the API server writes it, so that its header can be rewritten.
pub(super) fn scan_core(
    frame: &[u8],
    core: &Range<usize>,
    shape: &MessageShape,
) -> Result<ObjectAttributes, DecodeError> {
    let mut values = shape.plan.defaults();
    let mut fields = MessageReader::new(frame, core.clone());
    let first = fields.next()?.filter(|field| field.number == METADATA);
    let first = first.ok_or(DecodeError::Missing { field: "metadata", at: core.start })?;
    let metadata = scan_metadata(frame, first.bytes()?)?;
    let mut others = fields.clone();
    while let Some(field) = others.next()? {
        if field.number == METADATA {
            return Err(DecodeError::Repeated { field: "metadata", at: field.at });
        }
    }
    collect_fields(frame, fields, shape.plan.root(), &mut values)?;
    metadata.finish(core, values, shape.scope)
}

fn scan_metadata(frame: &[u8], span: Range<usize>) -> Result<FoundMetadata, DecodeError> {
    let mut found = FoundMetadata { span: span.clone(), ..FoundMetadata::default() };
    let mut fields = MessageReader::new(frame, span);
    while let Some(field) = fields.next()? {
        let repeated = |name| DecodeError::Repeated { field: name, at: field.at };
        match field.number {
            NAME if found.name.is_some() => return Err(repeated("metadata.name")),
            NAME => found.name = Some(CompactString::new(field.text(frame)?)),
            NAMESPACE if !found.namespace.is_empty() => {
                return Err(repeated("metadata.namespace"));
            }
            NAMESPACE => found.namespace = CompactString::new(field.text(frame)?),
            RESOURCE_VERSION => {
                let version = (read_resource_version(frame, &field)?, field.bytes()?);
                if found.resource_version.replace(version).is_some() {
                    return Err(repeated("metadata.resourceVersion"));
                }
            }
            LABELS => {
                let (key, value) = map_entry(frame, &field)?;
                found.labels.push((CompactString::new(key), CompactString::new(value)));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The resource version that a string field holds.
pub(super) fn read_resource_version(
    frame: &[u8],
    field: &Field,
) -> Result<ResourceVersion, DecodeError> {
    let expected = DecodeError::Expected { expected: "a resourceVersion", at: field.at };
    ResourceVersion::from_canonical(field.text(frame)?).ok_or(expected)
}

/// Key and value of a `map<string, string>` entry.
pub(super) fn map_entry<'a>(
    frame: &'a [u8],
    field: &Field,
) -> Result<(&'a str, &'a str), DecodeError> {
    let (mut key, mut value) = ("", "");
    let mut fields = MessageReader::new(frame, field.bytes()?);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = field.text(frame)?,
            2 => value = field.text(frame)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Reads the wanted fields of one message. Recursion ends with the plan's own depth.
fn collect_fields(
    frame: &[u8],
    mut fields: MessageReader<'_>,
    node: &FieldNode<u32>,
    values: &mut FieldValues,
) -> Result<(), DecodeError> {
    // A list on the way is entered at its first element: a number is followed once.
    let mut entered = 0_u64;
    while let Some(field) = fields.next()? {
        let Some(index) = node.position(|number| *number == field.number) else { continue };
        let bit = 1_u64.checked_shl(index as u32).unwrap_or(0);
        if entered & bit != 0 {
            continue;
        }
        entered |= bit;
        let child = node.child(index);
        for target in child.targets() {
            match (target.scalar, &field.value) {
                (Scalar::String, FieldValue::Bytes(_)) => {
                    values.offer(*target, field.text(frame)?);
                }
                (Scalar::Bool, FieldValue::Varint(number)) => {
                    values.offer(*target, if *number == 0 { "false" } else { "true" });
                }
                (Scalar::Integer, FieldValue::Varint(number)) => {
                    // int32 and int64 are written as the 64 bits of their two's complement.
                    values.offer(*target, &number.cast_signed().to_string());
                }
                _ => {
                    let expected = "a selectable field of its schema's type";
                    return Err(DecodeError::Expected { expected, at: field.at });
                }
            }
        }
        if child.is_inner() {
            let inner = MessageReader::new(frame, field.bytes()?);
            collect_fields(frame, inner, child, values)?;
        }
    }
    Ok(())
}
