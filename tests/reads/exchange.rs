//! One request to both servers, and what each answered.

use std::io::Read as _;

use anyhow::{Result, ensure};
use flate2::read::GzDecoder;
use http::StatusCode;
use watchgate_cluster::{Client, Response, Streaming};

use crate::form::Form;
use crate::setup::Both;
use crate::wire::Essence;

/// Where the gateway's answer has to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// From memory.
    Hit,
    /// From memory if freshness could be proven in time.
    Proof,
    /// From the API server, for this reason.
    Forward(&'static str),
}

impl Expected {
    /// Whether `header` says so.
    pub(crate) fn admits(self, header: Option<&str>) -> bool {
        match self {
            Self::Hit => header == Some("watchgate; hit"),
            Self::Proof => header.is_some_and(|header| {
                header == "watchgate; hit" || header.ends_with("detail=not-proven")
            }),
            Self::Forward(reason) => {
                header.is_some_and(|header| header.ends_with(&format!("; detail={reason}")))
            }
        }
    }
}

/// How many requests memory answered, of all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) hits: usize,
    pub(crate) all: usize,
}

impl Tally {
    /// Adds an answer, which must come from where it is expected.
    pub(crate) fn add(
        &mut self,
        what: &str,
        cache_status: Option<&str>,
        expected: Expected,
    ) -> Result<()> {
        ensure!(expected.admits(cache_status), "{what}: {cache_status:?} in place of {expected:?}");
        self.all += 1;
        self.hits += usize::from(cache_status == Some("watchgate; hit"));
        Ok(())
    }
}

/// Reads the same from both. Status, type and body must be equal.
pub(crate) async fn read(
    both: &Both,
    target: &str,
    accept: &str,
    expected: Expected,
    tally: &mut Tally,
) -> Result<Option<u64>> {
    read_with(both, target, &[("accept", accept)], expected, tally).await
}

/// The same with any headers.
pub(crate) async fn read_with(
    both: &Both,
    target: &str,
    headers: &[(&str, &str)],
    expected: Expected,
    tally: &mut Tally,
) -> Result<Option<u64>> {
    let (cache_status, version) = compare(both, target, headers).await?;
    tally.add(&format!("GET {target} with {headers:?}"), cache_status.as_deref(), expected)?;
    Ok(version)
}

/// Reads the same from both, wherever ours comes from: its `Cache-Status`, and the list's version.
pub(crate) async fn compare(
    both: &Both,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(Option<String>, Option<u64>)> {
    let ask = |client: &Client| {
        let plain = client.get(target);
        headers.iter().fold(plain, |request, (name, value)| request.header(name, value)).send()
    };
    let theirs = Box::pin(ask(&both.direct)).await?;
    let ours = Box::pin(ask(&both.gateway)).await?;
    let what = format!("GET {target} with {headers:?}");
    let cache_status = ours.header("cache-status").map(str::to_owned);
    let [ours, theirs] = [Answer::of(&ours)?, Answer::of(&theirs)?];
    ensure!(ours.head == theirs.head, "{what}: {ours:#?} in place of {theirs:#?}");
    ensure!(
        ours.essence.bytes == theirs.essence.bytes,
        "{what}: {:?} in place of {:?}",
        ours.essence,
        theirs.essence
    );
    // An answer to no version at all is as new as anything that was read before.
    if !target.contains("resourceVersion=") {
        ensure!(ours.essence.version >= theirs.essence.version, "{what}: {ours:?}, {theirs:?}");
    }
    Ok((cache_status, ours.essence.version))
}

#[derive(Debug)]
struct Answer {
    head: Head,
    essence: Essence,
}

/// What an answer says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: StatusCode,
    headers: Vec<Option<String>>,
}

/// Headers that must be the same.
const HEADERS: [&str; 6] =
    ["content-type", "cache-control", "content-encoding", "retry-after", "vary", "warning"];

impl Head {
    fn of(status: StatusCode, headers: &http::HeaderMap) -> Self {
        let text = |name: &&str| Some(headers.get(*name)?.to_str().ok()?.to_owned());
        Self { status, headers: HEADERS.iter().map(text).collect() }
    }
}

impl Answer {
    fn of(response: &Response) -> Result<Self> {
        let head = Head::of(response.status, &response.headers);
        let essence = if response.header("content-encoding") == Some("gzip") {
            // Two compressors need not agree on more than what comes out.
            let mut plain = Vec::new();
            GzDecoder::new(&response.body[..]).read_to_end(&mut plain)?;
            Essence::of_list(&plain)?
        } else {
            Essence::of_list(&response.body)?
        };
        Ok(Self { head, essence })
    }
}

/// An open watch of one server.
pub(crate) struct Watch {
    head: Head,
    pub(crate) cache_status: Option<String>,
    form: Form,
    stream: Streaming,
}

/// All frames of a watch until its end.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Without bookmarks, apart from that which ends the initial events.
    pub(crate) events: Vec<Essence>,
    pub(crate) bookmarks: Vec<Essence>,
}

impl Watch {
    /// Opens the same watch on both servers, ours last.
    pub(crate) async fn open(both: &Both, target: &str, form: Form) -> Result<[Self; 2]> {
        let theirs = Self::of(&both.direct, target, form);
        let ours = Self::of(&both.gateway, target, form);
        let (theirs, ours) = tokio::try_join!(theirs, ours)?;
        let (a, b) = (&ours.head, &theirs.head);
        ensure!(a == b, "{target} as {form:?}: {a:?} in place of {b:?}");
        Ok([theirs, ours])
    }

    async fn of(client: &Client, target: &str, form: Form) -> Result<Self> {
        let request = client.get(target).header("accept", &form.accept(false));
        let stream = Box::pin(request.stream()).await?;
        let head = Head::of(stream.status, &stream.headers);
        let cache_status = stream.headers.get("cache-status");
        let cache_status = cache_status.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Self { head, cache_status, form, stream })
    }

    /// Reads the watch to its end. A body that is no stream is one frame.
    pub(crate) async fn frames(mut self) -> Result<Frames> {
        let mut frames = Frames { events: Vec::new(), bookmarks: Vec::new() };
        if self.head.status != StatusCode::OK {
            let body = self.stream.collect().await?.body;
            frames.events.push(Essence { bytes: body.to_vec(), version: None });
            return Ok(frames);
        }
        while let Some(frame) = self.next().await? {
            let essence = Essence::of_frame(&frame, self.form)?;
            let end = frame.windows(18).any(|window| window == b"initial-events-end");
            if essence.version.is_some() && !end {
                frames.bookmarks.push(essence);
            } else {
                frames.events.push(essence);
            }
        }
        Ok(frames)
    }

    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        if !self.form.is_protobuf() {
            return self.stream.line().await;
        }
        let Some(length) = self.stream.exactly(4).await? else { return Ok(None) };
        let length = u32::from_be_bytes(length[..].try_into()?);
        self.stream.exactly(usize::try_from(length)?).await
    }
}
