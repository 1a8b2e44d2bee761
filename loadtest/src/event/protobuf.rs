//! Finds an event's type and what the check needs of its object's metadata, in Protobuf.
//!
//! Field numbers: `generated.proto` of `k8s.io/apimachinery` `meta/v1` and `runtime`. Messages are
//! passed over by their lengths; nothing of `spec` and `status` is looked into.

use super::{
    BadEvent, INITIAL_END_ANNOTATION, MARK_ANNOTATION, Scanned,
    frames::LONGEST,
    list::{ListMetadata, Part},
};

const MAGIC: &[u8] = b"k8s\0";

type Scan<T> = Result<T, BadEvent>;

/// The fields of a message, in order.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Bytes(&'a [u8]),
    Number(u64),
    Fixed,
}

/// Of one event without its length.
///
/// # Errors
/// When the message has another shape as far as it is read.
pub fn event(frame: &[u8]) -> Scan<Scanned<'_>> {
    let (kind, object) = split(frame)?;
    let mut found = Scanned { kind, ..Scanned::default() };
    if kind != "ERROR" {
        let (metadata, _) = first(unwrap(object)?, 1)?;
        read_metadata(metadata, &mut found)?;
    }
    Ok(found)
}

/// Code and message of an event of type `ERROR`.
///
/// # Errors
/// When the message has another shape.
pub fn status(frame: &[u8]) -> Scan<(u16, String)> {
    let (_, object) = split(frame)?;
    let (mut code, mut message) = (0, String::new());
    let mut fields = Fields(unwrap(object)?);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (3, Value::Bytes(bytes)) => message = String::from_utf8_lossy(bytes).into_owned(),
            (6, Value::Number(number)) => code = u16::try_from(number).unwrap_or(0),
            _ => {}
        }
    }
    Ok((code, message))
}

/// Where in a list in Protobuf the reader is.
#[derive(Debug, Default)]
pub(super) struct ListPlace {
    begun: bool,
    /// Bytes of the list itself that are to come; `None` outside of it.
    inside: Option<u64>,
    /// Bytes of a field that are to be passed over.
    skip: u64,
}

impl ListPlace {
    pub(super) const fn within(&self) -> bool {
        self.skip > 0 || matches!(self.inside, Some(1..))
    }

    /// Reads what of `kept` is whole, and takes it away.
    pub(super) fn push(
        &mut self,
        kept: &mut Vec<u8>,
        items: bool,
        take: &mut impl FnMut(Part<'_>),
    ) -> Scan<()> {
        let mut rest = &kept[..];
        while let Some(read) = self.next(rest, items, take)? {
            rest = &rest[read..];
        }
        let read = kept.len() - rest.len();
        kept.drain(..read);
        Ok(())
    }

    /// Reads one field, or what there is of one that is not wanted; gives how long that was, and
    /// `None` if more must come before.
    fn next(
        &mut self,
        bytes: &[u8],
        items: bool,
        take: &mut impl FnMut(Part<'_>),
    ) -> Scan<Option<usize>> {
        if self.skip > 0 {
            let passed = self.skip.min(bytes.len() as u64);
            self.pass(passed)?;
            self.skip -= passed;
            return Ok((passed > 0).then_some(passed as usize));
        }
        if !self.begun {
            let Some(magic) = bytes.get(..MAGIC.len()) else { return Ok(None) };
            if magic != MAGIC {
                return Err(BadEvent::Shape("without k8s prefix"));
            }
            self.begun = true;
            return Ok(Some(MAGIC.len()));
        }
        // A key and a length have at most ten bytes each.
        let mut fields = Fields(bytes);
        let (key, length) = match (fields.varint(), fields.varint()) {
            (Ok(key), Ok(length)) => (key, length),
            _ if bytes.len() < 20 => return Ok(None),
            _ => return Err(BadEvent::Shape("no field of a list")),
        };
        if key & 7 != 2 {
            return Err(BadEvent::Shape("a field of a list without a length"));
        }
        let head = bytes.len() - fields.0.len();
        let inside = self.inside.is_some_and(|left| left > 0);
        match (inside, key >> 3) {
            (false, 2) => self.inside = Some(length),
            (true, number @ (1 | 2)) if number == 1 || items => {
                let length = usize::try_from(length).ok().filter(|it| *it <= LONGEST);
                let length = length.ok_or(BadEvent::TooLong)?;
                let Some(field) = fields.0.get(..length) else { return Ok(None) };
                take(list_part(number, field)?);
                self.pass((head + length) as u64)?;
                return Ok(Some(head + length));
            }
            _ => {
                self.pass(head as u64)?;
                self.skip = length;
            }
        }
        Ok(Some(head))
    }

    fn pass(&mut self, bytes: u64) -> Scan<()> {
        if let Some(left) = self.inside.as_mut().filter(|left| **left > 0) {
            let rest = left.checked_sub(bytes);
            *left = rest.ok_or(BadEvent::Shape("a field that is longer than its list"))?;
        }
        Ok(())
    }
}

fn list_part(number: u64, field: &[u8]) -> Scan<Part<'_>> {
    if number == 2 {
        let mut found = Scanned::default();
        read_metadata(first(field, 1)?.0, &mut found)?;
        return Ok(Part::Item(found));
    }
    let (mut metadata, mut fields) = (ListMetadata::default(), Fields(field));
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (2, Value::Bytes(bytes)) => text(bytes)?.clone_into(&mut metadata.revision),
            (3, Value::Bytes(bytes)) => text(bytes)?.clone_into(&mut metadata.token),
            _ => {}
        }
    }
    Ok(Part::Metadata(metadata))
}

fn split(frame: &[u8]) -> Scan<(&str, &[u8])> {
    let (mut kind, mut object) = ("", None);
    let mut fields = Fields(frame);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => kind = text(bytes)?,
            (2, Value::Bytes(extension)) => object = Some(first(extension, 1)?.0),
            _ => {}
        }
    }
    Ok((kind, object.ok_or(BadEvent::Shape("without an object"))?))
}

/// The object inside of `runtime.Unknown`.
fn unwrap(object: &[u8]) -> Scan<&[u8]> {
    let envelope = object.strip_prefix(MAGIC).ok_or(BadEvent::Shape("without k8s prefix"))?;
    Ok(first(envelope, 2)?.0)
}

/// The first field of this number that has bytes, and what follows it.
fn first(message: &[u8], wanted: u64) -> Scan<(&[u8], &[u8])> {
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        if let (true, Value::Bytes(bytes)) = (number == wanted, value) {
            return Ok((bytes, fields.0));
        }
    }
    Err(BadEvent::Shape("a field is missing"))
}

fn read_metadata<'a>(metadata: &'a [u8], found: &mut Scanned<'a>) -> Scan<()> {
    let mut fields = Fields(metadata);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (6, Value::Bytes(bytes)) => found.revision = text(bytes)?,
            (12, Value::Bytes(entry)) => {
                let key = text(first(entry, 1)?.0)?;
                if key == MARK_ANNOTATION {
                    found.mark = Some(text(first(entry, 2)?.0)?);
                } else if key == INITIAL_END_ANNOTATION {
                    found.initial_end = first(entry, 2)?.0 == b"true";
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Scan<&str> {
    std::str::from_utf8(bytes).map_err(|_| BadEvent::Shape("no UTF-8"))
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn next(&mut self) -> Scan<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                let length =
                    usize::try_from(length).map_err(|_| BadEvent::Shape("a long field"))?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(BadEvent::Shape("an unknown wire type")),
        };
        Ok(Some((key >> 3, value)))
    }

    fn take(&mut self, length: usize) -> Scan<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BadEvent::Shape("ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Scan<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(BadEvent::Shape("ends early"))?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BadEvent::Shape("a long number"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::list::ListReader, *};

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(bytes);
        out
    }

    fn object(raw: &[u8]) -> Vec<u8> {
        [MAGIC, &field(1, b"meta"), &field(2, raw)].concat()
    }

    #[test]
    fn reads_events() {
        let annotation = [field(1, MARK_ANNOTATION.as_bytes()), field(2, b"r/1/2")].concat();
        let metadata = [field(1, b"name"), field(6, b"7"), field(12, &annotation)].concat();
        let pod = [field(1, &metadata), field(2, &[9; 300])].concat();
        let frame = [field(1, b"ADDED"), field(2, &field(1, &object(&pod)))].concat();
        let expected =
            Scanned { kind: "ADDED", revision: "7", mark: Some("r/1/2"), initial_end: false };
        assert_eq!(event(&frame).unwrap(), expected);
        for cut in 0..frame.len() {
            assert!(event(&frame[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn reads_errors_and_lists() {
        let gone = [field(3, b"too old"), vec![6 << 3, 0x9a, 0x03]].concat();
        let frame = [field(1, b"ERROR"), field(2, &field(1, &object(&gone)))].concat();
        assert_eq!(status(&frame).unwrap(), (410, "too old".to_owned()));
    }

    #[test]
    fn reads_lists_however_they_arrive() {
        let annotation = [field(1, MARK_ANNOTATION.as_bytes()), field(2, b"r/1/2")].concat();
        let item = [field(1, b"name"), field(6, b"7"), field(12, &annotation)].concat();
        let item = [field(1, &item), field(2, &[9; 300])].concat();
        let metadata = [field(2, b"9"), field(3, b"abc")].concat();
        let raw = [field(1, &metadata), field(2, &item), field(2, &item)].concat();
        let list = [object(&raw), field(3, b""), field(4, b"x")].concat();
        for (size, items) in [(1, true), (2, false), (7, true), (100, false), (5000, true)] {
            let mut reader = ListReader::new(true, items);
            let (mut marks, mut found) = (Vec::new(), ListMetadata::default());
            for chunk in list.chunks(size) {
                let take = |part: Part<'_>| match part {
                    Part::Item(item) => marks.push(item.mark.map(ToOwned::to_owned)),
                    Part::Metadata(metadata) => found = metadata,
                };
                reader.push(chunk, take).unwrap();
            }
            assert!(!reader.within(), "{size}");
            assert_eq!((found.revision.as_str(), found.token.as_str()), ("9", "abc"));
            let mark = Some("r/1/2".to_owned());
            assert_eq!(marks, vec![mark; if items { 2 } else { 0 }]);
            let mut cut = ListReader::new(true, items);
            cut.push(&list[..80], |_| {}).unwrap();
            assert!(cut.within());
        }
        assert!(ListReader::new(true, true).push(b"{\"a\":1}", |_| {}).is_err());
    }
}
