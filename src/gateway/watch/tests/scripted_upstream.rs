//! An API server that says what it is told to: a store's history, and the wire between it and the
//! reflector, on which streams lag, break, repeat themselves and arrive in pieces.

use http::StatusCode;

use crate::cache::fixture::{
    Pod, bookmark_json,
    history::{History, QUESTIONS, Write},
};

/// All that happened in a store, and the state after each write.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) history: History,
    states: Vec<(u64, Vec<Pod>)>,
}

/// The store behind upstream, and what upstream has said of it on the present stream.
pub(super) struct ScriptedUpstream {
    pub(super) store: Store,
    /// Watches from before this are refused.
    compacted: u64,
    /// How often the store was restored: pages of before are not continued.
    restores: u32,
    /// What the next request is refused with.
    pub(super) denial: Option<StatusCode>,
    /// Whether streaming lists are refused, as by old servers.
    pub(super) only_pages: bool,
    /// Objects per page of a list.
    page_size: usize,
    wire: Wire,
    /// Bytes of the present answer that have not arrived yet.
    arriving: Vec<u8>,
}

enum Wire {
    Idle,
    /// A stream that has brought everything up to a version.
    Stream(u64),
    /// A page of a list.
    Page,
}

/// What came of a request.
pub(super) enum Answer {
    Status(StatusCode),
    /// Bytes will follow.
    Body,
}

// === impl Store ===

impl Store {
    fn new() -> Self {
        let history = History::new();
        let states = vec![(history.version, Vec::new())];
        Self { history, states }
    }

    pub(super) fn write(&mut self, write: &Write) {
        self.history.write(write);
        let objects = self.history.state.values().cloned().collect();
        self.states.push((self.history.version, objects));
    }

    pub(super) fn version(&self) -> u64 {
        self.history.version
    }

    /// The objects at a version, by key.
    pub(super) fn state_at(&self, version: u64) -> &[Pod] {
        let before = self.states.partition_point(|(at, _)| *at <= version);
        before.checked_sub(1).map_or(&[], |place| &self.states[place].1)
    }
}

// === impl ScriptedUpstream ===

impl ScriptedUpstream {
    pub(super) fn new(only_pages: bool, page_size: usize) -> Self {
        let (store, compacted, wire, arriving) = (Store::new(), 0, Wire::Idle, Vec::new());
        Self { store, compacted, restores: 0, denial: None, only_pages, page_size, wire, arriving }
    }

    /// Forgets the history up to now, which old watches need.
    pub(super) fn compact(&mut self) {
        self.compacted = self.store.version();
    }

    /// Goes on from an earlier state of the store; what happened since never did.
    pub(super) fn restore(&mut self, backup: Store) -> Store {
        self.hang_up();
        self.restores += 1;
        self.compacted = self.compacted.min(backup.version());
        std::mem::replace(&mut self.store, backup)
    }

    /// Answers a request of the reflector.
    pub(super) fn ask(&mut self, target: &str) -> Answer {
        self.hang_up();
        if let Some(status) = self.denial.take() {
            return Answer::Status(status);
        }
        let value = |name: &str| {
            let (_, rest) = target.split_once(&format!("{name}="))?;
            Some(rest.split('&').next().unwrap_or_default())
        };
        if value("sendInitialEvents").is_some() {
            if self.only_pages {
                return Answer::Status(StatusCode::UNPROCESSABLE_ENTITY);
            }
            let version = self.store.history.version;
            let mut initial = self.store.history.initial_frames(&QUESTIONS[0]).concat();
            initial.push_str(&bookmark_line(version, true));
            self.stream_from(version, initial);
            return Answer::Body;
        }
        if value("watch").is_some() {
            let after = value("resourceVersion").and_then(|text| text.parse().ok());
            let after = after.expect("a watch begins somewhere");
            if after < self.compacted {
                return Answer::Status(StatusCode::GONE);
            }
            self.stream_from(after, String::new());
            return Answer::Body;
        }
        let (from, version, restores) = match value("continue") {
            None => (0, self.store.version(), self.restores),
            Some(token) => {
                let mut parts =
                    token.split("%2D").map(|part| part.parse::<u64>().expect("its own token"));
                let mut part = || parts.next().expect("three parts");
                (part() as usize, part(), part() as u32)
            }
        };
        if version < self.compacted || restores != self.restores {
            return Answer::Status(StatusCode::GONE);
        }
        self.arriving = self.page(from, version).into_bytes();
        self.wire = Wire::Page;
        Answer::Body
    }

    /// Lets the stream say what happened next, at most `count` events of it.
    pub(super) fn tell(&mut self, count: usize) {
        let Wire::Stream(told) = &mut self.wire else { return };
        for (version, line) in
            self.store.history.frames_after(&QUESTIONS[0], *told).into_iter().take(count)
        {
            self.arriving.extend_from_slice(line.as_bytes());
            *told = version;
        }
    }

    /// Lets the stream say how far it is.
    pub(super) fn tell_progress(&mut self) {
        let Wire::Stream(told) = &mut self.wire else { return };
        if self.store.history.frames_after(&QUESTIONS[0], *told).is_empty() {
            *told = self.store.history.version.max(*told);
        }
        self.arriving.extend_from_slice(bookmark_line(*told, false).as_bytes());
    }

    /// Puts something onto the stream that does not belong there.
    pub(super) fn tell_wrongly(&mut self, line: &str) {
        if matches!(self.wire, Wire::Stream(_)) {
            self.arriving.extend_from_slice(line.as_bytes());
        }
    }

    /// An event that the stream has brought already, if there is one.
    pub(super) fn told_before(&self) -> Option<String> {
        let Wire::Stream(told) = self.wire else { return None };
        let mut events = self.store.history.frames_after(&QUESTIONS[0], 0);
        events.retain(|(version, _)| *version <= told);
        events.pop().map(|(_, line)| line)
    }

    /// The next bytes to arrive, at most `count`.
    pub(super) fn arrive(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.arriving.len());
        self.arriving.drain(..count).collect()
    }

    /// Whether a stream or page is under way.
    pub(super) fn is_answering(&self) -> bool {
        !matches!(self.wire, Wire::Idle)
    }

    /// Whether what is under way has an end of its own.
    pub(super) fn is_page(&self) -> bool {
        matches!(self.wire, Wire::Page)
    }

    /// Ends the present answer; what has not arrived never will.
    pub(super) fn hang_up(&mut self) {
        self.wire = Wire::Idle;
        self.arriving.clear();
    }

    fn stream_from(&mut self, version: u64, first: String) {
        self.wire = Wire::Stream(version);
        self.arriving = first.into_bytes();
    }

    fn page(&self, from: usize, version: u64) -> String {
        let state = self.store.state_at(version);
        let page = state.iter().skip(from).take(self.page_size);
        let items: Vec<_> = page.map(item).collect();
        let next = from + items.len();
        let token = match next < state.len() {
            true => format!(r#","continue":"{next}-{version}-{}""#, self.restores),
            false => String::new(),
        };
        let items = items.join(",");
        format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"{token}}},"items":[{items}]}}"#
        ) + "\n"
    }
}

/// A bookmark as a line of a stream.
fn bookmark_line(version: u64, ends_initial_events: bool) -> String {
    format!(r#"{{"type":"BOOKMARK","object":{}}}"#, bookmark_json(version, ends_initial_events))
        + "\n"
}

/// An object as a list has it: without its type.
fn item(pod: &Pod) -> String {
    pod.json().replacen(r#""kind":"Pod","apiVersion":"v1","#, "", 1)
}
