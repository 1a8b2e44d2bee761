//! What depends on the release of Kubernetes behind the gateway, as one value.
//!
//! [`ReadRules`] are made once from upstream's own words and answer every question of the read path
//! whose answer is not the same in all releases. What each answer rests on stands in
//! `docs/versions.md`. A release that is not in [`Release`] has no rules: nothing is served of it.

use super::{
    options::{ListOptions, OptionsError, WatchRequest, WatchStart},
    selector::field_schema::FieldSchema,
};

/// The releases whose reads are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Release {
    /// Kubernetes 1.33.
    V1_33,
    /// Kubernetes 1.34.
    V1_34,
    /// Kubernetes 1.35.
    V1_35,
    /// Kubernetes 1.36.
    V1_36,
}

/// What upstream says of its version, as it writes it.
#[derive(Clone, Copy, Debug)]
pub struct VersionClaim<'a> {
    /// `major`.
    pub major: &'a str,
    /// `minor`; managed offerings write `33+`.
    pub minor: &'a str,
    /// The version whose features and API it emulates, where it says so.
    pub emulation: Option<(&'a str, &'a str)>,
}

/// Whether upstream's feature gate `WatchList` is on. It decides which watches are valid and what
/// those without a version mean; it can be set apart from the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WatchListGate {
    /// `sendInitialEvents` is understood, and the default of watches from 0 or without a version.
    On,
    /// `sendInitialEvents` is refused.
    Off,
    /// Not known, or not the same on all replicas.
    Unknown,
}

/// The rules for reads of one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadRules {
    release: Release,
    watch_list: WatchListGate,
}

// === impl Release ===

impl Release {
    /// The release that upstream claims; `None` if it is not known, or is one that emulates another.
    pub fn claimed(claim: VersionClaim<'_>) -> Option<Self> {
        let VersionClaim { major, minor, emulation } = claim;
        let digits = |text: &str| {
            let end = text.find(|other: char| !other.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse::<u32>().ok()
        };
        let version = (digits(major)?, digits(minor)?);
        if let Some((major, minor)) = emulation
            && (digits(major)?, digits(minor)?) != version
        {
            return None;
        }
        match version {
            (1, 33) => Some(Self::V1_33),
            (1, 34) => Some(Self::V1_34),
            (1, 35) => Some(Self::V1_35),
            (1, 36) => Some(Self::V1_36),
            _ => None,
        }
    }
}

// === impl ReadRules ===

impl ReadRules {
    /// The rules of a release with its gate as found.
    pub const fn new(release: Release, watch_list: WatchListGate) -> Self {
        Self { release, watch_list }
    }

    /// The release.
    pub const fn release(self) -> Release {
        self.release
    }

    /// Whether the feature gate is on.
    pub const fn watch_list(self) -> WatchListGate {
        self.watch_list
    }

    /// Whether the newest grammar reads this `labelSelector` as upstream does. Before 1.35 an even
    /// number of commas at the end of a set was an error, and is a set with an empty value since.
    pub fn reads_label_selector(self, selector: &str) -> bool {
        let mut visible = selector.chars().filter(|character| !character.is_ascii_whitespace());
        let mut before = None;
        self.release >= Release::V1_35
            || !visible.any(|character| before.replace(character) == Some(',') && character == ',')
    }

    /// What a watch means.
    ///
    /// # Errors
    /// [`OptionsError`]: upstream refuses it, or its meaning is not known.
    pub fn watch(
        self,
        options: &ListOptions,
        schema: &FieldSchema,
    ) -> Result<WatchRequest, OptionsError> {
        let with = || WatchRequest::resolve(options, schema);
        let without = || WatchRequest::resolve_without_watch_list(options, schema);
        let request = match self.watch_list {
            WatchListGate::On => with()?,
            WatchListGate::Off => without()?,
            WatchListGate::Unknown => {
                let (with, without) = (with()?, without()?);
                if with != without {
                    return Err(OptionsError::UpstreamOnly("sendInitialEvents"));
                }
                with
            }
        };
        // The end of the initial events carried an empty list in the client's encoding.
        let marks_end = matches!(request.start, WatchStart::State { marks_end: true, .. });
        if self.release == Release::V1_33 && marks_end && request.bookmarks {
            return Err(OptionsError::UpstreamOnly("sendInitialEvents"));
        }
        Ok(request)
    }
}

impl Default for ReadRules {
    /// Those of the newest known release, with its own default.
    fn default() -> Self {
        Self::new(Release::V1_36, WatchListGate::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        options::{EventsAfter, ListConsistency},
        query::Query,
    };

    fn claimed(minor: &str, emulated: Option<&str>) -> Option<Release> {
        let emulation = emulated.map(|minor| ("1", minor));
        Release::claimed(VersionClaim { major: "1", minor, emulation })
    }

    #[test]
    fn knows_four_releases_and_no_other() {
        for (minor, release) in [
            ("33", Some(Release::V1_33)),
            ("33+", Some(Release::V1_33)),
            ("34", Some(Release::V1_34)),
            ("35", Some(Release::V1_35)),
            ("36", Some(Release::V1_36)),
            ("32", None),
            ("37", None),
            ("37+", None),
            ("", None),
            ("+", None),
            ("x36", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(claimed(minor, None), release, "{minor:?}");
        }
        let claim = VersionClaim { major: "2", minor: "34", emulation: None };
        assert_eq!(Release::claimed(claim), None);
    }

    #[test]
    fn an_emulated_release_is_not_known() {
        assert_eq!(claimed("36", Some("36")), Some(Release::V1_36));
        assert_eq!(claimed("36", Some("35")), None);
        assert_eq!(claimed("36", Some("")), None);
    }

    fn watch(rules: ReadRules, query: &str) -> Result<WatchRequest, OptionsError> {
        let options = ListOptions::decode(&Query::parse(Some(query)).unwrap())?;
        rules.watch(&options, &FieldSchema::metadata_only(true))
    }

    const BARE: &str = "watch=1";
    const FROM_ZERO: &str = "watch=1&resourceVersion=0&allowWatchBookmarks=1";
    const FROM_SEVEN: &str = "watch=1&resourceVersion=7&allowWatchBookmarks=1";
    const STREAMING: &str =
        "watch=1&sendInitialEvents=1&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1";

    #[test]
    fn without_the_gate_watches_begin_with_any_state_and_do_not_say_where_it_ends() {
        let rules = ReadRules::new(Release::V1_34, WatchListGate::Off);
        for query in [BARE, FROM_ZERO] {
            let found = watch(rules, query).unwrap().start;
            let any = ListConsistency::Any;
            assert_eq!(found, WatchStart::State { consistency: any, marks_end: false }, "{query}");
        }
        let found = watch(rules, FROM_SEVEN).unwrap().start;
        assert!(matches!(found, WatchStart::Events(EventsAfter::Version(_))));
        watch(rules, STREAMING).unwrap_err();
        watch(rules, "watch=1&sendInitialEvents=0&resourceVersionMatch=NotOlderThan").unwrap_err();
        watch(rules, "watch=1&resourceVersion=7&resourceVersionMatch=NotOlderThan").unwrap_err();
        // With the gate this is a match together with a token; without it there is no match.
        watch(rules, "watch=1&continue=x").unwrap();
        watch(ReadRules::default(), "watch=1&continue=x").unwrap_err();
    }

    #[test]
    fn with_the_gate_they_begin_with_the_latest_state() {
        let found = watch(ReadRules::default(), BARE).unwrap().start;
        let latest = ListConsistency::Latest;
        assert_eq!(found, WatchStart::State { consistency: latest, marks_end: true });
        watch(ReadRules::default(), STREAMING).unwrap();
    }

    #[test]
    fn an_unknown_gate_leaves_what_is_the_same_with_and_without() {
        let rules = ReadRules::new(Release::V1_36, WatchListGate::Unknown);
        watch(rules, FROM_SEVEN).unwrap();
        for query in [BARE, FROM_ZERO, STREAMING] {
            watch(rules, query).unwrap_err();
        }
    }

    #[test]
    fn the_end_of_initial_events_is_another_in_1_33() {
        let rules = ReadRules::new(Release::V1_33, WatchListGate::On);
        watch(rules, STREAMING).unwrap_err();
        watch(rules, FROM_ZERO).unwrap_err();
        watch(rules, "watch=1&resourceVersion=0").unwrap();
        watch(rules, FROM_SEVEN).unwrap();
    }

    #[test]
    fn commas_in_a_row_are_read_differently_before_1_35() {
        let reads = |release, selector| {
            ReadRules::new(release, WatchListGate::On).reads_label_selector(selector)
        };
        for selector in ["a in (x,,)", "a in (, ,)", "a in (x,\t,y)"] {
            assert!(!reads(Release::V1_34, selector), "{selector}");
            assert!(reads(Release::V1_35, selector), "{selector}");
        }
        for selector in ["", "a in (x,)", "a in (,x,y),b", "a=1,b=2"] {
            assert!(reads(Release::V1_33, selector), "{selector}");
        }
    }
}
