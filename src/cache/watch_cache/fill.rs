//! Contents taken as a whole and given up as a whole.
//!
//! All that takes time in the number of objects can be done without the owner's lock: a state is
//! compared before it is handed over ([`Arrival::compared_with`]), and what it replaces is handed
//! back to be dropped ([`Discarded`]).

use crate::{
    api::version::ResourceVersion,
    cache::{log::Log, map::OrderedMap, past::PastStates},
};

use super::{Contents, Violation, WatchCache};

/// A complete, consistent state that upstream has given.
#[derive(Debug)]
pub struct Arrival {
    objects: OrderedMap,
    version: ResourceVersion,
    compared: Option<Compared>,
}

/// What a comparison found, and with what. Holding it keeps the identity of its map from being used
/// again.
#[derive(Debug)]
struct Compared {
    held: OrderedMap,
    equal: bool,
}

/// What a fill found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The cache was empty.
    First,
    /// The same objects at the same versions, to the byte: watches go on, but for those that began between the
    /// version shown before and this one. Their clients know a state in between.
    Unchanged,
    /// History was lost, or objects look otherwise at the same version: watches must end, since
    /// events are missing.
    Changed,
    /// The contents were dropped while the state was on its way: it was not taken.
    Void,
}

/// What a cache holds no longer, or never took. Dropping it takes time where nobody else holds it:
/// to be done after unlocking.
#[derive(Debug, Default)]
#[must_use = "drop it after unlocking"]
pub struct Discarded {
    _objects: [Option<OrderedMap>; 2],
    _history: Option<(Log, PastStates)>,
}

// === impl Arrival ===

impl Arrival {
    /// The state at `version`. Takes the objects as a map, so that the work of making it need not be
    /// done under a lock.
    pub fn new(objects: OrderedMap, version: ResourceVersion) -> Self {
        Self { objects, version, compared: None }
    }

    /// Compares it with what the cache holds, as a snapshot shows it. If the cache holds something
    /// else by the time of the fill, this was for nothing and is done again there.
    #[must_use]
    pub fn compared_with(mut self, held: &OrderedMap) -> Self {
        let equal = same_objects(held, &self.objects);
        self.compared = Some(Compared { held: held.clone(), equal });
        self
    }

    fn is_equal_to(&self, held: &OrderedMap) -> bool {
        match &self.compared {
            Some(compared) if compared.held.is_the_very(held) => compared.equal,
            _ => same_objects(held, &self.objects),
        }
    }

    /// Everything in it.
    fn discarded(self) -> Discarded {
        let held = self.compared.map(|compared| compared.held);
        Discarded { _objects: [Some(self.objects), held], _history: None }
    }
}

// === impl WatchCache ===

impl WatchCache {
    /// Notes that a state is asked for now: its answer will be consistent, so it is no older than
    /// what is shown by now. What [`WatchCache::advance`] shows later may overtake it.
    pub fn expect_fill(&mut self) {
        self.highest = self.highest.max(self.resource_version());
    }

    /// Takes the complete, consistent state that has arrived.
    ///
    /// The version shown may have been advanced beyond it while it was on its way: since nothing
    /// happened in between, it is the state at the version shown as well.
    ///
    /// # Errors
    /// [`Violation::WentBack`] when it is older than what was shown; nothing is changed then.
    pub fn fill(&mut self, arrival: Arrival) -> (Result<Fill, Violation>, Discarded) {
        let version = arrival.version;
        if let Some(shown) = self.highest.filter(|shown| version < *shown) {
            let violation = Violation::WentBack { found: version, shown };
            return (Err(violation), arrival.discarded());
        }
        self.highest = Some(version);
        let log = Log::new(version, self.budget);
        let Some(contents) = &mut self.contents else {
            let Arrival { objects, compared, .. } = arrival;
            let past = PastStates::new(version);
            self.contents = Some(Contents { objects, resource_version: version, log, past });
            self.generation += 1;
            let held = compared.map(|compared| compared.held);
            return (Ok(Fill::First), Discarded { _objects: [held, None], _history: None });
        };
        let shown = contents.resource_version;
        contents.resource_version = shown.max(version);
        if arrival.is_equal_to(&contents.objects) {
            // What came and went since is in nobody's log: watches from before it are not covered.
            let history = (version > shown).then(|| contents.begin_history(log));
            return (Ok(Fill::Unchanged), Discarded { _history: history, ..arrival.discarded() });
        }
        let Arrival { objects, compared, .. } = arrival;
        let replaced = std::mem::replace(&mut contents.objects, objects);
        let history = contents.begin_history(log);
        self.generation += 1;
        let held = compared.map(|compared| compared.held);
        let discarded = Discarded { _objects: [Some(replaced), held], _history: Some(history) };
        (Ok(Fill::Changed), discarded)
    }

    /// Drops objects and log, but not what version was shown: the next fill must not be older.
    /// No fill may be under way.
    pub fn withdraw(&mut self) -> Discarded {
        self.expect_fill();
        self.give_up()
    }

    /// Drops objects and log, and forgets what was shown: the next fill may be older.
    pub fn clear(&mut self) -> Discarded {
        self.highest = None;
        self.give_up()
    }

    fn give_up(&mut self) -> Discarded {
        self.generation += 1;
        self.contents.take().map_or_else(Discarded::default, Contents::discarded)
    }
}

// === impl Contents ===

impl Contents {
    /// Nothing is known of what happened before this log.
    fn begin_history(&mut self, log: Log) -> (Log, PastStates) {
        let past = std::mem::replace(&mut self.past, PastStates::new(log.start()));
        (std::mem::replace(&mut self.log, log), past)
    }

    fn discarded(self) -> Discarded {
        Discarded { _objects: [Some(self.objects), None], _history: Some((self.log, self.past)) }
    }
}

/// Whether both maps hold the same keys at the same versions in the same bytes. A store that was
/// restored and written to anew gives old versions to new contents; a definition or a server that
/// changed gives other bytes for the same version, and upstream ends watches then, too.
pub(super) fn same_objects(left: &OrderedMap, right: &OrderedMap) -> bool {
    left.len() == right.len()
        && left.range(..).zip(right.range(..)).all(|(left, right)| {
            left.resource_version() == right.resource_version()
                && left.key() == right.key()
                && left.core == right.core
        })
}
