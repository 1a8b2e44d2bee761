//! Which names objects and namespaces may have, in kube-apiserver's words.

use super::definition::NameRule;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
     'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
     or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
     '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SERVICE_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or \
     '-', start with an alphabetic character, and end with an alphanumeric character (e.g. \
     'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// What is wrong with a name; empty when nothing is.
pub(super) fn problems(rule: NameRule, name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut limit = |maximum: usize| {
        if name.len() > maximum {
            problems.push(format!("must be no more than {maximum} bytes"));
        }
    };
    match rule {
        NameRule::Subdomain => {
            limit(253);
            if !is_subdomain(name) {
                problems.push(SUBDOMAIN.to_owned());
            }
        }
        NameRule::Label => {
            limit(63);
            if !is_label_text(name) {
                problems.push(LABEL.to_owned());
            }
        }
        NameRule::ServiceLabel => {
            limit(63);
            if !(is_label_text(name) && name.starts_with(|first: char| first.is_ascii_lowercase()))
            {
                problems.push(SERVICE_LABEL.to_owned());
            }
        }
        NameRule::PathSegment => {
            if matches!(name, "." | "..") {
                problems.push(format!("may not be '{name}'"));
            }
            for forbidden in ['/', '%'] {
                if name.contains(forbidden) {
                    problems.push(format!("may not contain '{forbidden}'"));
                }
            }
        }
    }
    problems
}

/// Whether `text` is a DNS-1123 label of at most 63 bytes.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_label_text(text)
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label_text)
}

fn is_label_text(text: &str) -> bool {
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| edge(Some(byte)) || *byte == b'-')
}

/// Whether `text` may stand as the value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= 63 && is_qualified(text))
}

/// Whether `text` may stand as the key of a label or annotation.
pub(super) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').unwrap_or(("example.com", text));
    prefix.len() <= 253
        && is_subdomain(&prefix.to_ascii_lowercase())
        && name.len() <= 63
        && is_qualified(name)
}

fn is_qualified(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| edge(Some(byte)) || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_names_from_others() {
        assert!(problems(NameRule::Subdomain, "a.b-c.0").is_empty());
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", "a."] {
            assert_eq!(problems(NameRule::Subdomain, bad).len(), 1, "{bad:?}");
        }
        assert_eq!(problems(NameRule::Label, &"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert_eq!(problems(NameRule::Label, "a.b").len(), 1);
        assert_eq!(problems(NameRule::ServiceLabel, "0a").len(), 1);
        assert!(problems(NameRule::PathSegment, "system:node:X").is_empty());
        assert_eq!(problems(NameRule::PathSegment, ".."), ["may not be '..'"]);
    }

    #[test]
    fn knows_label_keys_and_values() {
        assert!(is_label_key("app.kubernetes.io/name") && is_label_key("App_x"));
        assert!(!is_label_key("a/b/c") && !is_label_key("") && !is_label_key("x/"));
        assert!(is_label_value("") && is_label_value("V1.2") && !is_label_value("a b"));
    }
}
