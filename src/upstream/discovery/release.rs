//! Which release upstream is of, and since when that can be relied on.
//!
//! While upstream's replicas are upgraded one after the other, what it says depends on who answers.
//! [`Settling`] takes what was read, one answer after the other, and gives a [`Standing`]: another
//! version counts when it was read twice in a row, and whatever was filled while answers differed is
//! void from then on, since nobody knows which replica filled it. Pure; reading is the driver's.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use http::StatusCode;
use serde::Deserialize;

use crate::api::release::{ReadRules, Release, VersionClaim, WatchListGate};

/// `/version`, as far as it decides about reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionDocument {
    major: String,
    minor: String,
    #[serde(default)]
    emulation_major: Option<String>,
    #[serde(default)]
    emulation_minor: Option<String>,
}

/// What upstream is held to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The rules for reads; `None` when its release is not known.
    pub(super) rules: Option<ReadRules>,
    /// Another one makes everything void that was filled before.
    pub(super) fingerprint: u64,
}

/// Makes a standing of what is read.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// The version that counts.
    settled: Option<VersionDocument>,
    /// What was read last.
    last: Option<(VersionDocument, WatchListGate)>,
    /// Whether another version than the settled one was read since it settled.
    disturbed: bool,
    /// Whether the last two answers about the gate differed.
    gate_differs: bool,
    /// How often another version settled, or the same one again.
    epoch: u64,
}

/// Asks whether `sendInitialEvents` is a parameter, on a type that the gateway must be able to watch
/// anyway, and in the form that begins without any event.
pub(super) const WATCH_LIST_PROBE: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions\
     ?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0\
     &timeoutSeconds=1";

/// What the answer to [`WATCH_LIST_PROBE`] says.
pub(super) fn watch_list_gate(answer: StatusCode) -> WatchListGate {
    match answer {
        StatusCode::OK => WatchListGate::On,
        StatusCode::UNPROCESSABLE_ENTITY => WatchListGate::Off,
        _ => WatchListGate::Unknown,
    }
}

// === impl VersionDocument ===

impl VersionDocument {
    fn release(&self) -> Option<Release> {
        let emulation = self.emulation_major.as_deref().zip(self.emulation_minor.as_deref());
        Release::claimed(VersionClaim { major: &self.major, minor: &self.minor, emulation })
    }
}

impl std::fmt::Display for VersionDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match (&self.emulation_major, &self.emulation_minor) {
            (Some(major), Some(minor)) if (major, minor) != (&self.major, &self.minor) => {
                write!(f, " emulating {major}.{minor}")
            }
            _ => Ok(()),
        }
    }
}

// === impl Settling ===

impl Settling {
    /// Takes note of an answer.
    pub(super) fn note(&mut self, version: VersionDocument, gate: WatchListGate) -> Standing {
        let again = self.last.as_ref().is_some_and(|(last, _)| *last == version);
        self.gate_differs = self.last.as_ref().is_some_and(|(_, last)| *last != gate);
        self.disturbed |= self.settled.as_ref().is_some_and(|settled| *settled != version);
        if self.settled.is_none() || (self.disturbed && again) {
            self.epoch += u64::from(self.settled.is_some());
            self.settled = Some(version.clone());
            self.disturbed = false;
        }
        self.last = Some((version, gate));
        let gate = if self.gate_differs { WatchListGate::Unknown } else { gate };
        self.standing(gate)
    }

    /// Whether the last answers agree with what counts.
    pub(super) fn is_settled(&self) -> bool {
        !self.disturbed && !self.gate_differs
    }

    /// The version that counts, for a log.
    pub(super) fn version(&self) -> Option<&VersionDocument> {
        self.settled.as_ref()
    }

    fn standing(&self, gate: WatchListGate) -> Standing {
        let release = self.settled.as_ref().and_then(VersionDocument::release);
        Standing {
            rules: release.map(|release| ReadRules::new(release, gate)),
            fingerprint: FixedState::default().hash_one((&self.settled, self.epoch)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(minor: &str) -> VersionDocument {
        let text = format!(r#"{{"major":"1","minor":"{minor}","gitVersion":"v1.{minor}.9"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn release(standing: Standing) -> Option<Release> {
        standing.rules.map(ReadRules::release)
    }

    #[test]
    fn reads_emulation() {
        let emulating = |minor| -> VersionDocument {
            let text = format!(
                r#"{{"major":"1","minor":"36","emulationMajor":"1","emulationMinor":"{minor}"}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(emulating("36").release(), Some(Release::V1_36));
        assert_eq!(emulating("35").release(), None);
        assert_eq!(emulating("35").to_string(), "1.36 emulating 1.35");
        assert_eq!(version("34").to_string(), "1.34");
    }

    #[test]
    fn the_first_version_counts_at_once_and_another_one_when_it_was_read_twice() {
        let mut settling = Settling::default();
        let first = settling.note(version("36"), WatchListGate::On);
        assert_eq!(release(first), Some(Release::V1_36));
        assert!(settling.is_settled());
        assert_eq!(settling.note(version("36"), WatchListGate::On), first);

        let doubtful = settling.note(version("34"), WatchListGate::On);
        assert_eq!(doubtful, first);
        assert!(!settling.is_settled());
        let other = settling.note(version("34"), WatchListGate::On);
        assert_eq!(release(other), Some(Release::V1_34));
        assert_ne!(other.fingerprint, first.fingerprint);
        assert!(settling.is_settled());

        // Back again, which is not the state of before.
        settling.note(version("36"), WatchListGate::On);
        let back = settling.note(version("36"), WatchListGate::On);
        assert_eq!(release(back), Some(Release::V1_36));
        assert_ne!(back.fingerprint, first.fingerprint);
    }

    #[test]
    fn what_was_filled_while_versions_alternated_is_void_once_they_agree() {
        let mut settling = Settling::default();
        let first = settling.note(version("36"), WatchListGate::On);
        for minor in ["34", "36", "34"] {
            assert_eq!(settling.note(version(minor), WatchListGate::On), first, "{minor}");
            assert!(!settling.is_settled());
        }
        settling.note(version("36"), WatchListGate::On);
        let agreed = settling.note(version("36"), WatchListGate::On);
        assert_eq!(release(agreed), Some(Release::V1_36));
        assert_ne!(agreed.fingerprint, first.fingerprint);
        assert!(settling.is_settled());
        assert_eq!(settling.note(version("36"), WatchListGate::On), agreed);
    }

    #[test]
    fn a_gate_that_changes_is_unknown_until_it_is_read_again() {
        let mut settling = Settling::default();
        let rules = |gate| Some(ReadRules::new(Release::V1_33, gate));
        let first = settling.note(version("33"), WatchListGate::Off);
        assert_eq!(first.rules, rules(WatchListGate::Off));
        let changed = settling.note(version("33"), WatchListGate::On);
        assert_eq!(changed.rules, rules(WatchListGate::Unknown));
        assert!(!settling.is_settled());
        let again = settling.note(version("33"), WatchListGate::On);
        assert_eq!(again.rules, rules(WatchListGate::On));
        assert!(settling.is_settled());
        assert_eq!(again.fingerprint, first.fingerprint, "the bytes are the same");
    }

    #[test]
    fn an_unknown_release_has_no_rules() {
        let mut settling = Settling::default();
        assert_eq!(settling.note(version("37"), WatchListGate::On).rules, None);
        assert_eq!(settling.version().unwrap().to_string(), "1.37");
    }

    #[test]
    fn the_answer_to_the_probe_tells_the_gate() {
        assert_eq!(watch_list_gate(StatusCode::OK), WatchListGate::On);
        assert_eq!(watch_list_gate(StatusCode::UNPROCESSABLE_ENTITY), WatchListGate::Off);
        assert_eq!(watch_list_gate(StatusCode::FORBIDDEN), WatchListGate::Unknown);
        assert_eq!(watch_list_gate(StatusCode::TOO_MANY_REQUESTS), WatchListGate::Unknown);
    }
}
