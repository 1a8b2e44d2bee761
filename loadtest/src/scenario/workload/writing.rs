//! Objects that a run makes, as a scenario file writes them: `fill` and `churn`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    super::{
        quantity::{self, Size},
        template::Template,
    },
    MAX_OBJECTS,
};
use crate::{resource::Resource, transport::Protocol};

/// Writes: `churn`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Churn {
    /// What the report calls it.
    #[serde(default)]
    pub name: String,
    /// The phases in which it goes on, which follow one another; all if empty.
    #[serde(default)]
    pub phases: Vec<String>,
    /// What is written.
    pub resource: Resource,
    /// Writes per second, whether or not the server keeps up.
    #[serde(deserialize_with = "quantity::rate")]
    pub rate: f64,
    /// How many objects are written in turn.
    #[serde(default = "churn_objects", deserialize_with = "quantity::count::<_, 1, MAX_OBJECTS>")]
    pub objects: u32,
    /// How often each object is updated between its creation and its deletion.
    #[serde(default = "updates", deserialize_with = "quantity::count::<_, 0, 1_000_000>")]
    pub updates: u32,
    /// About how large each object is in JSON.
    #[serde(default = "object_size")]
    pub object_size: Size,
    /// Most writes under way at once.
    #[serde(default = "writers", deserialize_with = "quantity::count::<_, 1, 1_000>")]
    pub writers: u32,
    /// Where; the run's own namespace if none is given. It is made if it is not there.
    #[serde(default)]
    pub namespace: Option<Template>,
    /// Labels of the objects; `{i}` is the object's number.
    #[serde(default)]
    pub labels: BTreeMap<String, Template>,
    /// `spec.nodeName` of pods.
    #[serde(default)]
    pub node: Option<Template>,
    /// Protocol, if not the scenario's.
    #[serde(default)]
    pub protocol: Option<Protocol>,
}

/// Objects made before the first phase and deleted at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fill {
    /// What is made.
    pub resource: Resource,
    /// How many.
    #[serde(deserialize_with = "quantity::count::<_, 1, MAX_OBJECTS>")]
    pub count: u32,
    /// About how large each is in JSON.
    #[serde(default = "object_size")]
    pub object_size: Size,
    /// Where; the run's own namespace if none is given. It is made if it is not there.
    #[serde(default)]
    pub namespace: Option<Template>,
    /// Labels of the objects; `{i}` is the object's number.
    #[serde(default)]
    pub labels: BTreeMap<String, Template>,
    /// `spec.nodeName` of pods.
    #[serde(default)]
    pub node: Option<Template>,
}

fn churn_objects() -> u32 {
    100
}

fn updates() -> u32 {
    10
}

fn object_size() -> Size {
    Size(1000)
}

fn writers() -> u32 {
    16
}

// === impl Churn ===

impl Churn {
    /// A churn of a resource, with everything else as if not given.
    pub fn new(name: &str, resource: Resource, rate: f64) -> Self {
        Self {
            name: name.to_owned(),
            phases: Vec::new(),
            resource,
            rate,
            objects: churn_objects(),
            updates: updates(),
            object_size: object_size(),
            writers: writers(),
            namespace: None,
            labels: BTreeMap::new(),
            node: None,
            protocol: None,
        }
    }
}
