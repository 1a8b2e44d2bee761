//! The short form of a scenario with one workload of watches and one churn.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

pub use crate::engine::RunError;
use crate::{
    accounting::Accounting,
    engine,
    report::RunReport,
    resource::{Kind, Resource},
    scenario::{
        Phase, Scenario,
        quantity::{Period, Size},
        template::Template,
        workload::{Churn, Watching, Workload},
    },
    target::Target,
    transport::Protocol,
};

/// Watchers and writers.
#[derive(Clone, Debug)]
pub struct WatchScenario {
    /// What is watched and written.
    pub kind: Kind,
    /// Where; a namespace of the run's own if none is given.
    pub namespace: Option<String>,
    /// Labels that the watchers select and the objects carry: `KEY=VALUE[,KEY=VALUE…]`.
    pub label_selector: Option<String>,
    /// How it is carried.
    pub protocol: Protocol,
    /// How many watches.
    pub watchers: u32,
    /// How many of them on one connection.
    pub streams_per_connection: u32,
    /// How many write at once; 0 for idle watches.
    pub writers: u32,
    /// How many objects they write in turn.
    pub objects: u32,
    /// Writes per second of all writers together.
    pub rate: f64,
    /// Bytes of each object.
    pub object_bytes: usize,
    /// How long writes are due.
    pub duration: Duration,
}

/// What cannot be made a scenario of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag}: {reason}")]
pub struct BadFlag {
    /// Which flag.
    pub flag: &'static str,
    /// What is allowed.
    pub reason: String,
}

/// Runs a scenario against an endpoint until it ends or `stop` is cancelled.
///
/// # Errors
/// When there is no result. Faults of the server are results.
pub async fn run(
    target: &Arc<Target>,
    scenario: &WatchScenario,
    accounting: &Accounting,
    stop: &CancellationToken,
) -> anyhow::Result<RunReport> {
    let scenario = scenario.scenario()?;
    Ok(Box::pin(engine::run(target, &scenario, accounting, stop)).await?)
}

// === impl WatchScenario ===

impl WatchScenario {
    /// As a scenario for the engine.
    ///
    /// # Errors
    /// Names the flag and what is allowed.
    pub fn scenario(&self) -> Result<Scenario, BadFlag> {
        let bad = |flag, reason: &str| BadFlag { flag, reason: reason.to_owned() };
        let within = |flag, number: u32, least: u32, most: u32| {
            let allowed = || bad(flag, &format!("allowed is {least} to {most}"));
            (least..=most).contains(&number).then_some(()).ok_or_else(allowed)
        };
        within("--watchers", self.watchers, 1, crate::scenario::workload::MAX_WATCHERS)?;
        within("--streams-per-connection", self.streams_per_connection, 1, 100_000)?;
        within("--writers", self.writers, 0, 1_000)?;
        within("--objects", self.objects, 1, crate::scenario::workload::MAX_OBJECTS)?;
        if self.writers > 0 && !(0.01..=100_000.0).contains(&self.rate) {
            return Err(bad("--rate", "allowed is 0.01 to 100000 per second"));
        }
        if self.duration < Duration::from_secs(1) {
            return Err(bad("--duration", "allowed is at least 1s"));
        }
        if self.protocol == Protocol::Http1 && self.streams_per_connection != 1 {
            let reason = "allowed is 1 with HTTP/1.1, which has no streams";
            return Err(bad("--streams-per-connection", reason));
        }
        let resource = Resource::of(self.kind);
        let namespace = self.namespace.as_deref().unwrap_or("watchgate-loadtest-{run}");
        let template =
            |flag, text: &str| Template::parse(text).map_err(|reason| BadFlag { flag, reason });
        let namespace = Some(template("--namespace", namespace)?).filter(|_| resource.namespaced());
        let mut watching = Watching::new("watchers", self.watchers, resource.clone());
        watching.namespace.clone_from(&namespace);
        watching.streams_per_connection = Some(self.streams_per_connection);
        let mut workloads = Vec::new();
        let mut churn = Churn::new("writers", resource, self.rate);
        if let Some(selector) = &self.label_selector {
            watching.label_selector = Some(template("--label-selector", selector)?);
            for (key, value) in equalities(selector)? {
                churn.labels.insert(key.to_owned(), template("--label-selector", value)?);
            }
        }
        workloads.push(Workload::Watchers(watching));
        if self.writers > 0 {
            churn.writers = self.writers;
            churn.objects = self.objects;
            churn.object_size = Size(self.object_bytes);
            churn.namespace = namespace;
            workloads.push(Workload::Churn(churn));
        }
        Ok(short("watch", self.protocol, self.duration, workloads))
    }
}

/// A scenario of one phase.
pub(crate) fn short(
    name: &str,
    protocol: Protocol,
    duration: Duration,
    workloads: Vec<Workload>,
) -> Scenario {
    Scenario {
        name: name.to_owned(),
        description: String::new(),
        seed: 0,
        protocol,
        time_limit: Period(crate::scenario::MAX_TIME),
        fill: Vec::new(),
        phases: vec![Phase { name: "load".to_owned(), duration: Period(duration) }],
        workloads,
    }
}

fn equalities(selector: &str) -> Result<Vec<(&str, &str)>, BadFlag> {
    let bad = || BadFlag {
        flag: "--label-selector",
        reason: format!(
            "{selector:?}: allowed is KEY=VALUE[,KEY=VALUE…], which the objects then carry"
        ),
    };
    let terms = selector.split(',').map(|part| {
        let (key, value) = part.split_once('=').ok_or_else(bad)?;
        let value = value.strip_prefix('=').unwrap_or(value);
        let plain = !key.is_empty() && !key.contains(['!', ' ', '(']) && !value.contains('=');
        plain.then_some((key, value)).ok_or_else(bad)
    });
    terms.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> WatchScenario {
        WatchScenario {
            kind: Kind::ConfigMap,
            namespace: None,
            label_selector: Some("a=b,c==d".to_owned()),
            protocol: Protocol::Http2,
            watchers: 101,
            streams_per_connection: 50,
            writers: 4,
            objects: 32,
            rate: 20.0,
            object_bytes: 5000,
            duration: Duration::from_secs(10),
        }
    }

    #[test]
    fn flags_become_a_scenario_that_is_allowed() {
        let scenario = flags().scenario().unwrap();
        assert_eq!(scenario.check(), Ok(()));
        assert_eq!(scenario.workloads.len(), 2);
        let idle = WatchScenario { writers: 0, rate: 0.0, ..flags() };
        assert_eq!(idle.scenario().unwrap().workloads.len(), 1);
    }

    #[test]
    fn what_is_not_bounded_is_refused() {
        for (flag, flags) in [
            ("--watchers", WatchScenario { watchers: 0, ..flags() }),
            ("--writers", WatchScenario { writers: 5_000, ..flags() }),
            ("--rate", WatchScenario { rate: f64::NAN, ..flags() }),
            ("--rate", WatchScenario { rate: -1.0, ..flags() }),
            ("--duration", WatchScenario { duration: Duration::ZERO, ..flags() }),
            ("--streams-per-connection", WatchScenario { protocol: Protocol::Http1, ..flags() }),
        ] {
            assert_eq!(flags.scenario().unwrap_err().flag, flag);
        }
        for selector in ["", "a", "a!=b", "a in (b)", "=b", "a=b=c"] {
            assert!(equalities(selector).is_err(), "{selector}");
        }
    }
}
