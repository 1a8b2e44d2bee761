//! The answers of one exchange, enrolled among the readers that memory waits for.
//!
//! An answer that its client does not take keeps alive what it was made of. It is enrolled with
//! what that is, so that it can be cut off (`shards::readers`).

use std::sync::Arc;

use crate::{
    api::version::ResourceVersion,
    cache::{audience::AudienceKey, watch_cache::Snapshot},
    codec::ResourceCodec,
    net::cutter::Cutter,
    shards::{
        readers::{Holding, Reader, Readers},
        shard::Shard,
    },
};

use super::read::{Read, What};

/// Enrols what one exchange still has to send.
#[derive(Clone, Debug)]
pub struct Enrolment {
    readers: Arc<Readers>,
    cutter: Cutter,
}

// === impl Enrolment ===

impl Enrolment {
    /// For what this cutter ends.
    pub(super) const fn new(readers: Arc<Readers>, cutter: Cutter) -> Self {
        Self { readers, cutter }
    }

    /// For the exchange that the calling task answers; `None` where nothing could end it.
    pub(super) fn of_this_exchange(readers: &Arc<Readers>) -> Option<Self> {
        Some(Self::new(Arc::clone(readers), Cutter::current()?))
    }

    /// A reader that keeps this alive.
    pub(super) fn enrol(&self, holding: Holding) -> Reader {
        let cutter = self.cutter.clone();
        self.readers.enrol(holding, move || cutter.cut())
    }
}

/// The moment at which an answer from a shard was begun.
#[derive(Debug)]
pub(super) struct Begun {
    replaced: u64,
    shown: Option<ResourceVersion>,
}

// === impl Begun ===

impl Begun {
    /// Now; to be called before the state is taken, which may then be counted as older than it is.
    pub(super) fn now(shard: &Shard) -> Self {
        Self { replaced: shard.turnover().replaced(), shown: shard.resource_version() }
    }

    /// What `part` bytes of a state keep alive.
    pub(super) fn state(&self, shard: &Shard, state: &Snapshot, part: u64) -> Holding {
        // How long ago an older state was the present one is not known.
        let is_past = self.shown.is_some_and(|shown| state.resource_version < shown);
        Holding::State {
            turnover: Arc::clone(shard.turnover()),
            since: if is_past { 0 } else { self.replaced },
            part,
            whole: state.objects.resident_bytes(),
        }
    }
}

/// Whether an answer's bytes are the shard's own, and not made for it alone; and whether they are if
/// it is compressed. Only whole pages keep their compressed form.
pub(super) fn shares_bytes(read: &Read, shard: &Shard) -> (bool, bool) {
    match &read.what {
        What::List(_, audience) if !read.encoding.indented => list_shares(audience, shard.codec()),
        _ => (false, false),
    }
}

fn list_shares(audience: &AudienceKey, codec: &ResourceCodec) -> (bool, bool) {
    let as_held = codec.lists_as_held(audience.form);
    (as_held, as_held && audience.selection.is_everything())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::fixture::{audience, codec, pods},
        codec::{object::Representation, watch_event::Form},
    };

    #[test]
    fn a_compressed_list_shares_its_bytes_if_it_is_whole_pages() {
        let (json, all) = (codec(), audience("", "", ""));
        let metadata = |of: AudienceKey| AudienceKey { form: Form::Metadata, ..of };
        assert_eq!(list_shares(&all, &json), (true, true));
        assert_eq!(list_shares(&audience("ns", "", ""), &json), (true, true));
        assert_eq!(list_shares(&audience("", "app=a", ""), &json), (true, false));
        assert_eq!(list_shares(&metadata(all.clone()), &json), (false, false), "cut out");
        let [json, protobuf] = [Representation::JsonMetadata, Representation::ProtobufMetadata]
            .map(|form| ResourceCodec::new(&pods(), form));
        assert_eq!(list_shares(&metadata(all.clone()), &json), (false, false), "put together");
        assert_eq!(list_shares(&metadata(all), &protobuf), (true, true));
    }
}
