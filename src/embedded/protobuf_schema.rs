//! The protobuf form of the built-in kinds: which field has which number, shape and JSON name.
//!
//! The table is `protobuf_schema.txt`, which `tools/protobuf-schema` makes from the Go types of a
//! Kubernetes release. Its lines are:
//!
//! - `kind APIVERSION KIND MESSAGE`: the message of a kind; `*` is any version;
//! - `message NAME`, or `choice NAME` for a message whose JSON is the value of the first of its
//!   fields that is present;
//! - `  NUMBER NAME SHAPE [USE]`: a field of the message above, where `@NAME` is the shape of
//!   another message, and the name is `-` for a field whose own fields stand in its place.

use std::{collections::HashMap, sync::LazyLock};

/// All messages that are known.
#[derive(Debug)]
pub(super) struct Schema {
    kinds: HashMap<(&'static str, &'static str), usize>,
    messages: Vec<Message>,
}

/// One message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    /// Whether JSON has the value of the first present field in the place of the message.
    pub(super) choice: bool,
    pub(super) fields: Vec<Field>,
}

/// One field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) usage: Usage,
}

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text.
    Text,
    /// A boolean.
    Bool,
    /// A whole number.
    Integer,
    /// A floating-point number.
    Double,
    /// Bytes, which are Base64 in JSON.
    Bytes,
    /// Bytes that are JSON themselves.
    Json,
    /// A time in seconds.
    Time,
    /// A time in microseconds.
    MicroTime,
    /// Either a number or a text.
    IntOrString,
    /// The message of this index.
    Message(usize),
}

/// How a field stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// Once; a zero or empty value is absent in JSON.
    Once,
    /// Once; a zero or empty value is meant.
    Keep,
    /// As a list.
    Repeated,
    /// As a map from text.
    Map,
    /// As a message whose fields belong to the one around it.
    Inline,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::parse(include_str!("protobuf_schema.txt"))
        .expect("the table is a part of the program, and a test parses it")
});

// === impl Schema ===

impl Schema {
    /// The table of the program, parsed at its first use.
    pub(super) fn built_in() -> &'static Self {
        &SCHEMA
    }

    /// The message of a kind.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        let index =
            self.kinds.get(&(api_version, kind)).or_else(|| self.kinds.get(&("*", kind)))?;
        self.messages.get(*index)
    }

    /// The message a shape refers to.
    pub(super) fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    /// Reads a table; the error is the line that cannot be understood.
    fn parse(text: &'static str) -> Result<Self, &'static str> {
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        let mut indices = HashMap::new();
        for line in lines() {
            if let Some(("message" | "choice", name)) = line.split_once(' ') {
                indices.insert(name, indices.len());
            }
        }
        let mut schema =
            Self { kinds: HashMap::new(), messages: Vec::with_capacity(indices.len()) };
        for line in lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["kind", api_version, kind, name] => {
                    schema.kinds.insert((api_version, kind), *indices.get(name).ok_or(line)?);
                }
                [what @ ("message" | "choice"), name] => schema.messages.push(Message {
                    name,
                    choice: what == "choice",
                    fields: Vec::new(),
                }),
                [number, name, shape, ref usage @ ..] => {
                    let field = Field {
                        number: number.parse().map_err(|_| line)?,
                        name,
                        shape: Shape::parse(shape, &indices).ok_or(line)?,
                        usage: Usage::parse(usage).ok_or(line)?,
                    };
                    schema.messages.last_mut().ok_or(line)?.fields.push(field);
                }
                _ => return Err(line),
            }
        }
        Ok(schema)
    }
}

// === impl Shape ===

impl Shape {
    fn parse(word: &str, indices: &HashMap<&str, usize>) -> Option<Self> {
        Some(match word {
            "text" => Self::Text,
            "bool" => Self::Bool,
            "integer" => Self::Integer,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "json" => Self::Json,
            "time" => Self::Time,
            "microtime" => Self::MicroTime,
            "intorstring" => Self::IntOrString,
            _ => Self::Message(*indices.get(word.strip_prefix('@')?)?),
        })
    }
}

// === impl Usage ===

impl Usage {
    fn parse(words: &[&str]) -> Option<Self> {
        Some(match words {
            [] => Self::Once,
            ["keep"] => Self::Keep,
            ["repeated"] => Self::Repeated,
            ["map"] => Self::Map,
            ["inline"] => Self::Inline,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::built_in::{BUILT_INS, REVIEWS};

    #[test]
    fn has_every_kind_of_the_store() {
        let schema = Schema::built_in();
        for row in BUILT_INS {
            let api_version = match row.group {
                "" => row.version.to_owned(),
                group => format!("{group}/{}", row.version),
            };
            assert!(schema.of_kind(&api_version, row.kind).is_some(), "{api_version} {}", row.kind);
        }
        for (group, _, kind, _) in REVIEWS {
            assert!(schema.of_kind(&format!("{group}/v1"), kind).is_some(), "{kind}");
        }
        assert!(schema.of_kind("policy/v1", "DeleteOptions").is_some());
        assert!(schema.of_kind("apps/v1", "Pod").is_none());
    }

    #[test]
    fn a_bad_line_is_named() {
        for text in
            ["kind v1 Pod Pod", "message A\n  1 b @C", "  1 a text", "message A\n  1 b text x"]
        {
            assert!(text.ends_with(Schema::parse(text).unwrap_err()), "{text}");
        }
    }
}
