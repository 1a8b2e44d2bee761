//! Grants: permissions that open watches hold, checked again until they are denied.
//!
//! Watches of one token with the same attributes share one grant and one check. A grant that is
//! denied ends all of them; one that can't be checked, because upstream does not answer, stands:
//! the API server itself never takes an established watch back.

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use dashmap::DashMap;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, warn};

use super::{
    access::KEPT,
    credential::Fingerprint,
    review::{Decision, ReviewError},
};

/// A watch's permission. While any clone lives, it is checked again every [`KEPT`].
#[derive(Clone, Debug)]
pub struct Grant {
    held: Arc<Held>,
}

/// All grants held.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    held: Arc<DashMap<Fingerprint, Weak<Held>>>,
}

#[derive(Debug)]
struct Held {
    fingerprint: Fingerprint,
    revoked: CancellationToken,
    all: Weak<DashMap<Fingerprint, Weak<Self>>>,
}

/// How soon a check that failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

// === impl Grant ===

impl Grant {
    /// Completes when the permission is withdrawn.
    pub fn revoked(&self) -> WaitForCancellationFutureOwned {
        self.held.revoked.clone().cancelled_owned()
    }
}

// === impl Grants ===

impl Grants {
    /// Holds the permission that was decided at `decided`; `check` asks again.
    pub fn hold<C, F>(&self, fingerprint: Fingerprint, decided: Instant, check: C) -> Grant
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Decision, ReviewError>> + Send + 'static,
    {
        // The map's guard must be gone before an `Arc` taken from it can be dropped: the last one
        // removes its own entry.
        let existing = self.held.get(&fingerprint).and_then(|held| held.upgrade());
        if let Some(held) = existing.filter(|held| !held.revoked.is_cancelled()) {
            return Grant { held };
        }
        let held = Arc::new(Held {
            fingerprint,
            revoked: CancellationToken::new(),
            all: Arc::downgrade(&self.held),
        });
        self.held.insert(fingerprint, Arc::downgrade(&held));
        tokio::spawn(keep_checking(Arc::downgrade(&held), decided, check));
        Grant { held }
    }

    /// Grants held at present.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

async fn keep_checking<C, F>(held: Weak<Held>, decided: Instant, check: C)
where
    C: Fn() -> F,
    F: Future<Output = Result<Decision, ReviewError>>,
{
    let mut next = tokio::time::Instant::from_std(decided) + KEPT;
    loop {
        tokio::time::sleep_until(next).await;
        if held.strong_count() == 0 {
            return;
        }
        next = tokio::time::Instant::now() + KEPT;
        match check().await {
            Ok(Decision::Allowed) => {}
            Ok(Decision::Denied) => {
                debug!("a permission was withdrawn; its watches end");
                if let Some(held) = held.upgrade() {
                    held.revoked.cancel();
                }
                return;
            }
            Err(error) => {
                warn!(%error, "an open watch's permission can't be checked; trying again");
                next = tokio::time::Instant::now() + RETRY;
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(all) = self.all.upgrade() {
            // Another grant may have taken the place of a revoked one.
            all.remove_if(&self.fingerprint, |_, held| held.strong_count() == 0);
        }
    }
}
