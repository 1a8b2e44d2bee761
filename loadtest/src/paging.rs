//! The metadata of all objects with a label, page by page: for the end of a run, and for deleting what
//! it made.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    calls::Reading,
    resource::Resource,
    scenario::workload::Representation,
    transport::{Connection, TransportError, exchange},
};

/// What is listed, and how.
#[derive(Clone, Copy)]
pub struct Paging<'a> {
    /// Asked on this connection.
    pub connection: &'a dyn Connection,
    /// In all namespaces.
    pub resource: &'a Resource,
    /// Which objects.
    pub label_selector: &'a str,
    /// Objects on a page.
    pub page: u32,
    /// Longest for a page.
    pub patience: Duration,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    /// `null` in an empty list of metadata.
    #[serde(default)]
    items: Option<Vec<Item<T>>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    token: String,
}

#[derive(Deserialize)]
struct Item<T> {
    metadata: T,
}

// === impl Paging ===

impl Paging<'_> {
    /// Gives the metadata of each object to `take`.
    ///
    /// # Errors
    /// When a page cannot be had.
    pub async fn metadata<T: DeserializeOwned>(
        &self,
        mut take: impl FnMut(T),
    ) -> Result<(), TransportError> {
        let reading = Reading {
            resource: self.resource,
            namespace: None,
            label_selector: Some(self.label_selector),
            field_selector: None,
            representation: Representation::Metadata,
            gzip: false,
        };
        let mut token = String::new();
        loop {
            let call = reading.list(Some(self.page), &token, None);
            let body = exchange(self.connection, call, self.patience).await?;
            let page: Page<T> = serde_json::from_slice(&body).map_err(TransportError::Form)?;
            page.items.into_iter().flatten().for_each(|item| take(item.metadata));
            token = page.metadata.token;
            if token.is_empty() {
                return Ok(());
            }
        }
    }
}
