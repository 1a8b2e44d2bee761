//! The access check: from a token and attributes to a proof that memory may answer.
//!
//! Decisions are upstream's, kept under a keyed hash of the token and every attribute for
//! [`KEPT`]; requests that ask the same at the same time share one review. A failed review proves
//! nothing and is not kept.
//!
//! Who may read a collection may read any part of it. So for a request with selectors upstream is asked
//! without them first: thousands of watches that each select their own part share one decision.
//! Only where that is denied (a node may list its own pods) the selectors are part of the question.
//! Why this is safe: `docs/decisions/0016-who-may-read-the-whole-may-read-the-part.md`; why decisions
//! may be kept: `docs/decisions/0003-access-decisions-count-nine-seconds.md`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::future::Cache;

use crate::{
    telemetry::metrics::{Metrics, Samples, access as counted},
    upstream::{Lane, Upstream},
};

use super::{
    credential::{BearerToken, Fingerprint, KeyedHash, NoRandomness},
    grant::{Grant, Grants},
    review::{Attributes, Decision, ReviewError, review},
};

/// Proof that upstream allowed this very token exactly these attributes, or the same without
/// selectors, not longer than [`KEPT`] before it was made or [renewed](Access::renew). Only [`Access`] makes one; what serves from memory
/// consumes it.
#[derive(Debug)]
#[must_use]
pub struct Authorized {
    fingerprint: Fingerprint,
    token: BearerToken,
    attributes: Arc<Attributes>,
    decided: Instant,
}

/// Checks and remembers.
#[derive(Clone, Debug)]
pub struct Access {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    metrics: Metrics,
    hash: KeyedHash,
    decisions: Cache<Fingerprint, Decided>,
    proven: Cache<Fingerprint, ()>,
    grants: Grants,
}

#[derive(Clone, Copy, Debug)]
struct Decided {
    decision: Decision,
    at: Instant,
}

/// How long a decision counts. With the time that the next review takes, a permission that is
/// withdrawn has no effect after 10 s.
pub const KEPT: Duration = Duration::from_secs(9);

/// Decisions kept at most; at the bound the least used go and are asked for again.
const MAX_DECISIONS: u64 = 200_000;

/// Tokens known to be valid travel on shared HTTP/2 connections this long after the last proof.
const PROVEN: Duration = Duration::from_secs(300);

// === impl Access ===

impl Access {
    /// Will ask `upstream`, and count in `metrics`.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new(upstream: Upstream, metrics: Metrics) -> Result<Self, NoRandomness> {
        let decisions = Cache::builder().max_capacity(MAX_DECISIONS).time_to_live(KEPT).build();
        let proven = Cache::builder().max_capacity(MAX_DECISIONS).time_to_live(PROVEN).build();
        let hash = KeyedHash::new()?;
        let grants = Grants::default();
        let shared = Shared { upstream, metrics, hash, decisions, proven, grants };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The proof, `None` when upstream denies.
    ///
    /// # Errors
    /// [`ReviewError`]: nothing is known; forward.
    pub async fn check(
        &self,
        token: &BearerToken,
        attributes: &Arc<Attributes>,
    ) -> Result<Option<Authorized>, Arc<ReviewError>> {
        let whole = attributes.without_selectors().map(Arc::new);
        for asked in whole.iter().chain([attributes]) {
            let (fingerprint, Decided { decision, at }) = self.decided(token, asked).await?;
            match decision {
                Decision::Allowed => {
                    let (token, attributes) = (token.clone(), Arc::clone(asked));
                    return Ok(Some(Authorized { fingerprint, token, attributes, decided: at }));
                }
                Decision::Denied => {}
                // Nor will it be valid for the part.
                Decision::Unauthenticated => break,
            }
        }
        Ok(None)
    }

    /// What upstream said of exactly these attributes, and under what that is kept.
    async fn decided(
        &self,
        token: &BearerToken,
        attributes: &Arc<Attributes>,
    ) -> Result<(Fingerprint, Decided), Arc<ReviewError>> {
        let fingerprint = self.shared.hash.fingerprint(token, attributes.parts());
        let ask = self.ask(token, attributes);
        let mut decided = self.shared.decisions.try_get_with(fingerprint, ask).await?;
        // The cache counts from the end of the review, a permission from its beginning.
        if decided.at.elapsed() >= KEPT {
            self.shared.decisions.invalidate(&fingerprint).await;
            let ask = self.ask(token, attributes);
            decided = self.shared.decisions.try_get_with(fingerprint, ask).await?;
        }
        Ok((fingerprint, decided))
    }

    /// The same proof, or a new one when it has grown too old while the request waited.
    ///
    /// # Errors
    /// As [`Access::check`].
    pub async fn renew(
        &self,
        authorized: Authorized,
    ) -> Result<Option<Authorized>, Arc<ReviewError>> {
        if authorized.decided.elapsed() < KEPT {
            return Ok(Some(authorized));
        }
        self.check(&authorized.token, &authorized.attributes).await
    }

    /// Turns the proof into a grant that lives as long as a watch and is checked again.
    pub fn hold(&self, authorized: Authorized) -> Grant {
        let Authorized { fingerprint, token, attributes, decided } = authorized;
        let access = self.clone();
        self.shared.grants.hold(fingerprint, decided, move || {
            let (access, token, attributes) = (access.clone(), token.clone(), attributes.clone());
            async move { access.ask(&token, &attributes).await.map(|decided| decided.decision) }
        })
    }

    /// Which connections a request with this token may share.
    pub async fn lane(&self, token: &BearerToken) -> Lane {
        let proven = self.shared.proven.get(&self.shared.hash.fingerprint(token, [])).await;
        if proven.is_some() { Lane::Client } else { Lane::Unproven }
    }

    /// Upstream accepted the token.
    pub async fn mark_proven(&self, token: &BearerToken) {
        self.shared.proven.insert(self.shared.hash.fingerprint(token, []), ()).await;
    }

    /// Upstream answered 401 to the token.
    pub async fn mark_refused(&self, token: &BearerToken) {
        self.shared.proven.invalidate(&self.shared.hash.fingerprint(token, [])).await;
    }

    /// What is held at present, for a scrape.
    pub fn sample(&self, samples: &mut Samples) {
        samples.count(&counted::GRANTS, &[], self.shared.grants.len() as u64);
    }

    async fn ask(
        &self,
        token: &BearerToken,
        attributes: &Attributes,
    ) -> Result<Decided, ReviewError> {
        // Before the question: a decision may not count longer than it is true.
        let at = Instant::now();
        let lane = self.lane(token).await;
        let reviewed = review(&self.shared.upstream, lane, token, attributes).await;
        let outcome = match reviewed {
            Ok(Decision::Allowed) => counted::Outcome::Allowed,
            Ok(Decision::Denied | Decision::Unauthenticated) => counted::Outcome::Denied,
            Err(_) => counted::Outcome::Failed,
        };
        self.shared.metrics.access.reviewed(outcome, at.elapsed());
        let decision = reviewed?;
        match decision {
            Decision::Allowed => self.mark_proven(token).await,
            Decision::Unauthenticated => self.mark_refused(token).await,
            Decision::Denied => {}
        }
        Ok(Decided { decision, at })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use http::{Request, Response, StatusCode, header::AUTHORIZATION};
    use parking_lot::Mutex;

    use super::*;
    use crate::{
        identity::credential::Credential,
        upstream::{LocalApiServer, RequestBody, UpstreamBody},
    };

    /// Reviews with this answer, and notes on which lanes it was asked.
    struct Reviewer {
        status: StatusCode,
        asked: Mutex<Vec<Lane>>,
    }

    // === impl Reviewer ===

    impl LocalApiServer for Reviewer {
        fn call(
            &self,
            lane: Lane,
            _: Request<RequestBody>,
        ) -> Pin<Box<dyn Future<Output = Response<UpstreamBody>> + Send>> {
            self.asked.lock().push(lane);
            let body = r#"{"status":{"allowed":false}}"#;
            let mut answer = Response::new(UpstreamBody::full(body.into()));
            *answer.status_mut() = self.status;
            Box::pin(async move { answer })
        }
    }

    /// Lanes of the reviews that a request with a selector took, of a token that was valid before, and
    /// its lane from then on.
    async fn denied(status: StatusCode) -> (Vec<Lane>, Lane) {
        let reviewer = Arc::new(Reviewer { status, asked: Mutex::default() });
        let upstream = Upstream::Embedded(Arc::clone(&reviewer) as Arc<dyn LocalApiServer>);
        let access = Access::new(upstream, Metrics::default()).unwrap();
        let headers = [(AUTHORIZATION, "Bearer t".parse().unwrap())].into_iter().collect();
        let Credential::Bearer(token) = Credential::of(&headers) else { panic!("a token") };
        access.mark_proven(&token).await;
        let (verb, label_selector) = ("list", "a=b".into());
        let attributes = Attributes { verb, label_selector, ..Attributes::default() };
        assert!(access.check(&token, &Arc::new(attributes)).await.unwrap().is_none());
        let asked = std::mem::take(&mut *reviewer.asked.lock());
        (asked, access.lane(&token).await)
    }

    #[tokio::test]
    async fn the_part_is_asked_only_for_tokens_that_are_valid() {
        let twice = vec![Lane::Client; 2];
        assert_eq!(denied(StatusCode::CREATED).await, (twice.clone(), Lane::Client));
        assert_eq!(denied(StatusCode::FORBIDDEN).await, (twice, Lane::Client));
        // Its request is forwarded next, and a 401 ends a connection that others share.
        let refused = denied(StatusCode::UNAUTHORIZED).await;
        assert_eq!(refused, (vec![Lane::Client], Lane::Unproven));
    }
}
