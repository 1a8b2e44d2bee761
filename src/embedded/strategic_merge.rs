//! Strategic merge patches of built-in types.
//!
//! Objects merge field by field, `null` removes, lists follow [`super::merge_keys`]. Understood
//! directives: `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/<list>` and
//! `$deleteFromPrimitiveList/<list>`. No directive ever remains in the result.

use serde_json::Value;

use super::{
    definition::Fields,
    merge_keys::{ListStrategy, list_strategy},
};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";

/// A patch that does not follow the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StrategicMergeError {
    /// `$patch` says something else than replace, delete or merge.
    #[error("unrecognized patch directive {0}, allowed are replace, delete and merge")]
    UnknownDirective(String),
    /// An item of a list merged by key has no key.
    #[error("map: {item} does not contain declared merge key: {key}")]
    MissingKey {
        /// The item, as JSON.
        item: String,
        /// The wanted key.
        key: &'static str,
    },
    /// A directive has the wrong JSON type.
    #[error("the value of {0} must be a list")]
    NotAList(String),
}

/// Applies `patch` to an object of `kind`.
pub(super) fn apply(
    kind: &str,
    target: &mut Fields,
    patch: Fields,
) -> Result<(), StrategicMergeError> {
    merge_fields(kind, &mut Vec::new(), target, patch)
}

fn merge_fields(
    kind: &str,
    path: &mut Vec<&str>,
    target: &mut Fields,
    mut patch: Fields,
) -> Result<(), StrategicMergeError> {
    match directive(&mut patch)? {
        Directive::Merge => {}
        Directive::Replace | Directive::Delete => target.clear(),
    }
    if let Some(keys) = patch.remove(RETAIN_KEYS) {
        let keys = list(RETAIN_KEYS, keys)?;
        target.retain(|name, _| keys.iter().any(|key| key == name));
    }
    let mut orders = Fields::new();
    let mut deletions = Fields::new();
    let mut rest = Fields::new();
    for (name, value) in patch {
        if let Some(field) = name.strip_prefix(ELEMENT_ORDER) {
            orders.insert(field.to_owned(), value);
        } else if let Some(field) = name.strip_prefix(DELETE_VALUES) {
            deletions.insert(field.to_owned(), value);
        } else {
            rest.insert(name, value);
        }
    }
    for (name, values) in deletions {
        let values = list(DELETE_VALUES, values)?;
        if let Some(Value::Array(present)) = target.get_mut(&name) {
            present.retain(|value| !values.contains(value));
        }
    }
    for (name, value) in rest {
        let order = orders.remove(&name);
        merge_field(kind, path, target, name, value, order)?;
    }
    for (name, order) in orders {
        let strategy = strategy_at(kind, path, &name);
        if let Some(Value::Array(present)) = target.get_mut(&name) {
            let before = present.clone();
            reorder(strategy, present, &before, &list(ELEMENT_ORDER, order)?);
        }
    }
    Ok(())
}

fn merge_field(
    kind: &str,
    path: &mut Vec<&str>,
    target: &mut Fields,
    name: String,
    value: Value,
    order: Option<Value>,
) -> Result<(), StrategicMergeError> {
    match value {
        Value::Null => {
            target.remove(&name);
        }
        Value::Object(patch) => {
            if patch.get(DIRECTIVE) == Some(&Value::from("delete")) {
                target.remove(&name);
                return Ok(());
            }
            let mut child = match target.remove(&name) {
                Some(Value::Object(child)) => child,
                _ => Fields::new(),
            };
            let mut below = path.clone();
            below.push(&name);
            merge_fields(kind, &mut below, &mut child, patch)?;
            target.insert(name, Value::Object(child));
        }
        Value::Array(patch) => {
            let strategy = strategy_at(kind, path, &name);
            let present = match target.remove(&name) {
                Some(Value::Array(present)) => present,
                _ => Vec::new(),
            };
            let mut below = path.clone();
            below.push(&name);
            let mut merged = merge_list(kind, &mut below, strategy, present.clone(), patch)?;
            if let Some(order) = order {
                reorder(strategy, &mut merged, &present, &list(ELEMENT_ORDER, order)?);
            }
            target.insert(name, Value::Array(merged));
        }
        scalar => {
            target.insert(name, scalar);
        }
    }
    Ok(())
}

fn strategy_at(kind: &str, path: &[&str], name: &str) -> ListStrategy {
    let mut path = path.to_vec();
    path.push(name);
    list_strategy(kind, &path)
}

fn merge_list(
    kind: &str,
    path: &mut Vec<&str>,
    strategy: ListStrategy,
    mut present: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, StrategicMergeError> {
    let key = match strategy {
        ListStrategy::Replace => return Ok(patch),
        ListStrategy::MergeValues => {
            for value in patch {
                if !present.contains(&value) {
                    present.push(value);
                }
            }
            return Ok(present);
        }
        ListStrategy::MergeBy(key) => key,
    };
    if patch.iter().any(|item| item.get(DIRECTIVE) == Some(&Value::from("replace"))) {
        return Ok(patch.into_iter().filter(|item| item.get(DIRECTIVE).is_none()).collect());
    }
    for item in patch {
        let Some(wanted) = item.get(key).cloned() else {
            return Err(StrategicMergeError::MissingKey { item: item.to_string(), key });
        };
        let Value::Object(mut item) = item else { continue };
        let found = present.iter().position(|candidate| candidate.get(key) == Some(&wanted));
        if directive(&mut item)? == Directive::Delete {
            present.retain(|candidate| candidate.get(key) != Some(&wanted));
            continue;
        }
        match found.map(|index| &mut present[index]) {
            Some(Value::Object(target)) => merge_fields(kind, path, target, item)?,
            _ => {
                let mut target = Fields::new();
                merge_fields(kind, path, &mut target, item)?;
                present.push(Value::Object(target));
            }
        }
    }
    Ok(present)
}

/// Puts the items that `order` names into its order; the others keep their place among those that
/// were there `before`.
fn reorder(strategy: ListStrategy, items: &mut Vec<Value>, before: &[Value], order: &[Value]) {
    let identity = |item: &Value| match strategy {
        ListStrategy::MergeBy(key) => item.get(key).cloned(),
        ListStrategy::MergeValues | ListStrategy::Replace => Some(item.clone()),
    };
    let wanted: Vec<Option<Value>> = order.iter().map(identity).collect();
    let rank = |item: &Value| wanted.iter().position(|candidate| *candidate == identity(item));
    let place =
        |item: &Value| before.iter().position(|candidate| identity(candidate) == identity(item));
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        std::mem::take(items).into_iter().partition(|item| rank(item).is_some());
    named.sort_by_key(rank);
    let mut others = others.into_iter().peekable();
    for item in named {
        if let Some(own) = place(&item) {
            while let Some(other) = others.next_if(|other| place(other).is_some_and(|at| at < own))
            {
                items.push(other);
            }
        }
        items.push(item);
    }
    items.extend(others);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &mut Fields) -> Result<Directive, StrategicMergeError> {
    match patch.remove(DIRECTIVE) {
        None => Ok(Directive::Merge),
        Some(value) => match value.as_str() {
            Some("merge") => Ok(Directive::Merge),
            Some("replace") => Ok(Directive::Replace),
            Some("delete") => Ok(Directive::Delete),
            _ => Err(StrategicMergeError::UnknownDirective(value.to_string())),
        },
    }
}

fn list(directive: &str, value: Value) -> Result<Vec<Value>, StrategicMergeError> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(StrategicMergeError::NotAList(directive.to_owned())),
    }
}

#[cfg(test)]
mod tests;
