//! What really happened to a resource: its state at the begin and every change, in order of versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{Digest, Moment, Version};

/// An object between two of its changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) version: Version,
    pub(crate) labels: BTreeMap<String, String>,
    /// Values of selectable fields, but for its name and namespace.
    pub(crate) fields: BTreeMap<String, String>,
    /// Its bytes in every form.
    pub(crate) contents: Vec<Digest>,
}

/// Objects by key, in the order in which lists show them.
pub(crate) type Objects = BTreeMap<Arc<str>, Arc<State>>;

/// A write: a new state, or none.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: Version,
    pub(crate) key: Arc<str>,
    pub(crate) state: Option<Arc<State>>,
}

/// When a change was begun and acknowledged, as far as anyone knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) version: Version,
    pub(crate) begun: Moment,
    pub(crate) acked: Moment,
}

/// The history of one resource.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub(crate) initial: Objects,
    pub(crate) changes: Vec<Change>,
    /// A version of the store from after all changes: nothing in the recordings can be newer.
    pub(crate) end: Version,
    /// By the moment of the acknowledgement, each with the largest version so far.
    acked: Vec<(Moment, Version)>,
    /// By the moment of the begin, each with the smallest version from there on.
    begun: Vec<(Moment, Version)>,
}

impl Truth {
    /// From what is known to have happened.
    pub(crate) fn new(
        initial: Objects,
        changes: Vec<Change>,
        end: Version,
        known: &[Known],
    ) -> Self {
        let mut acked: Vec<_> = known.iter().map(|k| (k.acked, k.version)).collect();
        acked.sort_unstable();
        let mut largest = 0;
        for (_, version) in &mut acked {
            largest = largest.max(*version);
            *version = largest;
        }
        let mut begun: Vec<_> = known.iter().map(|k| (k.begun, k.version)).collect();
        begun.sort_unstable();
        let mut smallest = Version::MAX;
        for (_, version) in begun.iter_mut().rev() {
            smallest = smallest.min(*version);
            *version = smallest;
        }
        Self { initial, changes, end, acked, begun }
    }

    /// What every fresh read that was asked at `moment` must have.
    pub(crate) fn floor(&self, moment: Moment) -> Version {
        let count = self.acked.partition_point(|(acked, _)| *acked < moment);
        count.checked_sub(1).map_or(0, |last| self.acked[last].1)
    }

    /// The first version that was written after `moment`: a watch that was open by then must show it.
    pub(crate) fn ceiling(&self, moment: Moment) -> Version {
        let place = self.begun.partition_point(|(begun, _)| *begun <= moment);
        self.begun.get(place).map_or(Version::MAX, |(_, version)| *version)
    }
}
