//! What a run does: phases one after the other, and workloads that go on during them.
//!
//! Every scenario ends: it is bounded in time, watches, writes and objects, whatever the file says.
//! A file that is wrong is refused before anything is connected to, with the line and what is
//! allowed there.

mod check;
pub mod quantity;
pub mod template;
pub mod workload;

pub use self::check::most_bytes;

use std::{fmt, fs, io, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use self::{
    quantity::Period,
    workload::{Fill, Workload},
};
use crate::transport::Protocol;

/// Longest a run may be told to take.
pub const MAX_TIME: Duration = Duration::from_secs(4 * 3600);
/// Most objects of churns that all watches together may select: each is 4 bytes of the load tester,
/// 8 in a watch that begins with the state.
pub const MAX_SELECTED: u64 = 250_000_000;
const MAX_FILE: u64 = 1 << 20;

/// A scenario.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What chance comes from.
    pub seed: u64,
    /// Protocol of workloads that name none.
    pub protocol: Protocol,
    /// The run is ended after this time, whatever it does.
    pub time_limit: Period,
    /// Objects made before the first phase and deleted at the end.
    pub fill: Vec<Fill>,
    /// One after the other.
    pub phases: Vec<Phase>,
    /// What goes on during them.
    pub workloads: Vec<Workload>,
}

/// A part of the run's time, which the report tells apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How long it lasts.
    pub duration: Period,
}

/// Why a scenario is refused.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file does not say what a scenario needs.
    #[error("{0}")]
    Form(String),
    /// Fields do not go together.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Fields that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{field}: {reason}")]
pub struct Problem {
    place: Place,
    field: &'static str,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Fill(usize),
    Scenario,
    Workload(usize, &'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    protocol: Protocol,
    #[serde(default = "one_hour")]
    time_limit: Spanned<Period>,
    #[serde(default)]
    fill: Vec<Spanned<Fill>>,
    phases: Vec<Phase>,
    workloads: Vec<Spanned<Workload>>,
}

fn one_hour() -> Spanned<Period> {
    let unknown = serde_saphyr::Location::UNKNOWN;
    Spanned { value: Period::seconds(3600), referenced: unknown, defined: unknown }
}

// === impl Scenario ===

impl Scenario {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the file, the line and what is allowed there.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let file = path.display().to_string();
        let unreadable = |source| ScenarioError::Unreadable { path: file.clone(), source };
        if fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
            return Err(ScenarioError::Form(format!(
                "{file}: allowed are at most {MAX_FILE} bytes"
            )));
        }
        Self::parse(&file, &fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Reads and checks a text; `file` is what errors call it.
    ///
    /// # Errors
    /// Names the file, the line and what is allowed there.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let at = |line: u64, column: u64, reason: &str| {
            let quoted =
                usize::try_from(line).ok().and_then(|it| text.lines().nth(it.checked_sub(1)?));
            let quoted = quoted.map_or_else(String::new, |it| format!("\n    {}", it.trim()));
            ScenarioError::Form(format!("{file}:{line}:{column}: {reason}{quoted}"))
        };
        let written: Written =
            serde_saphyr::from_str(text).map_err(|error| match error.location() {
                Some(place) => {
                    let message = error.without_snippet().to_string();
                    let message = message.split(" at line ").next().unwrap_or(&message);
                    at(place.line(), place.column(), message)
                }
                None => ScenarioError::Form(format!("{file}: {}", error.without_snippet())),
            })?;
        let limit = written.time_limit.referenced;
        let fills: Vec<_> = written.fill.iter().map(|it| it.referenced).collect();
        let workloads: Vec<_> = written.workloads.iter().map(|it| it.referenced).collect();
        let mut scenario = Self {
            name: written.name,
            description: written.description,
            seed: written.seed,
            protocol: written.protocol,
            time_limit: written.time_limit.value,
            fill: written.fill.into_iter().map(|it| it.value).collect(),
            phases: written.phases,
            workloads: written.workloads.into_iter().map(|it| it.value).collect(),
        };
        scenario.give_names();
        scenario.check().map_err(|problem| {
            let place = match problem.place {
                Place::Fill(index) => fills[index],
                Place::Workload(index, _) => workloads[index],
                Place::Scenario => limit,
            };
            if place == serde_saphyr::Location::UNKNOWN {
                return ScenarioError::Form(format!("{file}: {problem}"));
            }
            at(place.line(), place.column(), &problem.to_string())
        })?;
        Ok(scenario)
    }

    /// Names the workloads that have no name after their kind.
    pub fn give_names(&mut self) {
        let kinds: Vec<&str> = self.workloads.iter().map(Workload::kind).collect();
        for (index, workload) in self.workloads.iter_mut().enumerate() {
            if workload.name().is_empty() {
                let before = kinds[..index].iter().filter(|kind| **kind == kinds[index]).count();
                let number = if before == 0 { String::new() } else { format!("-{}", before + 1) };
                *workload.name_mut() = format!("{}{number}", kinds[index]);
            }
        }
    }

    /// The phases' time together.
    pub fn duration(&self) -> Duration {
        self.phases.iter().map(|phase| phase.duration.0).sum()
    }

    /// When a workload of these phases begins and ends, from the first phase's beginning.
    pub fn span(&self, phases: &[String]) -> (Duration, Duration) {
        let Some(first) =
            self.phases.iter().position(|it| phases.is_empty() || it.name == phases[0])
        else {
            return (Duration::ZERO, Duration::ZERO);
        };
        let count = if phases.is_empty() { self.phases.len() } else { phases.len() };
        let sum = |phases: &[Phase]| phases.iter().map(|phase| phase.duration.0).sum();
        let last = (first + count).min(self.phases.len());
        (sum(&self.phases[..first]), sum(&self.phases[..last]))
    }
}

// === impl Problem ===

impl Problem {
    /// The field that is wrong.
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill(index) => write!(f, "fill {}: ", index + 1),
            Self::Scenario => Ok(()),
            Self::Workload(index, kind) => write!(f, "workload {} ({kind}): ", index + 1),
        }
    }
}

#[cfg(test)]
mod tests;
