//! How strategic merge patches treat the lists of built-in types.
//!
//! A list is merged by a key of its items, merged as a set of plain values, or replaced whole
//! (semantics of the patch strategy tags of the Kubernetes API types).

/// How a patch's list meets the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListStrategy {
    /// The patch's list takes the place of the present one.
    Replace,
    /// Items are objects, matched by this key.
    MergeBy(&'static str),
    /// Items are plain values; new ones are added.
    MergeValues,
}

/// The strategy of the list at `path` (field names from the top, no indices) of a `kind`.
pub(super) fn list_strategy(kind: &str, path: &[&str]) -> ListStrategy {
    use ListStrategy::{MergeBy, MergeValues, Replace};
    let Some((field, parents)) = path.split_last() else { return Replace };
    let parent = parents.last().copied().unwrap_or_default();
    let in_container = matches!(parent, "containers" | "initContainers" | "ephemeralContainers");
    match *field {
        "ownerReferences" if parent == "metadata" => MergeBy("uid"),
        "finalizers" if parent == "metadata" => MergeValues,
        "conditions" if parent == "status" => MergeBy("type"),
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "imagePullSecrets"
        | "schedulingGates"
        | "resourceClaims"
            if parent == "spec" =>
        {
            MergeBy("name")
        }
        "hostAliases" if parent == "spec" => MergeBy("ip"),
        "topologySpreadConstraints" if parent == "spec" => MergeBy("topologyKey"),
        "env" if in_container => MergeBy("name"),
        "volumeMounts" if in_container => MergeBy("mountPath"),
        "volumeDevices" if in_container => MergeBy("devicePath"),
        "ports" if in_container => MergeBy("containerPort"),
        "ports" if kind == "Service" && path == ["spec", "ports"] => MergeBy("port"),
        "podIPs" | "hostIPs" if parent == "status" => MergeBy("ip"),
        "resourceClaimStatuses" if parent == "status" => MergeBy("name"),
        "addresses" if kind == "Node" && parent == "status" => MergeBy("type"),
        "podCIDRs" if kind == "Node" && parent == "spec" => MergeValues,
        "secrets" | "imagePullSecrets" if kind == "ServiceAccount" => MergeBy("name"),
        _ => Replace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_equal_names_apart_by_where_they_stand() {
        let template = ["spec", "template", "spec"];
        let at = |more: &[&'static str]| [&template, more].concat();
        let strategy = |path: &[&str]| list_strategy("Deployment", path);
        assert_eq!(strategy(&at(&["containers"])), ListStrategy::MergeBy("name"));
        assert_eq!(strategy(&at(&["containers", "ports"])), ListStrategy::MergeBy("containerPort"));
        assert_eq!(strategy(&at(&["tolerations"])), ListStrategy::Replace);
        assert_eq!(list_strategy("Service", &["spec", "ports"]), ListStrategy::MergeBy("port"));
        assert_eq!(list_strategy("NetworkPolicy", &["spec", "ports"]), ListStrategy::Replace);
        assert_eq!(list_strategy("Pod", &["metadata", "finalizers"]), ListStrategy::MergeValues);
    }
}
