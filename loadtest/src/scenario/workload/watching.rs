//! Watches, as a scenario file writes them: `watchers` and `informers`.

use serde::{Deserialize, Serialize};

use super::{
    super::{
        quantity::{self, Period, Size},
        template::Template,
    },
    MAX_WATCHERS, Representation,
};
use crate::{resource::Resource, transport::Protocol};

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// A list in pages, then a watch from its resource version on.
    List,
    /// A watch from the resource version on that the server has when the workload begins.
    Now,
    /// A watch that first sends the state.
    WatchList,
}

/// Watches that read slowly.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Slow {
    /// Which share of the workload's watches.
    #[serde(deserialize_with = "quantity::share")]
    pub share: f64,
    /// What each of them reads per second.
    pub bytes_per_second: Size,
}

/// Watches: `watchers` and `informers`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Watching {
    /// What the report calls it.
    #[serde(default)]
    pub name: String,
    /// The phase with which they begin; the first if empty. They stay until the end of the run.
    #[serde(default)]
    pub from: String,
    /// How many.
    #[serde(deserialize_with = "quantity::count::<_, 1, MAX_WATCHERS>")]
    pub count: u32,
    /// What is watched.
    pub resource: Resource,
    /// Where; everywhere if none is given.
    #[serde(default)]
    pub namespace: Option<Template>,
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
    /// Where they begin: `now` for watchers, `list` for informers if not given.
    #[serde(default)]
    pub start: Option<Start>,
    /// Objects on a page of the first list; 0 for one page.
    #[serde(default, deserialize_with = "quantity::optional_count::<_, 0, 100_000>")]
    pub page_size: Option<u32>,
    /// `resourceVersion` of the first list; the latest state if not given.
    #[serde(default)]
    pub resource_version: Option<String>,
    /// They begin evenly over this time; all at once if not given.
    #[serde(default)]
    pub spread: Option<Period>,
    /// Protocol, if not the scenario's.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// Watches on one connection.
    #[serde(default, deserialize_with = "quantity::optional_count::<_, 1, MAX_WATCHERS>")]
    pub streams_per_connection: Option<u32>,
    /// The same as a number of connections.
    #[serde(default, deserialize_with = "quantity::optional_count::<_, 1, MAX_WATCHERS>")]
    pub connections: Option<u32>,
    /// Some of them read slowly.
    #[serde(default)]
    pub slow: Option<Slow>,
}

// === impl Watching ===

impl Watching {
    /// So many watches of a resource, with everything else as if not given.
    pub fn new(name: &str, count: u32, resource: Resource) -> Self {
        Self {
            name: name.to_owned(),
            from: String::new(),
            count,
            resource,
            namespace: None,
            label_selector: None,
            field_selector: None,
            representation: Representation::Json,
            gzip: false,
            start: None,
            page_size: None,
            resource_version: None,
            spread: None,
            protocol: None,
            streams_per_connection: None,
            connections: None,
            slow: None,
        }
    }

    /// How many watches go on one connection of this protocol.
    pub fn streams(&self, protocol: Protocol) -> u32 {
        match (self.connections, self.streams_per_connection, protocol) {
            (Some(connections), ..) => self.count.div_ceil(connections.max(1)),
            (None, Some(streams), _) => streams,
            (None, None, Protocol::Http1) => 1,
            (None, None, Protocol::Http2) => 50,
        }
    }

    /// How many of the watches read slowly: the first ones.
    pub fn slow_count(&self) -> u32 {
        self.slow.map_or(0, |slow| (f64::from(self.count) * slow.share).ceil() as u32)
    }
}
