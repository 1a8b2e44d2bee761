//! One watch, from its request to its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use watchgate_cluster::{Client, Streaming};

use crate::checker::record::{End, Event, Kind as EventKind, Seen, Session, Start};
use crate::checker::scope::Scope;
use crate::course::{Course, Phase};
use crate::form::Form;
use crate::forms::{Frame, Keys, Object};
use crate::kinds::Kind;
use crate::seeded::Seeded;

/// After so long without a frame, a watch has given what it has.
const SILENCE: Duration = Duration::from_secs(5);

/// What a watch is asked for, and how it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) start: Start,
    pub(crate) bookmarks: bool,
    pub(crate) timeout: u32,
    /// When the client has enough.
    pub(crate) leave: Option<Duration>,
    /// Pauses now and then, at most so long.
    pub(crate) slow: Option<Duration>,
}

/// A watch that was answered.
pub(crate) struct Watched {
    pub(crate) session: Session,
    /// `Cache-Status`, if there is one.
    pub(crate) origin: Option<String>,
}

/// Takes note of whole objects.
pub(crate) type Note<'a> = &'a mut (dyn FnMut(&Event, Object) + Send);

/// What is watched.
pub(crate) struct Subject<'a> {
    pub(crate) course: &'a Arc<Course>,
    pub(crate) kind: &'static Kind,
    pub(crate) scope: &'a Scope,
    pub(crate) form: Form,
}

impl Subject<'_> {
    /// The path and the selectors of a list or a watch; options come after it.
    pub(crate) fn target(&self) -> String {
        let path = match &self.scope.namespace {
            Some(namespace) => self.kind.within(namespace),
            None => self.kind.everywhere(),
        };
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut target = format!("{path}?");
        for (name, value) in [
            ("labelSelector", self.scope.label_selector()),
            ("fieldSelector", self.scope.field_selector()),
        ] {
            if !value.is_empty() {
                target.push_str(&format!("{name}={}&", encoded(&value)));
            }
        }
        target
    }

    /// Watches until the end. What was answered but isn't a watch is an error.
    pub(crate) async fn watch(
        &self,
        client: &Client,
        ask: Ask,
        random: &mut Seeded,
        keys: &mut Keys,
        note: Note<'_>,
    ) -> Result<Watched> {
        let target = format!("{}{}", self.target(), options(random, ask));
        let asked = self.course.moment();
        let request = client.get(&target).header("accept", &self.form.accept(false));
        let stream = request.stream().await?;
        let answered = self.course.moment();
        if stream.status != StatusCode::OK {
            let status = stream.status;
            bail!("{status}: {target}: {:?}", stream.collect().await?);
        }
        let _open = self.course.opened();
        let origin = stream.headers.get("cache-status").and_then(|value| value.to_str().ok());
        let origin = origin.map(str::to_owned);
        let mut reader = Reader { stream, form: self.form, length: None };
        let mut seen = Vec::new();
        let end = self.read(&mut reader, ask, random, keys, &mut seen, note).await?;
        let Ask { start, bookmarks, .. } = ask;
        Ok(Watched { session: Session { start, bookmarks, asked, answered, seen, end }, origin })
    }

    async fn read(
        &self,
        reader: &mut Reader,
        ask: Ask,
        random: &mut Seeded,
        keys: &mut Keys,
        seen: &mut Vec<Seen>,
        note: Note<'_>,
    ) -> Result<End> {
        let mut phase = self.course.phase.subscribe();
        let leave = Instant::now() + ask.leave.unwrap_or(Duration::from_secs(86_400));
        loop {
            let draining = *phase.borrow_and_update() == Phase::Draining;
            let frame = tokio::select! {
                biased;
                frame = reader.next() => frame,
                _ = phase.changed(), if !draining => continue,
                () = sleep_until(leave), if !draining => return Ok(End::Ended),
                () = sleep(SILENCE), if draining => return Ok(End::Drained),
            };
            let frame = match frame {
                Ok(Some(frame)) => self.form.frame(&frame).context("a frame")?,
                Ok(None) => return Ok(End::Ended),
                Err(_) => return Ok(End::Broken),
            };
            match frame {
                Frame::Error(code) => return Ok(End::Refused(code)),
                Frame::Object { kind, object } => seen.push(told(&kind, object, keys, note)?),
            }
            self.course.event();
            if let Some(longest) = ask.slow.filter(|_| !draining && random.percent(3)) {
                let pause = longest.mul_f64(random.below(1_000) as f64 / 1_000.0);
                tokio::select! {
                    () = sleep(pause) => {}
                    () = ended(&mut phase) => {}
                }
            }
            // Whoever leaves in the midst of a flood leaves, too.
            if !draining && Instant::now() >= leave {
                return Ok(End::Ended);
            }
        }
    }
}

/// Waits for the end of the churn.
async fn ended(phase: &mut watch::Receiver<Phase>) {
    // The run outlives its watchers, so that the sender isn't gone.
    let _ = phase.wait_for(|phase| *phase != Phase::Churn).await;
}

fn told(kind: &str, object: Object, keys: &mut Keys, note: Note<'_>) -> Result<Seen> {
    let kind = match kind {
        "BOOKMARK" => {
            let Object { version, initial_end, .. } = object;
            return Ok(Seen::Bookmark { version, initial_end });
        }
        "ADDED" => EventKind::Added,
        "MODIFIED" => EventKind::Modified,
        "DELETED" => EventKind::Deleted,
        other => bail!("an event of type {other}"),
    };
    let key = keys.of(&object.namespace, &object.name);
    let event = Event { kind, key, version: object.version, content: object.content };
    note(&event, object);
    Ok(Seen::Event(event))
}

/// The options that ask for this begin; where there are two ways, one of them.
fn options(random: &mut Seeded, ask: Ask) -> String {
    const SENT: &str = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    const UNSENT: &str = "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let either = if random.percent(50) { SENT } else { "" };
    let begin = match ask.start {
        Start::Fresh => either.to_owned(),
        Start::Any => format!("&resourceVersion=0{either}"),
        Start::NotOlderThan(version) => format!("&resourceVersion={version}{SENT}"),
        Start::After(version) => {
            let unsent = if random.percent(20) { UNSENT } else { "" };
            format!("&resourceVersion={version}{unsent}")
        }
        Start::FreshNow => UNSENT.to_owned(),
        Start::AnyNow => format!("&resourceVersion=0{UNSENT}"),
    };
    let marks = if ask.bookmarks { "&allowWatchBookmarks=true" } else { "" };
    format!("watch=true&timeoutSeconds={}{begin}{marks}", ask.timeout)
}

/// Frames of a body. A wait for one can be given up without loss.
struct Reader {
    stream: Streaming,
    form: Form,
    /// Of the protobuf frame whose length has been read.
    length: Option<usize>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if !self.form.is_protobuf() {
            return self.stream.line().await;
        }
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(length) = self.stream.exactly(4).await? else { return Ok(None) };
                let length = u32::from_be_bytes(length.as_ref().try_into()?);
                *self.length.insert(usize::try_from(length)?)
            }
        };
        let frame = self.stream.exactly(length).await?.context("a length without a frame")?;
        self.length = None;
        Ok(Some(frame))
    }
}
