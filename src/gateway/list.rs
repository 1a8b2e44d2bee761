//! GET and LIST from a snapshot: which objects, which page, which bytes.
//!
//! A list without selectors is the map's pages as they are, compressed once per page and change;
//! one with selectors walks the scope. The caller has shown that the snapshot is new enough and
//! that the asker may see it.

use std::num::NonZeroU64;

use bytes::Bytes;

use crate::{
    api::{
        continue_token::ContinueToken, object_key::ObjectKey, options::ListRequest, resource::Scope,
    },
    cache::{
        audience::AudienceKey,
        map::{KeyRange, PageRun},
        watch_cache::Snapshot,
    },
    codec::{
        ResourceCodec,
        gzip::{self, BlockDeflater, DeflatedBlock, GzipJoin},
        object::Object,
        segments::Segments,
        watch_event::{Form, ListMetadata},
    },
};

/// A list's body in parts; a clone shares them.
#[derive(Clone, Debug)]
pub struct List {
    head: Bytes,
    items: Items,
    tail: Bytes,
    lead: &'static [u8],
    separator: &'static [u8],
    has_more: bool,
}

/// The items, with what separates them inside.
#[derive(Clone, Debug)]
enum Items {
    /// Whole pages of the map; separators stand between pages, not in here.
    Pages(Vec<PageRun>),
    /// Items one by one, lead and separators included.
    Chosen(Segments),
}

/// What a list says of the objects that it leaves out.
#[derive(Debug, Default)]
struct Rest {
    continue_token: Option<String>,
    remaining: Option<u64>,
}

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
    let range = list_range(audience, scope, request);
    let (items, rest) = if is_of_pages(codec, request, audience) {
        (Items::Pages(snapshot.objects.pages(range).collect()), Rest::default())
    } else {
        let limit = request
            .limit
            .map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX));
        let (chosen, rest) = choose(snapshot, audience, &range, limit);
        (Items::Chosen(joined(codec, audience.form, &chosen)), rest)
    };
    let form = audience.form;
    let metadata = ListMetadata {
        resource_version: snapshot.resource_version,
        continue_token: rest.continue_token.as_deref(),
        remaining_item_count: rest.remaining,
    };
    let (lead, separator) = (codec.item_lead(form), codec.item_separator(form));
    let length = items.len(lead, separator);
    List {
        head: codec.list_head(form, &metadata, length),
        tail: codec.list_tail(form, &metadata, length),
        items,
        lead,
        separator,
        has_more: rest.continue_token.is_some(),
    }
}

/// How many objects [`list`] would look at one by one.
pub fn looks_at(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    scope: Scope,
    request: &ListRequest,
    audience: &AudienceKey,
) -> usize {
    if is_of_pages(codec, request, audience) {
        return 0;
    }
    let everything = audience.selection.is_everything();
    let limit = request.limit.filter(|_| everything).map_or(u64::MAX, NonZeroU64::get);
    let in_scope = snapshot.objects.count(list_range(audience, scope, request));
    in_scope.min(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many bytes the items of [`list`] would have, if that can be told without making it.
pub fn length_of_items(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    scope: Scope,
    request: &ListRequest,
    audience: &AudienceKey,
) -> Option<u64> {
    is_of_pages(codec, request, audience)
        .then(|| snapshot.objects.bytes_in(list_range(audience, scope, request)))
}

/// Whether a list is all of a range as it is held.
fn is_of_pages(codec: &ResourceCodec, request: &ListRequest, audience: &AudienceKey) -> bool {
    audience.selection.is_everything()
        && codec.lists_as_held(audience.form)
        && request.limit.is_none()
}

/// The keys that an audience's objects can have: one key, if name and scope are known.
pub fn key_range(audience: &AudienceKey, scope: Scope) -> KeyRange {
    let namespace = match scope {
        Scope::Cluster => Some(""),
        Scope::Namespaced => audience.namespace.as_deref(),
    };
    match (audience.selection.field.required_name(), namespace) {
        (Some(name), Some(namespace)) => KeyRange::only(&ObjectKey::new(namespace, name)),
        _ => scope_range(audience),
    }
}

fn scope_range(audience: &AudienceKey) -> KeyRange {
    match &audience.namespace {
        Some(namespace) => KeyRange::namespace(namespace),
        None => KeyRange::ALL,
    }
}

/// The keys that a list can show: those of its scope, from where it goes on. Upstream walks the
/// whole scope when a list is continued, whatever name the selectors ask for.
fn list_range(audience: &AudienceKey, scope: Scope, request: &ListRequest) -> KeyRange {
    let Some(start) = &request.start else { return key_range(audience, scope) };
    let place = ContinueToken { resource_version: None, start: start.clone() };
    let key = place.start_key(audience.namespace.as_deref().unwrap_or_default());
    scope_range(audience).starting_at(&key)
}

/// The first `limit` objects that the audience admits, and what remains of the scope. A list stops
/// with a continue token when its limit is reached and keys remain, matching or not.
fn choose<'a>(
    snapshot: &'a Snapshot,
    audience: &AudienceKey,
    range: &KeyRange,
    limit: usize,
) -> (Vec<&'a Object>, Rest) {
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
    let token =
        ContinueToken::after(snapshot.resource_version, last.key(), audience.namespace.is_some());
    let rest = Rest {
        continue_token: Some(token.encode()),
        remaining: audience.selection.is_everything().then_some(remaining as u64),
    };
    (chosen, rest)
}

fn joined(codec: &ResourceCodec, form: Form, objects: &[&Object]) -> Segments {
    let mut items = Segments::with_capacity(objects.len() * 2);
    let as_kept = codec.lists_as_held(form);
    for (place, object) in objects.iter().enumerate() {
        let before = if place == 0 { codec.item_lead(form) } else { codec.item_separator(form) };
        items.push(Bytes::from_static(before));
        if as_kept {
            items.push(codec.item_join().header(object.core.len()));
            items.push(object.core.clone());
        } else {
            items.push(codec.metadata_item(object));
        }
    }
    items
}

// === impl Items ===

impl Items {
    /// The bytes of all items with what stands before and between them.
    fn len(&self, lead: &[u8], separator: &[u8]) -> usize {
        match self {
            Self::Chosen(items) => items.len(),
            Self::Pages(pages) if pages.is_empty() => 0,
            Self::Pages(pages) => {
                let inside: u64 = pages.iter().map(PageRun::length).sum();
                let between = separator.len() * (pages.len() - 1);
                usize::try_from(inside).unwrap_or(usize::MAX) + between + lead.len()
            }
        }
    }
}

// === impl List ===

impl List {
    /// Whether a token in it tells how to go on.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Bytes of the body before compression.
    pub fn length(&self) -> usize {
        self.head.len() + self.items.len(self.lead, self.separator) + self.tail.len()
    }

    /// Whether it is whole pages, which keep their compressed form.
    pub fn is_of_pages(&self) -> bool {
        matches!(self.items, Items::Pages(_))
    }

    /// The body as it is.
    pub fn plain(self) -> Segments {
        let mut body = Segments::new();
        body.push(self.head);
        match self.items {
            Items::Chosen(items) => items.iter().for_each(|segment| body.push(segment.clone())),
            Items::Pages(pages) => {
                for (place, page) in pages.iter().enumerate() {
                    let before = if place == 0 { self.lead } else { self.separator };
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
        match &self.items {
            Items::Chosen(_) => gzip::compress(&self.plain()),
            Items::Pages(pages) => {
                let mut deflater = BlockDeflater::new();
                let blocks: Vec<_> =
                    pages.iter().map(|page| page.compress(&mut deflater)).collect();
                self.joined(&blocks)
            }
        }
    }

    /// As [`List::compressed`], if every page has been compressed already: joining them is cheap.
    pub fn compressed_before(&self) -> Option<Segments> {
        match &self.items {
            Items::Chosen(_) => None,
            Items::Pages(pages) => {
                let blocks: Option<Vec<_>> = pages.iter().map(PageRun::deflated).collect();
                blocks.map(|blocks| self.joined(&blocks))
            }
        }
    }

    fn joined(&self, blocks: &[DeflatedBlock]) -> Segments {
        let mut gzip = GzipJoin::new();
        gzip.push_stored(&self.head);
        for (place, block) in blocks.iter().enumerate() {
            gzip.push_stored(if place == 0 { self.lead } else { self.separator });
            gzip.push(block);
        }
        gzip.push_stored(&self.tail);
        gzip.finish()
    }
}

#[cfg(test)]
mod tests;
