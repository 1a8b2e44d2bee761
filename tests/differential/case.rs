//! One read request as it goes over the wire, and what its text says about the answer.
//!
//! A case is text only, so that it can be printed, repeated by hand and cut down. What it asks for is
//! read off that text by rules of the tester's own, not by the gateway's code.

use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use percent_encoding::percent_decode_str;

/// What the path names, by the generator's intention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One object.
    Object,
    /// A collection, or a watch of it.
    Collection,
    /// The deprecated path of a watch.
    WatchPath,
    /// Anything else: odd spellings, things that do not exist, other endpoints.
    Odd,
}

/// Whose token comes with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// May read everything.
    Reader,
    /// May read a few types in one namespace.
    Local,
    /// Shows no token.
    Nobody,
    /// Shows a token that nobody has.
    Wrong,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) method: &'static str,
    pub(crate) shape: Shape,
    /// As it stands in the request line, without the query.
    pub(crate) path: String,
    /// The same place in its plain spelling, to shrink to.
    pub(crate) plain: Option<(Shape, String)>,
    /// The pieces between the query's `&`, as they stand in the request line.
    pub(crate) query: Vec<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) asker: Asker,
    /// Over a shared HTTP/2 connection in place of HTTP/1.1.
    pub(crate) http2: bool,
}

/// What the version of an answer's list or initial state must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Between those of direct answers before and after it.
    Latest,
    /// Not below this one; 0 is any.
    AtLeast(u64),
    /// That of the direct answers.
    Same,
}

// === impl Case ===

impl Case {
    /// A plain GET.
    pub(crate) fn new(shape: Shape, path: &str) -> Self {
        Self {
            method: "GET",
            shape,
            path: path.to_owned(),
            plain: None,
            query: Vec::new(),
            headers: Vec::new(),
            asker: Asker::Reader,
            http2: false,
        }
    }

    /// The path as the API server reads it: mangled cases have escapes where none are needed.
    pub(crate) fn decoded_path(&self) -> Cow<'_, str> {
        percent_decode_str(&self.path).decode_utf8_lossy()
    }

    /// The path with its query.
    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query.join("&"))
        }
    }

    /// The request's bytes, for HTTP/1.1.
    pub(crate) fn request(&self, host: &str, authorization: Option<&str>) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target());
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if let Some(authorization) = authorization {
            let _ = write!(text, "Authorization: {authorization}\r\n");
        }
        text.push_str("\r\n");
        text
    }

    /// The command that repeats it, with the server and the token as variables of the shell.
    pub(crate) fn curl(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let version = if self.http2 { "--http2" } else { "--http1.1" };
        let mut command = format!("curl -sk -i {version} --path-as-is --globoff");
        match self.method {
            "GET" => {}
            "HEAD" => command.push_str(" --head"),
            method => command.push_str(&format!(" -X {method}")),
        }
        match self.asker {
            Asker::Reader | Asker::Local => {
                command.push_str(r#" -H "Authorization: Bearer $TOKEN""#);
            }
            Asker::Wrong => command.push_str(" -H 'Authorization: Bearer wrong'"),
            Asker::Nobody => {}
        }
        let mut unnamed = vec!["User-Agent", "Accept"];
        for (name, value) in &self.headers {
            unnamed.retain(|own| own != name);
            // A header without a value ends with a semicolon on curl's command line.
            let separator = if value.is_empty() { ";" } else { ": " };
            let _ = write!(command, " -H {}", quoted(&format!("{name}{separator}{value}")));
        }
        // Those which curl adds on its own.
        for name in unnamed {
            let _ = write!(command, " -H '{name}:'");
        }
        format!(r#"{command} "$SERVER"{}"#, quoted(&self.target()))
    }

    /// The first value of an option, decoded as the API server decodes it.
    pub(crate) fn option(&self, key: &str) -> Option<String> {
        self.query.iter().find_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if pair.contains(';') || decode(name)? != key {
                return None;
            }
            decode(value)
        })
    }

    /// Whether a client library for HTTP/2 would send it.
    pub(crate) fn fits_http2(&self) -> bool {
        let forbidden = ["TE", "Connection", "Content-Length"];
        let fits = |(name, value): &(&str, String)| {
            !forbidden.contains(name) && HeaderValue::from_str(value).is_ok()
        };
        // A 401 ends the whole connection, and whatever else is on it.
        let known = matches!(self.asker, Asker::Reader | Asker::Local);
        let target = self.target();
        let plain = target.starts_with('/') && target.parse::<http::Uri>().is_ok();
        known && plain && self.headers.iter().all(fits)
    }

    /// Whether the answer may be a stream.
    pub(crate) fn may_watch(&self) -> bool {
        let asks = self.option("watch").is_some_and(|value| is_true(&value));
        self.path.contains("watch/") || (asks && self.shape != Shape::Object)
    }

    /// Whether a full answer is a list with a version of its own.
    pub(crate) fn is_list(&self) -> bool {
        let shape = self.plain.as_ref().map_or(self.shape, |(shape, _)| *shape);
        // The respelt path of a collection may be that of an object.
        let one = self.shape == Shape::Odd
            && ["/x", "/status"].iter().any(|end| self.path.ends_with(end));
        matches!(shape, Shape::Collection | Shape::WatchPath) && !one && !self.may_watch()
    }

    /// Whether a watch ends by itself within seconds.
    pub(crate) fn ends(&self) -> bool {
        let seconds = self.option("timeoutSeconds").and_then(|text| text.parse::<i64>().ok());
        seconds.is_some_and(|seconds| seconds != 0 && seconds < 60)
    }

    /// Whether it ends before it begins. How much comes before that is a race in the API server.
    pub(crate) fn ends_at_once(&self) -> bool {
        let seconds = self.option("timeoutSeconds").and_then(|text| text.parse::<i64>().ok());
        seconds.is_some_and(|seconds| seconds < 0)
    }

    /// The version of the state that is asked for, or after which events are.
    pub(crate) fn past_version(&self) -> Option<u64> {
        let token = self.option("continue").filter(|token| !token.is_empty() && !self.may_watch());
        match token {
            Some(token) => u64::try_from(Position::decode(&token)?.version).ok(),
            None => self.option("resourceVersion")?.parse().ok().filter(|version| *version > 0),
        }
    }

    /// Whether a field selector asks for one name.
    pub(crate) fn selects_one_name(&self) -> bool {
        let selector = self.option("fieldSelector").unwrap_or_default();
        let is_name = |term: &str| term.starts_with("metadata.name=") && term != "metadata.name=";
        selector.split(',').any(is_name)
    }

    /// What the version of an answer must be.
    pub(crate) fn bound(&self) -> Bound {
        let text = self.option("resourceVersion").unwrap_or_default();
        let version = text.parse::<u64>().unwrap_or(0);
        if let Some(token) = self.option("continue").filter(|token| !token.is_empty())
            && !self.may_watch()
        {
            return match Position::decode(&token) {
                Some(Position { version, .. }) if version < 0 => Bound::Latest,
                _ => Bound::Same,
            };
        }
        if text.is_empty() {
            return Bound::Latest;
        }
        let matching = self.option("resourceVersionMatch").unwrap_or_default();
        let limit = self.option("limit").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let exact = matching == "Exact" || (matching.is_empty() && limit > 0);
        if exact && version > 0 && !self.may_watch() {
            Bound::Same
        } else {
            Bound::AtLeast(version)
        }
    }
}

/// What a continue token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Negative for the latest state.
    pub(crate) version: i64,
    /// Without the leading slash, which only the API server's cache writes.
    pub(crate) start: String,
}

impl Position {
    pub(crate) fn decode(token: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(token).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&json).ok()?;
        let start = json["start"].as_str()?;
        let start = start.strip_prefix('/').unwrap_or(start).to_owned();
        Some(Self { version: json["rv"].as_i64()?, start })
    }

    /// A token of any content.
    pub(crate) fn token(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }
}

/// The API server's reading of a boolean option.
fn is_true(value: &str) -> bool {
    value != "0" && !value.eq_ignore_ascii_case("false")
}

fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let broken = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if (0..bytes.len()).any(|at| bytes[at] == b'%' && broken(at)) {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}
