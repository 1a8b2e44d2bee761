//! Which resources are served from memory, and when their shards are filled. Pure.
//!
//! A table from resource to [`ResourcePolicy`]. What is not in it follows the default, with one
//! exception: secrets are forwarded unless they are named themselves.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// Where an entry for all other resources stands.
const ALL_OTHERS: &str = "*";

/// When a resource is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResourcePolicy {
    /// Never: every request is forwarded.
    Off,
    /// From the first request on.
    #[default]
    OnDemand,
    /// From the start of the program on.
    Eager,
}

/// A resource of a group, in any version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// API group, `""` for the core group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
}

/// The policy of every resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourcePolicies {
    others: ResourcePolicy,
    named: BTreeMap<GroupResource, ResourcePolicy>,
}

/// Why a `--resource-policy` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No `=`, or a bad resource or policy beside it.
    #[error(
        "--resource-policy {entry:?}: {what}; allowed is RESOURCE=off, RESOURCE=on-demand or \
         RESOURCE=eager, with RESOURCE such as pods, deployments.apps, or * for all others"
    )]
    BadEntry {
        /// The flag's value.
        entry: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two entries for one resource.
    #[error("--resource-policy {resource} is given more than once")]
    Twice {
        /// The resource.
        resource: String,
    },
    /// `*=eager`.
    #[error("--resource-policy *=eager: name the resources that are to be filled at start")]
    AllEager,
}

// === impl ResourcePolicies ===

impl ResourcePolicies {
    /// Reads `RESOURCE=POLICY` entries.
    ///
    /// # Errors
    /// On the first bad entry, naming it, and on a resource given twice.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, PolicyError> {
        let (mut others, mut named) = (None, BTreeMap::new());
        for entry in entries.iter().map(AsRef::as_ref) {
            let bad = |what| PolicyError::BadEntry { entry: entry.to_owned(), what };
            let (resource, policy) = entry.split_once('=').ok_or_else(|| bad("there is no ="))?;
            let policy: ResourcePolicy = policy.parse().map_err(bad)?;
            let previous = match resource {
                ALL_OTHERS if policy == ResourcePolicy::Eager => return Err(PolicyError::AllEager),
                ALL_OTHERS => others.replace(policy),
                _ => named.insert(resource.parse().map_err(bad)?, policy),
            };
            if previous.is_some() {
                return Err(PolicyError::Twice { resource: resource.to_owned() });
            }
        }
        Ok(Self { others: others.unwrap_or_default(), named })
    }

    /// The policy of a resource; the core group is `""`.
    pub fn policy(&self, group: &str, resource: &str) -> ResourcePolicy {
        let key = GroupResource { group: group.to_owned(), resource: resource.to_owned() };
        let unnamed = if key.is_secrets() { ResourcePolicy::Off } else { self.others };
        self.named.get(&key).copied().unwrap_or(unnamed)
    }

    /// The resources to fill at start, in order.
    pub fn eager(&self) -> impl Iterator<Item = &GroupResource> {
        self.named
            .iter()
            .filter(|(_, policy)| **policy == ResourcePolicy::Eager)
            .map(|(resource, _)| resource)
    }
}

impl Default for ResourcePolicies {
    /// Everything on demand, secrets off.
    fn default() -> Self {
        Self { others: ResourcePolicy::default(), named: BTreeMap::new() }
    }
}

// === impl ResourcePolicy ===

impl FromStr for ResourcePolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "off" => Ok(Self::Off),
            "on-demand" => Ok(Self::OnDemand),
            "eager" => Ok(Self::Eager),
            _ => Err("the policy is not known"),
        }
    }
}

// === impl GroupResource ===

impl GroupResource {
    fn is_secrets(&self) -> bool {
        self.group.is_empty() && self.resource == "secrets"
    }
}

impl FromStr for GroupResource {
    type Err = &'static str;

    /// `pods`, or `widgets.example.com` with the group after the first dot.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let labels_are_good = text.split('.').all(|label| {
            let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let ends = [label.bytes().next(), label.bytes().last()];
            ends.iter().all(|end| end.is_some_and(inside))
                && label.bytes().all(|byte| inside(byte) || byte == b'-')
        });
        if !labels_are_good {
            return Err("the resource is not a plural name, optionally followed by .GROUP");
        }
        let (resource, group) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { group: group.to_owned(), resource: resource.to_owned() })
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_follows_the_default_but_secrets_do_not() {
        let none = ResourcePolicies::default();
        assert_eq!(none.policy("", "pods"), ResourcePolicy::OnDemand);
        assert_eq!(none.policy("", "secrets"), ResourcePolicy::Off);
        assert_eq!(none.policy("vault.example.com", "secrets"), ResourcePolicy::OnDemand);
        let some =
            ResourcePolicies::parse(&["*=off", "pods=eager", "widgets.example.com=on-demand"])
                .expect("good");
        assert_eq!(some.policy("", "pods"), ResourcePolicy::Eager);
        assert_eq!(some.policy("metrics.k8s.io", "pods"), ResourcePolicy::Off);
        assert_eq!(some.policy("example.com", "widgets"), ResourcePolicy::OnDemand);
        assert_eq!(some.eager().map(ToString::to_string).collect::<Vec<_>>(), ["pods"]);
        let all = ResourcePolicies::parse(&["*=on-demand"]).expect("good");
        assert_eq!(all.policy("", "secrets"), ResourcePolicy::Off);
        let named = ResourcePolicies::parse(&["secrets=on-demand"]).expect("good");
        assert_eq!(named.policy("", "secrets"), ResourcePolicy::OnDemand);
    }

    #[test]
    fn bad_entries_are_named() {
        for bad in
            ["pods", "=off", "pods=", "pods=on", "Pods=off", "pods/log=off", "a..b=off", "-a=off"]
        {
            let error = ResourcePolicies::parse(&[bad]).expect_err(bad).to_string();
            assert!(error.contains(bad) && error.contains("on-demand"), "{error}");
        }
        assert_eq!(ResourcePolicies::parse(&["*=eager"]), Err(PolicyError::AllEager));
        let twice = ResourcePolicies::parse(&["pods=off", "pods=eager"]);
        assert_eq!(twice, Err(PolicyError::Twice { resource: "pods".to_owned() }));
        assert!(ResourcePolicies::parse(&["*=off", "*=off"]).is_err());
    }
}
