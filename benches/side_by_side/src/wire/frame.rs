//! Frames as they arrive, cut anywhere.
//!
//! DATA passes through in slices; all other frames are small and are put together first. Padding and pushes, which no
//! server here uses, are errors.

use anyhow::{Result, bail, ensure};

use super::request;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PUSH_PROMISE: u8 = 0x5;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const HEAD: usize = 9;
/// Our SETTINGS leave the default.
const LARGEST_FRAME: usize = 16_384;

/// What the head of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Other,
}

/// Takes what arrives.
pub(crate) trait Sink {
    /// An answer begins. Trailers count as [`Status::Other`] only if they begin with a status.
    fn head(&mut self, stream: u32, status: Status);
    /// A part of a body.
    fn data(&mut self, stream: u32, bytes: &[u8]);
    /// A stream has ended: `reset` is the code of RST_STREAM.
    fn end(&mut self, stream: u32, reset: Option<u32>);
}

/// The reading side of a connection.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    /// Of a head, or of a whole frame that is no DATA.
    partial: Vec<u8>,
    /// A DATA frame under way: its stream, what is missing, and whether it is the last.
    data: Option<(u32, usize, bool)>,
    /// Bytes of DATA since the connection's window was last given back.
    pub(crate) owed: u32,
    /// To be sent: acknowledgements.
    pub(crate) replies: Vec<u8>,
}

// === impl FrameReader ===

impl FrameReader {
    pub(crate) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<()> {
        while !bytes.is_empty() {
            if let Some((stream, missing, last)) = self.data {
                let part = &bytes[..missing.min(bytes.len())];
                bytes = &bytes[part.len()..];
                self.owed += part.len() as u32;
                sink.data(stream, part);
                self.data = (part.len() < missing).then_some((stream, missing - part.len(), last));
                if self.data.is_none() && last {
                    sink.end(stream, None);
                }
                continue;
            }
            let wanted = match self.partial.get(..3) {
                Some(length) if self.partial.len() >= HEAD => HEAD + length_of(length),
                _ => HEAD,
            };
            let part = &bytes[..(wanted - self.partial.len()).min(bytes.len())];
            bytes = &bytes[part.len()..];
            self.partial.extend_from_slice(part);
            self.advance(sink)?;
        }
        Ok(())
    }

    /// Acts on a head or a whole frame, once there is one.
    fn advance(&mut self, sink: &mut impl Sink) -> Result<()> {
        if self.partial.len() < HEAD {
            return Ok(());
        }
        let (length, kind, flags) = (length_of(&self.partial), self.partial[3], self.partial[4]);
        let stream = number(&self.partial[5..9]) & 0x7FFF_FFFF;
        ensure!(length <= LARGEST_FRAME, "a frame of {length} bytes, though 16,384 are allowed");
        ensure!(
            !matches!(kind, DATA | HEADERS) || flags & PADDED == 0,
            "a padded frame, which this client does not read"
        );
        if kind == DATA {
            self.partial.clear();
            let last = flags & END_STREAM != 0;
            if length == 0 && last {
                sink.end(stream, None);
            }
            self.data = (length > 0).then_some((stream, length, last));
            return Ok(());
        }
        if self.partial.len() < HEAD + length {
            return Ok(());
        }
        let payload = &self.partial[HEAD..];
        match kind {
            HEADERS => {
                let skipped = if flags & PRIORITY == 0 { 0 } else { 5 };
                sink.head(stream, status(payload.get(skipped..).unwrap_or_default()));
                if flags & END_STREAM != 0 {
                    sink.end(stream, None);
                }
            }
            RST_STREAM => sink.end(stream, Some(payload.get(..4).map_or(0, number))),
            SETTINGS if flags & ACK == 0 => request::settings_ack(&mut self.replies),
            PING if flags & ACK == 0 => request::ping_ack(payload, &mut self.replies),
            GOAWAY => {
                let reason = String::from_utf8_lossy(payload.get(8..).unwrap_or_default());
                bail!(
                    "the server ends the connection: code {}, {reason:?}",
                    payload.get(4..8).map_or(0, number)
                );
            }
            PUSH_PROMISE => bail!("a push, which was refused in the settings"),
            // Windows for what we send concern requests with bodies, which are not sent here.
            _ => {}
        }
        self.partial.clear();
        if self.partial.capacity() > 256 {
            self.partial = Vec::new();
        }
        Ok(())
    }
}

fn length_of(head: &[u8]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, &byte| number << 8 | u32::from(byte))
}

/// `:status: 200` is entry 8 of the static table, and the status comes before all other fields; only changes of the dynamic
/// table's size may stand before it.
fn status(block: &[u8]) -> Status {
    let mut rest = block;
    while let [size @ 0x20..=0x3F, tail @ ..] = rest {
        // A size of 31 and more goes on in further bytes, the last of which is below 128.
        let further = match size {
            0x3F => tail.iter().take_while(|byte| **byte >= 128).count() + 1,
            _ => 0,
        };
        rest = tail.get(further..).unwrap_or_default();
    }
    if rest.first() == Some(&0x88) { Status::Ok } else { Status::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Seen(Vec<String>);

    impl Sink for Seen {
        fn head(&mut self, stream: u32, status: Status) {
            self.0.push(format!("head {stream} {status:?}"));
        }
        fn data(&mut self, stream: u32, bytes: &[u8]) {
            let text = String::from_utf8_lossy(bytes);
            match self.0.last_mut() {
                Some(last) if last.starts_with(&format!("data {stream} ")) => last.push_str(&text),
                _ => self.0.push(format!("data {stream} {text}")),
            }
        }
        fn end(&mut self, stream: u32, reset: Option<u32>) {
            self.0.push(format!("end {stream} {reset:?}"));
        }
    }

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn frames_are_read_wherever_they_are_cut() {
        let bytes = [
            frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
            frame(HEADERS, 4, 1, &[0x3F, 0xE1, 0x1F, 0x88, 0x61]),
            frame(DATA, 0, 1, b"one, "),
            frame(PING, 0, 0, b"12345678"),
            frame(HEADERS, 4, 3, &[0x8D]),
            frame(DATA, END_STREAM, 1, b"two"),
            frame(RST_STREAM, 0, 3, &[0, 0, 0, 8]),
            frame(DATA, END_STREAM, 5, b""),
        ]
        .concat();
        let expected = [
            "head 1 Ok",
            "data 1 one, ",
            "head 3 Other",
            "data 1 two",
            "end 1 None",
            "end 3 Some(8)",
            "end 5 None",
        ];
        for size in 1..bytes.len() {
            let (mut reader, mut seen) = (FrameReader::default(), Seen::default());
            for part in bytes.chunks(size) {
                reader.feed(part, &mut seen).unwrap();
            }
            assert_eq!(seen.0, expected, "in parts of {size}");
            assert_eq!(reader.replies.len(), 9 + 17);
        }
    }

    #[test]
    fn the_end_of_a_connection_and_padding_are_errors() {
        let mut seen = Seen::default();
        let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11, b'c', b'a', b'l', b'm']);
        let error = FrameReader::default().feed(&goaway, &mut seen).unwrap_err().to_string();
        assert!(error.contains("code 11") && error.contains("calm"), "{error}");
        assert!(FrameReader::default().feed(&frame(DATA, PADDED, 1, b"x"), &mut seen).is_err());
    }
}
