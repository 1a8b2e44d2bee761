//! The warning on reads of a deprecated version of a custom type: the definition's own text, or the
//! one that kube-apiserver words.

use std::cmp::Reverse;

use http::HeaderValue;

/// A version that may be recommended in place of another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alternative<'a> {
    /// Such as `v1beta1`.
    pub(super) version: &'a str,
    /// Served, and not deprecated itself.
    pub(super) recommended: bool,
}

/// The text where the definition has none. The best recommended version that ranks above the
/// deprecated one is named, if there is one.
pub(super) fn default_text<'a>(
    group: &str,
    kind: &str,
    deprecated: &str,
    versions: impl Iterator<Item = Alternative<'a>>,
) -> String {
    let best = versions
        .filter(|other| other.recommended && rank(other.version) > rank(deprecated))
        .max_by_key(|other| rank(other.version));
    let text = format!("{group}/{deprecated} {kind} is deprecated");
    match best {
        Some(Alternative { version, .. }) => format!("{text}; use {group}/{version} {kind}"),
        None => text,
    }
}

/// The header of a text; none when it can't be one.
pub(super) fn header(text: &str) -> Option<HeaderValue> {
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_str(&format!("299 - \"{quoted}\"")).ok()
}

/// Kubernetes' order of versions: stable ones, beta, alpha, and the newer of each first; names of
/// another form rank below all of them, in reverse order of the alphabet.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank<'a> {
    Named(Reverse<&'a str>),
    Numbered { stage: Stage, major: u64, minor: u64 },
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alpha,
    Beta,
    Stable,
}

fn rank(version: &str) -> Rank<'_> {
    numbered(version).unwrap_or(Rank::Named(Reverse(version)))
}

fn numbered(version: &str) -> Option<Rank<'_>> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (major, rest) = rest.split_at(digits);
    let number = |text: &str| -> Option<u64> {
        // Go's int is the larger number that counts as one.
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        number.filter(|number| i64::try_from(*number).is_ok())
    };
    let (stage, minor) = match (rest.strip_prefix("alpha"), rest.strip_prefix("beta")) {
        (Some(minor), _) => (Stage::Alpha, number(minor)?),
        (_, Some(minor)) => (Stage::Beta, number(minor)?),
        _ if rest.is_empty() => (Stage::Stable, 0),
        _ => return None,
    };
    Some(Rank::Numbered { stage, major: number(major)?, minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(deprecated: &str, others: &[&str]) -> String {
        let others = others.iter().map(|version| Alternative { version, recommended: true });
        let dropped = Alternative { version: "v9", recommended: false };
        default_text("g.io", "Kind", deprecated, others.chain([dropped]))
    }

    #[test]
    fn the_best_higher_version_is_recommended() {
        assert_eq!(text("v1beta1", &[]), "g.io/v1beta1 Kind is deprecated");
        let better = "g.io/v1beta1 Kind is deprecated; use g.io/v1 Kind";
        assert_eq!(text("v1beta1", &["v1beta2", "v1", "v2alpha1", "other"]), better);
        assert_eq!(text("v1", &["v1beta1", "v1alpha1", "other"]), "g.io/v1 Kind is deprecated");
        let newer = "g.io/v1 Kind is deprecated; use g.io/v10 Kind";
        assert_eq!(text("v1", &["v2", "v10"]), newer);
    }

    #[test]
    fn versions_rank_as_in_kubernetes() {
        let order =
            ["zebra", "ant", "v1alpha1", "v2alpha3", "v1beta1", "v1beta2", "v2beta1", "v1", "v2"];
        for pair in order.windows(2) {
            assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
        }
        for named in ["v", "v1gamma1", "v1beta", "v1beta1x", "v99999999999999999999", "1"] {
            assert!(matches!(rank(named), Rank::Named(_)), "{named}");
        }
    }

    #[test]
    fn quotes_are_escaped_and_line_ends_refused() {
        assert_eq!(header(r#"a "b" \"#).unwrap(), r#"299 - "a \"b\" \\""#);
        assert_eq!(header("a\nb"), None);
    }
}
