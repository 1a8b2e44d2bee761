//! Writes that watches are to see: at a fixed rate whatever happens, or as fast as what was written is delivered.
//!
//! The writes change pods in a fixed order, go to kube-apiserver whoever is measured, and stand for events of the prepared
//! form at the limit server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};
use watchgate_cluster::Client;

use crate::{crowd::Crowd, fill, pods::Pods};

/// Writes under way at the same time.
const UNDER_WAY: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// When the writes are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many per second.
    Rate(f64),
    /// As fast as the watches get them: so many writes may be ahead of what the average one has.
    Delivered(u64),
}

/// Who makes them.
#[derive(Clone, Debug)]
pub(crate) enum Writer {
    /// Patches of pods: the `n`th write goes to a pod of the node `n % nodes`.
    Pods { client: Client, pods: Pods, salt: u64 },
    /// Events of the limit server: of all its watches, or, with pods, of those of the node `n % nodes`.
    Limit { client: Client, by_node: Option<Pods> },
}

/// When each write was due, since a crowd's start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) due_micros: Vec<u32>,
}

// === impl Pace ===

impl Pace {
    fn due(self, write: usize) -> Duration {
        match self {
            Self::Rate(rate) => Duration::from_secs_f64(write as f64 / rate),
            Self::Delivered(_) => Duration::ZERO,
        }
    }
}

// === impl Writer ===

impl Writer {
    async fn write(&self, number: usize) -> Result<()> {
        match self {
            Self::Pods { client, pods, salt } => {
                let (namespace, name) = pods.key(pod_of(pods, number));
                let path = format!(
                    "/api/v1/namespaces/{namespace}/pods/{name}?fieldManager=kube-controller-manager"
                );
                let mark = format!("{salt:08}-{number:08}");
                let change = json!({"metadata": {"annotations": {"side-by-side/change": mark}}});
                fill::patch(client, &path, &change).await
            }
            Self::Limit { client, by_node } => {
                let selected = by_node.map_or_else(String::new, |pods| {
                    format!("?{}", node_selector(&Pods::node_name(number % pods.nodes())))
                });
                let path = format!("/events/1{selected}");
                let response = client.request(Method::POST, &path).send().await?;
                ensure!(response.status == StatusCode::OK, "the limit server: {}", response.status);
                Ok(())
            }
        }
    }

    /// Makes `count` writes for a crowd of which `per_write` watches see each.
    pub(crate) async fn run(
        &self,
        crowd: &Crowd,
        count: usize,
        pace: Pace,
        per_write: u64,
    ) -> Result<Schedule> {
        let under_way = Arc::new(Semaphore::new(UNDER_WAY));
        let started = Instant::now();
        let offset = started.duration_since(crowd.started());
        let mut due_micros = Vec::with_capacity(count);
        let mut writes = JoinSet::new();
        for number in 0..count {
            match pace {
                Pace::Rate(_) => {
                    tokio::time::sleep_until((started + pace.due(number)).into()).await;
                }
                Pace::Delivered(ahead) => {
                    let wanted = (number as u64).saturating_sub(ahead) * per_write;
                    let delivered = crowd.wait(PATIENCE, |totals| totals.events >= wanted).await;
                    ensure!(delivered, "nothing is delivered any more: {:?}", crowd.totals());
                }
            }
            due_micros.push((offset + pace.due(number)).as_micros() as u32);
            let (place, writer) = (Arc::clone(&under_way).acquire_owned().await?, self.clone());
            writes.spawn(async move {
                let _place = place;
                writer.write(number).await
            });
            while let Some(written) = writes.try_join_next() {
                written.context("a write")??;
            }
        }
        while let Some(written) = writes.join_next().await {
            written.context("a write")??;
        }
        Ok(Schedule { due_micros })
    }
}

/// What selects the pods of a node, as a parameter of a query.
pub(crate) fn node_selector(node: &str) -> String {
    format!("fieldSelector=spec.nodeName%3D{node}")
}

/// The nodes take turns, and so do each node's pods.
fn pod_of(pods: &Pods, write: usize) -> usize {
    let (node, turn) = (write % pods.nodes(), write / pods.nodes());
    (node + pods.nodes() * (turn % crate::pods::PER_NODE)) % pods.count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::Profile;

    #[test]
    fn writes_visit_the_nodes_in_turn() {
        let pods = Pods { profile: Profile::Uniform, count: 1000, seed: 1 };
        for write in [0, 1, 99, 100, 101, 950, 1000, 12_345] {
            assert_eq!(pods.node_of(pod_of(&pods, write)), write % 100, "{write}");
        }
        assert_ne!(pod_of(&pods, 0), pod_of(&pods, 100));
        assert_eq!(pod_of(&pods, 0), pod_of(&pods, 1000));
    }

    #[test]
    fn due_times_follow_from_the_rate_alone() {
        assert_eq!(Pace::Rate(50.0).due(100), Duration::from_secs(2));
        assert_eq!(Pace::Delivered(2).due(100), Duration::ZERO);
    }
}
