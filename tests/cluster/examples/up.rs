//! Starts a cluster, says how to reach it and keeps it until standard input ends.
//!
//! For trying things by hand: `cargo run -p watchgate-cluster --example up`. Arguments are given to the API server, such as
//! `-- --feature-gates=WatchList=false`.

use std::io::Read as _;

use watchgate_cluster::Cluster;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = std::env::args()
        .skip(1)
        .fold(Cluster::builder(), |options, argument| options.extra_apiserver_arg(&argument));
    let cluster = options.start().await?;
    println!("API server: {}", cluster.api_server_url());
    println!("directory: {}", cluster.directory().display());
    println!("admin kubeconfig: {}", cluster.admin_kubeconfig()?.display());
    println!("end with ctrl-d");
    let waiting = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    waiting.await??;
    cluster.stop().await?;
    Ok(())
}
