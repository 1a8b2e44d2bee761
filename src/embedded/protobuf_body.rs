//! Reads request bodies in Kubernetes' protobuf into the JSON that Go would write of them.
//!
//! Clients that kubectl and controllers are built of send built-in kinds as protobuf without trying
//! JSON. Nothing is dropped: a field that [`super::protobuf_schema`] does not have makes the body
//! unreadable. What Go writes as `null`, such as an empty list without `omitempty`, is left out.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, map::Entry};

use super::{
    definition::Fields,
    nesting::MAX_DEPTH,
    protobuf_schema::{Field, Message, Schema, Shape, Usage},
    protobuf_wire::{Malformed, Reader, Wire},
    timestamp,
};

/// A body that is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnreadableProtobuf {
    /// It does not begin as Kubernetes' protobuf does, ends too early, or has a value that the
    /// field cannot have.
    #[error("the body is not Kubernetes protobuf")]
    Malformed,
    /// The kind is none of those that are read.
    #[error(
        "the embedded store does not know {kind} of {api_version:?} in protobuf; send JSON or \
         YAML, for instance with kubectl create --dry-run=client -o yaml | kubectl apply -f -"
    )]
    Kind {
        /// The version that the body names.
        api_version: String,
        /// The kind that the body names.
        kind: String,
    },
    /// A field that is not known.
    #[error("field number {number} of {message} is not known to the embedded store; send JSON")]
    Field {
        /// The unknown number.
        number: u32,
        /// The message that has it.
        message: String,
    },
    /// Messages in messages without end.
    #[error("the object is nested too deeply")]
    TooDeep,
}

impl From<Malformed> for UnreadableProtobuf {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

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
                        _ => return Err(UnreadableProtobuf::Malformed),
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = Some(bytes),
            _ => {}
        }
    }
    let schema = Schema::built_in();
    let message = schema.of_kind(api_version, kind).ok_or_else(|| UnreadableProtobuf::Kind {
        api_version: api_version.into(),
        kind: kind.into(),
    })?;
    let mut fields = Fields::new();
    let decoder = Decoder { schema, levels: MAX_DEPTH };
    decoder.message(raw.ok_or(Malformed)?, message, &mut fields)?;
    fields.insert("apiVersion".into(), api_version.into());
    fields.insert("kind".into(), kind.into());
    Ok(fields)
}

/// Walks messages as the schema says.
#[derive(Clone, Copy)]
struct Decoder {
    schema: &'static Schema,
    /// How many more messages there may be inside of each other.
    levels: usize,
}

// === impl Decoder ===

impl Decoder {
    fn message(
        self,
        bytes: &[u8],
        message: &Message,
        fields: &mut Fields,
    ) -> Result<(), UnreadableProtobuf> {
        let mut reader = Reader(bytes);
        while let Some((number, wire)) = reader.next()? {
            let Some(field) = message.fields.iter().find(|field| field.number == number) else {
                return Err(UnreadableProtobuf::Field { number, message: message.name.into() });
            };
            self.field(field, wire, fields)?;
        }
        Ok(())
    }

    fn field(
        self,
        field: &Field,
        wire: Wire<'_>,
        fields: &mut Fields,
    ) -> Result<(), UnreadableProtobuf> {
        match field.usage {
            Usage::Once | Usage::Keep => {
                let value = self.value(field.shape, wire)?;
                let absent = value.is_null() || field.usage == Usage::Once && is_zero(&value);
                if !absent {
                    fields.insert(field.name.to_owned(), value);
                }
            }
            Usage::Repeated => {
                let items = present(fields, field.name, Value::Array(Vec::new()));
                let Value::Array(items) = items else { return Err(Malformed.into()) };
                match (field.shape, wire) {
                    (Shape::Integer, Wire::Bytes(packed)) => {
                        let mut packed = Reader(packed);
                        while !packed.0.is_empty() {
                            items.push(packed.varint()?.cast_signed().into());
                        }
                    }
                    (shape, wire) => items.push(self.value(shape, wire)?),
                }
            }
            Usage::Map => {
                let (key, value) = self.pair(field.shape, wire.bytes()?)?;
                let map = present(fields, field.name, Value::Object(Fields::new()));
                let Value::Object(map) = map else { return Err(Malformed.into()) };
                map.insert(key.to_owned(), value);
            }
            Usage::Inline => {
                let Shape::Message(index) = field.shape else { return Err(Malformed.into()) };
                self.deeper()?.message(wire.bytes()?, self.schema.message(index), fields)?;
            }
        }
        Ok(())
    }

    /// An entry of a map. Go writes both parts of it always.
    fn pair(self, shape: Shape, bytes: &[u8]) -> Result<(&str, Value), UnreadableProtobuf> {
        let (mut key, mut value) = ("", None);
        let mut reader = Reader(bytes);
        while let Some((number, wire)) = reader.next()? {
            match number {
                1 => key = wire.text()?,
                2 => value = Some(self.value(shape, wire)?),
                _ => return Err(UnreadableProtobuf::Malformed),
            }
        }
        match value {
            Some(value) => Ok((key, value)),
            // Other writers leave an empty value out; an empty scalar or message is no bytes.
            None => Ok((key, self.value(shape, Wire::Bytes(b""))?)),
        }
    }

    fn value(self, shape: Shape, wire: Wire<'_>) -> Result<Value, UnreadableProtobuf> {
        Ok(match shape {
            Shape::Text => wire.text()?.into(),
            Shape::Bool => (wire.integer()? != 0).into(),
            Shape::Integer => wire.integer()?.into(),
            Shape::Double => number(wire.double()?),
            Shape::Bytes => STANDARD.encode(wire.bytes()?).into(),
            Shape::Json => match wire.bytes()? {
                [] => Value::Null,
                text => serde_json::from_slice(text).map_err(|_| Malformed)?,
            },
            Shape::Time => time(wire.bytes()?, false)?,
            Shape::MicroTime => time(wire.bytes()?, true)?,
            Shape::IntOrString => int_or_string(wire.bytes()?)?,
            Shape::Message(index) => {
                let message = self.schema.message(index);
                let mut fields = Fields::new();
                self.deeper()?.message(wire.bytes()?, message, &mut fields)?;
                if message.choice {
                    let mut names = message.fields.iter().map(|field| field.name);
                    names.find_map(|name| fields.remove(name)).unwrap_or_default()
                } else {
                    Value::Object(fields)
                }
            }
        })
    }

    fn deeper(self) -> Result<Self, UnreadableProtobuf> {
        let levels = self.levels.checked_sub(1).ok_or(UnreadableProtobuf::TooDeep)?;
        Ok(Self { levels, ..self })
    }
}

/// The list or map of this name, which begins as `empty`.
fn present<'f>(fields: &'f mut Fields, name: &str, empty: Value) -> &'f mut Value {
    match fields.entry(name) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(empty),
    }
}

/// What Go's `omitempty` and `omitzero` leave out.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// A number as Go writes it: without a fraction where there is none.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is in range")]
        let whole = value as i64;
        return whole.into();
    }
    value.into()
}

/// A time; the zero time is an empty message.
fn time(bytes: &[u8], micros: bool) -> Result<Value, Malformed> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => seconds = wire.integer()?,
            2 => nanos = wire.integer()?,
            _ => return Err(Malformed),
        }
    }
    // From 1970 until the last day that RFC 3339 can write.
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds < 253_402_300_800);
    let text = timestamp::format(seconds.ok_or(Malformed)?);
    Ok(if micros {
        format!("{}.{:06}Z", text.trim_end_matches('Z'), nanos.clamp(0, 999_999_999) / 1000).into()
    } else {
        text.into()
    })
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Malformed> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    let mut reader = Reader(bytes);
    while let Some((field, wire)) = reader.next()? {
        match field {
            1 => is_text = wire.integer()? == 1,
            2 => number = wire.integer()?,
            3 => text = wire.text()?,
            _ => return Err(Malformed),
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

#[cfg(test)]
mod tests;
