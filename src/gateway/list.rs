//! GET and LIST from a snapshot: which objects, which page, which bytes.
//!
//! A list without selectors, or a page of one, is the map's pages as they are, compressed once per
//! page and change. One whose selectors ask for a certain value is looked up by it; others walk the
//! scope. Where selectors leave most of the scope in, the list is runs of pages, too, and those that
//! are left in whole come with their compressed form. The caller has shown that the snapshot is new enough and that the asker may see it.

mod items;

use std::ops::ControlFlow;

use bytes::Bytes;

pub(super) use self::items::Items;
use super::content::Content;
use crate::{
    api::{
        continue_token::ContinueToken,
        object_key::ObjectKey,
        options::ListRequest,
        resource::Scope,
        selector::{Selection, field::FieldTarget},
    },
    cache::{
        audience::AudienceKey,
        map::{Column, Front, KeyRange, PageRun, Rest, Term, TooLong},
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
    has_more: bool,
}

/// The objects of a list that is put together one by one, with their ranks, and what it leaves out.
type Chosen<'a> = (Vec<(usize, &'a Object)>, Option<Rest>);

/// Fewer objects than this are not worth to be looked up once more by their pages.
const FEW: usize = 64;

/// What a list that is whole pages otherwise may have of other pages: the parts at its two ends.
const ENDS: u64 = 192 << 10;

/// The body of a GET, `None` when the object is not there.
pub fn get(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    key: &ObjectKey,
    form: Form,
) -> Option<Bytes> {
    snapshot.objects.get(key.as_str()).map(|object| codec.single(object, form))
}

/// The body of a LIST, however long it takes to find its objects.
pub fn list(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    scope: Scope,
    request: &ListRequest,
    audience: &AudienceKey,
) -> List {
    list_within(snapshot, codec, scope, request, audience, usize::MAX)
        .expect("nobody has so many objects that there are more looks")
}

/// As [`list`], if that takes no longer than looking at `looks` objects one by one.
///
/// # Errors
/// When it would. What was learned is kept: the next attempt is shorter.
pub fn list_within(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    scope: Scope,
    request: &ListRequest,
    audience: &AudienceKey,
    looks: usize,
) -> Result<List, TooLong> {
    let range = list_range(audience, scope, request);
    let limit = request
        .limit
        .map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX));
    let form = audience.form;
    let (lead, separator) = (codec.item_lead(form), codec.item_separator(form));
    let (items, rest) = if is_of_pages(codec, audience) {
        let Front { pages, rest } = snapshot.objects.front(range, limit);
        (Items::of_pages(pages.collect(), lead, separator), rest)
    } else {
        let (chosen, rest) = choose(snapshot, audience, &range, limit, looks)?;
        (items_of(snapshot, codec, form, &range, &chosen), rest)
    };
    let token = rest.as_ref().map(|rest| {
        let version = snapshot.resource_version;
        ContinueToken::after(version, &rest.after, audience.namespace.is_some()).encode()
    });
    let counted = rest.filter(|_| audience.selection.is_everything());
    let metadata = ListMetadata {
        resource_version: snapshot.resource_version,
        continue_token: token.as_deref(),
        remaining_item_count: counted.map(|rest| rest.count as u64),
    };
    let length = items.length();
    Ok(List {
        head: codec.list_head(form, &metadata, length),
        tail: codec.list_tail(form, &metadata, length),
        items,
        has_more: token.is_some(),
    })
}

/// How many bytes the items of [`list`] would have, if that can be told without making it.
pub fn length_of_items(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    scope: Scope,
    request: &ListRequest,
    audience: &AudienceKey,
) -> Option<u64> {
    (is_of_pages(codec, audience) && request.limit.is_none())
        .then(|| snapshot.objects.bytes_in(list_range(audience, scope, request)))
}

/// Whether a list is a range as it is held, or the beginning of one.
fn is_of_pages(codec: &ResourceCodec, audience: &AudienceKey) -> bool {
    audience.selection.is_everything() && codec.lists_as_held(audience.form)
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
    looks: usize,
) -> Result<Chosen<'a>, TooLong> {
    let mut chosen = Vec::new();
    let mut look_at = |rank: usize, object: &'a Object| {
        if audience.admits(object) {
            chosen.push((rank, object));
        }
        if chosen.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    if let Some(term) = term(&audience.selection) {
        snapshot.objects.search(&term, range, looks, look_at)?;
    } else {
        let mut objects = snapshot.objects.ranked(range);
        let needed = if audience.selection.is_everything() { limit } else { usize::MAX };
        if objects.len().min(needed) > looks {
            return Err(TooLong);
        }
        // Its result tells only whether there were enough.
        let _ = objects.try_for_each(|(rank, object)| look_at(rank, object));
    }
    let last = chosen.last().filter(|_| chosen.len() == limit);
    let rest = last.and_then(|(_, last)| {
        let count = snapshot.objects.count(range.clone().after(last.key().as_str()));
        (count > 0).then(|| Rest { after: last.key().clone(), count })
    });
    Ok((chosen, rest))
}

/// What every object of a selection has, the rarest thing first at a guess: few objects share a
/// name, and more of them a label than a node.
fn term(selection: &Selection) -> Option<Term> {
    let term = |column, value: &str| Term { column, value: value.into() };
    let Selection { field, label } = selection;
    if let Some(name) = field.required_name() {
        return Some(term(Column::Name, name));
    }
    let of_field = field.equality_terms().find_map(|(target, value)| match target {
        FieldTarget::Field(place) => Some(term(Column::Field(place), value)),
        FieldTarget::Name | FieldTarget::Namespace | FieldTarget::AlwaysEmpty => None,
    });
    let of_label =
        || label.equality_terms().next().map(|(key, value)| term(Column::Label(key.into()), value));
    let of_namespace = || field.required_namespace().map(|name| term(Column::Namespace, name));
    of_field.or_else(of_label).or_else(of_namespace)
}

/// The items of these objects of a range. Metadata that is cut out of whole objects is made here:
/// nobody else has it.
fn items_of(
    snapshot: &Snapshot,
    codec: &ResourceCodec,
    form: Form,
    range: &KeyRange,
    chosen: &[(usize, &Object)],
) -> Items {
    let (lead, separator) = (codec.item_lead(form), codec.item_separator(form));
    if !codec.lists_as_held(form) {
        let items = chosen.iter().map(|(_, object)| codec.metadata_item(object));
        return Items::made(items.collect(), lead, separator);
    }
    if chosen.len() >= FEW && chosen.len() >= snapshot.objects.count(range) / 2 {
        let runs = snapshot.objects.runs(chosen.iter().map(|(rank, _)| *rank));
        return Items::of_pages(runs, lead, separator);
    }
    let cores = chosen.iter().map(|(_, object)| object.core.clone());
    Items::of_cores(cores.collect(), codec.item_join())
}

// === impl List ===

impl List {
    /// Whether a token in it tells how to go on.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Bytes of the body before compression.
    pub fn length(&self) -> usize {
        self.head.len() + self.items.length() + self.tail.len()
    }

    /// Whether it is made of the map's own bytes.
    pub fn is_as_held(&self) -> bool {
        self.items.are_as_held()
    }

    /// Whether it is whole pages, which keep their compressed form, but for its ends.
    pub fn is_of_whole_pages(&self) -> bool {
        self.items.pages().is_some() && self.items.parts() <= ENDS
    }

    /// The body as it is.
    pub fn plain(self) -> Content {
        Content::of_list(self.head, self.items, self.tail)
    }

    /// The body as one gzip member. What nobody has compressed yet costs time here: if it is much,
    /// not to be called on a thread that serves connections.
    pub fn compressed(self) -> Segments {
        let Some(pages) = self.items.pages() else {
            return gzip::compress(&self.plain().into_segments());
        };
        // Their state is large, and mostly nothing is left to be compressed.
        let (mut for_many, mut for_one) = (None, None);
        let mut blocks = Vec::with_capacity(pages.len());
        let mut parts = Vec::new();
        for page in pages {
            if !page.is_whole() {
                parts.push(page);
                continue;
            }
            blocks.extend(self.compressed_parts(&mut parts, &mut for_one));
            let make = || page.compress(for_many.get_or_insert_with(BlockDeflater::new));
            blocks.push(page.deflated().unwrap_or_else(make));
        }
        blocks.extend(self.compressed_parts(&mut parts, &mut for_one));
        self.joined(blocks)
    }

    /// Runs that follow one another as one block, which is not kept; `None` if there are none.
    fn compressed_parts(
        &self,
        parts: &mut Vec<&PageRun>,
        deflater: &mut Option<BlockDeflater>,
    ) -> Option<DeflatedBlock> {
        let mut together = Segments::with_capacity(3 * parts.len());
        for (place, part) in parts.drain(..).enumerate() {
            if place > 0 {
                together.push(Bytes::from_static(self.items.separator));
            }
            part.for_each_segment(|segment| together.push(segment));
        }
        let mut block = || {
            let deflater = deflater.get_or_insert_with(BlockDeflater::for_one);
            deflater.block(together.iter().map(AsRef::as_ref))
        };
        (!together.is_empty()).then(&mut block)
    }

    /// How many bytes [`List::compressed`] would have to compress.
    pub fn length_to_compress(&self) -> usize {
        let Some(pages) = self.items.pages() else { return self.items.length() };
        let missing = pages.filter(|page| page.is_whole() && !page.is_deflated());
        let length = self.items.parts() + missing.map(PageRun::length).sum::<u64>();
        usize::try_from(length).unwrap_or(usize::MAX)
    }

    /// Whether [`List::compressed`] would wait for other threads, which may be of lower priority.
    pub fn is_being_compressed(&self) -> bool {
        self.items.pages().is_some_and(|mut pages| pages.any(PageRun::is_being_deflated))
    }

    fn joined(&self, blocks: Vec<DeflatedBlock>) -> Segments {
        let mut gzip = GzipJoin::with_capacity(2 * blocks.len() + 4);
        let separator = DeflatedBlock::stored(self.items.separator);
        gzip.push_stored(&self.head);
        for (place, block) in blocks.into_iter().enumerate() {
            if place == 0 {
                gzip.push_stored(self.items.before);
            } else {
                gzip.push(&separator);
            }
            gzip.push(&block);
        }
        gzip.push_stored(&self.tail);
        gzip.finish()
    }
}

#[cfg(test)]
mod tests;
