//! Small changes between two batches, so that versions move and older ones exist; and what the tester
//! learns of versions and continue tokens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Method;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde::Deserialize;
use watchgate_cluster::Response;

use crate::ask::Lanes;
use crate::case::{Case, Shape};
use crate::essence::List;
use crate::front::Side;
use crate::kinds::{KINDS, Kind, Made, NAMESPACES};
use crate::objects::object;
use crate::setup::Field;
use crate::world::{Token, World};

const MERGE: &str = "application/merge-patch+json";

/// Writes with a seed of its own.
pub(crate) struct Writer {
    field: Arc<Field>,
    random: SmallRng,
    turn: usize,
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(field: &Arc<Field>, seed: u64) -> Self {
        Self { field: field.clone(), random: SmallRng::seed_from_u64(seed ^ 0x77), turn: 0 }
    }

    /// Changes something of about half of the types.
    pub(crate) async fn write(&mut self, world: &mut World) -> Result<()> {
        self.turn += 1;
        for (index, kind) in KINDS.iter().enumerate() {
            if kind.made != Made::Elsewhere && self.random.random_bool(0.6) {
                let version = self.change(kind).await.with_context(|| kind.resource)?;
                world.wrote(index, version);
            }
        }
        Ok(())
    }

    async fn change(&mut self, kind: &Kind) -> Result<u64> {
        let namespace = kind.namespaced.then_some(NAMESPACES[0]);
        let collection = kind.collection(namespace);
        // The first five names exist everywhere; the rest only where there are namespaces.
        let names: Vec<_> = kind.names().take(5).collect();
        let name = names.choose(&mut self.random).context("no names")?;
        let turn = self.turn;
        // The endpoints of a service go with it.
        if kind.resource != "services" && self.random.random_bool(0.2) {
            let path =
                format!("{collection}/{name}?gracePeriodSeconds=0&propagationPolicy=Background");
            let gone = self.field.write(Method::DELETE, &path, MERGE, String::new()).await?;
            ensure!(gone.status.is_success(), "{path}: {gone:?}");
            let made =
                self.field.create(&collection, &object(kind, namespace, name, turn)?).await?;
            return version(&made);
        }
        let patch = match self.random.random_range(0..4) {
            0 => format!(r#"{{"metadata":{{"labels":{{"tier":"tier-{turn}"}}}}}}"#),
            1 => r#"{"metadata":{"labels":{"app":null,"tier":"front"}}}"#.to_owned(),
            2 if kind.is_custom() => format!(r#"{{"spec":{{"color":"red","size":{turn}}}}}"#),
            _ => format!(
                r#"{{"metadata":{{"annotations":{{"turn":"{turn}"}},"labels":{{"app":"web"}}}}}}"#
            ),
        };
        let path = format!("{collection}/{name}");
        let done = self.field.write(Method::PATCH, &path, MERGE, patch).await?;
        ensure!(done.status.is_success(), "{path}: {done:?}");
        version(&done)
    }
}

/// The version of the object in an answer, whose value may be too deep for a JSON tree.
fn version(response: &Response) -> Result<u64> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
    }
    let object: Object = serde_json::from_slice(&response.body)?;
    Ok(object.metadata.resource_version.parse()?)
}

/// Asks the gateway for every type in every form until it has it, if it is to have it.
pub(crate) async fn warm(lanes: &Lanes, world: &mut World) -> Result<()> {
    let metadata = "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let (json, protobuf) = ("application/json", "application/vnd.kubernetes.protobuf");
    for kind in KINDS {
        let forms = [json, protobuf].map(|form| [form.to_owned(), format!("{form};{metadata}")]);
        for accept in forms.concat() {
            let mut case = Case::new(Shape::Collection, &kind.collection(None));
            case.query.push("resourceVersion=0".to_owned());
            case.headers.push(("Accept", accept));
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let answer = lanes.one(Side::Through, &case).await?;
                let from = answer.header("cache-status").unwrap_or_default();
                if !from.ends_with("cold") {
                    break;
                }
                ensure!(Instant::now() < deadline, "{}: {from}", case.curl());
            }
        }
    }
    let case = Case::new(Shape::Collection, "/api/v1/namespaces");
    let now = List::of(&lanes.one(Side::Direct, &case).await?.body);
    world.start = now.version.context("a list without a version")?;
    Ok(())
}

/// Lists a page of everything on both servers, for versions and continue tokens.
pub(crate) async fn explore(lanes: &Lanes, world: &mut World) -> Result<()> {
    for (index, kind) in KINDS.iter().enumerate() {
        let scopes: &[_] = if kind.namespaced { &[None, Some(NAMESPACES[0])] } else { &[None] };
        for &namespace in scopes {
            for side in [Side::Direct, Side::Through] {
                let mut case = Case::new(Shape::Collection, &kind.collection(namespace));
                case.query.push("limit=2".to_owned());
                let answer = lanes.one(side, &case).await?;
                let list = List::of(&answer.body);
                if let Some(version) = list.version {
                    world.saw(index, version);
                }
                if let Some(text) = list.token {
                    world.keep(Token { kind: index, namespace, text });
                }
            }
        }
    }
    Ok(())
}
