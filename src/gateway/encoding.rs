//! How the bytes of an answer become its body: indented for readers, compressed when large.
//!
//! The order and the rules are upstream's (semantics §6.3, §6.4): first the indentation, then gzip if
//! what came out is longer than [`COMPRESSED_ABOVE`]. Whatever takes longer than a fraction of a
//! millisecond is done on a thread that serves no connections. Watches do not come here.

use bytes::Bytes;
use tracing::warn;

use crate::codec::{
    gzip,
    indent::{TooLong, indent},
    segments::Segments,
};

use super::list::List;

/// The API server compresses answers above this many bytes.
pub(super) const COMPRESSED_ABOVE: usize = 131_072;

/// Compact bodies up to this length are indented where they are asked for: about 50 µs.
const INDENTED_HERE: usize = 64 << 10;

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
    pub(super) bytes: Segments,
    pub(super) is_gzip: bool,
}

// === impl Encoding ===

impl Encoding {
    /// The body in this encoding.
    ///
    /// # Errors
    /// Indented it would be too long to be kept.
    pub(super) async fn apply(self, plain: Plain) -> Result<Encoded, TooLong> {
        if self.indented {
            return self.indented(plain).await;
        }
        if !self.gzip || plain.length() <= COMPRESSED_ABOVE {
            return Ok(Encoded { bytes: plain.into_segments(), is_gzip: false });
        }
        if let Plain::List(list) = &plain
            && let Some(bytes) = list.compressed_before()
        {
            return Ok(Encoded { bytes, is_gzip: true });
        }
        let kept = plain.clone();
        Ok(match tokio::task::spawn_blocking(move || plain.compressed()).await {
            Ok(bytes) => Encoded { bytes, is_gzip: true },
            Err(error) => {
                warn!(%error, "an answer could not be compressed");
                Encoded { bytes: kept.into_segments(), is_gzip: false }
            }
        })
    }

    async fn indented(self, plain: Plain) -> Result<Encoded, TooLong> {
        if plain.length() <= INDENTED_HERE {
            let bytes = indent(&plain.into_segments())?;
            if !self.compresses(&bytes) {
                return Ok(Encoded { bytes, is_gzip: false });
            }
            return self.aside(move || Ok(bytes)).await;
        }
        self.aside(move || indent(&plain.into_segments())).await
    }

    /// Makes the body on another thread, and compresses it there if it is to be.
    async fn aside(
        self,
        make: impl FnOnce() -> Result<Segments, TooLong> + Send + 'static,
    ) -> Result<Encoded, TooLong> {
        let work = move || {
            let bytes = make()?;
            let is_gzip = self.compresses(&bytes);
            let bytes = if is_gzip { gzip::compress(&bytes) } else { bytes };
            Ok(Encoded { bytes, is_gzip })
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            warn!(%error, "an answer could not be indented");
            Err(TooLong)
        })
    }

    fn compresses(self, bytes: &Segments) -> bool {
        self.gzip && bytes.len() > COMPRESSED_ABOVE
    }
}

// === impl Plain ===

impl Plain {
    fn length(&self) -> usize {
        match self {
            Self::Object(bytes) => bytes.len(),
            Self::List(list) => list.length(),
        }
    }

    fn into_segments(self) -> Segments {
        match self {
            Self::Object(bytes) => bytes.into(),
            Self::List(list) => list.plain(),
        }
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

    use super::*;

    fn flat(segments: &Segments) -> Vec<u8> {
        segments.iter().flat_map(|segment| segment.to_vec()).collect()
    }

    async fn encoded(text: &str, indented: bool, gzip: bool) -> (Vec<u8>, bool) {
        let plain = Plain::Object(Bytes::from(text.to_owned()));
        let encoded = Encoding { indented, gzip }.apply(plain).await.unwrap();
        let bytes = flat(&encoded.bytes);
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
}
