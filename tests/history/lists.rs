//! One list, in as many pages as it has.

use anyhow::{Result, ensure};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use watchgate_cluster::Client;

use crate::checker::record::{Asked, List};
use crate::forms::Keys;
use crate::stream::Subject;

/// A list that was answered.
pub(crate) struct Listed {
    pub(crate) list: List,
    /// `Cache-Status` of its first page, if there is one.
    pub(crate) origin: Option<String>,
}

impl Subject<'_> {
    /// Lists. A limit makes pages, which together are one state, that of the first page.
    pub(crate) async fn list(
        &self,
        client: &Client,
        ask: Asked,
        limit: Option<usize>,
        keys: &mut Keys,
    ) -> Result<Listed> {
        let asked = self.course.moment();
        let mut target = self.target();
        target.push_str(&match ask {
            Asked::Fresh => String::new(),
            Asked::Any => "resourceVersion=0&".to_owned(),
            Asked::NotOlderThan(version) => {
                format!("resourceVersion={version}&resourceVersionMatch=NotOlderThan&")
            }
        });
        let mut listed: Option<Listed> = None;
        // Pages after the first name no version: their token does.
        let following = format!("{}limit={}&", self.target(), limit.unwrap_or_default());
        if let Some(limit) = limit {
            target.push_str(&format!("limit={limit}"));
        }
        loop {
            let request = client.get(&target).header("accept", &self.form.accept(true));
            let response = request.send().await?;
            let status = response.status;
            ensure!(status == StatusCode::OK, "{status}: {target}: {response:?}");
            let page = self.form.page(&response.body)?;
            let origin = response.header("cache-status").map(str::to_owned);
            let items = page.objects.iter().map(|object| object.item(keys));
            match &mut listed {
                None => {
                    let list = List { ask, asked, version: page.version, items: items.collect() };
                    listed = Some(Listed { list, origin });
                }
                Some(listed) => {
                    let first = listed.list.version;
                    ensure!(first == page.version, "{target}: {} after {first}", page.version);
                    listed.list.items.extend(items);
                }
            }
            if page.rest.is_empty() {
                break;
            }
            let token = utf8_percent_encode(&page.rest, NON_ALPHANUMERIC);
            target = format!("{following}continue={token}");
        }
        listed.ok_or_else(|| anyhow::anyhow!("no page"))
    }
}
