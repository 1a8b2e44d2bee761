//! The options of GET, LIST and WATCH, alone and together, well and badly written.

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::{Generator, Place};
use crate::case::{Case, Position};

/// A version that will not come, and costs three seconds on each server.
const FUTURE: &str = "99999999";

impl Generator<'_> {
    pub(super) fn add_get_options(&mut self, case: &mut Case, place: Place) {
        let version = match self.weighted(&[(0, 25), (1, 45), (2, 25)]) {
            0 => None,
            1 => Some("0".to_owned()),
            _ => Some(self.version(place, true)),
        };
        push(case, "resourceVersion", version.as_deref());
        if self.chance(0.03) {
            let value = self.pick(&["", "true", "1", "0", "false", "junk"]);
            push(case, "export", Some(value));
        }
        // None of these means anything for one object.
        if self.chance(0.05) {
            let option = self.pick(&[
                "watch=true",
                "limit=x",
                "labelSelector=%3D",
                "resourceVersionMatch=Exact",
                "continue=x",
                "exact=true",
                "fieldSelector=a",
                "timeoutSeconds=abc",
            ]);
            case.query.push(option.to_owned());
        }
        self.add_common_options(case);
    }

    pub(super) fn add_list_options(&mut self, case: &mut Case, place: Place) {
        let continues = self.chance(0.12);
        let version = match self.weighted(&[(0, 32), (1, 32), (2, 36)]) {
            _ if continues && !self.odd() => None,
            0 => None,
            1 => Some("0".to_owned()),
            _ => Some(self.version(place, true)),
        };
        push(case, "resourceVersion", version.as_deref());
        let sensible = version.is_some() || self.odd();
        if sensible && self.chance(0.35) {
            let value = if self.odd() {
                self.pick(&["exact", "", "notOlderThan", "Latest", "Exact,NotOlderThan"])
            } else if version.as_deref() == Some("0") && !self.odd() {
                "NotOlderThan"
            } else {
                self.pick(&["Exact", "NotOlderThan"])
            };
            push(case, "resourceVersionMatch", Some(value));
        }
        if self.chance(if continues { 0.8 } else { 0.35 }) {
            let value = self.limit();
            push(case, "limit", Some(value));
        }
        if continues {
            let token = self.token(place);
            push(case, "continue", Some(&token));
        }
        self.add_selectors(case, place);
        self.add_other_verbs_options(case);
        self.add_common_options(case);
    }

    /// Options that mean nothing for a list, or not on their own.
    fn add_other_verbs_options(&mut self, case: &mut Case) {
        if self.chance(0.06) {
            let option = self.pick(&[
                "watch=false",
                "watch=0",
                "watch=False",
                "allowWatchBookmarks=true",
                "timeoutSeconds=10",
                "timeoutSeconds=-1",
                "export=true",
                "includeObject=Object",
                "includeObject=None",
                "includeObject=bad",
                "shardSelector=x",
                "dryRun=All",
                "fieldManager=x",
                "gracePeriodSeconds=x",
            ]);
            case.query.push(option.to_owned());
        }
        if self.odd() {
            let option = self.pick(&[
                "sendInitialEvents=true",
                "sendInitialEvents=false",
                "sendInitialEvents=",
                "timeoutSeconds=",
                "timeoutSeconds=abc",
                "timeoutSeconds=1.5",
                "allowWatchBookmarks=junk",
                "sendInitialEvents",
                "timeoutSeconds=99999999999999999999",
            ]);
            case.query.push(option.to_owned());
        }
    }

    pub(super) fn add_watch_options(&mut self, case: &mut Case, place: Place) {
        let value = self.weighted(&[("1", 5), ("true", 5), ("", 1), ("yes", 1), ("True", 1)]);
        push(case, "watch", Some(value));
        let version = match self.weighted(&[(0, 30), (1, 30), (2, 45)]) {
            0 => None,
            1 => Some("0".to_owned()),
            _ => Some(self.version(place, false)),
        };
        push(case, "resourceVersion", version.as_deref());
        match self.weighted(&[(0, 60), (1, 20), (2, 10), (3, 2)]) {
            0 if !self.odd() => {}
            1 => initial(case, "true", "NotOlderThan"),
            2 => initial(case, "false", "NotOlderThan"),
            3 => initial(case, "", "NotOlderThan"),
            _ => {
                let events = self.pick(&["true", "false", "0"]);
                let matching = self.pick(&["Exact", "", "NotOlderThan", "x"]);
                initial(case, events, matching);
                if self.chance(0.5) {
                    case.query.remove(case.query.len() - 1);
                }
            }
        }
        if self.chance(0.5) {
            let value = self.weighted(&[("true", 8), ("1", 3), ("", 1), ("false", 1)]);
            push(case, "allowWatchBookmarks", Some(value));
        }
        let seconds = self.weighted(&[
            (Some("1"), 88),
            (Some("2"), 4),
            (None, 5),
            (Some("0"), 1),
            (Some("-1"), 1),
        ]);
        push(case, "timeoutSeconds", seconds);
        if self.chance(0.04) {
            let limit = self.limit();
            push(case, "limit", Some(limit));
        }
        if self.odd() {
            let token = self.token(place);
            push(case, "continue", Some(&token));
        }
        self.add_selectors(case, place);
        self.add_common_options(case);
    }

    /// What any request may carry, and damage to the query as a whole.
    fn add_common_options(&mut self, case: &mut Case) {
        if self.chance(0.06) {
            let value = self.pick(&["true", "false", "1", "0", "", "abc", "T"]);
            push(case, "pretty", Some(value));
        }
        if self.chance(0.03) {
            let value =
                self.pick(&["30s", "1m", "0", "-1s", "abc", "", "5", "1h", "2m30s", "1e3s"]);
            push(case, "timeout", Some(value));
        }
        if self.chance(0.03) {
            let extra = self.pick(&[
                "foo=bar",
                "%zz=1",
                "a;b=c",
                "",
                "=x",
                "limit",
                "Limit=1",
                "%6cimit=1",
                "limit=1;x",
                "_=1",
                "resourceversion=0",
                "&&",
                "shardSelector=",
                "%",
                "labelSelector",
                "pretty",
                "x=%FF",
                "x={`|^\\}",
                "x=\"<\"",
                "x=\u{fc}",
            ]);
            case.query.push(extra.to_owned());
        }
        if !case.query.is_empty() && (self.chance(0.03) || self.odd()) {
            self.repeat(case);
        }
        if self.chance(0.5) {
            case.query.shuffle(&mut self.random);
        }
    }

    /// Says an option twice, with another value.
    fn repeat(&mut self, case: &mut Case) {
        let place = self.random.random_range(0..case.query.len());
        let Some((key, _)) = case.query[place].split_once('=') else { return };
        let value = self.pick(&["0", "1", "", "true", "x", "false"]);
        let pair = format!("{key}={value}");
        let at = self.random.random_range(0..=case.query.len());
        case.query.insert(at, pair);
    }

    fn limit(&mut self) -> &'static str {
        if self.odd() {
            let odd = [
                "abc",
                "",
                "1.5",
                "+1",
                "%2B1",
                "99999999999999999999",
                "0x1",
                "1e3",
                "01",
                "%201",
            ];
            return self.pick(&odd);
        }
        self.weighted(&[("1", 8), ("2", 6), ("3", 6), ("5", 3), ("500", 8), ("0", 2), ("-5", 1)])
    }

    /// A version other than none and 0.
    fn version(&mut self, place: Place, waits: bool) -> String {
        if self.odd() {
            let odd = [
                "abc",
                "-1",
                "%2B5",
                "00",
                "01",
                "",
                "18446744073709551616",
                "%201",
                "1.0",
                "0x10",
                "1_000",
                "007",
                "%00",
                "-0",
                "1e3",
                "%EF%BC%91",
            ];
            return self.pick(&odd).to_owned();
        }
        // Each of these costs three seconds on both servers.
        if self.chance(if waits { 0.008 } else { 0.02 }) {
            return self.pick(&[FUTURE, "18446744073709551615", FUTURE]).to_owned();
        }
        let versions = &self.world.versions[place.index];
        let recent = versions.len().saturating_sub(6);
        match self.weighted(&[(0, 60), (1, 25), (2, 8), (3, 4), (4, 2)]) {
            0 if !versions.is_empty() => self.pick(&versions[recent..]).to_string(),
            1 if !versions.is_empty() => self.pick(versions).to_string(),
            0..=2 => self.world.written.to_string(),
            3 => self.pick(&["1", "2", "100"]).to_owned(),
            // One that belongs to another resource.
            _ => self.world.written.saturating_sub(3).to_string(),
        }
    }

    /// A continue token: of this list, of another, damaged, or made up.
    fn token(&mut self, place: Place) -> String {
        let own = |token: &&crate::world::Token| {
            token.kind == place.index && token.namespace == place.namespace
        };
        let all: Vec<&str> = self.world.tokens.iter().map(|token| token.text.as_str()).collect();
        let tokens: Vec<&str> =
            self.world.tokens.iter().filter(own).map(|token| token.text.as_str()).collect();
        let foreign = tokens.is_empty() || self.chance(0.1);
        let choices = if foreign { all } else { tokens };
        if choices.is_empty() {
            return "x".to_owned();
        }
        // Late tokens are of recent versions.
        let late = &choices[choices.len().saturating_sub(6)..];
        let token = if self.chance(0.7) { self.pick(late) } else { self.pick(&choices) };
        if self.chance(0.15) {
            return self.restart(token);
        }
        if self.chance(0.03) || self.odd() { self.damage(token) } else { token.to_owned() }
    }

    /// A token of the latest version, as a refusal of an old one carries it.
    fn restart(&mut self, token: &str) -> String {
        let Some(position) = Position::decode(token) else { return token.to_owned() };
        let version = self.pick(&["-1", "-1", "-5"]);
        let slash = self.pick(&["", "/"]);
        let start = serde_json::Value::from(format!("{slash}{}", position.start));
        Position::token(&format!(r#"{{"v":"meta.k8s.io/v1","rv":{version},"start":{start}}}"#))
    }

    fn damage(&mut self, token: &str) -> String {
        let written = self.world.written;
        let made = |rest: &str| Position::token(&format!("{{\"v\":\"meta.k8s.io/v1\",{rest}}}"));
        match self.random.random_range(0..14) {
            0 => token[..token.len() / 2].to_owned(),
            1 => format!("{token}="),
            2 => token.replacen('e', "f", 1),
            3 => format!("{token}!"),
            4 => "%20".to_owned(),
            5 => Position::token("{}"),
            6 => Position::token("[]"),
            7 => made(r#""rv":0,"start":"a\u0000""#),
            8 => made(&format!(r#""rv":{written},"start":"""#)),
            9 => made(&format!(r#""rv":{written},"start":"../a""#)),
            10 => made(&format!(r#""rv":{written},"start":"/x/""#)),
            11 => made(&format!(r#""rv":{written},"start":"//x","more":1"#)),
            12 => Position::token(r#"{"v":"meta.k8s.io/v2","rv":5,"start":"a"}"#),
            _ => made(&format!(r#""rv":{written},"start":"zzz\u0000""#)),
        }
    }
}

fn initial(case: &mut Case, events: &str, matching: &str) {
    push(case, "sendInitialEvents", Some(events));
    push(case, "resourceVersionMatch", Some(matching));
}

/// Adds an option whose value is written as it stands.
fn push(case: &mut Case, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        case.query.push(format!("{key}={value}"));
    }
}
