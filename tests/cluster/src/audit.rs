//! The API server's audit log: which requests reached it, and whose.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The API server's audit policy: every request, once its response starts (for watches) and once it is complete. Without
/// bodies, apart from those of requests for `with_bodies`, given as group and plural name.
pub(crate) fn policy(with_bodies: &[(String, String)]) -> Value {
    let mut rules: Vec<Value> = with_bodies
        .iter()
        .map(|(group, resource)| {
            json!({ "level": "Request", "resources": [{ "group": group, "resources": [resource] }] })
        })
        .collect();
    rules.push(json!({ "level": "Metadata" }));
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": rules,
    })
}

/// The audit log of a cluster, across restarts of its API server.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

/// A place in the log, after which to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPosition(u64);

impl Audit {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The current end of the log.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn position(&self) -> Result<AuditPosition> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => Ok(AuditPosition(metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(AuditPosition(0)),
            Err(error) => Err(error).with_context(|| self.path.display().to_string()),
        }
    }

    /// All events so far, as `audit.k8s.io/v1` objects in the order in which they were written. A watch gives two, with
    /// stages `ResponseStarted` and `ResponseComplete`.
    ///
    /// # Errors
    /// When the log can't be read, or a line in it is no JSON.
    pub fn events(&self) -> Result<Vec<Value>> {
        self.events_since(AuditPosition(0))
    }

    /// As [`Self::events`], from `position` on.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub fn events_since(&self, position: AuditPosition) -> Result<Vec<Value>> {
        let read = || -> Result<Vec<Value>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(position.0))?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            // The last line may be half written; it has no end then.
            text.split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
                .map(|line| Ok(serde_json::from_str(line)?))
                .collect()
        };
        read().with_context(|| self.path.display().to_string())
    }
}
