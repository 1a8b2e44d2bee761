//! The objects of one run: where they are, how they look, and how they go away again.
//!
//! Guarantees: every object carries the run's label, and only objects with it are ever deleted; a
//! namespace is deleted only if this run made it.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use clap::ValueEnum;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    plan::{Operation, Write},
    transport::{Call, Connection, TransportError, exchange},
};

/// The label whose value is the run.
const RUN_LABEL: &str = "watchgate-loadtest/run";
/// The annotation whose value is the write's mark.
pub const MARK_ANNOTATION: &str = "watchgate-loadtest/write";
const PATIENCE: Duration = Duration::from_secs(30);

/// What the objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// ConfigMaps.
    Configmaps,
    /// Secrets.
    Secrets,
}

/// One run's corner of the cluster.
#[derive(Debug)]
pub struct Scratch {
    run: String,
    namespace: String,
    own_namespace: bool,
    resource: Resource,
    labels: BTreeMap<String, String>,
    selector: Option<String>,
    payload: String,
}

/// The server's state.
pub struct State {
    /// Its resource version.
    pub revision: String,
    /// The run's objects: writer and number, and the write that each carries.
    pub objects: BTreeMap<(u32, u64), u64>,
}

/// A `--label-selector` that objects cannot be given the labels of.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--label-selector {0:?}: allowed is KEY=VALUE[,KEY=VALUE…], which the objects then carry")]
pub struct BadSelector(String);

#[derive(Deserialize)]
struct List {
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMetadata,
}

#[derive(Deserialize)]
struct ItemMetadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

// === impl Resource ===

impl Resource {
    const fn plural(self) -> &'static str {
        match self {
            Self::Configmaps => "configmaps",
            Self::Secrets => "secrets",
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Configmaps => "ConfigMap",
            Self::Secrets => "Secret",
        }
    }
}

// === impl Scratch ===

impl Scratch {
    /// For a new run. Without a namespace it makes one of its own.
    ///
    /// # Errors
    /// When the selector is more than equalities.
    pub fn new(
        resource: Resource,
        namespace: Option<&str>,
        selector: Option<&str>,
        object_bytes: usize,
    ) -> Result<Self, BadSelector> {
        let run = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let mut labels = match selector {
            Some(selector) => equalities(selector)?,
            None => BTreeMap::new(),
        };
        labels.insert(RUN_LABEL.to_owned(), run.clone());
        Ok(Self {
            namespace: namespace
                .map_or_else(|| format!("watchgate-loadtest-{run}"), ToOwned::to_owned),
            own_namespace: namespace.is_none(),
            run,
            resource,
            labels,
            selector: selector.map(ToOwned::to_owned),
            payload: payload(object_bytes),
        })
    }

    /// The run's name.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Path of the collection, with a query.
    pub fn collection(&self, query: &[(&str, &str)]) -> String {
        collection(self.resource, Some(&self.namespace), query)
    }

    /// A watch from after this resource version on, of what the watchers are to see.
    pub fn watch(&self, revision: &str) -> Call {
        let mut query = vec![
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", revision),
            ("timeoutSeconds", "7200"),
        ];
        if let Some(selector) = &self.selector {
            query.push(("labelSelector", selector));
        }
        Call::get(self.collection(&query))
    }

    /// The request that does a write.
    pub fn write(&self, write: Write) -> Call {
        let name = format!("{}-{}-{}", self.run, write.writer, write.object());
        let one = format!("{}/{name}", self.collection(&[]));
        match write.operation() {
            Operation::Create => {
                Call::new(Method::POST, self.collection(&[]), self.object(&name, write))
            }
            Operation::Update => Call::new(Method::PUT, one, self.object(&name, write)),
            Operation::Delete => Call::new(Method::DELETE, one, Bytes::new()),
        }
    }

    fn object(&self, name: &str, write: Write) -> Bytes {
        let object = json!({
            "apiVersion": "v1",
            "kind": self.resource.kind(),
            "metadata": {
                "name": name,
                "labels": self.labels,
                "annotations": { MARK_ANNOTATION: write.mark(&self.run) },
            },
            "data": { "payload": self.payload },
        });
        Bytes::from(object.to_string())
    }

    /// Makes the namespace, if it is to be the run's own.
    ///
    /// # Errors
    /// When the server does not.
    pub async fn set_up(&self, connection: &dyn Connection) -> Result<(), TransportError> {
        if !self.own_namespace {
            return Ok(());
        }
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": self.namespace, "labels": { RUN_LABEL: self.run } },
        });
        let body = Bytes::from(namespace.to_string());
        let call = Call::new(Method::POST, "/api/v1/namespaces".to_owned(), body);
        exchange(connection, call, PATIENCE).await.map(drop)
    }

    /// The run's objects as the server has them now.
    ///
    /// # Errors
    /// When the server does not say, or not in the form of a list.
    pub async fn state(&self, connection: &dyn Connection) -> Result<State, TransportError> {
        let selector = format!("{RUN_LABEL}={}", self.run);
        let target = self.collection(&[("labelSelector", &selector)]);
        let body = exchange(connection, Call::get(target), PATIENCE).await?;
        let list: List = serde_json::from_slice(&body).map_err(TransportError::Form)?;
        let marks = list.items.iter().filter_map(|item| {
            Write::from_mark(&self.run, item.metadata.annotations.get(MARK_ANNOTATION)?)
        });
        let objects = marks.map(|write| ((write.writer, write.object()), write.sequence)).collect();
        Ok(State { revision: list.metadata.resource_version, objects })
    }

    /// Deletes the run's objects, and its namespace if it made it.
    ///
    /// # Errors
    /// When the server does not; then objects with the run's label are left.
    pub async fn clean_up(&self, connection: &dyn Connection) -> Result<(), TransportError> {
        let selector = format!("{RUN_LABEL}={}", self.run);
        let target = self.collection(&[("labelSelector", &selector)]);
        let call = Call::new(Method::DELETE, target, Bytes::new());
        exchange(connection, call, PATIENCE).await?;
        if self.own_namespace {
            let target = format!("/api/v1/namespaces/{}", self.namespace);
            let call = Call::new(Method::DELETE, target, Bytes::new());
            exchange(connection, call, PATIENCE).await?;
        }
        Ok(())
    }
}

/// Path of a collection, in one namespace or all, with a query.
pub fn collection(resource: Resource, namespace: Option<&str>, query: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let within = namespace.map_or_else(String::new, |it| format!("namespaces/{it}/"));
    let mut target = format!("/api/v1/{within}{}", resource.plural());
    for (index, (key, value)) in query.iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(key);
        target.push('=');
        target.push_str(&encode(value));
    }
    target
}

fn equalities(selector: &str) -> Result<BTreeMap<String, String>, BadSelector> {
    let bad = || BadSelector(selector.to_owned());
    selector
        .split(',')
        .map(|part| {
            let (key, value) = part.split_once('=').ok_or_else(bad)?;
            let value = value.strip_prefix('=').unwrap_or(value);
            let plain = !key.is_empty() && !key.contains(['!', ' ', '(']) && !value.contains('=');
            plain.then(|| (key.to_owned(), value.to_owned())).ok_or_else(bad)
        })
        .collect()
}

/// Letters that do not compress to nothing, in a number that is also valid base64.
fn payload(bytes: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..bytes / 4 * 4)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'a' + (state % 26) as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_carry_run_labels_mark_and_payload() {
        let scratch = Scratch::new(Resource::Configmaps, None, Some("a=b,c==d"), 101).unwrap();
        let write = Write { writer: 3, sequence: 1 };
        let call = scratch.write(write);
        let object: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"]["a"], "b");
        assert_eq!(metadata["labels"]["c"], "d");
        assert_eq!(metadata["labels"][RUN_LABEL], scratch.run());
        let mark = metadata["annotations"][MARK_ANNOTATION].as_str().unwrap();
        assert_eq!(Write::from_mark(scratch.run(), mark), Some(write));
        assert_eq!(object["data"]["payload"].as_str().map(str::len), Some(100));
        assert!(call.target.starts_with("/api/v1/namespaces/watchgate-loadtest-"));
        assert!(scratch.watch("7").target.contains("resourceVersion=7&"));
        assert!(scratch.watch("7").target.ends_with("&labelSelector=a%3Db%2Cc%3D%3Dd"));
    }

    #[test]
    fn selectors_that_are_no_labels_are_refused() {
        for selector in ["", "a", "a!=b", "a in (b)", "=b", "a=b=c"] {
            assert_eq!(equalities(selector), Err(BadSelector(selector.to_owned())), "{selector}");
        }
    }
}
