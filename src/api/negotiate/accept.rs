//! The `Accept` header as the two parsers of kube-apiserver read it.
//!
//! Behaviour, not code, of the Go libraries in use there: only spaces are trimmed, quotes mean
//! nothing, malformed clauses are dropped, and the order of clauses is that of an inconsistent
//! comparison run through an insertion sort. Longer headers, for which Go sorts in another way, and
//! unusual qualities are refused.

use smallvec::SmallVec;

use super::ForwardReason;

/// One media range with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clause<'h> {
    kind: &'h str,
    subtype: &'h str,
    quality: f32,
    parameters: SmallVec<[(&'h str, &'h str); 4]>,
}

/// Up to this many clauses Go sorts by insertion.
const MAX_CLAUSES: usize = 12;

/// Whether the router in front of built-in types lets the request through: some clause, without its
/// parameters, is literally a served type or `*/*`.
pub(super) fn passes_router(accept: &str) -> bool {
    accept.split(',').any(|clause| {
        let media_type = clause.split(';').next().unwrap_or_default().trim_matches(' ');
        matches!(
            media_type,
            "*/*" | "application/json" | "application/yaml" | "application/vnd.kubernetes.protobuf"
        )
    })
}

/// All well-formed clauses, in the order in which they are tried.
pub(super) fn clauses(accept: &str) -> Result<SmallVec<[Clause<'_>; 4]>, ForwardReason> {
    let mut clauses: SmallVec<[Clause<'_>; 4]> = SmallVec::new();
    for text in accept.split(',') {
        if let Some(clause) = Clause::parse(text.trim_matches(' '))? {
            if clauses.len() == MAX_CLAUSES {
                return Err(ForwardReason::Unusual);
            }
            clauses.push(clause);
        }
    }
    for from in 1..clauses.len() {
        for at in (1..=from).rev() {
            if !clauses[at].is_before(&clauses[at - 1]) {
                break;
            }
            clauses.swap(at, at - 1);
        }
    }
    Ok(clauses)
}

// === impl Clause ===

impl<'h> Clause<'h> {
    /// `None` for a clause that is dropped.
    fn parse(text: &'h str) -> Result<Option<Self>, ForwardReason> {
        let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
        let (kind, subtype) = range.split_once('/').unwrap_or((range, ""));
        let (kind, subtype) = match (kind.trim_matches(' '), subtype) {
            ("*", "") => ("*", "*"),
            (_, "") => return Ok(None),
            // A second slash drops the clause unless nothing follows it.
            (kind, subtype) => match subtype.split_once('/') {
                Some((_, rest)) if !rest.is_empty() => return Ok(None),
                Some((subtype, _)) => (kind, subtype.trim_matches(' ')),
                None => (kind, subtype.trim_matches(' ')),
            },
        };
        let mut clause = Self { kind, subtype, quality: 1.0, parameters: SmallVec::new() };
        for parameter in parameters.split(';') {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let value = match value.split_once('=') {
                Some((value, "")) => value,
                Some(_) => continue,
                None if value.is_empty() => continue,
                None => value,
            };
            match name.trim_matches(' ') {
                "q" => clause.quality = quality(value)?,
                name => clause.parameters.push((name, value.trim_matches(' '))),
            }
        }
        Ok(Some(clause))
    }

    /// Whether the media range covers a type.
    pub(super) fn names(&self, (kind, subtype): (&str, &str)) -> bool {
        match (self.kind, self.subtype) {
            ("*", "*") => true,
            (own, "*") => own == kind,
            own => own == (kind, subtype),
        }
    }

    /// The value of a parameter; of a repeated one the last counts.
    pub(super) fn parameter(&self, name: &str) -> Option<&'h str> {
        self.parameters.iter().rev().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    /// Whether it asks for indented JSON.
    pub(super) fn is_pretty(&self) -> bool {
        self.parameter("pretty") == Some("1")
    }

    /// Upstream's comparison: a higher quality, or else a concrete type before a wildcard, even
    /// when the wildcard has the higher quality.
    fn is_before(&self, other: &Self) -> bool {
        self.quality > other.quality
            || (self.kind != "*" && other.kind == "*")
            || (self.subtype != "*" && other.subtype == "*")
    }
}

/// A quality in plain decimal notation; Go also reads exponents, signs and hexadecimal.
fn quality(text: &str) -> Result<f32, ForwardReason> {
    let is_plain = !text.is_empty()
        && text.len() <= 16
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_plain {
        return Err(ForwardReason::Unusual);
    }
    text.parse().map_err(|_| ForwardReason::Unusual)
}
