//! The kinds of load, as a scenario file writes them.
//!
//! Every field is bounded where it is read; what two fields mean together is checked by
//! [`super::Scenario::check`]. A field's documentation here is the reference's: see README.md.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    quantity::{self, Period, Size},
    template::Template,
};
use crate::{resource::Resource, transport::Protocol};

/// Most watches of one workload.
pub const MAX_WATCHERS: u32 = 100_000;
/// Most clients of one workload.
pub const MAX_CLIENTS: u32 = 10_000;
/// Most objects of one fill or churn.
pub const MAX_OBJECTS: u32 = 1_000_000;

/// One kind of load with its settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Writes at a rate.
    Churn(Churn),
    /// Single objects are read.
    Gets(Asking),
    /// Lists, then watches, whose time until synced is measured.
    Informers(Watching),
    /// Lists.
    ListStorm(Asking),
    /// A share of a workload's watches ends at once and is opened again.
    ReconnectHerd(Herd),
    /// Watches.
    Watchers(Watching),
}

/// How objects are represented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Representation {
    /// Whole objects in JSON.
    #[default]
    Json,
    /// PartialObjectMetadata in JSON.
    Metadata,
    /// PartialObjectMetadata in Protobuf.
    MetadataProtobuf,
    /// Whole objects in Protobuf.
    Protobuf,
}

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

/// Watches that end at once: `reconnect-herd`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Herd {
    /// What the report calls it.
    #[serde(default)]
    pub name: String,
    /// The phase in which it happens; the first if empty.
    #[serde(default)]
    pub phase: String,
    /// The name of the workload whose watches end.
    pub workload: String,
    /// Which share of them.
    #[serde(deserialize_with = "quantity::share")]
    pub share: f64,
    /// How long after the phase's beginning.
    #[serde(default)]
    pub after: Period,
    /// How often.
    #[serde(default = "one", deserialize_with = "quantity::count::<_, 1, 1_000>")]
    pub times: u32,
    /// From one time to the next.
    #[serde(default = "herd_interval")]
    pub every: Period,
    /// Whether their connections end, too.
    #[serde(default)]
    pub connections: bool,
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

fn clients() -> u32 {
    10
}

fn one() -> u32 {
    1
}

fn herd_interval() -> Period {
    Period::seconds(10)
}

// === impl Workload ===

impl Workload {
    /// The kind as a scenario file writes it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Churn(_) => "churn",
            Self::Gets(_) => "gets",
            Self::Informers(_) => "informers",
            Self::ListStorm(_) => "list-storm",
            Self::ReconnectHerd(_) => "reconnect-herd",
            Self::Watchers(_) => "watchers",
        }
    }

    /// Its name; empty if it has none.
    pub fn name(&self) -> &str {
        match self {
            Self::Churn(it) => &it.name,
            Self::Gets(it) | Self::ListStorm(it) => &it.name,
            Self::Informers(it) | Self::Watchers(it) => &it.name,
            Self::ReconnectHerd(it) => &it.name,
        }
    }

    pub(super) fn name_mut(&mut self) -> &mut String {
        match self {
            Self::Churn(it) => &mut it.name,
            Self::Gets(it) | Self::ListStorm(it) => &mut it.name,
            Self::Informers(it) | Self::Watchers(it) => &mut it.name,
            Self::ReconnectHerd(it) => &mut it.name,
        }
    }
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
