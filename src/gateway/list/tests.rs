//! Pages of lists: where they begin, where they end, and what they say of the rest.

use compact_str::CompactString;

use super::*;
use crate::{
    api::{options::ListOptions, query::Query},
    cache::{
        fixture::{Pod, audience, codec, pods, version},
        map::OrderedMap,
    },
    gateway::encoding::{Encoding, Plain, Room},
};

/// Names in the order of their keys: `a-b/…` stands before `a/…`.
const PODS: [(&str, &str); 6] =
    [("a-b", "x"), ("a", "one"), ("a", "three"), ("a", "two"), ("b", "one"), ("b", "two")];

fn snapshot() -> Snapshot {
    let objects = PODS.iter().zip(5..).map(|((namespace, name), version)| {
        Pod::new(namespace, name, version)
            .label("tier", if version % 2 == 0 { "even" } else { "odd" })
    });
    Snapshot {
        objects: OrderedMap::from_objects(
            codec().item_join(),
            objects.map(|pod| pod.object()).collect(),
        ),
        resource_version: version(100),
        generation: 1,
        template: None,
    }
}

/// Keys of a page, its token and how many objects remain.
type Page = (Vec<String>, Option<ContinueToken>, Option<u64>);

/// The page of pods of a namespace (empty for all) that a query asks for.
fn page(namespace: &str, query: &str) -> Page {
    let options = ListOptions::decode(&Query::parse(Some(query)).unwrap()).unwrap();
    let request = ListRequest::resolve(&options, &pods().fields).unwrap();
    let mut audience = audience(namespace, "", "");
    audience.selection = request.selection.clone();
    let snapshot = snapshot();
    let list = list(&snapshot, &codec(), Scope::Namespaced, &request, &audience);
    let has_more = list.has_more();
    let body: Vec<u8> =
        list.plain().into_segments().iter().flat_map(|part| part.to_vec()).collect();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let metadata = &body["metadata"];
    assert_eq!(metadata["resourceVersion"], "100");
    let token = metadata.get("continue").and_then(|token| token.as_str());
    let token = token.filter(|token| !token.is_empty());
    assert_eq!(token.is_some(), has_more);
    let keys = body["items"].as_array().unwrap().iter().map(|item| {
        let text = |name: &str| item["metadata"][name].as_str().unwrap().to_owned();
        format!("{}/{}", text("namespace"), text("name"))
    });
    let token = token.map(|token| ContinueToken::decode(token).unwrap());
    (keys.collect(), token, metadata.get("remainingItemCount").and_then(serde_json::Value::as_u64))
}

fn token(start: &str) -> String {
    let start = CompactString::from(start);
    ContinueToken { resource_version: Some(version(100)), start }.encode()
}

fn all_pages(namespace: &str, query: &str) -> Vec<Page> {
    let mut pages = vec![page(namespace, query)];
    while let Some(token) = pages.last().unwrap().1.clone() {
        pages.push(page(namespace, &format!("{query}&continue={}", token.encode())));
    }
    pages
}

#[test]
fn pages_hold_every_object_once_and_in_order() {
    for limit in 1..8 {
        let pages = all_pages("", &format!("limit={limit}"));
        let keys: Vec<_> = pages.iter().flat_map(|page| page.0.clone()).collect();
        let expected = PODS.map(|(namespace, name)| format!("{namespace}/{name}"));
        assert_eq!(keys, expected, "limit {limit}");
        let mut rest = PODS.len() as u64;
        for (keys, token, remaining) in pages {
            rest -= keys.len() as u64;
            assert_eq!(remaining, (rest > 0).then_some(rest));
            assert_eq!(token.is_some(), rest > 0);
        }
    }
    let within: Vec<_> = all_pages("a", "limit=2").into_iter().map(|page| page.0).collect();
    assert_eq!(within, [vec!["a/one", "a/three"], vec!["a/two"]]);
}

#[test]
fn a_page_begins_where_its_token_says() {
    for (namespace, start, expected) in [
        // The object that the page before ended with is gone.
        ("a", "p\0", &["a/three", "a/two"][..]),
        ("a", "one", &["a/one", "a/three", "a/two"]),
        ("a", "", &["a/one", "a/three", "a/two"]),
        // A token of all namespaces is just another place within one.
        ("a", "a/two\0", &["a/one", "a/three", "a/two"]),
        ("a", "two/x\0", &[]),
        ("a", "zzz\0", &[]),
        ("", "a/two\0", &["b/one", "b/two"]),
        ("", "a-b/x\0", &["a/one", "a/three", "a/two", "b/one", "b/two"]),
        ("", "a", &["a-b/x", "a/one", "a/three", "a/two", "b/one", "b/two"]),
        ("", "two\0", &[]),
    ] {
        let (keys, token, _) = page(namespace, &format!("continue={}", token(start)));
        assert_eq!(
            (&keys[..], token),
            (&expected.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()[..], None),
            "{namespace} {start:?}"
        );
    }
}

#[test]
fn selectors_and_limits_may_change_between_pages() {
    let (keys, next, remaining) = page("", "limit=2");
    assert_eq!((&keys[..], remaining), (&["a-b/x".to_owned(), "a/one".to_owned()][..], Some(4)));
    let next = next.unwrap().encode();
    let (keys, _, remaining) =
        page("", &format!("continue={next}&labelSelector=tier%3Deven&limit=1"));
    assert_eq!((keys, remaining), (vec!["a/two".to_owned()], None), "no count with a selector");
    let (keys, token, _) = page("", &format!("continue={next}&limit=1&resourceVersion=0"));
    assert_eq!((keys.len(), token), (4, None), "no limit with version 0");
}

#[test]
fn a_token_may_lead_to_an_empty_page() {
    let pages = all_pages("", "limit=1&labelSelector=tier%3Dodd");
    let keys: Vec<_> = pages.iter().map(|page| page.0.len()).collect();
    assert_eq!(keys, [1, 1, 1, 0], "after the last that matches, keys remain");
}

#[test]
fn a_name_is_one_key_only_at_the_beginning() {
    let named = "fieldSelector=metadata.name%3Done";
    let (keys, token, _) = page("a", &format!("{named}&limit=1"));
    assert_eq!((keys, token), (vec!["a/one".to_owned()], None));
    // Going on, upstream walks the namespace: other keys remain.
    let (keys, next, _) = page("a", &format!("{named}&limit=1&continue={}", self::token("o")));
    assert_eq!(keys, ["a/one"]);
    let next = next.unwrap();
    assert_eq!(next.start, "one\0");
    assert_eq!(page("a", &format!("{named}&limit=1&continue={}", next.encode())).0.len(), 0);
}

/// Whether a list can be made with so many looks.
fn suffices(snapshot: &Snapshot, query: &str, looks: usize) -> bool {
    let options = ListOptions::decode(&Query::parse(Some(query)).unwrap()).unwrap();
    let request = ListRequest::resolve(&options, &pods().fields).unwrap();
    let mut audience = audience("", "", "");
    audience.selection = request.selection.clone();
    list_within(snapshot, &codec(), Scope::Namespaced, &request, &audience, looks).is_ok()
}

#[test]
fn a_list_is_made_only_with_as_many_looks_as_it_is_allowed() {
    let next = token("a/two\0");
    for (query, looks) in [
        ("", 0),
        ("&limit=1", 0),
        ("&labelSelector=tier", 2),
        ("&limit=1&labelSelector=tier", 2),
        // It learns what all six objects of the page have, and finds three of them before those
        // that are asked for.
        ("&labelSelector=tier%3Deven", 7),
        ("&labelSelector=tier%3Dnone", 6),
    ] {
        let query = format!("continue={next}{query}");
        let enough = (0..).find(|looks| suffices(&snapshot(), &query, *looks));
        assert_eq!(enough, Some(looks), "{query}");
    }
    let (snapshot, even) = (snapshot(), "labelSelector=tier%3Deven");
    assert!(!suffices(&snapshot, even, 3) && suffices(&snapshot, even, 9));
    assert!(suffices(&snapshot, even, 3), "learned already");
}

#[test]
fn the_length_of_whole_lists_is_known_before() {
    for (namespace, query, is_known) in [
        ("", "", true),
        ("a", "", true),
        ("none", "", true),
        ("", "limit=1", false),
        ("", "labelSelector=tier%3Dodd", false),
    ] {
        let options = ListOptions::decode(&Query::parse(Some(query)).unwrap()).unwrap();
        let request = ListRequest::resolve(&options, &pods().fields).unwrap();
        let mut audience = audience(namespace, "", "");
        audience.selection = request.selection.clone();
        let (snapshot, codec) = (snapshot(), codec());
        let told = length_of_items(&snapshot, &codec, Scope::Namespaced, &request, &audience);
        let list = list(&snapshot, &codec, Scope::Namespaced, &request, &audience);
        let items = list.items.length() as u64;
        let items = items.saturating_sub(list.items.before.len() as u64);
        assert_eq!(told, is_known.then_some(items), "{namespace} {query}");
    }
}

#[test]
fn a_name_in_a_known_scope_is_looked_up() {
    let named = "metadata.name=one";
    for (namespace, fields, scope, expected) in [
        ("a", named, Scope::Namespaced, 1),
        ("a", "metadata.name=absent", Scope::Namespaced, 0),
        ("a", "metadata.name!=one", Scope::Namespaced, 3),
        ("a", "status.phase=Running,metadata.name=one", Scope::Namespaced, 1),
        ("", named, Scope::Namespaced, 6),
        // Keys without a namespace, of which there are none here.
        ("", named, Scope::Cluster, 0),
    ] {
        let audience = audience(namespace, "", fields);
        let found = snapshot().objects.count(key_range(&audience, scope));
        assert_eq!(found, expected, "{fields} in {namespace:?}");
    }
}

/// 400 pods on several pages, with a label `odd` for two names at the beginning, and `most` elsewhere.
fn many() -> Snapshot {
    let pod = |number: u64| {
        let mut pod = Pod::new("a", &format!("p{number:03}"), 7).node(&format!("n{}", number % 7));
        for label in 0..60 {
            pod = pod.label(&format!("key-{label}"), &format!("{}", number * label % 31));
        }
        pod.label(if number == 103 || number == 105 { "odd" } else { "most" }, "yes").object()
    };
    let objects =
        OrderedMap::from_objects(codec().item_join(), (100..500).map(pod).collect::<Vec<_>>());
    Snapshot { objects, resource_version: version(100), generation: 1, template: None }
}

fn inflated(list: List) -> Vec<u8> {
    let body: Vec<u8> = list.compressed().iter().flat_map(|part| part.to_vec()).collect();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*body), &mut plain).unwrap();
    plain
}

#[test]
fn selectors_that_leave_nearly_all_in_leave_pages_as_they_are() {
    for (labels, expected, of_whole_pages) in [
        ("!odd", 398, true),
        ("most", 398, true),
        ("most=yes", 398, true),
        ("key-1 notin (1,6,11,16,21,26)", 323, false),
        // Too few of them for runs.
        ("key-1=5", 12, false),
        ("odd", 2, false),
    ] {
        let snapshot = many();
        let all: Vec<_> = snapshot.objects.pages(..).collect();
        let request = ListRequest::resolve(&ListOptions::default(), &pods().fields).unwrap();
        let audience = audience("a", labels, "");
        let made = || list(&snapshot, &codec(), Scope::Namespaced, &request, &audience);
        let whole =
            made().items.pages().map_or(0, |pages| pages.filter(|it| it.is_whole()).count());
        assert_eq!(whole > 0, of_whole_pages, "{labels}: {whole} whole pages");
        let length = made().length();
        let plain: Vec<u8> =
            made().plain().into_segments().iter().flat_map(|part| part.to_vec()).collect();
        assert_eq!(plain.len(), length, "{labels}");
        let body: serde_json::Value = serde_json::from_slice(&plain).unwrap();
        let names =
            body["items"].as_array().unwrap().iter().map(|it| it["metadata"]["name"].clone());
        let admitted = snapshot.objects.range(..).filter(|object| audience.admits(object));
        let admitted: Vec<_> = admitted.map(|object| object.key().name().to_owned()).collect();
        assert_eq!(names.collect::<Vec<_>>(), admitted, "{labels}");
        assert_eq!(admitted.len(), expected, "{labels}");
        assert_eq!(inflated(made()), plain, "{labels}");
        let kept = all.iter().filter(|page| page.is_deflated()).count();
        assert_eq!(kept, whole, "{labels}: whole pages keep their compressed form");
        assert_eq!(made().length_to_compress() < length / 2, of_whole_pages, "{labels}");
    }
}

#[tokio::test]
async fn a_list_shares_its_bytes_if_others_find_them_too() {
    let everything = audience("a", "", "");
    let metadata = AudienceKey { form: Form::Metadata, ..everything.clone() };
    for (audience, indented, [plain, gzip]) in [
        (everything.clone(), false, [true, true]),
        (everything, true, [false, false]),
        // As kube-proxy asks: a thousand of them hold no more than one does.
        (audience("a", "!odd", ""), false, [true, true]),
        // Hardly a page is left whole: compressed for this one list.
        (audience("a", "key-1 notin (1,6,11,16,21,26)", ""), false, [true, false]),
        (audience("a", "key-1=5", ""), false, [true, true]),
        (metadata, false, [false, false]),
    ] {
        let snapshot = many();
        let request = ListRequest::resolve(&ListOptions::default(), &pods().fields).unwrap();
        let made = || list(&snapshot, &codec(), Scope::Namespaced, &request, &audience);
        for (wants_gzip, expected) in [(false, plain), (true, gzip)] {
            let encoding = Encoding { indented, gzip: wants_gzip };
            let encoded = encoding.apply(Plain::List(made()), &Room::new()).await.unwrap();
            let what = format!("{:?} {indented} {wants_gzip}", audience.selection);
            assert_eq!(encoded.is_shared, expected, "{what}");
            assert_eq!(
                encoded.is_gzip,
                wants_gzip && (indented || made().length() > 128 << 10),
                "{what}"
            );
        }
    }
}

/// Whether `body` contains `part`.
fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn only_pages_that_are_kept_are_compressed_for_many() {
    let snapshot = many();
    let options = ListOptions::decode(&Query::parse(Some("limit=250")).unwrap()).unwrap();
    let request = ListRequest::resolve(&options, &pods().fields).unwrap();
    let audience = audience("a", "", "");
    let list = list(&snapshot, &codec(), Scope::Namespaced, &request, &audience);
    let runs: Vec<_> = list.items.pages().unwrap().cloned().collect();
    assert_eq!(runs.iter().filter(|run| !run.is_whole()).count(), 1, "the last");
    assert!(runs.len() > 1);
    let body: Vec<u8> = list.compressed().iter().flat_map(|part| part.to_vec()).collect();
    for run in runs {
        let block = |mut deflater: BlockDeflater| {
            deflater.block(run.segments().iter().map(|segment| &segment[..])).bytes
        };
        let (for_many, for_one) = (block(BlockDeflater::new()), block(BlockDeflater::for_one()));
        assert_ne!(for_many, for_one);
        assert!(contains(&body, if run.is_whole() { &for_many } else { &for_one }));
    }
}
