//! WATCH: one stream of events, read from the history of a resource.
//!
//! A stream holds a position, no queue: it wakes at every new revision of the store and reads on
//! from where it is. Whoever falls behind the history loses the stream without a word, as upstream
//! (semantics §5.1). A watch that takes bookmarks hears within [`PROGRESS`] of any revision of the
//! store that brought it no event, so that its reader can tell how fresh it is.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::Stream;
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};

use super::{
    definition::Definition,
    form::{self, Form},
    history::Change,
    read,
    refusal::Refusal,
    selectable,
    store::{State, Store},
    stored::StoredObject,
};
use crate::api::{
    options::{EventsAfter, ListConsistency, WatchRequest, WatchStart},
    selector::Selection,
    status::Status,
    version::ResourceVersion,
};

/// The longest time between a new revision and the bookmark that tells of it.
const PROGRESS: Duration = Duration::from_millis(50);
/// How often a bookmark is repeated when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How long a watch lasts that does not say, 30 to 60 minutes in kube-apiserver.
const DEFAULT_DURATION: Duration = Duration::from_secs(45 * 60);

/// Which objects a watch is about.
#[derive(Clone, Debug)]
pub(super) struct Audience {
    pub(super) definition: Arc<Definition>,
    pub(super) form: Form,
    /// Empty for all namespaces.
    pub(super) namespace: String,
    /// Empty for all names.
    pub(super) name: String,
    pub(super) selection: Selection,
}

struct Watch {
    store: Arc<Store>,
    revisions: Receiver<u64>,
    audience: Audience,
    bookmarks: bool,
    /// Everything up to this revision has been sent, or was not wanted.
    position: u64,
    /// The newest revision the client knows to have passed.
    told: u64,
    last_bookmark: Instant,
    deadline: Instant,
    /// What is to be sent first.
    opening: Option<Vec<u8>>,
    ended: bool,
}

enum Pulled {
    Frames(Vec<u8>),
    Quiet,
    Ended,
}

/// Starts a watch. What goes wrong from here on is told inside the stream.
pub(super) fn start(
    store: &Arc<Store>,
    audience: Audience,
    request: &WatchRequest,
) -> impl Stream<Item = Bytes> + Send + use<> {
    let duration = request.timeout.requested().unwrap_or(DEFAULT_DURATION);
    // Subscribed before the state is read: no revision can pass unseen in between.
    let revisions = store.subscribe();
    let now = Instant::now();
    let (opening, position, ended) = match open(&store.state(), &audience, request) {
        Ok((opening, position)) => (opening, position, false),
        Err(refusal) => (error_event(refusal.status()), 0, true),
    };
    let watch = Watch {
        store: Arc::clone(store),
        revisions,
        audience,
        bookmarks: request.bookmarks,
        position,
        told: position,
        last_bookmark: now,
        deadline: now + duration,
        opening: (!opening.is_empty()).then_some(opening),
        ended,
    };
    futures_util::stream::unfold(watch, |mut watch| async move {
        let frames = watch.next().await?;
        Some((Bytes::from(frames), watch))
    })
}

/// The first frames and the position after them.
fn open(
    state: &State,
    audience: &Audience,
    request: &WatchRequest,
) -> Result<(Vec<u8>, u64), Refusal> {
    match request.start {
        WatchStart::State { consistency, marks_end } => {
            read::require_revision(state, consistency)?;
            let mut out = Vec::new();
            append_state(state, audience, &mut out);
            if marks_end && request.bookmarks {
                let Audience { form, definition, .. } = audience;
                form::append_bookmark(*form, definition, state.revision, true, &mut out);
            }
            Ok((out, state.revision.max(required(consistency))))
        }
        WatchStart::Events(EventsAfter::Any | EventsAfter::Latest) => {
            Ok((Vec::new(), state.revision))
        }
        WatchStart::Events(EventsAfter::Version(version)) => {
            let resource = state.resource(&audience.definition.store);
            let floor =
                resource.map_or_else(|| state.opened_at(), |resource| resource.history.floor());
            match ResourceVersion::new(floor) {
                Some(floor) if version < floor => Err(Status::watch_expired(version, floor).into()),
                _ => Ok((Vec::new(), version.get())),
            }
        }
    }
}

const fn required(consistency: ListConsistency) -> u64 {
    match consistency {
        ListConsistency::NotOlderThan(version) | ListConsistency::Exact(version) => version.get(),
        ListConsistency::Any | ListConsistency::Latest => 0,
    }
}

fn append_state(state: &State, audience: &Audience, out: &mut Vec<u8>) {
    let Audience { definition, form, .. } = audience;
    let Some(resource) = state.resource(&definition.store) else { return };
    for object in read::objects_from(&resource.objects, &audience.namespace, None) {
        if audience.includes(object) {
            form::append_event("ADDED", *form, definition, object, out);
        }
    }
}

fn error_event(status: &Status) -> Vec<u8> {
    let mut out = b"{\"type\":\"ERROR\",\"object\":".to_vec();
    status.write_json(&mut out);
    out.extend_from_slice(b"}\n");
    out
}

// === impl Audience ===

impl Audience {
    fn includes(&self, object: &StoredObject) -> bool {
        (self.namespace.is_empty() || object.key.namespace() == self.namespace)
            && (self.name.is_empty() || object.key.name() == self.name)
            && selectable::matches(&self.selection, &self.definition, object)
    }

    /// What a change is to this audience (semantics §5.3).
    fn append(&self, change: &Change, out: &mut Vec<u8>) {
        let wanted = |object: &&Arc<StoredObject>| self.includes(object);
        let before = change.before.as_ref().filter(wanted);
        let after = change.after.as_ref().filter(wanted);
        let (kind, object) = match (before, after) {
            (None, None) => return,
            (None, Some(after)) => ("ADDED", Arc::clone(after)),
            (Some(_), Some(after)) => ("MODIFIED", Arc::clone(after)),
            (Some(before), None) => {
                ("DELETED", Arc::new(before.at_revision(&self.definition, change.revision)))
            }
        };
        form::append_event(kind, self.form, &self.definition, &object, out);
    }
}

// === impl Watch ===

impl Watch {
    async fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        while !self.ended {
            self.revisions.mark_unchanged();
            match self.pull() {
                Pulled::Frames(frames) => return Some(frames),
                Pulled::Ended => break,
                Pulled::Quiet => {}
            }
            let due = self.bookmark_due();
            if due.is_some_and(|due| due <= Instant::now()) {
                return Some(self.bookmark());
            }
            let wake = due.map_or(self.deadline, |due| due.min(self.deadline));
            tokio::select! {
                changed = self.revisions.changed() => self.ended |= changed.is_err(),
                () = sleep_until(wake) => self.ended |= self.deadline <= Instant::now(),
            }
        }
        None
    }

    /// The events after the position.
    fn pull(&mut self) -> Pulled {
        let state = self.store.state();
        let served = state.registry.serves(&self.audience.definition);
        let mut frames = Vec::new();
        if let Some(resource) = state.resource(&self.audience.definition.store) {
            let Some(changes) = resource.history.since(self.position) else {
                return Pulled::Ended;
            };
            for change in changes {
                let before = frames.len();
                self.audience.append(change, &mut frames);
                if frames.len() > before {
                    self.told = change.revision;
                }
            }
        }
        self.position = self.position.max(state.revision);
        if !served {
            self.ended = true;
        }
        match (frames.is_empty(), served) {
            (true, true) => Pulled::Quiet,
            (true, false) => Pulled::Ended,
            (false, _) => Pulled::Frames(frames),
        }
    }

    fn bookmark_due(&self) -> Option<Instant> {
        let interval = if self.position > self.told { PROGRESS } else { HEARTBEAT };
        self.bookmarks.then(|| self.last_bookmark + interval)
    }

    fn bookmark(&mut self) -> Vec<u8> {
        self.told = self.position;
        self.last_bookmark = Instant::now();
        let mut frames = Vec::new();
        let Audience { form, definition, .. } = &self.audience;
        form::append_bookmark(*form, definition, self.position, false, &mut frames);
        frames
    }
}
