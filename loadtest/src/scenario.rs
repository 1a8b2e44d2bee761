//! What a run does: numbers within bounds.
//!
//! Every scenario ends: it is bounded in time, watchers, writes and bytes, whatever the flags say.

use std::time::Duration;

use serde::Serialize;

use crate::{plan::Plan, scratch::Resource, transport::Protocol};

const MAX_WATCHERS: u32 = 100_000;
const MAX_WRITERS: u32 = 1_000;
const MAX_CLIENTS: u32 = 10_000;
const MAX_WRITES: u64 = 10_000_000;
/// An object is at most 1.5 MiB on its way into etcd, a ConfigMap's data 1 MiB.
const MAX_OBJECT_BYTES: usize = 1_000_000;
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// Watchers and writers.
#[derive(Clone, Debug, Serialize)]
pub struct WatchScenario {
    /// What is watched.
    pub resource: Resource,
    /// Where; a namespace of the run's own if none is given.
    pub namespace: Option<String>,
    /// Labels that the watchers select and the objects carry.
    pub label_selector: Option<String>,
    /// How it is carried.
    pub protocol: Protocol,
    /// How many watches.
    pub watchers: u32,
    /// How many of them on one connection.
    pub streams_per_connection: u32,
    /// How many write; 0 for idle watches.
    pub writers: u32,
    /// Writes per second of all writers together.
    pub rate: f64,
    /// Bytes of data in each object.
    pub object_bytes: usize,
    /// How long writes are due.
    pub duration: Duration,
}

/// Clients that list.
#[derive(Clone, Debug, Serialize)]
pub struct ListScenario {
    /// What is listed.
    pub resource: Resource,
    /// Where; everywhere if none is given.
    pub namespace: Option<String>,
    /// Which objects.
    pub label_selector: Option<String>,
    /// How it is carried.
    pub protocol: Protocol,
    /// How many clients, each with a connection of its own.
    pub clients: u32,
    /// The `resourceVersion` parameter.
    pub resource_version: Option<String>,
    /// Whether answers may be compressed.
    pub gzip: bool,
    /// Whether answers are to be Protobuf.
    pub protobuf: bool,
    /// For how long.
    pub duration: Duration,
}

/// A number out of bounds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag}: allowed is {allowed}")]
pub struct OutOfBounds {
    flag: &'static str,
    allowed: String,
}

// === impl WatchScenario ===

impl WatchScenario {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the flag and what is allowed.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        within("--watchers", self.watchers, 1, MAX_WATCHERS)?;
        within("--streams-per-connection", self.streams_per_connection, 1, MAX_WATCHERS)?;
        within("--writers", self.writers, 0, MAX_WRITERS)?;
        within("--object-bytes", self.object_bytes, 0, MAX_OBJECT_BYTES)?;
        within("--duration", self.duration, Duration::from_secs(1), MAX_DURATION)?;
        if self.protocol == Protocol::Http1 && self.streams_per_connection != 1 {
            return Err(OutOfBounds {
                flag: "--streams-per-connection",
                allowed: "1 with HTTP/1.1, which has no streams".to_owned(),
            });
        }
        if self.writers == 0 {
            return Ok(());
        }
        if !(self.rate.is_finite() && self.rate >= 0.01) {
            let allowed = "at least 0.01 per second".to_owned();
            return Err(OutOfBounds { flag: "--rate", allowed });
        }
        let writes = self.rate * self.duration.as_secs_f64();
        if writes > MAX_WRITES as f64 {
            let allowed = format!("a rate and a duration of at most {MAX_WRITES} writes");
            return Err(OutOfBounds { flag: "--rate", allowed });
        }
        Ok(())
    }

    /// The writes, if there are any.
    pub fn plan(&self) -> Option<Plan> {
        (self.writers > 0).then(|| Plan::new(self.writers, self.rate))
    }

    /// How many writes are due.
    pub fn writes(&self) -> u64 {
        self.plan().map_or(0, |plan| {
            (0..self.writers).map(|writer| plan.count(writer, self.duration)).sum()
        })
    }

    /// How many connections the watches take.
    pub const fn connections(&self) -> u32 {
        self.watchers.div_ceil(self.streams_per_connection)
    }
}

// === impl ListScenario ===

impl ListScenario {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the flag and what is allowed.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        within("--clients", self.clients, 1, MAX_CLIENTS)?;
        within("--duration", self.duration, Duration::from_secs(1), MAX_DURATION)
    }
}

fn within<T: PartialOrd + std::fmt::Debug + Copy>(
    flag: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), OutOfBounds> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(OutOfBounds { flag, allowed: format!("{least:?} to {most:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> WatchScenario {
        WatchScenario {
            resource: Resource::Configmaps,
            namespace: None,
            label_selector: None,
            protocol: Protocol::Http2,
            watchers: 101,
            streams_per_connection: 50,
            writers: 4,
            rate: 20.0,
            object_bytes: 5000,
            duration: Duration::from_secs(10),
        }
    }

    #[test]
    fn counts_connections_and_writes() {
        assert_eq!(scenario().check(), Ok(()));
        assert_eq!((scenario().connections(), scenario().writes()), (3, 200));
        assert_eq!(WatchScenario { writers: 0, rate: 0.0, ..scenario() }.writes(), 0);
    }

    #[test]
    fn what_is_not_bounded_is_refused() {
        for (flag, scenario) in [
            ("--watchers", WatchScenario { watchers: 0, ..scenario() }),
            ("--writers", WatchScenario { writers: 5_000, ..scenario() }),
            ("--rate", WatchScenario { rate: f64::NAN, ..scenario() }),
            ("--rate", WatchScenario { rate: f64::INFINITY, ..scenario() }),
            ("--rate", WatchScenario { rate: 1e9, ..scenario() }),
            ("--object-bytes", WatchScenario { object_bytes: 2 << 20, ..scenario() }),
            ("--duration", WatchScenario { duration: Duration::MAX, ..scenario() }),
            ("--streams-per-connection", WatchScenario { protocol: Protocol::Http1, ..scenario() }),
        ] {
            assert_eq!(scenario.check().unwrap_err().flag, flag);
        }
    }
}
