//! How the bytes of an answer become its body: indented for readers, compressed when large.
//!
//! The order and the rules are upstream's (semantics §6.3, §6.4): first the indentation, then gzip if
//! what came out is longer than 128 KiB. Whatever takes longer than a fraction of a
//! millisecond is done on a thread that serves no connections. Bodies made for one request are
//! bounded together (`encoding/room.rs`). Watches do not come here.

mod room;

use bytes::Bytes;
use tracing::{debug, warn};

use crate::codec::{
    gzip,
    indent::{TooLong, indent},
    segments::Segments,
};

pub(super) use self::room::Room;
use self::room::{Full, Share};
use super::{content::Content, list::List};

/// The API server compresses answers above this many bytes.
pub(super) const COMPRESSED_ABOVE: usize = 131_072;

/// Compact bodies up to this length are indented where they are asked for: about 50 µs.
const INDENTED_HERE: usize = 64 << 10;

/// Up to this much is compressed where it is asked for: about 0.3 ms. A page of a list has up to as
/// much at its two ends.
const COMPRESSED_HERE: usize = 192 << 10;

/// What indentation makes of a body at a guess, as a multiple.
const INDENTED_GROWS: usize = 2;

/// What compression makes of a body at a guess, as a fraction.
const COMPRESSED_SHRINKS: usize = 4;

/// A body as memory has it.
#[derive(Clone, Debug)]
pub(super) enum Plain {
    /// One object.
    Object(Bytes),
    /// A list.
    List(List),
}

/// What a request wants of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Indented JSON.
    pub indented: bool,
    /// Compressed when large.
    pub gzip: bool,
}

/// A body and what must be said of it.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Content,
    pub(super) is_gzip: bool,
    /// Whether the bytes are the shard's own, which it keeps for others, too.
    pub(super) is_shared: bool,
}

/// A body cannot be made as the request wants it.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NotEncoded {
    /// It would be too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// It would be too much together with others.
    #[error(transparent)]
    Full(#[from] Full),
    /// The thread that made it failed.
    #[error("the body could not be made aside: {0}")]
    Failed(String),
}

// === impl Encoding ===

impl Encoding {
    /// The body in this encoding; what is made for it alone counts against `room`.
    ///
    /// # Errors
    /// It is to be indented and can't be. One that can't be compressed goes out as it is, which costs
    /// less than to ask upstream for it.
    pub(super) async fn apply(self, plain: Plain, room: &Room) -> Result<Encoded, NotEncoded> {
        if self.indented {
            return self.indented(plain, room).await;
        }
        if !self.gzip || plain.length() <= COMPRESSED_ABOVE {
            return Ok(plain.into_encoded());
        }
        let is_shared = plain.shares_compressed();
        Ok(match compressed(plain.clone(), room).await {
            Ok(bytes) => Encoded { bytes: bytes.into(), is_gzip: true, is_shared },
            Err(error) => {
                debug!(%error, "an answer goes out uncompressed");
                plain.into_encoded()
            }
        })
    }

    async fn indented(self, plain: Plain, room: &Room) -> Result<Encoded, NotEncoded> {
        if plain.length() > INDENTED_HERE {
            let share = room.take(plain.length().saturating_mul(INDENTED_GROWS))?;
            let room = room.clone();
            return aside(move || {
                let (share, body) = indented(&room, share, plain)?;
                self.finished(&room, share, body)
            })
            .await;
        }
        let (share, body) = indented(room, Share::default(), plain)?;
        if !self.compresses(&body) {
            return self.finished(room, share, body);
        }
        let room = room.clone();
        aside(move || self.finished(&room, share, body)).await
    }

    /// An indented body, compressed if it is to be.
    fn finished(self, room: &Room, share: Share, body: Segments) -> Result<Encoded, NotEncoded> {
        let is_gzip = self.compresses(&body);
        let body = if is_gzip { gzip::compress(&body) } else { body };
        Ok(Encoded { bytes: room.hold(share, body)?.into(), is_gzip, is_shared: false })
    }

    fn compresses(self, bytes: &Segments) -> bool {
        self.gzip && bytes.len() > COMPRESSED_ABOVE
    }
}

/// The indented form, and the room that it takes.
fn indented(room: &Room, mut share: Share, plain: Plain) -> Result<(Share, Segments), NotEncoded> {
    let body = indent(&plain.into_content().into_segments())?;
    room.fit(&mut share, body.len())?;
    Ok((share, body))
}

/// The compressed form.
async fn compressed(plain: Plain, room: &Room) -> Result<Segments, NotEncoded> {
    let is_short = plain.length_to_compress() <= COMPRESSED_HERE && !plain.is_being_compressed();
    if plain.shares_compressed() {
        if is_short {
            return Ok(plain.compressed());
        }
        return aside(move || Ok(plain.compressed())).await;
    }
    let share = room.take(plain.length() / COMPRESSED_SHRINKS)?;
    if is_short {
        return Ok(room.hold(share, plain.compressed())?);
    }
    let room = room.clone();
    aside(move || Ok(room.hold(share, plain.compressed())?)).await
}

/// Makes something of a body on another thread.
async fn aside<T: Send + 'static>(
    make: impl FnOnce() -> Result<T, NotEncoded> + Send + 'static,
) -> Result<T, NotEncoded> {
    tokio::task::spawn_blocking(make).await.unwrap_or_else(|error| {
        warn!(%error, "a body could not be made aside");
        Err(NotEncoded::Failed(error.to_string()))
    })
}

// === impl Plain ===

impl Plain {
    fn length(&self) -> usize {
        match self {
            Self::Object(bytes) => bytes.len(),
            Self::List(list) => list.length(),
        }
    }

    fn into_encoded(self) -> Encoded {
        let is_shared = matches!(&self, Self::List(list) if list.is_as_held());
        Encoded { bytes: self.into_content(), is_gzip: false, is_shared }
    }

    fn into_content(self) -> Content {
        match self {
            Self::Object(bytes) => Segments::from(bytes).into(),
            Self::List(list) => list.plain(),
        }
    }

    /// How much of it is not compressed yet.
    fn length_to_compress(&self) -> usize {
        match self {
            Self::Object(bytes) => bytes.len(),
            Self::List(list) => list.length_to_compress(),
        }
    }

    fn is_being_compressed(&self) -> bool {
        matches!(self, Self::List(list) if list.is_being_compressed())
    }

    /// Whether the compressed form is kept for others, apart from its edges.
    fn shares_compressed(&self) -> bool {
        matches!(self, Self::List(list) if list.is_of_whole_pages())
    }

    fn compressed(self) -> Segments {
        match self {
            Self::Object(bytes) => gzip::compress(&bytes.into()),
            Self::List(list) => list.compressed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::{room::MEMORY as ROOM, *};

    fn flat(segments: &Segments) -> Vec<u8> {
        segments.iter().flat_map(|segment| segment.to_vec()).collect()
    }

    async fn encoded(text: &str, indented: bool, gzip: bool) -> (Vec<u8>, bool) {
        let plain = Plain::Object(Bytes::from(text.to_owned()));
        let encoded = Encoding { indented, gzip }.apply(plain, &Room::new()).await.unwrap();
        let bytes = flat(&encoded.bytes.into_segments());
        if !encoded.is_gzip {
            return (bytes, false);
        }
        let mut inflated = Vec::new();
        GzDecoder::new(&*bytes).read_to_end(&mut inflated).unwrap();
        (inflated, true)
    }

    /// A compact object of that many bytes, with its line break.
    fn object(length: usize) -> String {
        format!("{{\"a\":\"{}\"}}\n", "x".repeat(length - 9))
    }

    #[tokio::test]
    async fn compresses_above_the_threshold_only() {
        for (length, expected) in [(131_072, false), (131_073, true)] {
            let text = object(length);
            assert_eq!(text.len(), length);
            assert_eq!(encoded(&text, false, true).await, (text.clone().into_bytes(), expected));
            assert!(!encoded(&text, false, false).await.1, "nobody asked");
        }
    }

    #[tokio::test]
    async fn the_indented_length_counts() {
        // Indented, five bytes come in and the line break goes.
        for (length, expected) in [(131_068, false), (131_069, true)] {
            let (bytes, is_gzip) = encoded(&object(length), true, true).await;
            assert_eq!((bytes.len(), is_gzip), (length + 4, expected), "{length}");
            assert!(bytes.starts_with(b"{\n  \"a\": \"x") && bytes.ends_with(b"\"\n}"));
        }
        // Short, but long when it is indented.
        let text = format!("[{}1]", "1,".repeat(30_000));
        assert!(encoded(&text, true, true).await.1);
        assert!(!encoded(&text, true, false).await.1);
    }
    fn free(room: &Room) -> bool {
        room.take(ROOM).is_ok()
    }

    #[tokio::test]
    async fn what_is_made_for_one_request_takes_room() {
        let room = Room::new();
        let apply = |length, indented, gzip| {
            let plain = Plain::Object(Bytes::from(object(length)));
            Encoding { indented, gzip }.apply(plain, &room)
        };
        for (indented, gzip) in [(true, false), (false, true), (true, true)] {
            // Noise would be needed for more: what compresses well is soon short.
            let length = if gzip { 32 << 20 } else { 1 << 20 };
            let mut made = apply(length, indented, gzip).await.unwrap();
            assert_eq!(made.is_gzip, gzip);
            let sent = made.bytes.split_to(10);
            drop(made);
            assert!(!free(&room), "while any byte of it is held");
            drop(sent);
            assert!(free(&room));
        }
        let all = room.take(ROOM).unwrap();
        let shared = apply(1 << 20, false, false).await.unwrap();
        assert_eq!(shared.bytes.len(), 1 << 20, "no copy, no room");
        assert!(apply(1 << 10, true, true).await.is_ok(), "short");
        assert!(!apply(1 << 20, false, true).await.unwrap().is_gzip, "as it is");
        for gzip in [true, false] {
            let refused = apply(1 << 20, true, gzip).await;
            assert!(matches!(refused, Err(NotEncoded::Full(_))), "{refused:?}");
        }
        drop(all);
        assert!(free(&room));
    }
}
