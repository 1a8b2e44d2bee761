//! The rows of GET and LIST: what is asked, and what is to be reached.

use super::{
    reading::{Reading, Target},
    row::{Row, Work},
};
use crate::{
    pods::{PER_APP, Pods},
    wire::Ask,
};

/// What Go clients ask for: everything, compressed.
pub(super) fn compressed_list() -> Reading {
    let target = Target::Path("/api/v1/pods?resourceVersion=0");
    let ask = Ask { gzip: true, ..Ask::JSON };
    Reading {
        target,
        ask,
        crowd: false,
        changes: 0,
        goal: Some(300.0),
        collapsed: false,
        largest: Some(1.1),
    }
}

/// The rows.
pub(super) fn rows() -> Vec<Row> {
    let sized = compressed_list();
    let list = Reading { ask: Ask::JSON, goal: None, largest: None, ..sized };
    let small = Reading { crowd: true, ..list };
    let row = |name, title, reading| Row { name, title, work: Work::Reading(reading) };
    let goal = |reading: Reading, goal| Reading { goal: Some(goal), ..reading };
    let gzip = |reading: Reading| Reading { ask: Ask { gzip: true, ..reading.ask }, ..reading };
    let at = |reading: Reading, target| Reading { target, ..reading };
    let protobuf = Reading { ask: Ask::PROTOBUF, ..list };
    let page = at(list, Target::AtVersion("/api/v1/pods?limit=500"));
    let tier = at(list, Target::Path("/api/v1/pods?labelSelector=tier%3Dtier-3&resourceVersion=0"));
    // What kube-proxy and many controllers ask for: nearly all.
    let most = at(list, Target::Path("/api/v1/pods?labelSelector=%21absent&resourceVersion=0"));
    let consistent = Reading { collapsed: true, ..at(gzip(list), Target::Path("/api/v1/pods")) };
    let next = at(gzip(list), Target::NextPage("/api/v1/pods?limit=500"));
    vec![
        row("list-json", "LIST all, JSON", goal(list, 28.0)),
        row("list-json-gzip", "LIST all, JSON + gzip, unchanged", sized),
        row(
            "list-json-gzip-changes",
            "LIST all, JSON + gzip, 50 changes before each",
            Reading { changes: 50, goal: Some(40.0), ..sized },
        ),
        row(
            "list-json-gzip-consistent",
            "LIST all, JSON + gzip, resourceVersion unset, while nothing is written; with what it costs upstream",
            consistent,
        ),
        row("list-protobuf", "LIST all, protobuf", goal(protobuf, 20.0)),
        row(
            "list-protobuf-gzip",
            "LIST all, protobuf + gzip, unchanged",
            goal(gzip(protobuf), 200.0),
        ),
        row("list-label-gzip", "LIST `tier=` (1 of 7 pods), JSON + gzip", goal(gzip(tier), 10.0)),
        row(
            "list-most-gzip",
            "LIST `!absent` (all pods, by a selector), JSON + gzip",
            goal(gzip(most), 10.0),
        ),
        row("list-page-gzip", "LIST limit=500, first page, JSON + gzip", goal(gzip(page), 10.0)),
        row("list-next-page-gzip", "LIST limit=500, second page, JSON + gzip", goal(next, 10.0)),
        row(
            "list-namespace",
            "LIST one namespace, 100 pods",
            goal(at(small, Target::OfPods(namespace)), 14.0),
        ),
        row(
            "list-node",
            "LIST `spec.nodeName=`, 10 pods",
            goal(at(small, Target::OfPods(node)), 8.0),
        ),
        row(
            "list-app",
            "LIST `app=`, 50 pods of all namespaces",
            goal(at(small, Target::OfPods(app)), 50.0),
        ),
        row("list-page", "LIST limit=500, first page", goal(page, 25.0)),
        row("get", "GET resourceVersion=0", goal(at(small, Target::OfPods(one)), 10.0)),
    ]
}

fn namespace(pods: &Pods) -> String {
    let namespace = Pods::namespace_name(pods.namespaces() / 2);
    format!("/api/v1/namespaces/{namespace}/pods?resourceVersion=0")
}

fn node(pods: &Pods) -> String {
    let node = Pods::node_name(pods.nodes() / 2);
    format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&resourceVersion=0")
}

fn app(pods: &Pods) -> String {
    let app = Pods::app_name(pods.count / PER_APP / 2);
    format!("/api/v1/pods?labelSelector=app%3D{app}&resourceVersion=0")
}

fn one(pods: &Pods) -> String {
    let (namespace, name) = pods.key(pods.count / 2);
    format!("/api/v1/namespaces/{namespace}/pods/{name}?resourceVersion=0")
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_rows_are_unique() {
        let mut names: Vec<_> = super::super::all().iter().map(|row| row.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
