//! GET and LIST from a snapshot: which objects, which page, which bytes.
//!
//! A list without selectors is the map's pages as they are, compressed once per page and change;
//! one with selectors walks the scope. The caller has shown that the snapshot is new enough and
//! that the asker may see it.

use std::ops::Bound;

use bytes::Bytes;

use crate::{
    api::{
        continue_token::ContinueToken,
        object_key::ObjectKey,
        options::ListRequest,
        resource::Scope,
    },
    cache::{
        audience::AudienceKey,
        map::{KeyRange, PageRun},
        watch_cache::Snapshot,
    },
    codec::{
        Form, ResourceCodec,
        gzip::{GzipJoin, deflate_block},
        item_join::ItemJoin,
        object::{Object, Representation},
        segments::Segments,
    },
};

/// A list's body in parts; a clone shares them.
#[derive(Clone, Debug)]
pub struct List {
    head: Bytes,
    items: Items,
    tail: Bytes,
    join: ItemJoin,
}

/// The items, with what separates them inside.
#[derive(Clone, Debug)]
enum Items {
    /// Whole pages of the map; separators stand between pages, not in here.
    Pages(Vec<PageRun>),
    /// Items one by one, separators included.
    Chosen(Segments),
}

/// What a list says of the objects that it leaves out.
#[derive(Debug, Default)]
struct Rest {
    continue_token: Option<String>,
    remaining: Option<u64>,
}

/// The API server compresses answers above this many bytes (semantics §6.4).
pub const COMPRESSED_ABOVE: usize = 131_072;

/// The body of a GET, `None` when the object is not there.
pub fn get(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    key: &ObjectKey,
    form: Form,
) -> Option<Bytes> {
    snapshot.objects.get(key.as_str()).map(|object| codec.single(object, form))
}

/// The body of a LIST.
pub fn list(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    scope: Scope,
    request: &ListRequest,
    audience: &AudienceKey,
) -> List {
    let range = key_range(audience);
    let everything = audience.selection.is_everything();
    // The objects of a metadata shard are the metadata.
    let as_kept =
        audience.form == Form::Full || codec.representation() == Representation::ProtobufMetadata;
    let (items, rest) = if everything && as_kept && request.limit.is_none() {
        (Items::Pages(snapshot.objects.pages(range).collect()), Rest::default())
    } else {
        let limit = request.limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit.get()).unwrap_or(usize::MAX)
        });
        let (chosen, rest) = choose(snapshot, audience, &range, limit, scope);
        (Items::Chosen(joined(codec, audience.form, &chosen)), rest)
    };
    let is_empty = items.is_empty();
    let (version, form) = (snapshot.resource_version, audience.form);
    let token = rest.continue_token.as_deref();
    List {
        head: codec.list_head(form, version, token, rest.remaining, is_empty),
        items,
        tail: codec.list_tail(form, version, token, rest.remaining, is_empty),
        join: codec.item_join(),
    }
}

/// The keys that an audience's objects can have.
pub fn key_range(audience: &AudienceKey) -> KeyRange {
    match &audience.namespace {
        Some(namespace) => KeyRange::namespace(namespace),
        None => KeyRange::new(Bound::Unbounded, Bound::Unbounded),
    }
}

/// The first `limit` objects that the audience admits, and what remains of the scope. A list stops
/// with a continue token when its limit is reached and keys remain, matching or not.
fn choose<'a>(
    snapshot: &'a Snapshot,
    audience: &AudienceKey,
    range: &KeyRange,
    limit: usize,
    scope: Scope,
) -> (Vec<&'a Object>, Rest) {
    // A name in a known scope is one key, for which nothing ever remains.
    let single = match scope {
        Scope::Cluster => Some(""),
        Scope::Namespaced => audience.namespace.as_deref(),
    };
    if let (Some(name), Some(namespace)) = (audience.selection.field.required_name(), single) {
        let key = ObjectKey::new(namespace, name);
        let object = snapshot.objects.get(key.as_str());
        let chosen = object.into_iter().filter(|object| audience.admits(object)).collect();
        return (chosen, Rest::default());
    }
    let mut chosen = Vec::new();
    let mut last = None;
    for object in snapshot.objects.range(range) {
        if chosen.len() == limit {
            break;
        }
        last = Some(object);
        if audience.admits(object) {
            chosen.push(object);
        }
    }
    let Some(last) = last.filter(|_| chosen.len() == limit) else {
        return (chosen, Rest::default());
    };
    let remaining = snapshot.objects.count(range.clone().after(last.key().as_str()));
    if remaining == 0 {
        return (chosen, Rest::default());
    }
    let token = ContinueToken::after(
        snapshot.resource_version,
        last.key(),
        audience.namespace.is_some(),
    );
    let rest = Rest {
        continue_token: Some(token.encode()),
        remaining: audience.selection.is_everything().then_some(remaining as u64),
    };
    (chosen, rest)
}

fn joined(codec: &ResourceCodec, form: Form, objects: &[&Object]) -> Segments {
    let join = codec.item_join();
    let mut items = Segments::with_capacity(objects.len() * 2);
    for (place, object) in objects.iter().enumerate() {
        match (form, join) {
            (Form::Full, ItemJoin::Json) => {
                let before = if place == 0 { join.lead() } else { join.separator() };
                items.push(Bytes::from_static(before));
                items.push(object.core.clone());
            }
            (Form::Full, ItemJoin::Protobuf) => {
                items.push(join.header(object.core.len()));
                items.push(object.core.clone());
            }
            (Form::Metadata, ItemJoin::Json) => {
                items.push(Bytes::from_static(if place == 0 { b"" } else { b"," }));
                items.push(codec.metadata_item(object));
            }
            (Form::Metadata, ItemJoin::Protobuf) => items.push(codec.metadata_item(object)),
        }
    }
    items
}

// === impl Items ===

impl Items {
    fn is_empty(&self) -> bool {
        match self {
            Self::Pages(pages) => pages.is_empty(),
            Self::Chosen(items) => items.is_empty(),
        }
    }
}

// === impl List ===

impl List {
    /// Bytes of the body before compression.
    pub fn len(&self) -> usize {
        let items = match &self.items {
            Items::Chosen(items) => items.len(),
            Items::Pages(pages) => {
                let inside: u64 = pages.iter().map(PageRun::length).sum();
                let between = self.join.separator().len() * pages.len().saturating_sub(1);
                let lead = if pages.is_empty() { 0 } else { self.join.lead().len() };
                usize::try_from(inside).unwrap_or(usize::MAX) + between + lead
            }
        };
        self.head.len() + items + self.tail.len()
    }

    /// The body as it is.
    pub fn plain(self) -> Segments {
        let mut body = Segments::new();
        body.push(self.head);
        match self.items {
            Items::Chosen(items) => items.iter().for_each(|segment| body.push(segment.clone())),
            Items::Pages(pages) => {
                for (place, page) in pages.iter().enumerate() {
                    let before = if place == 0 { self.join.lead() } else { self.join.separator() };
                    body.push(Bytes::from_static(before));
                    page.segments().into_iter().for_each(|segment| body.push(segment));
                }
            }
        }
        body.push(self.tail);
        body
    }

    /// The body as one gzip member. Pages that nobody has compressed yet cost time here: not to be
    /// called on a thread that serves connections.
    pub fn compressed(self) -> Segments {
        let mut gzip = GzipJoin::new();
        match self.items {
            Items::Chosen(_) => {
                let plain = self.plain();
                gzip.push(&deflate_block(plain.iter().map(AsRef::as_ref)));
            }
            Items::Pages(pages) => {
                gzip.push_stored(&self.head);
                for (place, page) in pages.iter().enumerate() {
                    gzip.push_stored(if place == 0 {
                        self.join.lead()
                    } else {
                        self.join.separator()
                    });
                    gzip.push(&page.compress());
                }
                gzip.push_stored(&self.tail);
            }
        }
        gzip.finish()
    }

    /// Whether [`List::compressed`] has only ready forms to join.
    pub fn is_compressed_already(&self) -> bool {
        match &self.items {
            Items::Chosen(_) => false,
            Items::Pages(pages) => pages.iter().all(|page| page.deflated().is_some()),
        }
    }
}
