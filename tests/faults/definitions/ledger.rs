//! What was true of a type's objects, and what the gateway showed of them meanwhile.
//!
//! Truth is what the API server itself gives for an object at a version in one **generation** of the
//! definition. Everything shown must be bytes that were true in some generation, not before it
//! began and not later than a change of a type may go unnoticed after it ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use anyhow::{Result, ensure};
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::NOTICED;

/// One way to look at a type; an index into the test's list of them.
pub(super) type View = usize;

/// A state of the definition.
struct Generation {
    what: &'static str,
    changed: Instant,
    settled: Option<Instant>,
    /// The names that each view has throughout, once it is settled; `None` where nothing is served.
    names: Vec<Option<BTreeSet<String>>>,
}

/// When bytes were shown.
struct Shown {
    first: Instant,
    last: Instant,
    times: usize,
}

/// A list that the gateway gave.
struct Listed {
    view: View,
    from: Instant,
    until: Instant,
    names: BTreeSet<String>,
}

#[derive(Default)]
pub(super) struct Ledger {
    generations: Vec<Generation>,
    truth: HashMap<(View, String), BTreeSet<usize>>,
    shown: HashMap<(View, String), Shown>,
    deleted: HashMap<(View, String), usize>,
    lists: Vec<Listed>,
    origins: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

/// The parts of a list, an object or an event that are looked at, with their bytes.
#[derive(Deserialize)]
pub(super) struct List<'b> {
    #[serde(borrow)]
    items: Option<Vec<&'b RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct Event<'b> {
    #[serde(rename = "type")]
    kind: &'b str,
    #[serde(borrow)]
    object: &'b RawValue,
}

#[derive(Deserialize)]
struct Named {
    metadata: Name,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// The objects of a list, each in its own bytes.
pub(super) fn objects(body: &[u8]) -> Result<Vec<String>> {
    let list: List<'_> = serde_json::from_slice(body)?;
    Ok(list.items.unwrap_or_default().into_iter().map(|item| item.get().to_owned()).collect())
}

fn name(object: &str) -> Result<String> {
    Ok(serde_json::from_str::<Named>(object)?.metadata.name)
}

/// An object without its version: a deletion has its own.
fn unversioned(object: &str) -> String {
    const BEFORE: &str = "\"resourceVersion\":\"";
    let Some((head, rest)) = object.split_once(BEFORE) else { return object.to_owned() };
    let rest = rest.trim_start_matches(|character: char| character.is_ascii_digit());
    format!("{head}{BEFORE}{rest}")
}

impl Ledger {
    /// A change of the definition is about to be made.
    pub(super) fn changes(&mut self, what: &'static str) {
        let changed = Instant::now();
        self.generations.push(Generation { what, changed, settled: None, names: Vec::new() });
    }

    /// The API server shows the changed type, and these objects of it.
    pub(super) fn settles(&mut self, names: Vec<Option<BTreeSet<String>>>) {
        if let Some(generation) = self.generations.last_mut() {
            generation.settled = Some(Instant::now());
            generation.names = names;
        }
    }

    /// The API server gave an object in the present generation.
    pub(super) fn is_true(&mut self, view: View, object: &str) {
        let generation = self.generations.len() - 1;
        self.truth.entry((view, object.to_owned())).or_default().insert(generation);
    }

    /// Whether the API server gave these very bytes in the present generation.
    pub(super) fn holds(&self, view: View, object: &str) -> bool {
        let generations = self.truth.get(&(view, object.to_owned()));
        generations.is_some_and(|them| them.contains(&(self.generations.len() - 1)))
    }

    pub(super) fn origin(&mut self, what: &str, status: StatusCode, cache_status: Option<&str>) {
        let cache_status = cache_status.unwrap_or("?").trim_start_matches("watchgate; ");
        *self.origins.entry(format!("{what} {} {cache_status}", status.as_u16())).or_default() += 1;
    }

    pub(super) fn list(&mut self, view: View, from: Instant, body: &[u8]) -> Result<()> {
        let mut names = BTreeSet::new();
        for object in objects(body)? {
            names.insert(name(&object)?);
            self.object(view, from, &object);
        }
        self.lists.push(Listed { view, from, until: Instant::now(), names });
        Ok(())
    }

    /// The gateway showed an object to a request that it got at `from`.
    pub(super) fn object(&mut self, view: View, from: Instant, object: &str) {
        let now = Instant::now();
        let shown = self.shown.entry((view, object.trim_end().to_owned()));
        let shown = shown.or_insert(Shown { first: now, last: from, times: 0 });
        shown.last = shown.last.max(from);
        shown.times += 1;
    }

    pub(super) fn event(&mut self, view: View, line: &[u8]) -> Result<()> {
        let event: Event<'_> = serde_json::from_slice(line)?;
        match event.kind {
            "ADDED" | "MODIFIED" => self.object(view, Instant::now(), event.object.get()),
            "DELETED" => {
                *self.deleted.entry((view, unversioned(event.object.get()))).or_default() += 1;
            }
            _ => self.wrong(format!("view {view}: {}", String::from_utf8_lossy(line))),
        }
        Ok(())
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// Holds everything shown against everything true.
    pub(super) fn check(&self) -> Result<()> {
        let mut wrong = self.wrong.clone();
        for ((view, object), shown) in &self.shown {
            let Some(generations) = self.truth.get(&(*view, object.clone())) else {
                wrong.push(format!("view {view}, never true: {object}"));
                continue;
            };
            wrong.extend(self.untimely(*view, object, shown, generations));
        }
        let once: BTreeSet<(View, String)> =
            self.truth.keys().map(|(view, object)| (*view, unversioned(object))).collect();
        for (view, object) in self.deleted.keys() {
            if !once.contains(&(*view, object.clone())) {
                wrong.push(format!("view {view}, never true and deleted: {object}"));
            }
        }
        wrong.extend(self.lists.iter().filter_map(|list| self.incomplete(list)));
        let times: usize = self.shown.values().map(|shown| shown.times).sum();
        eprintln!(
            "{times} objects shown in {} forms, {} true ones; {} lists; {} deletions; answers: {:#?}",
            self.shown.len(),
            self.truth.len(),
            self.lists.len(),
            self.deleted.values().sum::<usize>(),
            self.origins,
        );
        for generation in &self.generations {
            let settled = generation.settled.map(|at| (at - generation.changed).as_secs_f64());
            eprintln!("{}: upstream settled after {settled:.2?} s", generation.what);
        }
        ensure!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    }

    fn untimely(
        &self,
        view: View,
        object: &str,
        shown: &Shown,
        generations: &BTreeSet<usize>,
    ) -> Option<String> {
        let (first, last) = (generations.first()?, generations.last()?);
        let what = self.generations[*last].what;
        if shown.first < self.generations[*first].changed {
            return Some(format!("view {view}, before {what}: {object}"));
        }
        let late = shown.last.checked_duration_since(self.generations.get(last + 1)?.changed)?;
        (late > NOTICED).then(|| format!("view {view}, {late:?} after the end of {what}: {object}"))
    }

    /// A list made wholly within one settled generation has its objects, neither more nor fewer.
    fn incomplete(&self, list: &Listed) -> Option<String> {
        let index = self.generations.iter().rposition(|it| it.changed <= list.until)?;
        let generation = &self.generations[index];
        if list.from < generation.settled? + NOTICED {
            return None;
        }
        let Listed { view, names, .. } = list;
        let wanted = generation.names.get(*view)?.as_ref();
        (wanted != Some(names))
            .then(|| format!("view {view}, {}: {names:?} in place of {wanted:?}", generation.what))
    }
}
