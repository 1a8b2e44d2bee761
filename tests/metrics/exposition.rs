//! A scrape, read: every series with its value. Whatever is not in the text format is an error.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use http::StatusCode;
use watchgate_cluster::Client;

/// What one scrape gave.
#[derive(Debug)]
pub(crate) struct Exposition {
    pub(crate) text: String,
    types: BTreeMap<String, String>,
    series: BTreeMap<Series, f64>,
}

/// A name with its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Exposition {
    /// Scrapes a gateway.
    pub(crate) async fn of(client: &Client) -> Result<Self> {
        let answer = client.get("/watchgate/metrics").send().await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        let content_type = answer.header("content-type");
        ensure!(content_type == Some("text/plain; version=0.0.4; charset=utf-8"), "{answer:?}");
        Self::parse(std::str::from_utf8(&answer.body)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let (mut types, mut series) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').context("a help")?;
                ensure!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').context("a type")?;
                ensure!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                let (key, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
                let value: f64 = value.parse().with_context(|| line.to_owned())?;
                ensure!(value.is_finite() && value >= 0.0, "{line}");
                let key = Series::parse(key).with_context(|| line.to_owned())?;
                ensure!(series.insert(key, value).is_none(), "twice: {line}");
            }
        }
        let exposition = Self { text: text.to_owned(), types, series };
        for series in exposition.series.keys() {
            let family = exposition.family(&series.name);
            ensure!(helped.contains(&family), "{family} has no help");
        }
        Ok(exposition)
    }

    /// The family of a series: histograms have three for each.
    fn family(&self, name: &str) -> String {
        let parts = ["_bucket", "_sum", "_count"].iter();
        let mut stems = parts.filter_map(|part| name.strip_suffix(part));
        let is_histogram = |stem: &&str| self.types.get(*stem).is_some_and(|it| it == "histogram");
        stems.find(is_histogram).unwrap_or(name).to_owned()
    }

    /// The sum over all series of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = |series: &Series| {
            series.name == name
                && labels.iter().all(|(label, value)| {
                    series.labels.get(*label).is_some_and(|found| found == value)
                })
        };
        self.series.iter().filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
    }

    /// Every series.
    pub(crate) fn series(&self) -> impl Iterator<Item = &Series> {
        self.series.keys()
    }
}

impl Series {
    fn parse(text: &str) -> Result<Self> {
        let Some((name, rest)) = text.split_once('{') else {
            return Ok(Self { name: text.to_owned(), labels: BTreeMap::new() });
        };
        let mut rest = rest.strip_suffix('}').context("no end of labels")?;
        let mut labels = BTreeMap::new();
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"").context("no label")?;
            let end = after.find('"').context("no end of a value")?;
            if after[..end].contains('\\') {
                bail!("an escape, which no label here needs");
            }
            labels.insert(label.to_owned(), after[..end].to_owned());
            rest = after[end + 1..].trim_start_matches(',');
        }
        Ok(Self { name: name.to_owned(), labels })
    }
}
