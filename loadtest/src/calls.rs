//! Requests as Kubernetes clients send them: media types, encodings and query parameters.

use http::{HeaderMap, HeaderValue, header};

use crate::{resource::Resource, scenario::workload::Representation, transport::Call};

/// What is asked for, without where to begin.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// Of which resource.
    pub resource: &'a Resource,
    /// Everywhere if none is given.
    pub namespace: Option<&'a str>,
    /// By labels.
    pub label_selector: Option<&'a str>,
    /// By fields.
    pub field_selector: Option<&'a str>,
    /// How objects are represented.
    pub representation: Representation,
    /// Whether answers may be compressed.
    pub gzip: bool,
}

// === impl Reading ===

impl<'a> Reading<'a> {
    /// A watch from after this resource version on; the state first if there is none.
    pub fn watch(&self, revision: Option<&str>) -> Call {
        let mut query =
            vec![("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", "14400")];
        match revision {
            Some(revision) => query.push(("resourceVersion", revision)),
            None => query
                .extend([("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")]),
        }
        self.call(query, true)
    }

    /// A list, or the page of it that begins at a token.
    pub fn list(&self, limit: Option<u32>, token: &str, revision: Option<&str>) -> Call {
        let limit = limit.filter(|limit| *limit > 0).map(|limit| limit.to_string());
        let mut query = Vec::new();
        if let Some(limit) = &limit {
            query.push(("limit", limit.as_str()));
        }
        if token.is_empty() {
            query.extend(revision.map(|revision| ("resourceVersion", revision)));
        } else {
            query.push(("continue", token));
        }
        self.call(query, false)
    }

    /// One object.
    pub fn get(&self, name: &str, revision: Option<&str>) -> Call {
        let query: Vec<_> =
            revision.map(|revision| ("resourceVersion", revision)).into_iter().collect();
        let mut call = Call::get(self.resource.object(self.namespace, name, &query));
        accept(&mut call.headers, self.representation, false, self.gzip);
        call
    }

    fn call<'q>(&self, query: Vec<(&'q str, &'q str)>, watch: bool) -> Call
    where
        'a: 'q,
    {
        let mut query = query;
        query.extend(self.label_selector.map(|selector| ("labelSelector", selector)));
        query.extend(self.field_selector.map(|selector| ("fieldSelector", selector)));
        let mut call = Call::get(self.resource.collection(self.namespace, &query));
        accept(&mut call.headers, self.representation, !watch, self.gzip);
        call
    }
}

fn accept(headers: &mut HeaderMap, representation: Representation, list: bool, gzip: bool) {
    let accepted = match (representation, list) {
        (Representation::Json, _) => "application/json",
        (Representation::Protobuf, _) => "application/vnd.kubernetes.protobuf",
        (Representation::Metadata, true) => {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        }
        (Representation::Metadata, false) => {
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        }
        (Representation::MetadataProtobuf, true) => {
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        }
        (Representation::MetadataProtobuf, false) => {
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        }
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accepted));
    let encoding = if gzip { "gzip" } else { "identity" };
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Kind;

    #[test]
    fn asks_for_what_the_scenario_says() {
        let pods = Resource::of(Kind::Pod);
        let reading = Reading {
            resource: &pods,
            namespace: None,
            label_selector: Some("a=b"),
            field_selector: None,
            representation: Representation::Protobuf,
            gzip: true,
        };
        let list = reading.list(None, "", Some("0"));
        assert_eq!(list.target, "/api/v1/pods?resourceVersion=0&labelSelector=a%3Db");
        assert_eq!(list.headers[header::ACCEPT], "application/vnd.kubernetes.protobuf");
        assert_eq!(list.headers[header::ACCEPT_ENCODING], "gzip");
        let page = reading.list(Some(500), "t", Some("0"));
        assert_eq!(page.target, "/api/v1/pods?limit=500&continue=t&labelSelector=a%3Db");
        let state = Reading { namespace: Some("x"), ..reading.clone() }.watch(None).target;
        assert!(state.starts_with("/api/v1/namespaces/x/pods?watch=true&"), "{state}");
        assert!(state.contains("sendInitialEvents=true"), "{state}");
        assert!(reading.watch(Some("7")).target.contains("resourceVersion=7&"));
        assert_eq!(reading.get("p", Some("0")).target, "/api/v1/pods/p?resourceVersion=0");
    }
}
