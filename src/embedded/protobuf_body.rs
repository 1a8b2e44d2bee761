//! Reads request bodies in Kubernetes' protobuf, for the kinds of [`super::protobuf_fields`].
//!
//! Clients that kubectl and controllers are built of send protobuf without trying JSON. Nothing is
//! dropped: a field that the table does not have makes the body unreadable.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    definition::Fields,
    protobuf_fields::{Field, Kind, of_kind},
    timestamp,
};

/// A body that is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnreadableProtobuf {
    /// It does not begin as Kubernetes' protobuf does, or ends too early.
    #[error("the body is not Kubernetes protobuf")]
    Malformed,
    /// The kind is none of those that are read.
    #[error(
        "the embedded store reads protobuf of a few small kinds only, not of {0}; send JSON or \
         YAML, for instance with kubectl create --dry-run=client -o yaml | kubectl apply -f -"
    )]
    Kind(String),
    /// A field that is not known.
    #[error("field number {number} of {message} is not known to the embedded store; send JSON")]
    Field {
        /// The unknown number.
        number: u32,
        /// The field or kind that has it.
        message: String,
    },
}

use UnreadableProtobuf::Malformed;

/// Reads a whole body, envelope included.
pub(super) fn read(body: &[u8]) -> Result<Fields, UnreadableProtobuf> {
    let mut envelope = Reader(body.strip_prefix(b"k8s\0").ok_or(Malformed)?);
    let (mut api_version, mut kind, mut raw) = ("", "", None);
    while let Some((number, wire)) = envelope.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                let mut types = Reader(bytes);
                while let Some((number, wire)) = types.next()? {
                    match number {
                        1 => api_version = wire.text()?,
                        2 => kind = wire.text()?,
                        _ => return Err(Malformed),
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = Some(bytes),
            _ => {}
        }
    }
    let table = of_kind(api_version, kind).ok_or_else(|| UnreadableProtobuf::Kind(kind.into()))?;
    let mut fields = message(raw.ok_or(Malformed)?, table, kind)?;
    fields.insert("apiVersion".into(), api_version.into());
    fields.insert("kind".into(), kind.into());
    Ok(fields)
}

fn message(bytes: &[u8], table: &[Field], name: &str) -> Result<Fields, UnreadableProtobuf> {
    let mut fields = Fields::new();
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        let Some(field) = table.iter().find(|field| field.number == number) else {
            return Err(UnreadableProtobuf::Field { number, message: name.to_owned() });
        };
        read_field(field, wire, &mut fields)?;
    }
    Ok(fields)
}

fn read_field(
    field: &Field,
    wire: Wire<'_>,
    fields: &mut Fields,
) -> Result<(), UnreadableProtobuf> {
    let value = match field.kind {
        Kind::Text => Some(wire.text()?).filter(|text| !text.is_empty()).map(Value::from),
        Kind::OptionalText => Some(wire.text()?.into()),
        Kind::Integer => Some(wire.integer()?).filter(|number| *number != 0).map(Value::from),
        Kind::OptionalInteger => Some(wire.integer()?.into()),
        Kind::Bool => (wire.integer()? != 0).then_some(Value::Bool(true)),
        Kind::OptionalBool => Some((wire.integer()? != 0).into()),
        Kind::Time => time(wire, false)?,
        Kind::MicroTime => time(wire, true)?,
        Kind::Message(table) => Some(message(wire.bytes()?, table, field.name)?)
            .filter(|fields| !fields.is_empty())
            .map(Value::Object),
        Kind::Texts | Kind::Messages(_) => {
            let item = match field.kind {
                Kind::Messages(table) => Value::Object(message(wire.bytes()?, table, field.name)?),
                _ => wire.text()?.into(),
            };
            if let Value::Array(items) = entry(fields, field, Value::Array(Vec::new())) {
                items.push(item);
            }
            return Ok(());
        }
        Kind::TextMap | Kind::BytesMap => {
            let (key, value) = pair(wire.bytes()?)?;
            let value = match field.kind {
                Kind::BytesMap => STANDARD.encode(value),
                _ => std::str::from_utf8(value).map_err(|_| Malformed)?.to_owned(),
            };
            if let Value::Object(map) = entry(fields, field, Value::Object(Fields::new())) {
                map.insert(key.to_owned(), value.into());
            }
            return Ok(());
        }
    };
    if let Some(value) = value {
        fields.insert(field.name.to_owned(), value);
    }
    Ok(())
}

fn entry<'f>(fields: &'f mut Fields, field: &Field, empty: Value) -> &'f mut Value {
    fields.entry(field.name).or_insert(empty)
}

/// An entry of a map.
fn pair(bytes: &[u8]) -> Result<(&str, &[u8]), UnreadableProtobuf> {
    let (mut key, mut value) = ("", &b""[..]);
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => key = wire.text()?,
            2 => value = wire.bytes()?,
            _ => return Err(Malformed),
        }
    }
    Ok((key, value))
}

/// A time; the zero time is an empty message and absent.
fn time(wire: Wire<'_>, micros: bool) -> Result<Option<Value>, UnreadableProtobuf> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader(wire.bytes()?);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => seconds = wire.integer()?,
            2 => nanos = wire.integer()?,
            _ => return Err(Malformed),
        }
    }
    let Some(seconds) = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0) else {
        return Ok(None);
    };
    let text = timestamp::format(seconds);
    Ok(Some(if micros {
        format!("{}.{:06}Z", text.trim_end_matches('Z'), nanos.clamp(0, 999_999_999) / 1000).into()
    } else {
        text.into()
    }))
}

enum Wire<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

struct Reader<'b>(&'b [u8]);

// === impl Wire ===

impl<'b> Wire<'b> {
    fn bytes(self) -> Result<&'b [u8], UnreadableProtobuf> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(Malformed),
        }
    }

    fn text(self) -> Result<&'b str, UnreadableProtobuf> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    fn integer(self) -> Result<i64, UnreadableProtobuf> {
        match self {
            // Negative numbers are written as their two's complement.
            Self::Number(number) => Ok(number.cast_signed()),
            Self::Bytes(_) => Err(Malformed),
        }
    }
}

// === impl Reader ===

impl<'b> Reader<'b> {
    /// The next field's number and value.
    fn next(&mut self) -> Result<Option<(u32, Wire<'b>)>, UnreadableProtobuf> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            _ => return Err(Malformed),
        };
        Ok(Some((number, wire)))
    }

    fn varint(&mut self) -> Result<u64, UnreadableProtobuf> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A length-delimited field, shorter than 128 bytes.
    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), bytes(1, &types), bytes(2, raw), vec![0x1a, 0, 0x22, 0]].concat()
    }

    #[test]
    fn reads_a_config_map_as_go_writes_it() {
        let metadata = [
            bytes(1, b"x"),
            bytes(2, b""),
            bytes(3, b"n"),
            bytes(8, b""),
            bytes(11, &[bytes(1, b"a"), bytes(2, b"b")].concat()),
        ]
        .concat();
        let data = [bytes(1, b"k"), bytes(2, b"v")].concat();
        let raw = [bytes(1, &metadata), bytes(2, &data), vec![0x20, 0]].concat();
        assert_eq!(
            Value::Object(read(&body("v1", "ConfigMap", &raw)).unwrap()),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": false,
                   "metadata": {"name": "x", "namespace": "n", "labels": {"a": "b"}},
                   "data": {"k": "v"}})
        );
    }

    #[test]
    fn refuses_rather_than_drops() {
        let unknown = read(&body("v1", "ConfigMap", &bytes(9, b"")));
        let message = "ConfigMap".to_owned();
        assert_eq!(unknown, Err(UnreadableProtobuf::Field { number: 9, message }));
        let kind = read(&body("apps/v1", "Deployment", b""));
        assert_eq!(kind, Err(UnreadableProtobuf::Kind("Deployment".into())));
        assert_eq!(read(b"{}"), Err(Malformed));
        let whole = body("v1", "Namespace", &bytes(1, &bytes(1, b"x")));
        for end in 0..whole.len() - 4 {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
    }
}
