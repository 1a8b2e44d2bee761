//! Makes a failing case smaller, one piece at a time, as long as it still fails.

use std::future::Future;

use crate::case::{Asker, Case};

/// Every case that is smaller than `case` by one piece, the largest pieces first.
pub(crate) fn smaller(case: &Case) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |change: &dyn Fn(&mut Case)| {
        let mut smaller = case.clone();
        change(&mut smaller);
        cases.push(smaller);
    };
    if let Some((shape, path)) = &case.plain {
        add(&|case| (case.shape, case.path, case.plain) = (*shape, path.clone(), None));
    }
    if case.method != "GET" {
        add(&|case| case.method = "GET");
    }
    if case.http2 {
        add(&|case| case.http2 = false);
    }
    if case.asker != Asker::Reader {
        add(&|case| case.asker = Asker::Reader);
    }
    if case.query.len() > 1 {
        add(&|case| case.query.clear());
    }
    if case.headers.len() > 1 {
        add(&|case| case.headers.clear());
    }
    for place in 0..case.query.len() {
        // Without its end, a watch takes half an hour.
        if !case.query[place].starts_with("timeoutSeconds=") || !case.may_watch() {
            add(&|case| drop(case.query.remove(place)));
        }
    }
    for place in 0..case.headers.len() {
        add(&|case| drop(case.headers.remove(place)));
    }
    cases
}

/// The smallest case that still fails, after at most `attempts` further attempts.
pub(crate) async fn shrink<F>(case: Case, attempts: usize, mut fails: impl FnMut(Case) -> F) -> Case
where
    F: Future<Output = bool>,
{
    let mut smallest = case;
    let mut left = attempts;
    'smaller: loop {
        for candidate in smaller(&smallest) {
            if left == 0 {
                return smallest;
            }
            left -= 1;
            if fails(candidate.clone()).await {
                smallest = candidate;
                continue 'smaller;
            }
        }
        return smallest;
    }
}
