//! Requests as HTTP/2 frames (RFC 9113, RFC 7541).
//!
//! What all requests of a connection have in common goes into the dynamic table with the first of them and is one byte each
//! from then on, as with Go's client; the path is sent as it is.

const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// The first index of the dynamic table.
const DYNAMIC: u64 = 62;
/// client-go's (golang.org/x/net/http2) receive windows.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 1 << 30;

/// What is asked on a connection apart from the path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ask {
    /// `Accept`.
    pub(crate) accept: &'static str,
    /// `Accept-Encoding: gzip`, or none.
    pub(crate) gzip: bool,
}

impl Ask {
    pub(crate) const JSON: Self = Self { accept: "application/json", gzip: false };
    pub(crate) const PROTOBUF: Self =
        Self { accept: "application/vnd.kubernetes.protobuf", gzip: false };
}

/// Writes the requests of one connection.
#[derive(Debug)]
pub(crate) struct RequestWriter {
    common: Vec<(&'static str, String)>,
    sent: bool,
}

// === impl RequestWriter ===

impl RequestWriter {
    pub(crate) fn new(ask: &Ask, authority: &str, token: Option<&str>) -> Self {
        let mut common = vec![
            (":authority", authority.to_owned()),
            ("accept", ask.accept.to_owned()),
            ("user-agent", "watchgate-side-by-side".to_owned()),
        ];
        common.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
        common.extend(ask.gzip.then(|| ("accept-encoding", "gzip".to_owned())));
        Self { common, sent: false }
    }

    /// Appends a complete GET.
    pub(crate) fn get(&mut self, stream: u32, path: &str, out: &mut Vec<u8>) {
        // `:method GET` and `:scheme https` stand in the static table.
        let mut block = vec![0x82, 0x87];
        integer(0x00, 4, 4, &mut block);
        string(path, &mut block);
        for (position, (name, value)) in self.common.iter().enumerate() {
            if self.sent {
                let newer = self.common.len() - 1 - position;
                integer(0x80, 7, DYNAMIC + newer as u64, &mut block);
            } else {
                block.push(0x40);
                string(name, &mut block);
                string(value, &mut block);
            }
        }
        self.sent = true;
        head(block.len(), HEADERS, END_STREAM | END_HEADERS, stream, out);
        out.extend_from_slice(&block);
    }
}

/// The first bytes of a connection.
pub(crate) fn preface(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let settings: [(u16, u32); 3] = [(0x2, 0), (0x4, STREAM_WINDOW), (0x6, 10 << 20)];
    head(settings.len() * 6, SETTINGS, 0, 0, out);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
    window_update(0, CONNECTION_WINDOW, out);
}

pub(crate) fn window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    head(4, WINDOW_UPDATE, 0, stream, out);
    out.extend_from_slice(&increment.to_be_bytes());
}

pub(crate) fn settings_ack(out: &mut Vec<u8>) {
    head(0, SETTINGS, ACK, 0, out);
}

pub(crate) fn ping_ack(payload: &[u8], out: &mut Vec<u8>) {
    head(payload.len(), PING, ACK, 0, out);
    out.extend_from_slice(payload);
}

fn head(length: usize, kind: u8, flags: u8, stream: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// RFC 7541 §5.1.
fn integer(pattern: u8, prefix: u32, value: u64, out: &mut Vec<u8>) {
    let most = (1_u64 << prefix) - 1;
    if value < most {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// RFC 7541 §5.2, without Huffman code.
fn string(text: &str, out: &mut Vec<u8>) {
    integer(0x00, 7, text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_as_in_the_examples_of_the_standard() {
        let encoded = |prefix, value| {
            let mut out = Vec::new();
            integer(0, prefix, value, &mut out);
            out
        };
        assert_eq!(encoded(5, 10), [10]);
        assert_eq!(encoded(5, 1337), [31, 154, 10]);
        assert_eq!(encoded(8, 42), [42]);
    }

    #[test]
    fn the_second_request_refers_to_the_first() {
        let mut writer =
            RequestWriter::new(&Ask { gzip: true, ..Ask::JSON }, "localhost:1", Some("secret"));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        writer.get(1, "/a", &mut first);
        writer.get(3, "/a", &mut second);
        let block = [
            0x82,
            0x87,
            0x04,
            2,
            b'/',
            b'a',
            0x80 | 66,
            0x80 | 65,
            0x80 | 64,
            0x80 | 63,
            0x80 | 62,
        ];
        assert_eq!(second[..9], [0, 0, block.len() as u8, HEADERS, 5, 0, 0, 0, 3]);
        assert_eq!(second[9..], block);
        assert!(first.len() > 100);
    }
}
