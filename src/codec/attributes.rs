//! An object's attributes while its bytes are being read.
//!
//! Collects what both formats find, each in its own way, and checks once that it is complete:
//! a name, a resource version, a namespace exactly where the resource's scope demands one, no
//! label twice.

use std::ops::Range;

use compact_str::CompactString;

use super::{
    decode_error::DecodeError,
    field_plan::FieldValues,
    object::{Labels, ObjectAttributes},
};
use crate::api::{object_key::ObjectKey, resource::Scope, version::ResourceVersion};

/// The largest core taken, in bytes: spans are 32 bits, and stay so when a longer resource version
/// is written into the core.
const MAX_CORE: usize = u32::MAX as usize - 64;

/// What has been found so far; positions are offsets into the frame or body.
#[derive(Debug, Default)]
pub(super) struct FoundMetadata {
    /// `metadata`'s span, as [`ObjectAttributes::metadata`] but in the frame.
    pub(super) span: Range<usize>,
    pub(super) name: Option<CompactString>,
    pub(super) namespace: CompactString,
    pub(super) resource_version: Option<(ResourceVersion, Range<usize>)>,
    pub(super) labels: Vec<(CompactString, CompactString)>,
}

// === impl FoundMetadata ===

impl FoundMetadata {
    /// The attributes of an object of a resource with this `scope`, whose core is
    /// `core` in the frame.
    pub(super) fn finish(
        self,
        core: &Range<usize>,
        fields: FieldValues,
        scope: Scope,
    ) -> Result<ObjectAttributes, DecodeError> {
        if core.len() > MAX_CORE {
            return Err(DecodeError::TooLarge { length: core.len(), limit: MAX_CORE });
        }
        let end = self.span.end;
        let missing = |field| DecodeError::Missing { field, at: end };
        let name =
            self.name.filter(|name| !name.is_empty()).ok_or_else(|| missing("metadata.name"))?;
        if name.contains('/') || self.namespace.contains('/') {
            return Err(DecodeError::Expected { expected: "a name without a slash", at: end });
        }
        match (scope, self.namespace.is_empty()) {
            (Scope::Namespaced, true) => return Err(missing("metadata.namespace")),
            (Scope::Cluster, false) => {
                let expected = "no namespace in a cluster-scoped object";
                return Err(DecodeError::Expected { expected, at: end });
            }
            _ => {}
        }
        let (resource_version, version_span) =
            self.resource_version.ok_or_else(|| missing("metadata.resourceVersion"))?;
        Ok(ObjectAttributes {
            key: ObjectKey::new(&self.namespace, &name),
            resource_version,
            labels: sorted(self.labels, end)?,
            fields: fields.finish(),
            metadata: relative(&self.span, core),
            resource_version_span: relative(&version_span, core),
        })
    }
}

fn sorted(
    mut labels: Vec<(CompactString, CompactString)>,
    at: usize,
) -> Result<Labels, DecodeError> {
    if !labels.is_sorted_by(|left, right| left.0 < right.0) {
        labels.sort_unstable();
        if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(DecodeError::Repeated { field: "a label", at });
        }
    }
    Ok(labels.into())
}

/// A span of the frame as a span of the core, which is at most [`MAX_CORE`] long.
fn relative(span: &Range<usize>, core: &Range<usize>) -> Range<u32> {
    let offset = |position: usize| (position - core.start) as u32;
    offset(span.start)..offset(span.end)
}
