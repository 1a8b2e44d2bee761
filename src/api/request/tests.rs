use proptest::prelude::*;

use super::*;

fn parse(method: &Method, target: &str) -> Result<RequestInfo, NotServeable> {
    let (path, query) =
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    RequestInfo::parse(method, path, &Query::parse(query).unwrap())
}

fn resource(method: &Method, target: &str) -> ResourceRequest {
    match parse(method, target) {
        Ok(RequestInfo::Resource(request)) => *request,
        other => panic!("{target}: {other:?}"),
    }
}

/// verb, `resource.version[.group]`, namespace, name, subresource.
fn summary(method: &Method, target: &str) -> (&'static str, String, String, String, String) {
    let ResourceRequest { verb, resource, namespace, name, subresource, .. } =
        resource(method, target);
    (verb.as_str(), resource.to_string(), namespace.into(), name.into(), subresource.into())
}

#[test]
fn reads_resource_paths() {
    for (target, verb, gvr, namespace, name, subresource) in [
        ("/api/v1/pods", "list", "pods.v1", "", "", ""),
        ("/api/v1/nodes/n1", "get", "nodes.v1", "", "n1", ""),
        ("/api/v1/nodes/n1/status", "get", "nodes.v1", "", "n1", "status"),
        ("/api/v1/namespaces", "list", "namespaces.v1", "", "", ""),
        ("/api/v1/namespaces/a", "get", "namespaces.v1", "a", "a", ""),
        ("/api/v1/namespaces/a/status", "get", "namespaces.v1", "a", "a", "status"),
        ("/api/v1/namespaces/a/finalize", "get", "namespaces.v1", "a", "a", "finalize"),
        ("/api/v1/namespaces/a/pods", "list", "pods.v1", "a", "", ""),
        ("/api/v1/namespaces/a/pods/p", "get", "pods.v1", "a", "p", ""),
        ("/api/v1/namespaces/a/pods/p/log", "get", "pods.v1", "a", "p", "log"),
        ("/api/v1/namespaces/a/services/s/proxy/x/y", "get", "services.v1", "a", "s", "proxy"),
        ("/apis/apps/v1/deployments", "list", "deployments.v1.apps", "", "", ""),
        (
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            "get",
            "deployments.v1.apps",
            "a",
            "d",
            "scale",
        ),
        ("/apis/g/v/namespaces", "list", "namespaces.v.g", "", "", ""),
        ("/api/v1/watch/pods", "watch", "pods.v1", "", "", ""),
        ("/api/v1/watch/namespaces/a/pods/p", "watch", "pods.v1", "a", "p", ""),
        ("/apis/apps/v1/watch/deployments?watch=0", "watch", "deployments.v1.apps", "", "", ""),
        ("/api/v1/proxy/nodes/n1/x", "proxy", "nodes.v1", "", "n1", ""),
    ] {
        let expected = (verb, gvr.into(), namespace.into(), name.into(), subresource.into());
        assert_eq!(summary(&Method::GET, target), expected, "{target}");
    }
}

#[test]
fn reads_the_query_of_collections() {
    for (target, verb, gvr, namespace, name, subresource) in [
        ("/api/v1/pods?watch=1", "watch", "pods.v1", "", "", ""),
        ("/api/v1/pods?watch", "watch", "pods.v1", "", "", ""),
        ("/api/v1/pods?watch=false", "list", "pods.v1", "", "", ""),
        ("/api/v1/namespaces/a/pods/p?watch=true", "get", "pods.v1", "a", "p", ""),
        ("/api/v1/pods?fieldSelector=metadata.name%3Dp", "list", "pods.v1", "", "p", ""),
        (
            "/api/v1/pods?watch=1&fieldSelector=metadata.name%3Dp,spec.nodeName%3Dn",
            "watch",
            "pods.v1",
            "",
            "p",
            "",
        ),
        (
            "/api/v1/pods?fieldSelector=metadata.name%3Dy,metadata.name%3Dx",
            "list",
            "pods.v1",
            "",
            "x",
            "",
        ),
        ("/api/v1/pods?fieldSelector=metadata.name%3Da%2Fb", "list", "pods.v1", "", "", ""),
        ("/api/v1/pods?fieldSelector=metadata.name%3D..", "list", "pods.v1", "", "", ""),
        ("/api/v1/pods?fieldSelector=metadata.name!%3Dp", "list", "pods.v1", "", "", ""),
        // A parameter that cannot be read hides the others, except `watch`.
        (
            "/api/v1/pods?limit=x&watch=1&fieldSelector=metadata.name%3Dp",
            "watch",
            "pods.v1",
            "",
            "",
            "",
        ),
        (
            "/api/v1/pods?labelSelector=,&watch=0&fieldSelector=metadata.name%3Dp",
            "list",
            "pods.v1",
            "",
            "",
            "",
        ),
    ] {
        let expected = (verb, gvr.into(), namespace.into(), name.into(), subresource.into());
        assert_eq!(summary(&Method::GET, target), expected, "{target}");
    }
}

#[test]
fn reads_methods() {
    for (method, collection, object) in [
        (Method::GET, "list", "get"),
        (Method::HEAD, "list", "get"),
        (Method::POST, "create", "create"),
        (Method::PUT, "update", "update"),
        (Method::PATCH, "patch", "patch"),
        (Method::DELETE, "deletecollection", "delete"),
        (Method::OPTIONS, "", ""),
    ] {
        assert_eq!(summary(&method, "/api/v1/pods").0, collection, "{method}");
        assert_eq!(summary(&method, "/api/v1/nodes/n").0, object, "{method}");
        assert_eq!(summary(&method, "/api/v1/watch/pods").0, "watch", "{method}");
    }
}

#[test]
fn tells_non_resource_paths() {
    for path in [
        "/",
        "/healthz",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1",
        "/version",
        "/openapi/v3/apis/apps/v1",
        "/API/v1/pods",
        "/readyz/ping",
    ] {
        assert_eq!(parse(&Method::GET, path), Ok(RequestInfo::NonResource), "{path}");
    }
}

#[test]
fn refuses_paths_that_need_interpretation() {
    for path in [
        "",
        "api/v1/pods",
        "*",
        "//",
        "/api/v1/pods/",
        "/api/v1//pods",
        "/api/v1/./pods",
        "/api/v1/../pods",
        "/api/v1/namespaces/a/pods/..",
        "/api/v1/namespaces/a/pods/%70",
        "/api/v1/pods%2Fx",
        "/healthz/",
    ] {
        assert_eq!(parse(&Method::GET, path), Err(NotServeable::NonCanonicalPath), "{path}");
    }
    for path in ["/api/v1/watch", "/apis/g/v/proxy"] {
        assert_eq!(parse(&Method::GET, path), Err(NotServeable::NothingAfterVerb), "{path}");
    }
}

#[test]
fn keeps_selectors_for_authorization() {
    let query = "labelSelector=a%3D1&labelSelector=b&fieldSelector=junk";
    for (method, path, selects) in [
        (Method::GET, "/api/v1/pods", true),
        (Method::DELETE, "/api/v1/pods", true),
        (Method::POST, "/api/v1/pods", false),
        (Method::GET, "/api/v1/nodes/n", false),
        (Method::GET, "/api/v1/watch/pods", false),
    ] {
        let request = resource(&method, &format!("{path}?{query}"));
        let expected = if selects { ("a=1", "junk") } else { ("", "") };
        assert_eq!(
            (request.label_selector.as_str(), request.field_selector.as_str()),
            expected,
            "{path}"
        );
    }
}

#[test]
fn keeps_the_options_of_lists_and_watches() {
    let options = |target| resource(&Method::GET, target).list_options;
    assert!(options("/api/v1/pods?watch=1").is_some_and(|options| options.unwrap().watch));
    assert!(options("/api/v1/pods?limit=x").is_some_and(|options| options.is_err()));
    assert_eq!(options("/api/v1/nodes/n?limit=x"), None);
    assert!(options("/api/v1/watch/pods").is_some_and(|options| !options.unwrap().watch));
    assert!(options("/api/v1/watch/pods?limit=x").is_some_and(|options| options.is_err()));
    assert!(resource(&Method::GET, "/api/v1/watch/pods").verb_from_path);
}

#[test]
fn a_name_in_a_watch_path_selects() {
    for (query, expected) in [
        ("", Ok("a")),
        ("fieldSelector=", Ok("a")),
        ("fieldSelector=,", Ok("a")),
        ("fieldSelector=metadata.name%3Da", Ok("a")),
        ("fieldSelector=status.phase%3DRunning,metadata.name%3Da", Ok("a")),
        ("fieldSelector=metadata.name%3Db", Err(OptionsError::OtherName)),
        ("fieldSelector=metadata.name!%3Db", Err(OptionsError::OtherName)),
        ("fieldSelector=status.phase%3DRunning", Err(OptionsError::OtherName)),
    ] {
        let request =
            resource(&Method::GET, &format!("/api/v1/watch/namespaces/ns/pods/a?{query}"));
        assert_eq!((request.verb, &*request.namespace, &*request.name), (Verb::Watch, "ns", "a"));
        let options = request.list_options.unwrap();
        let found =
            options.map(|options| options.field_selector.required_name().unwrap().to_owned());
        assert_eq!(found, expected.map(str::to_owned), "{query}");
    }
    // A selector gives such a path no name of its own.
    let request = resource(&Method::GET, "/api/v1/watch/pods?fieldSelector=metadata.name%3Da");
    assert_eq!(&*request.name, "");
}

proptest! {
    #[test]
    fn never_panics(
        path in "(/|api|apis|v1|namespaces|watch|a|[.]|%|é)*",
        query in "(watch|limit|fieldSelector|metadata.name|[=&%+;01a,é])*",
        any in ".*",
    ) {
        for path in [&path, &any] {
            for query in [&query, &any] {
                if let Ok(query) = Query::parse(Some(query)) {
                    let _ = RequestInfo::parse(&Method::GET, path, &query);
                }
            }
        }
    }
}

#[test]
fn namespaces_are_never_inside_of_a_namespace() {
    for path in [
        "/api/v1/namespaces/foo/namespaces",
        "/api/v1/namespaces/foo/namespaces/foo",
        "/api/v1/namespaces/foo/namespaces/bar",
        "/apis/example.com/v1/namespaces/foo/namespaces",
    ] {
        let query = Query::parse(Some("resourceVersion=0")).unwrap();
        let read = RequestInfo::parse(&Method::GET, path, &query);
        assert_eq!(read, Err(NotServeable::NestedNamespaces), "{path}");
    }
}
