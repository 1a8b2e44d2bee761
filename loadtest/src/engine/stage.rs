//! What a run is made of, before anything is sent: names, objects, selections, boards.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use watchgate::api::object_key::ObjectKey;

use super::RunError;
use crate::{
    audience::{Audiences, Selection, SlotObject},
    board::{AskBoard, Board, ChurnBoard, Group},
    fill::{Installer, labels},
    ledger::Ledger,
    plan::Plan,
    resource::Kind,
    scenario::{
        MAX_SELECTED, Scenario,
        workload::{Churn, Watching, Workload},
    },
    target::Target,
    transport::{Windows, open},
};

/// Most objects that selectors are compared with before anything is sent: some ten seconds.
const MAX_LOOKS: u64 = 200_000_000;

/// A run before its beginning.
pub(super) struct Stage {
    pub(super) target: Arc<Target>,
    pub(super) scenario: Scenario,
    pub(super) board: Arc<Board>,
    pub(super) objects: Arc<Vec<SlotObject>>,
    pub(super) installer: Installer,
    /// What to make, and what to delete from.
    pub(super) namespaces: BTreeSet<String>,
    pub(super) kinds: BTreeSet<Kind>,
    /// Whether there are custom resources.
    pub(super) defines: bool,
    /// Of each group, each watcher's selection.
    pub(super) members: Vec<Vec<Member>>,
}

/// One watch of a group.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) namespace: Option<String>,
    pub(super) label_selector: Option<String>,
    pub(super) field_selector: Option<String>,
    pub(super) audience: Arc<[u32]>,
}

// === impl Stage ===

impl Stage {
    pub(super) fn new(target: &Arc<Target>, scenario: &Scenario) -> Result<Self, RunError> {
        let run = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let control = open(target, scenario.protocol, Windows::LIST);
        let installer = Installer::new(&run, control);
        let (mut plan, mut audiences) = (Plan::default(), Audiences::default());
        let (mut namespaces, mut kinds, mut churns) =
            (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for workload in &scenario.workloads {
            if let Workload::Churn(churn) = workload {
                let (begin, end) = scenario.span(&churn.phases);
                plan.add(churn.objects, churn.updates, churn.rate, end - begin);
                let first = audiences.objects().len();
                add_objects(&mut audiences, churn, &installer, &run);
                let added = &audiences.objects()[first..];
                namespaces.extend(added.iter().map(|it| it.key.namespace().to_owned()));
                kinds.extend(churn.resource.kind);
                churns.push(Arc::new(ChurnBoard::new(churn.clone(), scenario.protocol)));
            }
        }
        for fill in &scenario.fill {
            kinds.extend(fill.resource.kind);
            if fill.resource.namespaced() {
                let own = installer.own_namespace();
                let template = fill.namespace.as_ref().unwrap_or(&own);
                let count = u64::from(fill.count);
                let numbers = 0..template.distinct(count);
                namespaces.extend(numbers.map(|number| template.render(number, &run)));
            }
        }
        namespaces.remove("");
        let ledger = Arc::new(Ledger::new(plan));
        let (mut groups, mut members) = (Vec::new(), Vec::new());
        let mut effort = Effort::default();
        for workload in &scenario.workloads {
            if let Workload::Watchers(spec) | Workload::Informers(spec) = workload {
                let of_group = select(spec, &audiences, &run, &mut effort)?;
                let informers = matches!(workload, Workload::Informers(_));
                groups.push(Arc::new(group(scenario, spec, informers, &of_group, &ledger.plan)));
                members.push(of_group);
            }
        }
        let askings = asking_boards(scenario);
        let board = Arc::new(Board { run, ledger, churns, groups, askings, made: Instant::now() });
        Ok(Self {
            target: Arc::clone(target),
            defines: kinds.contains(&Kind::Sample),
            scenario: scenario.clone(),
            board,
            objects: Arc::new(audiences.objects().to_vec()),
            installer,
            namespaces,
            kinds,
            members,
        })
    }

    /// Whether a group begins with the first phase.
    pub(super) fn begins_first(&self, group: usize) -> bool {
        let from = &self.board.groups[group].spec.from;
        from.is_empty() || *from == self.scenario.phases[0].name
    }

    /// A group's name.
    pub(super) fn name(&self, group: usize) -> &str {
        &self.board.groups[group].spec.name
    }

    /// What CPU time is divided by: events delivered, or answers where there are no watches.
    pub(super) fn work(&self) -> u64 {
        if self.board.groups.is_empty() {
            self.board.askings.iter().map(|it| it.answers.count()).sum()
        } else {
            self.board.groups.iter().map(|it| it.deliveries.count()).sum()
        }
    }
}

/// The boards of the workloads of requests.
fn asking_boards(scenario: &Scenario) -> Vec<Arc<AskBoard>> {
    let askings = scenario.workloads.iter().filter_map(|workload| match workload {
        Workload::ListStorm(spec) | Workload::Gets(spec) => {
            Some(Arc::new(AskBoard::new(spec.clone(), scenario.protocol)))
        }
        _ => None,
    });
    askings.collect()
}

fn add_objects(audiences: &mut Audiences, churn: &Churn, installer: &Installer, run: &str) {
    let Some(kind) = churn.resource.kind else { return };
    let own = installer.own_namespace();
    for number in 0..u64::from(churn.objects) {
        let namespace = if churn.resource.namespaced() {
            churn.namespace.as_ref().unwrap_or(&own).render(number, run)
        } else {
            String::new()
        };
        let name = format!("{run}-{}", audiences.objects().len());
        audiences.push(SlotObject {
            kind,
            key: ObjectKey::new(&namespace, &name),
            labels: labels(&churn.labels, number, run),
            node: churn.node.as_ref().map(|it| it.render(number, run).into()).unwrap_or_default(),
        });
    }
}

/// What it takes to know what the watches select, of all workloads together.
#[derive(Default)]
struct Effort {
    /// Objects looked at.
    looks: u64,
    /// Objects selected, by each watch.
    selected: u64,
}

impl Effort {
    /// Adds to it, as far as it is bounded.
    fn add(&mut self, looks: usize, selected: usize) -> Result<(), String> {
        self.looks += looks as u64;
        self.selected += selected as u64;
        if self.looks > MAX_LOOKS {
            return Err(format!(
                "which objects the watches select takes more than {MAX_LOOKS} comparisons: give the \
                 selector an equality of name, node, namespace or label, or have fewer objects"
            ));
        }
        if self.selected > MAX_SELECTED {
            return Err(format!(
                "the watches select more than {MAX_SELECTED} objects together: have fewer watches or \
                 fewer objects of churns"
            ));
        }
        Ok(())
    }
}

/// What each watch of a workload selects; equal selections are found once.
fn select(
    spec: &Watching,
    audiences: &Audiences,
    run: &str,
    effort: &mut Effort,
) -> Result<Vec<Member>, RunError> {
    let failed = |reason| RunError::Selector { workload: spec.name.clone(), reason };
    let templates = [&spec.namespace, &spec.label_selector, &spec.field_selector];
    let mut known: HashMap<[Option<String>; 3], Member> = HashMap::new();
    (0..u64::from(spec.count))
        .map(|number| {
            let texts = templates.map(|it| it.as_ref().map(|it| it.render(number, run)));
            if let Some(member) = known.get(&texts) {
                effort.add(0, member.audience.len()).map_err(failed)?;
                return Ok(member.clone());
            }
            let [namespace, label_selector, field_selector] = texts.clone();
            let selection = Selection::parse(
                &spec.resource,
                namespace.clone(),
                label_selector.as_deref(),
                field_selector.as_deref(),
            );
            let selection = selection.map_err(failed)?;
            effort.add(audiences.looks(&selection), 0).map_err(failed)?;
            let audience: Arc<[u32]> = audiences.of(&selection).into();
            effort.add(0, audience.len()).map_err(failed)?;
            let member = Member { namespace, label_selector, field_selector, audience };
            known.insert(texts, member.clone());
            Ok(member)
        })
        .collect()
}

fn group(
    scenario: &Scenario,
    spec: &Watching,
    informers: bool,
    members: &[Member],
    plan: &Plan,
) -> Group {
    let mut watchers_of = vec![0; plan.slots() as usize];
    for member in members.iter().skip(spec.slow_count() as usize) {
        for slot in member.audience.iter() {
            watchers_of[*slot as usize] += 1;
        }
    }
    let mut group =
        Group::new(spec.clone(), informers, scenario.protocol, watchers_of, plan.writes());
    group.herded = scenario.workloads.iter().any(|other| match other {
        Workload::ReconnectHerd(herd) => herd.workload == spec.name,
        _ => false,
    });
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{resource::Resource, scenario::template::Template};

    #[test]
    fn what_watches_select_is_bounded_before_it_is_looked_for() {
        let mut effort = Effort::default();
        assert_eq!(effort.add(MAX_LOOKS as usize, MAX_SELECTED as usize), Ok(()));
        assert!(effort.add(0, 1).unwrap_err().contains("select more than 250000000"));
        let mut effort = Effort::default();
        assert!(effort.add(MAX_LOOKS as usize + 1, 0).unwrap_err().contains("an equality of name"));
        // So many watches by name look at one object each, and at nothing more.
        let mut audiences = Audiences::default();
        for number in 0..1_000 {
            audiences.push(SlotObject {
                kind: Kind::ConfigMap,
                key: ObjectKey::new("ns", &format!("run-{number}")),
                labels: Vec::new(),
                node: "".into(),
            });
        }
        let mut spec = Watching::new("watches", 1_000, Resource::of(Kind::ConfigMap));
        spec.field_selector = Template::parse("metadata.name={run}-{i}").ok();
        let mut effort = Effort::default();
        let members = select(&spec, &audiences, "run", &mut effort).unwrap();
        assert_eq!((effort.looks, effort.selected), (1_000, 1_000));
        assert_eq!(*members[7].audience, [7]);
    }
}
