//! Objects that are made before a load, and how everything that a run made goes away again.
//!
//! Guarantees: every object carries the run's label, and only objects with it are ever deleted; a
//! namespace or the CustomResourceDefinition is deleted only if it carries the label, which says
//! that the run made it. At most [`Installer::CONCURRENCY`] requests are under way.

mod removal;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use compact_str::CompactString;
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use watchgate::api::object_key::ObjectKey;

use crate::{
    audience::RUN_LABEL,
    board::{Counter, Reasons},
    manifest::Manifest,
    resource::{CUSTOM_GROUP, Kind, Resource},
    scenario::{template::Template, workload::Fill},
    slot::Slot,
    transport::{Call, Transport, TransportError, exchange},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a new CustomResourceDefinition may take until it is served.
const SERVED_WITHIN: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(300);
const PER_CONNECTION: usize = 16;
/// Makes and removes what carries a run's label.
#[derive(Clone)]
pub struct Installer {
    run: String,
    transport: Arc<dyn Transport>,
}

/// What came of a fill, while it goes on and at its end.
#[derive(Debug, Default)]
pub struct Filling {
    /// Objects made.
    pub made: Counter,
    /// Objects that were there already.
    pub there: Counter,
    /// Objects that could not be made.
    pub failures: Reasons,
    next: AtomicU64,
}

/// The result of a fill.
#[derive(Clone, Debug, Serialize)]
pub struct Filled {
    /// What was made.
    pub resource: Resource,
    /// How many.
    pub made: u64,
    /// How many were there already.
    pub there: u64,
    /// How many could not be made, by reason.
    pub failures: BTreeMap<String, u64>,
    /// How long it took.
    pub seconds: f64,
}

// === impl Installer ===

impl Installer {
    /// Requests under way at once.
    pub const CONCURRENCY: usize = 32;

    /// For a run.
    pub fn new(run: &str, transport: Arc<dyn Transport>) -> Self {
        Self { run: run.to_owned(), transport }
    }

    /// Makes the namespaces that are not there.
    ///
    /// # Errors
    /// When the server does not.
    pub async fn namespaces(&self, names: &BTreeSet<String>) -> Result<(), TransportError> {
        let connection = self.transport.connect().await?;
        for name in names {
            let body = json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {RUN_LABEL: self.run}},
            });
            let call =
                Call::new(Method::POST, "/api/v1/namespaces".into(), body.to_string().into());
            made(exchange(&*connection, call, PATIENCE).await)?;
        }
        Ok(())
    }

    /// Makes the CustomResourceDefinition of `samples`, if it is not there, and waits for it.
    ///
    /// # Errors
    /// When the server does not serve it in time.
    pub async fn definition(&self) -> Result<(), TransportError> {
        let connection = self.transport.connect().await?;
        let body = definition(&self.run).to_string();
        let call = Call::new(Method::POST, definitions(&[]), Bytes::from(body));
        made(exchange(&*connection, call, PATIENCE).await)?;
        let started = Instant::now();
        loop {
            let list = Resource::of(Kind::Sample).collection(None, &[("limit", "1")]);
            match exchange(&*connection, Call::get(list), PATIENCE).await {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() > SERVED_WITHIN => return Err(error),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Makes the objects of a fill, as far as `stop` lets it.
    ///
    /// # Errors
    /// When there is no connection. What the server refuses is in the result.
    pub async fn fill(
        &self,
        fill: &Fill,
        seed: u64,
        filling: &Arc<Filling>,
        stop: &CancellationToken,
    ) -> Result<Filled, TransportError> {
        let started = Instant::now();
        let own = self.own_namespace();
        let mut tasks = JoinSet::new();
        let mut slot = Arc::new(Slot::new(Arc::clone(&self.transport)));
        for number in 0..Self::CONCURRENCY.min(fill.count as usize) {
            if number.is_multiple_of(PER_CONNECTION) {
                slot = Arc::new(Slot::new(Arc::clone(&self.transport)));
                slot.connection(None).await?;
            }
            let (installer, fill, own) = (self.clone(), fill.clone(), own.clone());
            let (filling, slot, stop) = (Arc::clone(filling), Arc::clone(&slot), stop.clone());
            tasks.spawn(async move {
                while !stop.is_cancelled() {
                    let number = filling.next.fetch_add(1, Ordering::Relaxed);
                    if number >= u64::from(fill.count) {
                        return;
                    }
                    let call = installer.object(&fill, number, seed, &own);
                    match installer.make(&slot, call).await {
                        Ok(true) => filling.made.add(1),
                        Ok(false) => filling.there.add(1),
                        Err(TransportError::Status { method, status, message, .. }) => {
                            let text: String = message.chars().take(150).collect();
                            filling.failures.add(&format!("{method}: {status}: {text}"));
                        }
                        Err(error) => filling.failures.add(&error),
                    }
                }
            });
        }
        tasks.join_all().await;
        Ok(Filled {
            resource: fill.resource.clone(),
            made: filling.made.count(),
            there: filling.there.count(),
            failures: filling.failures.all(),
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// The namespace of objects that name none.
    pub fn own_namespace(&self) -> Template {
        let name = format!("watchgate-loadtest-{}", self.run);
        Template::parse(&name).expect("the run's name has no braces")
    }

    /// Makes one object; whether it was not there before. Tries again what a new namespace or a busy
    /// server refuses.
    async fn make(&self, slot: &Slot, call: Call) -> Result<bool, TransportError> {
        let mut attempt = 1;
        loop {
            let connection = slot.connection(None).await?;
            let result = made(exchange(&*connection, call.clone(), PATIENCE).await);
            let again = match &result {
                Err(TransportError::Status { status, .. }) => {
                    *status == StatusCode::FORBIDDEN
                        || *status == StatusCode::TOO_MANY_REQUESTS
                        || status.is_server_error()
                }
                Err(TransportError::Http(_)) => {
                    // The next one opens it again, for all.
                    let _opened = slot.connection(Some(&connection)).await;
                    true
                }
                _ => false,
            };
            if !again || attempt == ATTEMPTS {
                return result;
            }
            sleep(PAUSE * attempt).await;
            attempt += 1;
        }
    }

    fn object(&self, fill: &Fill, number: u64, seed: u64, own: &Template) -> Call {
        let kind = fill.resource.kind.expect("a fill of what cannot be made is refused");
        let namespace = if fill.resource.namespaced() {
            fill.namespace.as_ref().unwrap_or(own).render(number, &self.run)
        } else {
            String::new()
        };
        let name = format!("{}-{}-{number}", self.run, fill.resource.plural());
        let key = ObjectKey::new(&namespace, &name);
        let node = fill.node.as_ref().map(|node| node.render(number, &self.run));
        let labels = labels(&fill.labels, number, &self.run);
        let manifest = Manifest {
            kind,
            key: &key,
            labels: &labels,
            annotations: &[],
            node: node.as_deref().unwrap_or(""),
            seed,
            number,
            size: fill.object_size.0,
        };
        let within = Some(namespace.as_str()).filter(|it| !it.is_empty());
        Call::new(Method::POST, fill.resource.collection(within, &[]), manifest.json())
    }

    fn selector(&self) -> String {
        format!("{RUN_LABEL}={}", self.run)
    }
}

/// The labels of an object, with the run's.
pub fn labels(
    templates: &BTreeMap<String, Template>,
    number: u64,
    run: &str,
) -> Vec<(CompactString, CompactString)> {
    let mut labels: Vec<(CompactString, CompactString)> = templates
        .iter()
        .map(|(key, value)| (key.as_str().into(), value.render(number, run).into()))
        .collect();
    labels.push((RUN_LABEL.into(), run.into()));
    labels.sort();
    labels
}

/// Whether it was made now; that it was there before is no error.
fn made(result: Result<Bytes, TransportError>) -> Result<bool, TransportError> {
    match result {
        Ok(_) => Ok(true),
        Err(TransportError::Status { status: StatusCode::CONFLICT, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn definitions(query: &[(&str, &str)]) -> String {
    let resource: Result<Resource, _> = "apiextensions.k8s.io/v1/customresourcedefinitions".parse();
    let resource = resource.expect("a resource's name");
    resource.collection(None, query)
}

fn definition(run: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("samples.{CUSTOM_GROUP}"), "labels": {RUN_LABEL: run}},
        "spec": {
            "group": CUSTOM_GROUP,
            "names": {"kind": "Sample", "plural": "samples", "singular": "sample"},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {
                        "type": "object",
                        "properties": {
                            "replicas": {"type": "integer"},
                            "class": {"type": "string"},
                            "parameters": {
                                "type": "object",
                                "additionalProperties": {"type": "string"},
                            },
                        },
                    }},
                }},
            }],
        },
    })
}
