//! What a run is made of, before anything is sent: names, objects, selections, boards.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use tokio::sync::{Semaphore, watch};
use watchgate::api::object_key::ObjectKey;

use super::RunError;
use crate::{
    audience::{Audiences, Selection, SlotObject},
    board::{AskBoard, Board, ChurnBoard, Counter, Group, Herding, Reasons},
    delay::{Delays, LastDelays},
    fill::{Installer, labels},
    ledger::{Ledger, Outcome},
    plan::Plan,
    resource::Kind,
    scenario::{
        Scenario,
        workload::{Churn, Start, Watching, Workload},
    },
    target::Target,
    transport::{Windows, open},
};

/// Watches of a workload that are being opened at once, unless it is about that.
const OPENING: usize = 256;

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
                let graceful = churn.resource.kind == Some(Kind::Pod);
                plan.add(churn.objects, churn.updates, churn.rate, end - begin, graceful);
                let first = audiences.objects().len();
                add_objects(&mut audiences, churn, &installer, &run);
                let added = &audiences.objects()[first..];
                namespaces.extend(added.iter().map(|it| it.key.namespace().to_owned()));
                kinds.extend(churn.resource.kind);
                churns.push(Arc::new(churn_board(churn, scenario)));
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
        for workload in &scenario.workloads {
            if let Workload::Watchers(spec) | Workload::Informers(spec) = workload {
                let of_group = select(spec, &audiences, &run)?;
                let informers = matches!(workload, Workload::Informers(_));
                groups.push(Arc::new(group(scenario, spec, informers, &of_group, &ledger.plan)));
                members.push(of_group);
            }
        }
        let askings = asking_boards(scenario);
        let board = Arc::new(Board { run, ledger, churns, groups, askings });
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

    /// What CPU time is divided by: events delivered, or answers where there are no watches.
    pub(super) fn work(&self) -> u64 {
        if self.board.groups.is_empty() {
            self.board.askings.iter().map(|it| it.answers.count()).sum()
        } else {
            self.board.groups.iter().map(|it| it.deliveries.count()).sum()
        }
    }

    /// How many events each group that began first must have been sent by now.
    pub(super) fn expected(&self) -> Vec<u64> {
        let mut expected = vec![0; self.board.groups.len()];
        let ledger = &self.board.ledger;
        for churn in ledger.plan.churns() {
            let writes = (0..churn.writes).map(|index| churn.write(index));
            let done = writes.filter(|write| matches!(ledger.outcome(*write), Outcome::Done(_)));
            for write in done {
                for (index, group) in self.board.groups.iter().enumerate() {
                    if self.begins_first(index) && !group.informers {
                        expected[index] += u64::from(group.watchers_of[write.slot as usize]);
                    }
                }
            }
        }
        expected
    }
}

/// The boards of the workloads of requests.
fn asking_boards(scenario: &Scenario) -> Vec<Arc<AskBoard>> {
    let askings = scenario.workloads.iter().filter_map(|workload| match workload {
        Workload::ListStorm(spec) | Workload::Gets(spec) => Some(Arc::new(AskBoard {
            protocol: spec.protocol.unwrap_or(scenario.protocol),
            spec: spec.clone(),
            latency: Delays::new(),
            answers: Counter::default(),
            bytes: Counter::default(),
            failures: Reasons::default(),
        })),
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

fn churn_board(churn: &Churn, scenario: &Scenario) -> ChurnBoard {
    ChurnBoard {
        spec: churn.clone(),
        protocol: churn.protocol.unwrap_or(scenario.protocol),
        started: OnceLock::new(),
        latency: Delays::new(),
        succeeded: Counter::default(),
        failures: Reasons::default(),
    }
}

/// What each watch of a workload selects; equal selections are found once.
fn select(spec: &Watching, audiences: &Audiences, run: &str) -> Result<Vec<Member>, RunError> {
    let failed = |reason| RunError::Selector { workload: spec.name.clone(), reason };
    let templates = [&spec.namespace, &spec.label_selector, &spec.field_selector];
    let mut known: HashMap<[Option<String>; 3], Member> = HashMap::new();
    (0..u64::from(spec.count))
        .map(|number| {
            let texts = templates.map(|it| it.as_ref().map(|it| it.render(number, run)));
            if let Some(member) = known.get(&texts) {
                return Ok(member.clone());
            }
            let [namespace, label_selector, field_selector] = texts.clone();
            let selection = Selection::parse(
                &spec.resource,
                namespace.clone(),
                label_selector.as_deref(),
                field_selector.as_deref(),
            );
            let audience = audiences.of(&selection.map_err(failed)?).into();
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
    let herded = scenario.workloads.iter().any(|other| match other {
        Workload::ReconnectHerd(herd) => herd.workload == spec.name,
        _ => false,
    });
    Group {
        spec: spec.clone(),
        informers,
        start: spec.start.unwrap_or(if informers { Start::List } else { Start::Now }),
        protocol: spec.protocol.unwrap_or(scenario.protocol),
        watchers_of,
        delay: Delays::new(),
        last_watcher: LastDelays::new(plan.writes()),
        sync: Delays::new(),
        reopen: Delays::new(),
        opened: Counter::default(),
        synced: Counter::default(),
        broken: Counter::default(),
        deliveries: Counter::default(),
        prompt: Counter::default(),
        foreign: Counter::default(),
        bytes: Counter::default(),
        herd: watch::Sender::new(Herding::none()),
        herded,
        opening: Semaphore::new(if informers { spec.count as usize } else { OPENING }),
    }
}
