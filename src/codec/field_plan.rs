//! A resource's selectable fields, arranged for one walk over an object.
//!
//! A [`FieldSchema`] lists paths; the plan merges them into a tree so that a scanner that stands at
//! a key or field number knows at once whether anything below is wanted. `Step` is the key of one
//! level: a name in JSON, a field number in protobuf. Fields below `metadata` are not planned for:
//! the attributes of an object hold those.

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::api::selector::field_schema::{FieldSchema, FieldSource, Scalar};

/// All selectable fields of one resource in one format.
#[derive(Clone, Debug)]
pub(super) struct FieldPlan<Step> {
    root: FieldNode<Step>,
    defaults: SmallVec<[CompactString; 2]>,
}

/// One level of the tree.
#[derive(Clone, Debug)]
pub(super) struct FieldNode<Step> {
    children: Vec<(Step, Self)>,
    targets: Vec<FieldTarget>,
}

/// A field whose value may stand at a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldTarget {
    field: usize,
    source: usize,
    /// How the value is written in protobuf.
    pub(super) scalar: Scalar,
}

/// The values found so far, one per field of the schema.
#[derive(Clone, Debug)]
pub(super) struct FieldValues {
    values: SmallVec<[CompactString; 2]>,
    /// Per field, the source its value came from; `usize::MAX` while it is the default.
    sources: SmallVec<[usize; 12]>,
}

// === impl FieldPlan ===

impl<Step: Clone + PartialEq> FieldPlan<Step> {
    /// Arranges `schema`; `path` picks the steps of a source, an empty path plans nothing.
    pub(super) fn new(schema: &FieldSchema, path: impl Fn(&FieldSource) -> &[Step]) -> Self {
        let mut root = FieldNode { children: Vec::new(), targets: Vec::new() };
        for (field, selectable) in schema.fields.iter().enumerate() {
            for (source, origin) in selectable.sources.iter().enumerate() {
                let steps = path(origin);
                if !steps.is_empty() {
                    root.insert(steps, FieldTarget { field, source, scalar: origin.scalar });
                }
            }
        }
        Self { root, defaults: schema.fields.iter().map(|field| field.default.clone()).collect() }
    }

    /// The level of an object's top.
    pub(super) fn root(&self) -> &FieldNode<Step> {
        &self.root
    }

    /// Every field at its default.
    pub(super) fn defaults(&self) -> FieldValues {
        FieldValues {
            sources: SmallVec::from_elem(usize::MAX, self.defaults.len()),
            values: self.defaults.clone(),
        }
    }
}

// === impl FieldNode ===

impl<Step: Clone + PartialEq> FieldNode<Step> {
    fn insert(&mut self, steps: &[Step], target: FieldTarget) {
        let Some((step, rest)) = steps.split_first() else {
            self.targets.push(target);
            return;
        };
        let index = self.position(|known| known == step).unwrap_or_else(|| {
            self.children.push((step.clone(), Self { children: Vec::new(), targets: Vec::new() }));
            self.children.len() - 1
        });
        self.children[index].1.insert(rest, target);
    }

    /// The index of the child whose step satisfies `is`.
    pub(super) fn position(&self, is: impl Fn(&Step) -> bool) -> Option<usize> {
        self.children.iter().position(|(step, _)| is(step))
    }

    /// The child at an index that [`Self::position`] gave.
    pub(super) fn child(&self, index: usize) -> &Self {
        &self.children[index].1
    }

    /// Whether anything is wanted from inside a container that stands here.
    pub(super) fn is_inner(&self) -> bool {
        !self.children.is_empty()
    }

    /// The fields whose value a scalar that stands here is.
    pub(super) fn targets(&self) -> &[FieldTarget] {
        &self.targets
    }
}

// === impl FieldValues ===

impl FieldValues {
    /// Takes a value that was found, unless an earlier source already gave one. An empty value
    /// counts as absent: protobuf writes unset strings as empty ones (semantics §7.1).
    pub(super) fn offer(&mut self, target: FieldTarget, value: &str) {
        if !value.is_empty() && target.source < self.sources[target.field] {
            self.sources[target.field] = target.source;
            self.values[target.field] = CompactString::new(value);
        }
    }

    /// The values in the schema's order.
    pub(super) fn finish(self) -> Box<[CompactString]> {
        self.values.into_boxed_slice()
    }
}
