//! One pass over an object's JSON: its attributes, and proof that it is whole.

use std::ops::Range;

use compact_str::CompactString;

use super::{scanner::Scanner, string::JsonString};
use crate::{
    api::{resource::Scope, version::ResourceVersion},
    codec::{
        attributes::FoundMetadata,
        decode_error::DecodeError,
        field_plan::{FieldNode, FieldPlan, FieldValues},
        object::ObjectAttributes,
    },
};

/// What the scanner must know of a resource.
#[derive(Clone, Debug)]
pub(in crate::codec) struct ObjectShape {
    /// The selectable fields by JSON key.
    pub(in crate::codec) plan: FieldPlan<CompactString>,
    pub(in crate::codec) scope: Scope,
    pub(in crate::codec) type_member: TypeMember,
}

/// Where an object's `kind` and `apiVersion` are.
#[derive(Clone, Debug)]
pub(in crate::codec) enum TypeMember {
    /// Before the core, which must not hold them again (built-in types).
    BeforeCore,
    /// In the core, with these values (custom resources).
    InCore {
        /// The expected `kind`.
        kind: CompactString,
        /// The expected `apiVersion`.
        api_version: CompactString,
    },
}

/// Reads the object whose opening brace (and, for built-in types, whose type) ends where the
/// scanner stands. Returns its attributes and where its core stands in the text.
pub(super) fn scan_core(
    scanner: &mut Scanner<'_>,
    shape: &ObjectShape,
) -> Result<(ObjectAttributes, Range<usize>), DecodeError> {
    let start = scanner.position();
    let mut values = shape.plan.defaults();
    let mut metadata = None;
    let mut types = TypesSeen::default();
    let mut first = true;
    scanner.resume_object()?;
    while let Some(key) = scanner.next_key(&mut first)? {
        if key.is("metadata") {
            if metadata.is_some() {
                return Err(DecodeError::Repeated { field: "metadata", at: key.at() });
            }
            metadata = Some(scan_metadata(scanner)?);
        } else if !types.take(scanner, key, &shape.type_member)? {
            let root = shape.plan.root();
            match root.position(|step| key.is(step)) {
                Some(index) => collect(scanner, root.child(index), &mut values)?,
                None => {
                    scanner.skip_value()?;
                }
            }
        }
    }
    let core = start..scanner.position();
    types.finish(&shape.type_member, core.end)?;
    let metadata = metadata.ok_or(DecodeError::Missing { field: "metadata", at: core.end })?;
    Ok((metadata.finish(&core, values, shape.scope)?, core))
}

/// Which of `kind` and `apiVersion` an object's members have shown.
#[derive(Default)]
pub(super) struct TypesSeen {
    kind: bool,
    api_version: bool,
}

// === impl TypesSeen ===

impl TypesSeen {
    /// Reads the member if it is part of the type; false leaves it to the caller.
    pub(super) fn take(
        &mut self,
        scanner: &mut Scanner<'_>,
        key: JsonString<'_>,
        member: &TypeMember,
    ) -> Result<bool, DecodeError> {
        let is_kind = key.is("kind");
        if !is_kind && !key.is("apiVersion") {
            return Ok(false);
        }
        let seen = if is_kind { &mut self.kind } else { &mut self.api_version };
        let TypeMember::InCore { kind, api_version } = member else {
            return Err(DecodeError::WrongType { at: key.at() });
        };
        let value = scanner.string()?;
        if std::mem::replace(seen, true) || !value.is(if is_kind { kind } else { api_version }) {
            return Err(DecodeError::WrongType { at: value.at() });
        }
        Ok(true)
    }

    /// Fails when a type that must be in the core was not.
    pub(super) fn finish(&self, member: &TypeMember, at: usize) -> Result<(), DecodeError> {
        match member {
            TypeMember::InCore { .. } if !(self.kind && self.api_version) => {
                Err(DecodeError::Missing { field: "kind or apiVersion", at })
            }
            _ => Ok(()),
        }
    }
}

fn scan_metadata(scanner: &mut Scanner<'_>) -> Result<FoundMetadata, DecodeError> {
    let mut found = FoundMetadata::default();
    let mut first = true;
    scanner.open_object()?;
    let start = scanner.position() - 1;
    while let Some(key) = scanner.next_key(&mut first)? {
        if key.is("name") {
            let name = CompactString::from(scanner.string()?.text()?);
            if found.name.replace(name).is_some() {
                return Err(DecodeError::Repeated { field: "metadata.name", at: key.at() });
            }
        } else if key.is("namespace") {
            if !found.namespace.is_empty() {
                return Err(DecodeError::Repeated { field: "metadata.namespace", at: key.at() });
            }
            found.namespace = CompactString::from(scanner.string()?.text()?);
        } else if key.is("resourceVersion") {
            let version = scan_resource_version(scanner)?;
            if found.resource_version.replace(version).is_some() {
                let field = "metadata.resourceVersion";
                return Err(DecodeError::Repeated { field, at: key.at() });
            }
        } else if key.is("labels") {
            if !found.labels.is_empty() {
                return Err(DecodeError::Repeated { field: "metadata.labels", at: key.at() });
            }
            scan_labels(scanner, &mut found.labels)?;
        } else {
            scanner.skip_value()?;
        }
    }
    found.span = start..scanner.position();
    Ok(found)
}

/// A resource version in quotes, and where its digits stand.
pub(super) fn scan_resource_version(
    scanner: &mut Scanner<'_>,
) -> Result<(ResourceVersion, Range<usize>), DecodeError> {
    let text = scanner.string()?;
    let version = text.plain().and_then(ResourceVersion::from_canonical);
    let at = text.at();
    let version = version.ok_or(DecodeError::Expected { expected: "a resourceVersion", at })?;
    Ok((version, text.inner_span()))
}

fn scan_labels(
    scanner: &mut Scanner<'_>,
    labels: &mut Vec<(CompactString, CompactString)>,
) -> Result<(), DecodeError> {
    if scanner.take("null") {
        return Ok(());
    }
    let mut first = true;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key(&mut first)? {
        let value = scanner.string()?.text()?;
        labels.push((CompactString::from(key.text()?), CompactString::from(value)));
    }
    Ok(())
}

/// Reads a value below which fields are wanted. Recursion ends with the plan's own depth.
fn collect(
    scanner: &mut Scanner<'_>,
    node: &FieldNode<CompactString>,
    values: &mut FieldValues,
) -> Result<(), DecodeError> {
    match scanner.peek()? {
        b'{' if node.is_inner() => collect_members(scanner, node, values),
        b'[' if node.is_inner() => collect_first_element(scanner, node, values),
        b'{' | b'[' => scanner.skip_value().map(drop),
        b'"' => {
            let string = scanner.string()?;
            if !node.targets().is_empty() {
                let text = string.text()?;
                node.targets().iter().for_each(|target| values.offer(*target, &text));
            }
            Ok(())
        }
        _ => {
            let literal = scanner.literal()?;
            if literal != "null" {
                node.targets().iter().for_each(|target| values.offer(*target, literal));
            }
            Ok(())
        }
    }
}

fn collect_members(
    scanner: &mut Scanner<'_>,
    node: &FieldNode<CompactString>,
    values: &mut FieldValues,
) -> Result<(), DecodeError> {
    let mut first = true;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key(&mut first)? {
        match node.position(|step| key.is(step)) {
            Some(index) => collect(scanner, node.child(index), values)?,
            None => {
                scanner.skip_value()?;
            }
        }
    }
    Ok(())
}

/// A list on the way to a field is entered at its first element.
fn collect_first_element(
    scanner: &mut Scanner<'_>,
    node: &FieldNode<CompactString>,
    values: &mut FieldValues,
) -> Result<(), DecodeError> {
    let mut first = true;
    scanner.open_array()?;
    if scanner.next_element(&mut first)? {
        if scanner.peek()? == b'{' {
            collect_members(scanner, node, values)?;
        } else {
            scanner.skip_value()?;
        }
        while scanner.next_element(&mut first)? {
            scanner.skip_value()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
