//! A failing case becomes as small as it can be.

use std::cell::Cell;

use crate::case::{Asker, Case, Shape};
use crate::shrink::{shrink, smaller};

fn large() -> Case {
    let mut case = Case::new(Shape::Odd, "/api/v1//pods");
    case.plain = Some((Shape::Collection, "/api/v1/pods".to_owned()));
    case.method = "HEAD";
    case.asker = Asker::Local;
    case.http2 = true;
    case.query = ["a=1", "limit=1", "b=2", "continue=x"].map(str::to_owned).to_vec();
    case.headers = vec![("Accept", "x".to_owned()), ("User-Agent", "y".to_owned())];
    case
}

async fn shrunk(attempts: usize, fails: impl Fn(&Case) -> bool) -> (Case, usize) {
    let tried = Cell::new(0);
    let count = async |case: Case| {
        tried.set(tried.get() + 1);
        fails(&case)
    };
    let case = shrink(large(), attempts, count).await;
    (case, tried.get())
}

#[tokio::test]
async fn what_has_no_part_in_it_goes() {
    let both = |case: &Case| {
        case.query.iter().any(|pair| pair == "limit=1")
            && case.headers.iter().any(|(name, _)| *name == "Accept")
    };
    let (case, _) = shrunk(1000, both).await;
    let mut expected = Case::new(Shape::Collection, "/api/v1/pods");
    expected.query.push("limit=1".to_owned());
    expected.headers.push(("Accept", "x".to_owned()));
    assert_eq!(case, expected);
    let (case, _) = shrunk(1000, |_| true).await;
    assert_eq!(case, Case::new(Shape::Collection, "/api/v1/pods"));
}

#[tokio::test]
async fn what_fails_only_as_it_is_stays() {
    let (case, tried) = shrunk(1000, |_| false).await;
    assert_eq!(case, large());
    assert_eq!(tried, smaller(&large()).len());
}

#[tokio::test]
async fn attempts_are_bounded() {
    let (_, tried) = shrunk(3, |_| true).await;
    assert_eq!(tried, 3);
}

#[test]
fn a_watch_keeps_its_end() {
    let mut case = Case::new(Shape::Collection, "/api/v1/pods");
    case.query = vec!["watch=1".to_owned(), "timeoutSeconds=1".to_owned()];
    let without_end = |case: &Case| case.may_watch() && !case.ends();
    assert!(!smaller(&case).iter().any(without_end));
}
