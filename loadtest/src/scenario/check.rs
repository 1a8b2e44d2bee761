//! What fields of a scenario mean together: bounds across workloads, names that refer to others,
//! fields that exclude each other.

use watchgate::api::selector::{
    field::{FieldSelector, FieldTerms},
    label::LabelSelector,
};

use super::{
    MAX_SELECTED, MAX_TIME, Phase, Place, Problem, Scenario,
    quantity::{Period, Size},
    template::Template,
    workload::{Asking, Churn, Fill, Herd, Representation, Slow, Start, Watching, Workload},
};
use crate::{
    plan::MAX_WRITES,
    resource::{Kind, Resource},
    transport::Protocol,
};

/// Most watches of all workloads together.
const MAX_ALL_WATCHERS: u64 = 200_000;
const MAX_PHASES: usize = 50;
const MAX_WORKLOADS: usize = 50;
/// An object is at most 1.5 MiB on its way into etcd, data of ConfigMaps and Secrets 1 MiB.
const MAX_OBJECT: usize = 1_000_000;
/// Other kinds reach their size by an annotation, and all annotations together are at most 256 KiB.
const MAX_ANNOTATED: usize = 250_000;

impl Scenario {
    /// Checks everything that is not seen in a field alone.
    ///
    /// # Errors
    /// Names the workload and the field, and says what is allowed.
    pub fn check(&self) -> Result<(), Problem> {
        let scenario = |(field, reason)| Problem { place: Place::Scenario, field, reason };
        self.check_times().map_err(scenario)?;
        for (index, fill) in self.fill.iter().enumerate() {
            let place = Place::Fill(index);
            check_fill(fill).map_err(|(field, reason)| Problem { place, field, reason })?;
        }
        let mut watchers = 0;
        for (index, workload) in self.workloads.iter().enumerate() {
            let place = Place::Workload(index, workload.kind());
            let problem = |(field, reason)| Problem { place: place.clone(), field, reason };
            if self.workloads[..index].iter().any(|other| other.name() == workload.name()) {
                return Err(problem(("name", format!("two are called {:?}", workload.name()))));
            }
            if let Workload::Watchers(it) | Workload::Informers(it) = workload {
                watchers += u64::from(it.count);
            }
            self.check_workload(workload).map_err(problem)?;
        }
        if watchers > MAX_ALL_WATCHERS {
            let reason = format!("{watchers} watches together: allowed are {MAX_ALL_WATCHERS}");
            return Err(scenario(("workloads", reason)));
        }
        self.check_selected().map_err(scenario)?;
        self.check_writes().map_err(scenario)
    }

    fn check_times(&self) -> Result<(), Wrong> {
        let within = |field, count: usize, most: usize| {
            let allowed = || (field, format!("{count}: allowed are 1 to {most}"));
            (1..=most).contains(&count).then_some(()).ok_or_else(allowed)
        };
        within("phases", self.phases.len(), MAX_PHASES)?;
        within("workloads", self.workloads.len(), MAX_WORKLOADS)?;
        for (index, Phase { name, duration }) in self.phases.iter().enumerate() {
            if self.phases[..index].iter().any(|other| other.name == *name) {
                return Err(("phases", format!("two are called {name:?}")));
            }
            if *duration < Period::seconds(1) {
                let reason = format!("{name:?} lasts {duration}: allowed is at least 1s");
                return Err(("phases", reason));
            }
        }
        if self.time_limit.0 > MAX_TIME {
            return Err(("time-limit", format!("allowed is at most {}", Period(MAX_TIME))));
        }
        if self.duration() >= self.time_limit.0 {
            let reason = format!(
                "the phases last {}, and all together must be within {}",
                Period(self.duration()),
                self.time_limit
            );
            return Err(("time-limit", reason));
        }
        Ok(())
    }
}

type Wrong = (&'static str, String);

impl Scenario {
    fn check_workload(&self, workload: &Workload) -> Result<(), Wrong> {
        match workload {
            Workload::Churn(it) => self.check_churn(it),
            Workload::Gets(it) if it.object.is_none() => {
                Err(("object", "missing: allowed is the name of an object, such as pod-{i}".into()))
            }
            Workload::Gets(it) => {
                if it.label_selector.is_some() || it.field_selector.is_some() || it.limit.is_some()
                {
                    let reason = "gets take no label-selector, field-selector or limit".to_owned();
                    return Err(("object", reason));
                }
                self.check_asking(it)
            }
            Workload::ListStorm(it) if it.object.is_some() => {
                Err(("object", "allowed for gets only; a list takes selectors".to_owned()))
            }
            Workload::ListStorm(it) => self.check_asking(it),
            Workload::Informers(it) | Workload::Watchers(it) => {
                self.check_watching(it, matches!(workload, Workload::Informers(_)))
            }
            Workload::ReconnectHerd(it) => self.check_herd(it),
        }
    }

    fn check_watching(&self, it: &Watching, informers: bool) -> Result<(), Wrong> {
        self.check_phase("from", &it.from)?;
        if it.connections.is_some() && it.streams_per_connection.is_some() {
            return Err((
                "connections",
                "excludes streams-per-connection: give one of them".into(),
            ));
        }
        let protocol = it.protocol.unwrap_or(self.protocol);
        if protocol == Protocol::Http1 && it.streams(protocol) != 1 {
            let reason = "allowed is 1 with HTTP/1.1, which has no streams".to_owned();
            return Err(("streams-per-connection", reason));
        }
        let start = it.start.unwrap_or(if informers { Start::List } else { Start::Now });
        if start != Start::List && (it.page_size.is_some() || it.resource_version.is_some()) {
            let reason =
                "excludes page-size and resource-version, which are of start: list".to_owned();
            return Err(("start", reason));
        }
        if informers && start == Start::Now {
            return Err(("start", "allowed are list and watch-list for informers".to_owned()));
        }
        if let Some(Slow { bytes_per_second: Size(0), .. }) = it.slow {
            return Err(("slow", "bytes-per-second: allowed is at least 1".to_owned()));
        }
        if it.spread.is_some_and(|spread| spread.0 > self.duration()) {
            return Err(("spread", format!("allowed is at most {}", Period(self.duration()))));
        }
        check_representation(&it.resource, it.representation)?;
        check_label_selector(it.label_selector.as_ref())?;
        if let Some(selector) = &it.field_selector {
            let text = selector.render(0, "run");
            FieldSelector::parse(&text, &it.resource.field_schema())
                .map_err(|error| ("field-selector", error.to_string()))?;
            check_known_fields(&text)?;
        }
        Ok(())
    }

    fn check_churn(&self, it: &Churn) -> Result<(), Wrong> {
        self.check_phases(&it.phases)?;
        check_made(&it.resource, it.object_size, it.node.as_ref())?;
        if it.namespace.as_ref().is_some_and(|it| it.distinct(MAX_ALL_WATCHERS) > 1_000) {
            return Err(("namespace", "allowed are at most 1000: write {i%N}".to_owned()));
        }
        Ok(())
    }

    fn check_asking(&self, it: &Asking) -> Result<(), Wrong> {
        self.check_phases(&it.phases)?;
        check_representation(&it.resource, it.representation)?;
        check_label_selector(it.label_selector.as_ref())?;
        if let Some(selector) = &it.field_selector {
            FieldTerms::parse(&selector.render(0, "run"))
                .map_err(|error| ("field-selector", error.to_string()))?;
        }
        Ok(())
    }

    fn check_herd(&self, it: &Herd) -> Result<(), Wrong> {
        self.check_phase("phase", &it.phase)?;
        let watching =
            |other: &&Workload| matches!(other, Workload::Watchers(_) | Workload::Informers(_));
        let names: Vec<&str> = self.workloads.iter().filter(watching).map(Workload::name).collect();
        if !names.contains(&it.workload.as_str()) {
            let allowed = if names.is_empty() {
                "a workload with watches".to_owned()
            } else {
                names.join(", ")
            };
            return Err(("workload", format!("{:?}: allowed is {allowed}", it.workload)));
        }
        if it.every < Period::seconds(1) {
            return Err(("every", "allowed is at least 1s".to_owned()));
        }
        Ok(())
    }

    fn check_phase(&self, field: &'static str, phase: &str) -> Result<(), Wrong> {
        if phase.is_empty() || self.phases.iter().any(|it| it.name == phase) {
            return Ok(());
        }
        let names: Vec<&str> = self.phases.iter().map(|it| it.name.as_str()).collect();
        Err((field, format!("{phase:?} is no phase: allowed are {}", names.join(", "))))
    }

    fn check_phases(&self, phases: &[String]) -> Result<(), Wrong> {
        let mut last = None;
        for phase in phases {
            self.check_phase("phases", phase)?;
            let place = self.phases.iter().position(|it| it.name == *phase);
            if last.is_some_and(|last: usize| place != Some(last + 1)) {
                let reason = format!("{phase:?} does not follow the one before it");
                return Err(("phases", reason));
            }
            last = place;
        }
        Ok(())
    }

    /// Of watches without selectors it is known here how much they select; the others are bounded when
    /// their selectors are looked at.
    fn check_selected(&self) -> Result<(), Wrong> {
        let objects = |resource: &Resource| -> u64 {
            let of = |workload: &Workload| match workload {
                Workload::Churn(it) if it.resource == *resource => u64::from(it.objects),
                _ => 0,
            };
            self.workloads.iter().map(of).sum()
        };
        let selected = |workload: &Workload| match workload {
            Workload::Watchers(it) | Workload::Informers(it)
                if it.namespace.is_none()
                    && it.label_selector.is_none()
                    && it.field_selector.is_none() =>
            {
                u64::from(it.count) * objects(&it.resource)
            }
            _ => 0,
        };
        let selected: u64 = self.workloads.iter().map(selected).sum();
        if selected > MAX_SELECTED {
            let reason = format!(
                "all watches together select {selected} objects of churns, each watch its own: allowed \
                 are {MAX_SELECTED}"
            );
            return Err(("workloads", reason));
        }
        Ok(())
    }

    fn check_writes(&self) -> Result<(), Wrong> {
        let churns = self.workloads.iter().filter_map(|workload| match workload {
            Workload::Churn(it) => Some(it),
            _ => None,
        });
        let writes: f64 = churns
            .map(|it| {
                let (begin, end) = self.span(&it.phases);
                (it.rate * (end - begin).as_secs_f64()).ceil()
            })
            .sum();
        if writes > MAX_WRITES as f64 {
            let reason = format!("{writes:.0} writes of all churns: allowed are {MAX_WRITES}");
            return Err(("rate", reason));
        }
        Ok(())
    }
}

fn check_made(resource: &Resource, size: Size, node: Option<&Template>) -> Result<(), Wrong> {
    if resource.kind.is_none() {
        let reason = format!(
            "{resource} cannot be made: allowed are configmaps, endpointslices, leases, nodes, pods, \
             samples and secrets"
        );
        return Err(("resource", reason));
    }
    let most = most_bytes(resource);
    if size.0 > most {
        let reason = format!("{}: allowed is at most {most} for {resource}", size.0);
        return Err(("object-size", reason));
    }
    if node.is_some() && resource.kind != Some(Kind::Pod) {
        return Err(("node", "allowed for pods only".to_owned()));
    }
    Ok(())
}

/// The largest object that can be made of a resource.
pub fn most_bytes(resource: &Resource) -> usize {
    match resource.kind {
        Some(Kind::ConfigMap | Kind::Secret) => MAX_OBJECT,
        _ => MAX_ANNOTATED,
    }
}

fn check_representation(resource: &Resource, representation: Representation) -> Result<(), Wrong> {
    if representation == Representation::Protobuf && !resource.has_protobuf() {
        let reason =
            format!("{resource} has no Protobuf: allowed are json, metadata and metadata-protobuf");
        return Err(("representation", reason));
    }
    Ok(())
}

/// What a watch must be sent is known for some fields only.
fn check_known_fields(selector: &str) -> Result<(), Wrong> {
    let fields = selector.split(',').map(|term| term.split(['=', '!']).next().unwrap_or(term));
    for field in fields {
        if !["", "metadata.name", "metadata.namespace", "spec.nodeName"].contains(&field) {
            let reason = format!(
                "{field:?}: watches are checked, for which allowed are metadata.name, \
                 metadata.namespace and spec.nodeName"
            );
            return Err(("field-selector", reason));
        }
    }
    Ok(())
}

fn check_label_selector(selector: Option<&Template>) -> Result<(), Wrong> {
    let Some(selector) = selector else { return Ok(()) };
    LabelSelector::parse(&selector.render(0, "run"))
        .map(drop)
        .map_err(|error| ("label-selector", error.to_string()))
}

fn check_fill(it: &Fill) -> Result<(), Wrong> {
    check_made(&it.resource, it.object_size, it.node.as_ref())?;
    if it.namespace.as_ref().is_some_and(|name| name.distinct(u64::from(it.count)) > 10_000) {
        return Err(("namespace", "allowed are at most 10000: write {i%N}".to_owned()));
    }
    Ok(())
}
