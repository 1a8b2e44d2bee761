//! Which objects of the churns a watch selects.
//!
//! The objects' names, namespaces, labels and nodes never change while the run goes on, so what a
//! watch must be sent is known before it begins. An index by name, node, namespace and label keeps
//! thousands of different selections from looking at every object each.

use std::collections::HashMap;

use compact_str::CompactString;
use watchgate::api::{
    object_key::ObjectKey,
    selector::{
        field::{FieldSelector, FieldTarget},
        field_schema::FieldSchema,
        label::LabelSelector,
    },
};

use crate::resource::{Kind, Resource};

/// The label whose value is the run.
pub const RUN_LABEL: &str = "watchgate-loadtest/run";

/// One object of a churn, as far as it can be selected by.
#[derive(Clone, Debug)]
pub struct SlotObject {
    /// What it is.
    pub kind: Kind,
    /// Where it is, and how it is called.
    pub key: ObjectKey,
    /// Sorted by key.
    pub labels: Vec<(CompactString, CompactString)>,
    /// `spec.nodeName` of a pod; empty if it has none.
    pub node: CompactString,
}

/// The objects of all churns, by slot.
#[derive(Debug, Default)]
pub struct Audiences {
    objects: Vec<SlotObject>,
    by_name: HashMap<CompactString, Vec<u32>>,
    by_node: HashMap<CompactString, Vec<u32>>,
    by_namespace: HashMap<CompactString, Vec<u32>>,
    by_label: HashMap<(CompactString, CompactString), Vec<u32>>,
}

/// What a watch selects.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Of one resource.
    pub kind: Option<Kind>,
    /// Everywhere if none is given.
    pub namespace: Option<String>,
    /// By labels.
    pub labels: LabelSelector,
    /// By fields.
    pub fields: FieldSelector,
    /// What the field selector's positions mean.
    pub node_position: Option<usize>,
}

// === impl Audiences ===

impl Audiences {
    /// Adds the next slot's object.
    pub fn push(&mut self, object: SlotObject) {
        let slot = self.objects.len() as u32;
        if !object.node.is_empty() {
            self.by_node.entry(object.node.clone()).or_default().push(slot);
        }
        self.by_name.entry(object.key.name().into()).or_default().push(slot);
        self.by_namespace.entry(object.key.namespace().into()).or_default().push(slot);
        for label in object.labels.iter().filter(|(key, _)| key != RUN_LABEL) {
            self.by_label.entry(label.clone()).or_default().push(slot);
        }
        self.objects.push(object);
    }

    /// The objects, by slot.
    pub fn objects(&self) -> &[SlotObject] {
        &self.objects
    }

    /// The slots that a watch selects, sorted.
    pub fn of(&self, selection: &Selection) -> Vec<u32> {
        let selected = |slot: &u32| selection.matches(&self.objects[*slot as usize]);
        match self.candidates(selection) {
            Some(slots) => slots.iter().copied().filter(selected).collect(),
            None => (0..self.objects.len() as u32).filter(selected).collect(),
        }
    }

    /// How many objects [`Audiences::of`] would look at.
    pub fn looks(&self, selection: &Selection) -> usize {
        self.candidates(selection).map_or(self.objects.len(), <[u32]>::len)
    }

    /// The shortest list that holds every selected slot; `None` for all.
    fn candidates(&self, selection: &Selection) -> Option<&[u32]> {
        let fields = selection.fields.equality_terms().filter_map(|(target, value)| match target {
            FieldTarget::Name => Some(self.by_name.get(value)),
            FieldTarget::Namespace => Some(self.by_namespace.get(value)),
            FieldTarget::Field(position) if Some(position) == selection.node_position => {
                Some(self.by_node.get(value))
            }
            FieldTarget::Field(_) | FieldTarget::AlwaysEmpty => None,
        });
        let namespace = selection.namespace.as_deref().map(|it| self.by_namespace.get(it));
        let labels = selection
            .labels
            .equality_terms()
            .filter(|(key, _)| *key != RUN_LABEL)
            .map(|(key, value)| self.by_label.get(&(key.into(), value.into())));
        let lists = fields.chain(namespace).chain(labels);
        lists.map(|list| list.map_or(&[][..], Vec::as_slice)).min_by_key(|list| list.len())
    }
}

// === impl Selection ===

impl Selection {
    /// From texts that were checked with the scenario; what does not parse selects nothing.
    ///
    /// # Errors
    /// When a selector does not parse for this number although it did for the first.
    pub fn parse(
        resource: &Resource,
        namespace: Option<String>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Self, String> {
        let schema: FieldSchema = resource.field_schema();
        let labels = LabelSelector::parse(labels.unwrap_or(""));
        let fields = FieldSelector::parse(fields.unwrap_or(""), &schema);
        Ok(Self {
            kind: resource.kind,
            namespace,
            labels: labels.map_err(|error| format!("label-selector: {error}"))?,
            fields: fields.map_err(|error| format!("field-selector: {error}"))?,
            node_position: schema.position("spec.nodeName"),
        })
    }

    fn matches(&self, object: &SlotObject) -> bool {
        let mut fields = Vec::new();
        if let Some(position) = self.node_position.filter(|_| self.fields.looks_at_fields()) {
            fields.resize(position + 1, CompactString::default());
            fields[position] = object.node.clone();
        }
        self.kind == Some(object.kind)
            && self.namespace.as_deref().is_none_or(|it| it == object.key.namespace())
            && self.labels.matches(&object.labels)
            && self.fields.matches(&object.key, &fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audiences() -> Audiences {
        let mut audiences = Audiences::default();
        for number in 0..20 {
            audiences.push(SlotObject {
                kind: if number < 18 { Kind::Pod } else { Kind::ConfigMap },
                key: ObjectKey::new(&format!("ns-{}", number % 2), &format!("run-{number}")),
                labels: vec![("app".into(), format!("a{}", number % 3).into())],
                node: format!("node-{}", number % 5).into(),
            });
        }
        audiences
    }

    fn selection(namespace: Option<&str>, labels: &str, fields: &str) -> Selection {
        let pods = Resource::of(Kind::Pod);
        let namespace = namespace.map(ToOwned::to_owned);
        Selection::parse(&pods, namespace, Some(labels), Some(fields)).unwrap()
    }

    fn of(namespace: Option<&str>, labels: &str, fields: &str) -> Vec<u32> {
        audiences().of(&selection(namespace, labels, fields))
    }

    #[test]
    fn looks_only_at_what_an_index_gives() {
        let looks =
            |namespace, labels, fields| audiences().looks(&selection(namespace, labels, fields));
        assert_eq!(looks(None, "", "metadata.name=run-3"), 1);
        assert_eq!(looks(None, "", "metadata.namespace=ns-1"), 10);
        assert_eq!(looks(Some("ns-0"), "app=a0", "spec.nodeName=node-2"), 4);
        assert_eq!(looks(None, "app!=a0", "spec.nodeName!=node-2"), 20);
        assert_eq!(looks(None, "", "spec.nodeName=nowhere"), 0);
    }

    #[test]
    fn selects_as_the_server_does() {
        assert_eq!(of(None, "", ""), (0..18).collect::<Vec<_>>());
        assert_eq!(of(None, "", "spec.nodeName=node-2"), [2, 7, 12, 17]);
        assert_eq!(of(Some("ns-1"), "", "spec.nodeName=node-2"), [7, 17]);
        assert_eq!(of(None, "app=a0", "spec.nodeName=node-2"), [12]);
        assert_eq!(of(None, "app!=a0", "spec.nodeName=node-2"), [2, 7, 17]);
        assert_eq!(of(None, "", "metadata.name=run-3"), [3]);
        assert_eq!(of(None, "", "spec.nodeName=nowhere"), Vec::<u32>::new());
        assert_eq!(of(Some("other"), "", ""), Vec::<u32>::new());
    }
}
