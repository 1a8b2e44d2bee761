//! How what a run made goes away again: only what carries the run's label.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::{Installer, PATIENCE, definitions};
use crate::{
    paging::Paging,
    resource::{Kind, Resource},
    transport::{Call, Connection, TransportError, exchange},
};

/// Longest for a deletion of a collection.
const DELETION_PATIENCE: Duration = Duration::from_secs(300);
/// Rounds of listing and deleting before giving up.
const ROUNDS: u32 = 20;

impl Installer {
    /// Deletes everything of these kinds that carries the run's label, then the namespaces and the
    /// CustomResourceDefinition that do; gives how many collections were deleted from.
    ///
    /// # Errors
    /// When the server does not; then objects with the run's label are left.
    pub async fn remove(&self, kinds: &BTreeSet<Kind>) -> Result<u64, TransportError> {
        let connection = self.transport.connect().await?;
        let mut deletions = 0;
        for kind in kinds {
            let resource = Resource::of(*kind);
            for round in 0.. {
                let Some(namespaces) = self.where_labelled(&*connection, &resource).await? else {
                    break;
                };
                if namespaces.is_empty() {
                    break;
                }
                if round == ROUNDS {
                    let left = format!("{resource} with the run's label are still there");
                    return Err(TransportError::Left(left));
                }
                for namespace in namespaces {
                    let namespace = Some(namespace.as_str()).filter(|it| !it.is_empty());
                    let query =
                        [("labelSelector", self.selector()), ("gracePeriodSeconds", "0".into())];
                    let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
                    let target = resource.collection(namespace, &query);
                    let call = Call::new(Method::DELETE, target, Bytes::new());
                    exchange(&*connection, call, DELETION_PATIENCE).await?;
                    deletions += 1;
                }
            }
        }
        self.remove_namespaces(&*connection).await?;
        if kinds.contains(&Kind::Sample) {
            let target = definitions(&[("labelSelector", &self.selector())]);
            let call = Call::new(Method::DELETE, target, Bytes::new());
            exchange(&*connection, call, DELETION_PATIENCE).await?;
        }
        Ok(deletions)
    }

    async fn remove_namespaces(&self, connection: &dyn Connection) -> Result<(), TransportError> {
        #[derive(Deserialize)]
        struct Named {
            items: Vec<NamedItem>,
        }
        #[derive(Deserialize)]
        struct NamedItem {
            metadata: Name,
        }
        #[derive(Deserialize)]
        struct Name {
            name: String,
        }
        let selector = self.selector();
        let namespaces: Resource = "v1/namespaces".parse().map_err(TransportError::Left)?;
        let list = Call::get(namespaces.collection(None, &[("labelSelector", &selector)]));
        let body = exchange(connection, list, PATIENCE).await?;
        let named: Named = serde_json::from_slice(&body).map_err(TransportError::Form)?;
        for item in named.items {
            let target = namespaces.object(None, &item.metadata.name, &[]);
            let call = Call::new(Method::DELETE, target, Bytes::new());
            match exchange(connection, call, PATIENCE).await {
                Err(TransportError::Status { status, .. })
                    if status == StatusCode::NOT_FOUND || status == StatusCode::CONFLICT => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// The namespaces with labelled objects; an empty name for cluster-scoped ones. `None` if the
    /// resource is not served.
    async fn where_labelled(
        &self,
        connection: &dyn Connection,
        resource: &Resource,
    ) -> Result<Option<BTreeSet<String>>, TransportError> {
        #[derive(Deserialize)]
        struct Placed {
            #[serde(default)]
            namespace: String,
        }
        let selector = self.selector();
        let (page, patience) = (5000, DELETION_PATIENCE);
        let paging = Paging { connection, resource, label_selector: &selector, page, patience };
        let mut namespaces = BTreeSet::new();
        let listed = paging.metadata(|placed: Placed| {
            namespaces.insert(placed.namespace);
        });
        match listed.await {
            Ok(()) => Ok(Some(namespaces)),
            Err(TransportError::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
