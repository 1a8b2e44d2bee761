//! Requests, as a scenario file writes them: `list-storm` and `gets`.
//!
//! What watches and requests have in common is written in both: serde refuses no unknown field of a
//! structure that takes another one in, and a misspelt field must be refused.

use serde::{Deserialize, Serialize};

use super::{
    super::{quantity, template::Template},
    MAX_CLIENTS, Representation,
};
use crate::{resource::Resource, transport::Protocol};

/// Requests that are read to their end: `list-storm` and `gets`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Asking {
    /// What the report calls it.
    #[serde(default)]
    pub name: String,
    /// The phases in which it goes on, which follow one another; all if empty.
    #[serde(default)]
    pub phases: Vec<String>,
    /// What is asked for.
    pub resource: Resource,
    /// Where; everywhere if none is given.
    #[serde(default)]
    pub namespace: Option<Template>,
    /// The object's name; `gets` only.
    #[serde(default)]
    pub object: Option<Template>,
    /// Which objects, by labels.
    #[serde(default)]
    pub label_selector: Option<Template>,
    /// Which objects, by fields.
    #[serde(default)]
    pub field_selector: Option<Template>,
    /// How objects are represented.
    #[serde(default)]
    pub representation: Representation,
    /// Whether answers may be compressed.
    #[serde(default)]
    pub gzip: bool,
    /// The first page of so many objects.
    #[serde(default, deserialize_with = "quantity::optional_count::<_, 1, 100_000>")]
    pub limit: Option<u32>,
    /// `resourceVersion`; the latest state if not given.
    #[serde(default)]
    pub resource_version: Option<String>,
    /// How many clients, each with a connection of its own.
    #[serde(default = "clients", deserialize_with = "quantity::count::<_, 1, MAX_CLIENTS>")]
    pub clients: u32,
    /// Requests per second of all clients together, whether or not the server keeps up. Without it
    /// every client asks again as soon as it has the answer.
    #[serde(default, deserialize_with = "quantity::optional_rate")]
    pub rate: Option<f64>,
    /// Protocol, if not the scenario's.
    #[serde(default)]
    pub protocol: Option<Protocol>,
}

fn clients() -> u32 {
    10
}

// === impl Asking ===

impl Asking {
    /// Clients that ask for a resource, with everything else as if not given.
    pub fn new(name: &str, resource: Resource) -> Self {
        Self {
            name: name.to_owned(),
            phases: Vec::new(),
            resource,
            namespace: None,
            object: None,
            label_selector: None,
            field_selector: None,
            representation: Representation::Json,
            gzip: false,
            limit: None,
            resource_version: None,
            clients: clients(),
            rate: None,
            protocol: None,
        }
    }
}
