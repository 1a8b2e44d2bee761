//! The short form of a scenario with one list storm.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    accounting::Accounting,
    engine::{self, RunError},
    report::RunReport,
    scenario::{
        Scenario,
        workload::{Asking, Workload},
    },
    target::Target,
    transport::Protocol,
    watch_run::short,
};

/// Clients that list.
#[derive(Clone, Debug)]
pub struct ListScenario {
    /// What they ask for.
    pub asking: Asking,
    /// How it is carried.
    pub protocol: Protocol,
    /// For how long.
    pub duration: Duration,
}

/// Runs a storm until it ends or `stop` is cancelled.
///
/// # Errors
/// When there is no result. Failed lists are results.
pub async fn run(
    target: &Arc<Target>,
    scenario: &ListScenario,
    accounting: &Accounting,
    stop: &CancellationToken,
) -> Result<RunReport, RunError> {
    Box::pin(engine::run(target, &scenario.scenario(), accounting, stop)).await
}

// === impl ListScenario ===

impl ListScenario {
    /// As a scenario for the engine.
    pub fn scenario(&self) -> Scenario {
        let storm = Workload::ListStorm(self.asking.clone());
        short("list", self.protocol, self.duration, vec![storm])
    }
}
