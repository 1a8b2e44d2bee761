//! Ends of watches, as a scenario file writes them: `reconnect-herd`.

use serde::{Deserialize, Serialize};

use super::super::quantity::{self, Period};

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

fn one() -> u32 {
    1
}

fn herd_interval() -> Period {
    Period::seconds(10)
}
