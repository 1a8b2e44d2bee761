//! Changes of pods between two requests: small ones, scattered over all pods, made at the API server.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use watchgate_cluster::Client;

use crate::{fill, pods::Pods};

const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the changes of one run, each different from all before.
#[derive(Debug)]
pub(super) struct Changes {
    pods: Pods,
    writer: Client,
    made: usize,
}

/// The last of some changes: when this is seen, all are.
#[derive(Debug)]
pub(super) struct Last {
    path: String,
    version: u64,
}

// === impl Changes ===

impl Changes {
    pub(super) fn new(pods: Pods, writer: Client) -> Self {
        Self { pods, writer, made: 0 }
    }

    /// Changes so many pods.
    pub(super) async fn make(&mut self, count: usize) -> Result<Last> {
        let first = self.made;
        self.made += count;
        let (pods, writer) = (self.pods, &self.writer);
        let writers = (0..AT_ONCE).map(|start| async move {
            let mut last = None;
            for number in (first + start..first + count).step_by(AT_ONCE) {
                // A stride without a common factor with the number of pods visits all of them.
                let (namespace, name) = pods.key(number * 1009 % pods.count);
                let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
                let change = json!({"metadata": {"annotations": {"side-by-side/change": number.to_string()}}});
                let version = fill::patched(writer, &format!("{path}?fieldManager=kube-controller-manager"), &change).await?;
                last = Some(Last { path, version });
            }
            anyhow::Ok(last)
        });
        let last = try_join_all(writers).await?.into_iter().flatten().max_by_key(|it| it.version);
        last.context("no change was to be made")
    }
}

// === impl Last ===

impl Last {
    /// Waits until a server's memory has it.
    pub(super) async fn seen(&self, reader: &Client) -> Result<()> {
        let started = Instant::now();
        let path = format!("{}?resourceVersion=0", self.path);
        loop {
            let object = reader.get(&path).send().await?.json()?;
            let version =
                object["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse().ok());
            if version.is_some_and(|version: u64| version >= self.version) {
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{path}: the change did not arrive in {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
