//! The cluster, the gateway, and the objects that are read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster, Fixture, Response};

use crate::front::{Front, rights};
use crate::kinds::{KINDS, Kind, LARGE, Made, NAMESPACES};
use crate::objects;

/// Everything that the runs share.
pub(crate) struct Field {
    pub(crate) front: Front,
    /// Writes, past the gateway, on one connection.
    pub(crate) writer: Client,
    /// What the shells of curl lines need, without the token.
    pub(crate) authorizations: BTreeMap<&'static str, String>,
}

impl Field {
    /// Starts both servers and makes the objects.
    pub(crate) async fn start() -> Result<Self> {
        let options = Cluster::builder().user("reader", &["system:masters"]).user("local", &[]);
        let front = Front::start(options).await?;
        let writer = front.cluster.admin_client().shared().build()?;
        let users = ["reader", "local"].map(|user| (user, front.bearer(user)));
        let field = Self { front, writer, authorizations: users.into_iter().collect() };
        field.populate().await?;
        Ok(field)
    }

    async fn populate(&self) -> Result<()> {
        for namespace in NAMESPACES.iter().chain([&LARGE]) {
            rights::namespace(&self.front, namespace).await?;
        }
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for definition in objects::definitions() {
            self.create(definitions, &definition).await?;
        }
        for kind in KINDS.iter().filter(|kind| kind.made != Made::Elsewhere) {
            self.populate_kind(kind).await.with_context(|| kind.resource)?;
        }
        let rules = json!([{
            "apiGroups": ["", "example.com"], "resources": ["configmaps", "widgets"],
            "verbs": ["get", "list", "watch"],
        }]);
        rights::grant(&self.front, NAMESPACES[0], "local", rules).await?;
        let path = format!("/api/v1/namespaces/{}/configmaps", NAMESPACES[0]);
        let request = self.writer.request(Method::POST, &path);
        let request = request.header("content-type", "application/vnd.kubernetes.protobuf");
        let request = request.header("accept", "application/json");
        let response = request.body(objects::invalid_text(NAMESPACES[0])).send().await?;
        ensure!(response.status == StatusCode::CREATED, "{response:?}");
        Ok(())
    }

    /// Many in the first namespace, few in the second, one in the third, none in the fourth.
    async fn populate_kind(&self, kind: &Kind) -> Result<()> {
        let namespaces: &[(&str, usize)] = match kind.namespaced {
            true => &[(NAMESPACES[0], 7), (NAMESPACES[1], 3), (NAMESPACES[2], 1)],
            false => &[("", 5)],
        };
        for &(namespace, count) in namespaces {
            for (place, name) in kind.names().take(count).enumerate() {
                let namespace = (!namespace.is_empty()).then_some(namespace);
                let object = objects::object(kind, namespace, name, place)?;
                self.create(&kind.collection(namespace), &object).await?;
            }
        }
        if kind.resource == "bulks" || kind.resource == "podtemplates" {
            for object in objects::large(kind)? {
                self.create(&kind.collection(Some(LARGE)), &object).await?;
            }
        }
        Ok(())
    }

    /// Creates an object; one of a type that was just defined, as soon as it is served.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Response> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let body = object.to_string();
            let response = self.write(Method::POST, path, "application/json", body).await?;
            if response.status == StatusCode::CREATED {
                return Ok(response);
            }
            let starting = matches!(
                response.status,
                StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN
            );
            if !starting || Instant::now() > deadline {
                bail!("{path}: {} {}", response.status, String::from_utf8_lossy(&response.body));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Any write.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Result<Response> {
        let request = self.writer.request(method, path).header("content-type", content_type);
        request.body(body).send().await
    }
}

impl Fixture for Field {
    fn report(&self) -> String {
        self.front.report()
    }

    async fn stop(self) -> Result<()> {
        Box::pin(self.front.stop()).await
    }
}
