//! Setting the cluster back, as an operator does after a disaster: the API server and etcd are stopped, a snapshot becomes
//! etcd's data, and both are started again.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cluster::Cluster;

impl Cluster {
    /// Saves a snapshot of etcd into a file of the scratch directory.
    ///
    /// # Errors
    /// When the program is missing or etcd refuses.
    pub async fn save_snapshot(&self) -> Result<PathBuf> {
        let file = self.new_path("snapshot", "db");
        self.etcd().lock().await.save(&file).await?;
        Ok(file)
    }

    /// Makes etcd hold what it held when `snapshot` was taken, with its revisions raised by `bump`; with 0 they go back, too.
    /// The API server must not be running; start it afterwards.
    ///
    /// # Errors
    /// When etcd can't be stopped or started, or refuses the snapshot.
    pub async fn restore_snapshot(&self, snapshot: &Path, bump: u64) -> Result<()> {
        let mut etcd = self.etcd().lock().await;
        etcd.stop().await?;
        etcd.restore(snapshot, bump).await?;
        etcd.start()
    }
}
