//! Labels against clients who make things up.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Result, ensure};
use http::Method;

use crate::{
    exposition::{Exposition, Series},
    front::Front,
    setup::{admin, collection},
};

/// Words that must not come back.
const MARK: &str = "zebra";

/// Hundreds of different paths, groups, verbs, resources, selectors, users and agents make a handful of
/// new series, and none of their words is in one.
pub(crate) async fn are_bounded(front: Arc<Front>) -> Result<()> {
    let client = admin(&front)?;
    let anybody = front.client().shared().build()?;
    let round = async |number: usize| -> Result<()> {
        let name = format!("{MARK}{number}");
        for target in [
            format!("/{name}"),
            format!("/api/v1/{name}"),
            format!("/apis/{name}.example.com/v1/pods?watch=true"),
            format!("/apis/apps/{name}/deployments"),
            format!("/api/v1/namespaces/{name}/configmaps?resourceVersion=0"),
            format!("{}/{name}", collection()),
            format!("{}?labelSelector={name}%3Dx&resourceVersion=0", collection()),
            format!("{}?{name}={name}", collection()),
            format!("/watchgate/{name}"),
        ] {
            let method = Method::from_bytes(format!("M{}", number % 3).as_bytes())?;
            for request in [client.get(&target), client.request(method, &target)] {
                let request = request.header("user-agent", &name).header("x-forwarded-for", &name);
                request.send().await?;
            }
            let bearer = format!("Bearer {name}");
            anybody.get(&target).header("authorization", &bearer).send().await?;
        }
        Ok(())
    };
    round(0).await?;
    let before = series(&Exposition::of(&client).await?);
    for number in 1..25 {
        round(number).await?;
    }
    let exposition = Exposition::of(&client).await?;
    let new: Vec<Series> = series(&exposition).difference(&before).cloned().collect();
    // The methods of the second and third round, and what other tests did besides.
    ensure!(new.len() < 15, "{} new series: {new:?}", new.len());
    ensure!(!exposition.text.contains(MARK), "a client's word is in the metrics");
    Ok(())
}

fn series(exposition: &Exposition) -> BTreeSet<Series> {
    // Buckets of histograms and what a shard or a connection holds are not for clients to grow.
    exposition.series().cloned().collect()
}
