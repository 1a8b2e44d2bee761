//! Grants: permissions that open watches hold, checked again until they are denied.
//!
//! Watches of one token with the same attributes share one grant and one check. A grant that is
//! denied ends all of them; one that can't be checked, because upstream does not answer, stands:
//! the API server itself never takes an established watch back. Only so many checks run at a time,
//! and failed ones are tried again less and less often: an upstream in trouble gets no herd.

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use dashmap::DashMap;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, warn};

use crate::telemetry::throttle::Throttle;

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
#[derive(Clone, Debug)]
pub struct Grants {
    held: Arc<DashMap<Fingerprint, Weak<Held>>>,
    checking: Arc<Checking>,
}

/// What all checks share.
#[derive(Debug)]
struct Checking {
    places: Semaphore,
    reports: Throttle,
}

#[derive(Debug)]
struct Held {
    fingerprint: Fingerprint,
    revoked: CancellationToken,
    all: Weak<DashMap<Fingerprint, Weak<Self>>>,
}

/// Checks are this part of [`KEPT`] apart: spread, so that watches that were opened together are not
/// checked together, and early enough for the review to take its time.
const SPREAD: std::ops::Range<f64> = 0.75..0.95;

/// How soon a check that failed is tried again; the time doubles up to [`MAX_RETRY`].
const RETRY: Duration = Duration::from_secs(2);
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Checks that run at the same time. Each takes about a millisecond of upstream's.
const CONCURRENT_CHECKS: usize = 64;

/// How often failed checks are reported.
const REPORT_PERIOD: Duration = Duration::from_secs(10);

// === impl Grant ===

impl Grant {
    /// Completes when the permission is withdrawn.
    pub fn revoked(&self) -> WaitForCancellationFutureOwned {
        self.held.revoked.clone().cancelled_owned()
    }
}

// === impl Grants ===

impl Default for Grants {
    fn default() -> Self {
        let places = Semaphore::new(CONCURRENT_CHECKS);
        let reports = Throttle::new(REPORT_PERIOD, Instant::now());
        Self { held: Arc::default(), checking: Arc::new(Checking { places, reports }) }
    }
}

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
        let checking = Arc::clone(&self.checking);
        tokio::spawn(keep_checking(Arc::downgrade(&held), decided, check, checking));
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

/// A watch whose permission nobody checks any more must not go on.
struct EndOnPanic(Weak<Held>);

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(held) = self.0.upgrade()
        {
            held.revoked.cancel();
        }
    }
}

async fn keep_checking<C, F>(held: Weak<Held>, decided: Instant, check: C, checking: Arc<Checking>)
where
    C: Fn() -> F,
    F: Future<Output = Result<Decision, ReviewError>>,
{
    let _guard = EndOnPanic(Weak::clone(&held));
    let mut next = tokio::time::Instant::from_std(decided) + KEPT.mul_f64(SPREAD.start);
    let mut retry = RETRY;
    loop {
        tokio::time::sleep_until(next).await;
        let Ok(place) = checking.places.acquire().await else { return };
        if held.strong_count() == 0 {
            return;
        }
        let asked = tokio::time::Instant::now();
        // Boxed: a request to upstream is long, and most of the time there is none.
        let checked = Box::pin(check()).await;
        drop(place);
        match checked {
            Ok(Decision::Allowed) => {
                next = asked + KEPT.mul_f64(rand::random_range(SPREAD));
                retry = RETRY;
            }
            Ok(Decision::Denied | Decision::Unauthenticated) => {
                debug!("a permission was withdrawn; its watches end");
                if let Some(held) = held.upgrade() {
                    held.revoked.cancel();
                }
                return;
            }
            Err(error) => {
                if let Some(suppressed) = checking.reports.admit(Instant::now()) {
                    warn!(%error, suppressed, "permissions of open watches can't be checked");
                }
                next = asked + retry;
                retry = (retry * 2).min(MAX_RETRY);
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
