//! A writer: creates, changes, deletes and creates again the objects of its own, and keeps every acknowledgement.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use crate::checker::record::{Ack, Done};
use crate::course::{Course, Phase};
use crate::forms::Keys;
use crate::ground::{Side, Way};
use crate::kinds::{Kind, NAMESPACES};
use crate::seeded::Seeded;

/// A writer before it begins.
pub(crate) struct Writer {
    pub(crate) course: Arc<Course>,
    pub(crate) kind: &'static Kind,
    pub(crate) place: usize,
    pub(crate) side: Side,
    /// The mean time between two writes.
    pub(crate) pause: Duration,
}

/// What one write is.
struct Write {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Writer {
    /// Writes as long as the churn lasts.
    pub(crate) async fn run(self) -> Result<Vec<Ack>> {
        let mut random = Seeded::new(0x0b5e_55ed ^ self.place as u64);
        let names: Vec<(&str, String)> = NAMESPACES
            .iter()
            .flat_map(|namespace| {
                let names = ["", "-1", ".2", "-a-b"].map(|end| format!("w{}{end}", self.place));
                names.map(|name| (*namespace, name))
            })
            .collect();
        let (mut there, mut keys, mut acks) = (HashSet::new(), Keys::default(), Vec::new());
        while self.course.is(Phase::Churn) {
            let (namespace, name) = random.pick(&names);
            let key = keys.of(namespace, name);
            let exists = there.contains(&key);
            let write = self.next(&mut random, namespace, name, exists);
            let deletes = write.method == Method::DELETE;
            let begun = self.course.moment();
            let done = self.send(write).await;
            let acked = self.course.moment();
            let remains = match &done {
                Ok(_) => !deletes,
                Err(error) => {
                    let why: String = format!("{error:#}").chars().take(200).collect();
                    eprintln!("a write of {key}: {why}");
                    self.look(namespace, name).await?
                }
            };
            match remains {
                true => there.insert(key.clone()),
                false => there.remove(&key),
            };
            acks.push(Ack { key, begun, acked, done: done.unwrap_or(Done::Unknown) });
            let longest = usize::try_from(self.pause.as_millis() * 2).unwrap_or(0);
            sleep(Duration::from_millis(random.below(longest) as u64)).await;
        }
        Ok(acks)
    }

    fn next(&self, random: &mut Seeded, namespace: &str, name: &str, exists: bool) -> Write {
        let collection = self.kind.within(namespace);
        let object = format!("{collection}/{name}");
        let step = self.course.step();
        if !exists {
            let body = Some(self.kind.create(random, name, step));
            return Write { method: Method::POST, path: collection, body };
        }
        if random.percent(15) {
            let path = format!("{object}?gracePeriodSeconds=0");
            return Write { method: Method::DELETE, path, body: None };
        }
        let (below, patch) = self.kind.change(random, step);
        Write { method: Method::PATCH, path: format!("{object}{below}"), body: Some(patch) }
    }

    /// Anything but success leaves it open whether the write was done.
    async fn send(&self, write: Write) -> Result<Done> {
        let client = self.course.ground.client(self.side, Way::Http2(self.place))?;
        let mut request = client.request(write.method.clone(), &write.path);
        if let Some(body) = &write.body {
            let media_type = match write.method {
                Method::PATCH => "application/merge-patch+json",
                _ => "application/json",
            };
            request = request.header("content-type", media_type).body(body.to_string());
        }
        let response = request.send().await?;
        ensure!(response.status.is_success(), "{} {}: {response:?}", write.method, write.path);
        if write.method == Method::DELETE {
            return Ok(Done::Deleted);
        }
        let object = response.json()?;
        let version = object["metadata"]["resourceVersion"].as_str().context("no version")?;
        Ok(Done::Put(version.parse()?))
    }

    /// Whether an object is there, from the API server itself, once nothing can be under way any more.
    async fn look(&self, namespace: &str, name: &str) -> Result<bool> {
        sleep(Duration::from_secs(1)).await;
        let client = self.course.ground.client(Side::Direct, Way::Http1)?;
        let path = format!("{}/{name}", self.kind.within(namespace));
        let response = client.get(&path).send().await?;
        let known = matches!(response.status, StatusCode::OK | StatusCode::NOT_FOUND);
        ensure!(known, "{path}: {response:?}");
        Ok(response.status == StatusCode::OK)
    }
}
