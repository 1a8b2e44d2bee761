//! What a watch or list is about: a namespace and selectors, evaluated in the simplest way that could be right.

use super::truth::State;

/// One requirement of a selector (semantics §7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    Is(String, String),
    IsNot(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Term {
    pub(crate) fn is(name: &str, value: &str) -> Self {
        Self::Is(name.to_owned(), value.to_owned())
    }

    pub(crate) fn is_not(name: &str, value: &str) -> Self {
        Self::IsNot(name.to_owned(), value.to_owned())
    }

    /// Whether a label of this value, or without one, passes.
    fn label_passes(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Is(name, wanted) => value(name).as_ref() == Some(wanted),
            Self::IsNot(name, unwanted) => value(name).as_ref() != Some(unwanted),
            Self::In(name, wanted) => value(name).is_some_and(|value| wanted.contains(&value)),
            Self::NotIn(name, unwanted) => {
                !value(name).is_some_and(|value| unwanted.contains(&value))
            }
            Self::Exists(name) => value(name).is_some(),
            Self::Missing(name) => value(name).is_none(),
        }
    }

    /// As selectors are written.
    fn text(&self) -> String {
        match self {
            Self::Is(name, value) => format!("{name}={value}"),
            Self::IsNot(name, value) => format!("{name}!={value}"),
            Self::In(name, values) => format!("{name} in ({})", values.join(",")),
            Self::NotIn(name, values) => format!("{name} notin ({})", values.join(",")),
            Self::Exists(name) => name.clone(),
            Self::Missing(name) => format!("!{name}"),
        }
    }
}

/// A namespace, or all of them, and selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Vec<Term>,
    /// Only equality and inequality; a field that is missing reads as "".
    pub(crate) fields: Vec<Term>,
}

impl Scope {
    /// Whether an object is the watcher's.
    pub(crate) fn takes(&self, key: &str, state: &State) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let field = |field: &str| {
            Some(match field {
                "metadata.name" => name.to_owned(),
                "metadata.namespace" => namespace.to_owned(),
                other => state.fields.get(other).cloned().unwrap_or_default(),
            })
        };
        self.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
            && self
                .labels
                .iter()
                .all(|term| term.label_passes(|name| state.labels.get(name).cloned()))
            && self.fields.iter().all(|term| term.label_passes(field))
    }

    /// The value of `labelSelector`.
    pub(crate) fn label_selector(&self) -> String {
        self.labels.iter().map(Term::text).collect::<Vec<_>>().join(",")
    }

    /// The value of `fieldSelector`.
    pub(crate) fn field_selector(&self) -> String {
        self.fields.iter().map(Term::text).collect::<Vec<_>>().join(",")
    }
}
