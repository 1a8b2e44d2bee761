//! The pages of the fallback list.

use std::time::Instant;

use crate::codec::ResourceCodec;

use super::{
    Reflector,
    effect::Effect,
    state::{Next, Pages, State, Trouble},
};

// === impl Reflector ===

impl Reflector {
    pub(super) fn page_read(
        &mut self,
        mut pages: Pages,
        body: Vec<u8>,
        codec: &ResourceCodec,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let page = match codec.decode_list_page(body.into()) {
            Ok(page) => page,
            Err(error) => {
                self.retry(Next::Fill, None, now);
                effects.push(self.unanswered(Trouble::lasting(error), now));
                return;
            }
        };
        page.objects.into_iter().for_each(|object| pages.objects.push(object));
        // Else the rest of this page would be kept until the next one has come.
        pages.objects.let_go_of_buffers();
        pages.continue_token = page.continue_token.filter(|token| !token.is_empty());
        let next = if pages.continue_token.is_some() {
            Next::Page(pages)
        } else {
            let Pages { objects, requested, .. } = pages;
            let version = page.resource_version;
            effects.push(Effect::Fill { objects: objects.finish(), version, requested });
            self.stale_since = None;
            Next::Watch { version, probed: true }
        };
        self.state = State::Idle { next, wait: None };
    }
}
