//! The API server, the gateway, and objects of every kind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster, Fixture};

use crate::form::Form;
use crate::front::{Front, Side, json_body};
use crate::kinds::{ALL, Kind, NAMESPACES, definition};
use crate::page::Page;

/// Both servers as one user sees them.
pub(crate) struct World {
    pub(crate) direct: Client,
    pub(crate) through: Client,
    pub(crate) front: Front,
}

impl World {
    /// Starts both and creates the objects.
    pub(crate) async fn start() -> Result<Self> {
        let cluster = Cluster::builder().user("reader", &["system:masters"]);
        let front = Front::start(cluster).await?;
        let token = front.cluster.token("reader");
        let client = |side| front.client_of(side).token(token).build();
        let (direct, through) = (client(Side::Direct)?, client(Side::Through)?);
        let world = Self { direct, through, front };
        for namespace in NAMESPACES {
            let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            world.create("/api/v1/namespaces", &object).await?;
        }
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        world.create(definitions, &definition()).await?;
        for kind in ALL {
            world.populate(kind).await?;
        }
        Ok(world)
    }

    async fn populate(&self, kind: &Kind) -> Result<()> {
        stream::iter(0..kind.count)
            .map(|number| async move {
                let (path, name) = kind.place(number);
                self.create(&path, &kind.named(&name)).await
            })
            .buffer_unordered(8)
            .try_collect()
            .await
    }

    /// Creates an object; one of a type that was just defined, as soon as it is served.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let request = self.direct.request(Method::POST, path);
            let answer = json_body(request, object).send().await?;
            if answer.status == StatusCode::CREATED {
                return Ok(());
            }
            let starting = matches!(
                answer.status,
                StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN
            );
            ensure!(starting && Instant::now() < deadline, "{path}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Has the shard of a form filled, so that its log covers what happens from now on.
    pub(crate) async fn warm(&self, kind: &Kind, form: Form) -> Result<()> {
        let target = format!("{}?resourceVersion=0&limit=1", kind.everywhere());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !Page::of(&self.through, &target, form).await?.is_hit {
            ensure!(Instant::now() < deadline, "{target} is never served");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The same page from both, which must be the same bytes; the gateway's.
    pub(crate) async fn same(self: &Arc<Self>, target: &str, form: Form) -> Result<Page> {
        let through = Page::of(&self.through, target, form).await?;
        let direct = Page::of(&self.direct, target, form).await?;
        ensure!(
            through.body == direct.body,
            "{target} as {form:?}:\n through {through:?}\n directly {direct:?}"
        );
        Ok(through)
    }
}

impl Fixture for World {
    fn report(&self) -> String {
        self.front.report()
    }

    async fn stop(self) -> Result<()> {
        Box::pin(self.front.stop()).await
    }
}
