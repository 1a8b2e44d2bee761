//! Budgets of single resources, as the operator writes them. Pure.

use std::collections::BTreeMap;

use super::{byte_size::ByteSize, policy::GroupResource};

/// The budget of every resource that has one of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSizes {
    named: BTreeMap<GroupResource, ByteSize>,
}

/// Why a `--resource-max-bytes` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizesError {
    /// No `=`, or a bad resource or size beside it.
    #[error(
        "--resource-max-bytes {entry:?}: {what}; allowed is RESOURCE=SIZE with RESOURCE such as pods \
         or deployments.apps, and SIZE such as 512Mi or 2Gi"
    )]
    BadEntry {
        /// The flag's value.
        entry: String,
        /// What is wrong with it.
        what: String,
    },
    /// Two entries for one resource.
    #[error("--resource-max-bytes {0} is given more than once")]
    Twice(GroupResource),
}

// === impl ResourceSizes ===

impl ResourceSizes {
    /// Reads `RESOURCE=SIZE` entries.
    ///
    /// # Errors
    /// On the first bad entry, naming it, and on a resource given twice.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, SizesError> {
        let mut named = BTreeMap::new();
        for entry in entries.iter().map(AsRef::as_ref) {
            let bad = |what: &dyn ToString| SizesError::BadEntry {
                entry: entry.to_owned(),
                what: what.to_string(),
            };
            let (resource, size) = entry.split_once('=').ok_or_else(|| bad(&"there is no ="))?;
            let resource: GroupResource = resource.parse().map_err(|what: &str| bad(&what))?;
            let size: ByteSize = size.parse().map_err(|error| bad(&error))?;
            if named.insert(resource.clone(), size).is_some() {
                return Err(SizesError::Twice(resource));
            }
        }
        Ok(Self { named })
    }

    /// The resources with their budgets, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupResource, ByteSize)> {
        self.named.iter().map(|(resource, size)| (resource, *size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_named_with_their_sizes() {
        let sizes = ResourceSizes::parse(&["pods=1Gi", "events.events.k8s.io=64Mi"]).expect("good");
        let sizes: Vec<_> =
            sizes.iter().map(|(resource, size)| (resource.to_string(), size.bytes())).collect();
        let expected =
            [("pods".to_owned(), 1 << 30), ("events.events.k8s.io".to_owned(), 64 << 20)];
        assert!(sizes.len() == 2 && expected.iter().all(|one| sizes.contains(one)), "{sizes:?}");
        assert_eq!(ResourceSizes::parse::<&str>(&[]), Ok(ResourceSizes::default()));
    }

    #[test]
    fn bad_entries_are_named() {
        for bad in ["pods", "=1Gi", "pods=", "pods=1", "pods=many", "Pods=1Gi", "*=1Gi", "a/b=1Gi"]
        {
            let error = ResourceSizes::parse(&[bad]).expect_err(bad).to_string();
            assert!(error.contains(&format!("{bad:?}")) && error.contains("2Gi"), "{error}");
        }
        let error = ResourceSizes::parse(&["pods=1Gi", "pods=2Gi"]).expect_err("twice").to_string();
        assert_eq!(error, "--resource-max-bytes pods is given more than once");
    }
}
