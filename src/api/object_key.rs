//! The key of an object inside its resource: `namespace/name`, or `name` when cluster-scoped.
//!
//! Keys order by the bytes of the joined string, as the store orders them, so namespace `a-b` comes
//! before namespace `a` (semantics §3.2, trap 2). A key is not checked against Kubernetes' naming
//! rules: the API server that wrote the object did that.

use std::{borrow::Borrow, fmt};

use compact_str::{CompactString, ToCompactString, format_compact};

/// The joined key of one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    joined: CompactString,
}

// === impl ObjectKey ===

impl ObjectKey {
    /// The key of `name`; an empty `namespace` means a cluster-scoped object.
    pub fn new(namespace: &str, name: &str) -> Self {
        let joined = if namespace.is_empty() {
            name.to_compact_string()
        } else {
            format_compact!("{namespace}/{name}")
        };
        Self { joined }
    }

    /// `namespace/name` or `name`.
    pub fn as_str(&self) -> &str {
        &self.joined
    }

    /// The namespace, empty for a cluster-scoped object. Names never contain a slash.
    pub fn namespace(&self) -> &str {
        self.joined.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        self.joined.split_once('/').map_or(self.joined.as_str(), |(_, name)| name)
    }
}

impl Borrow<str> for ObjectKey {
    fn borrow(&self) -> &str {
        &self.joined
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.joined.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_the_joined_bytes() {
        let mut keys =
            [ObjectKey::new("a", "x"), ObjectKey::new("a-b", "x"), ObjectKey::new("a", "x-1")];
        keys.sort();
        assert_eq!(keys.map(|key| key.to_string()), ["a-b/x", "a/x", "a/x-1"]);
    }

    #[test]
    fn splits_into_namespace_and_name() {
        let key = ObjectKey::new("kube-system", "coredns");
        assert_eq!((key.namespace(), key.name()), ("kube-system", "coredns"));
        let key = ObjectKey::new("", "node-1");
        assert_eq!((key.namespace(), key.name()), ("", "node-1"));
    }
}
