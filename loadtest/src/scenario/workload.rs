//! The kinds of load, as a scenario file writes them.
//!
//! Every field is bounded where it is read; what two fields mean together is checked by
//! [`super::Scenario::check`]. A field's documentation here is the reference's: see README.md.

mod asking;
mod herd;
mod watching;
mod writing;

use serde::{Deserialize, Serialize};

pub use self::{
    asking::Asking,
    herd::Herd,
    watching::{Slow, Start, Watching},
    writing::{Churn, Fill},
};

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
