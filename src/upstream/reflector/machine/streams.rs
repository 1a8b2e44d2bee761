//! Bytes of upstream watches: the initial events of a streaming list, then live ones.

use std::time::Instant;

use crate::{
    api::version::ResourceVersion,
    cache::map::MapBuilder,
    codec::{
        ResourceCodec,
        frame_decoder::FrameDecoder,
        watch_event::{ReceivedEvent, WatchEvent},
    },
};

use super::{
    Reflector,
    effect::Effect,
    state::{Next, State, Trouble},
};

/// The code of an ERROR event that says that history is lost.
const GONE: i32 = 410;

// === impl Reflector ===

impl Reflector {
    pub(super) fn watch_listing(
        &mut self,
        mut decoder: FrameDecoder,
        (mut objects, requested): (MapBuilder, Instant),
        codec: &ResourceCodec,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Trouble> {
        while let Some(frame) = decoder.next_frame().map_err(Trouble::lasting)? {
            match codec.decode_watch_event(frame).map_err(Trouble::lasting)? {
                WatchEvent::Added(object) => objects.push(object),
                WatchEvent::Bookmark(bookmark) if bookmark.initial_events_end => {
                    let version = bookmark.resource_version;
                    effects.push(Effect::Template(bookmark.template));
                    effects.push(Effect::Fill { objects: objects.finish(), version, requested });
                    self.watching_since = Some(requested);
                    self.stale_since = None;
                    let watching = self.watching(decoder, version, codec, now, effects);
                    return watching.map_err(Trouble::Broken);
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => {
                    let reason = format!("upstream ended the list: {}", status.message);
                    return Err(Trouble::Broken(reason));
                }
                WatchEvent::Modified(_) | WatchEvent::Deleted(_) => {
                    let reason = "a change arrived among the initial events";
                    return Err(Trouble::Broken(reason.into()));
                }
            }
        }
        self.state = State::WatchListing { decoder, objects, requested };
        Ok(())
    }

    pub(super) fn watching(
        &mut self,
        mut decoder: FrameDecoder,
        mut version: ResourceVersion,
        codec: &ResourceCodec,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), String> {
        let mut burst = Vec::new();
        let outcome = loop {
            let received = match decoder.next_wire_frame() {
                Ok(Some(frame)) => codec.decode_frame(frame),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            };
            match received {
                Ok(ReceivedEvent { event: WatchEvent::Error(status), .. }) => {
                    let next = if status.code == GONE { Next::Fill } else { Next::lost(version) };
                    if !burst.is_empty() {
                        self.stale_since = None;
                    }
                    effects.extend(some_burst(burst));
                    self.retry(next, None, now);
                    let reason = format!("upstream ended the watch: {}", status.message);
                    effects.push(self.unanswered(Trouble::Broken(reason), now));
                    return Ok(());
                }
                Ok(received) => {
                    version =
                        version_of(&received.event).map_or(version, |found| found.max(version));
                    burst.push(received);
                }
                Err(error) => break Err(error.to_string()),
            }
        };
        if !burst.is_empty() {
            self.stale_since = None;
        }
        effects.extend(some_burst(burst));
        self.state = State::Watching { decoder, version };
        outcome
    }
}

/// The version up to which an event completes the stream.
fn version_of(event: &WatchEvent) -> Option<ResourceVersion> {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            Some(object.resource_version())
        }
        WatchEvent::Bookmark(bookmark) => Some(bookmark.resource_version),
        WatchEvent::Error(_) => None,
    }
}

fn some_burst(burst: Vec<ReceivedEvent>) -> Option<Effect> {
    (!burst.is_empty()).then_some(Effect::Apply(burst))
}
