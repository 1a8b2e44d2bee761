//! Everything the store serves at a moment: the built-in table and the resources that stored
//! CustomResourceDefinitions define.
//!
//! Rebuilt from the stored definitions whenever one of them changes; a definition whose
//! CustomResourceDefinition did not change keeps its identity, so that its watches go on.

use std::{collections::BTreeMap, sync::Arc};

use compact_str::CompactString;

use super::{
    built_in::{BUILT_INS, REVIEWS},
    custom_resource::{self, DEFINITIONS},
    definition::Definition,
    history::Objects,
};

/// The served resources.
#[derive(Debug)]
pub(super) struct Registry {
    definitions: Vec<Arc<Definition>>,
    /// Definitions of custom resources by the name of what defines them, with its revision.
    custom: BTreeMap<CompactString, (u64, Vec<Arc<Definition>>)>,
}

/// One group and version, with what is stored in it.
pub(super) struct GroupVersion<'a> {
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) definitions: Vec<&'a Arc<Definition>>,
}

// === impl Registry ===

impl Registry {
    /// The built-in resources alone.
    pub(super) fn built_in() -> Self {
        let definitions = BUILT_INS.iter().map(|row| Arc::new(Definition::built_in(row)));
        Self { definitions: definitions.collect(), custom: BTreeMap::new() }
    }

    /// The definition that serves `group/version/plural`.
    pub(super) fn find(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<&Arc<Definition>> {
        self.all().find(|definition| {
            let gvr = &definition.resource.gvr;
            gvr.group == group && gvr.version == version && gvr.resource == plural
        })
    }

    /// Whether `definition` is still what is served under its name.
    pub(super) fn serves(&self, definition: &Arc<Definition>) -> bool {
        self.all().any(|served| Arc::ptr_eq(served, definition))
    }

    /// Every definition, built-in ones first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Definition>> {
        let custom = self.custom.values().flat_map(|(_, definitions)| definitions);
        self.definitions.iter().chain(custom)
    }

    /// The definition under which objects of `store` are kept: the first one that serves it.
    pub(super) fn of_store(&self, store: &str) -> Option<&Arc<Definition>> {
        self.all().find(|definition| definition.store == store)
    }

    /// Takes over the stored CustomResourceDefinitions.
    pub(super) fn follow(&mut self, crds: &Objects) {
        self.custom.retain(|name, (revision, _)| {
            crds.get(name.as_str()).is_some_and(|crd| crd.revision == *revision)
        });
        for (key, crd) in crds {
            if !self.custom.contains_key(key.as_str()) {
                let definitions = custom_resource::definitions(&crd.fields);
                let definitions = definitions.into_iter().map(Arc::new).collect();
                self.custom.insert(key.as_str().into(), (crd.revision, definitions));
            }
        }
    }

    /// Whether a change of this store changes what is served.
    pub(super) fn depends_on(store: &str) -> bool {
        store == DEFINITIONS
    }

    /// Whether built-in code serves the group: its unknown paths are answered with a Status.
    pub(super) fn built_in_group(group: &str) -> bool {
        BUILT_INS.iter().any(|row| row.group == group)
            || REVIEWS.iter().any(|(review, ..)| *review == group)
    }

    /// All groups with their versions and definitions, the core group first, then by name.
    pub(super) fn group_versions(&self) -> Vec<GroupVersion<'_>> {
        let mut by_name: BTreeMap<(&str, &str), Vec<&Arc<Definition>>> = BTreeMap::new();
        for (group, ..) in REVIEWS {
            by_name.entry((group, "v1")).or_default();
        }
        for definition in self.all() {
            let gvr = &definition.resource.gvr;
            by_name.entry((&gvr.group, &gvr.version)).or_default().push(definition);
        }
        by_name
            .into_iter()
            .map(|((group, version), mut definitions)| {
                definitions.sort_by(|a, b| a.plural().cmp(b.plural()));
                GroupVersion { group, version, definitions }
            })
            .collect()
    }
}
