//! Plots as inline SVG: lines over time, bars of a histogram, ranges of ratios.
//!
//! Colours come from the page's style by class, so that the same picture is legible on light and
//! dark ground. A plot has one axis of values; figures of another measure get a plot of their own.

use maud::{Markup, html};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;
/// More points than pixels are drawn as the largest of each few.
const MOST_POINTS: usize = 600;
/// Colours that the style has.
const COLOURS: usize = 6;

/// Lines over time.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Of the values.
    pub unit: &'static str,
    /// One for each figure.
    pub lines: Vec<Line>,
    /// Times at which something begins, with its name.
    pub marks: Vec<(f64, String)>,
    /// Whether values are drawn by their magnitude.
    pub logarithmic: bool,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// Seconds and values, in order.
    pub points: Vec<(f64, f64)>,
}

/// A bar of a histogram: up to this value, so many.
pub type Bar = (f64, u64);

/// A range of ratios: what, the least, the middle, the greatest.
pub type Range<'a> = (&'a str, f64, f64, f64);

struct Scale {
    least: f64,
    most: f64,
    logarithmic: bool,
}

// === impl Plot ===

impl Plot {
    /// The plot with its title and legend; nothing without points.
    pub fn figure(&self) -> Markup {
        let lines: Vec<&Line> = self.lines.iter().filter(|line| !line.points.is_empty()).collect();
        let values = || lines.iter().flat_map(|line| &line.points);
        let end = values().map(|(at, _)| *at).fold(0.0, f64::max);
        let scale = Scale::of(values().map(|(_, value)| *value), self.logarithmic);
        if end <= 0.0 {
            return html! {};
        }
        let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - RIGHT);
        html! {
            figure {
                figcaption { (self.title) span.unit { " " (self.unit) } }
                @if lines.len() > 1 {
                    p.legend {
                        @for (index, line) in lines.iter().enumerate() {
                            span { i class=(colour("key", index)) {} (line.name) }
                        }
                    }
                }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.title) {
                    (scale.grid())
                    @for at in ticks(0.0, end, 8) {
                        text.tick x=(px(x(at))) y=(px(HEIGHT - 10.0)) text-anchor="middle" {
                            (time(at))
                        }
                    }
                    @for (at, name) in self.marks.iter().filter(|(at, _)| *at < end) {
                        line.mark x1=(px(x(*at))) x2=(px(x(*at))) y1=(px(TOP)) y2=(px(HEIGHT - BOTTOM)) {}
                        text.mark x=(px(x(*at) + 4.0)) y=(px(TOP + 10.0)) { (name) }
                    }
                    @for (index, line) in lines.iter().enumerate() {
                        polyline class=(colour("line", index)) points=(path(line, &x, &scale)) {
                            title { (line.name) }
                        }
                    }
                }
            }
        }
    }
}

/// A histogram; nothing without counts.
pub fn bars(title: &str, unit: &str, bars: &[Bar]) -> Markup {
    let total: u64 = bars.iter().map(|(_, count)| count).sum();
    let first = bars.iter().position(|(_, count)| *count > 0);
    let last = bars.iter().rposition(|(_, count)| *count > 0);
    let (Some(first), Some(last)) = (first, last) else { return html! {} };
    let bars = &bars[first..=last];
    let share = |count: u64| count as f64 / total as f64 * 100.0;
    let scale = Scale::of(bars.iter().map(|(_, count)| share(*count)), false);
    let step = (WIDTH - LEFT - RIGHT) / bars.len() as f64;
    // Labels must not run into each other.
    let every = bars.len().div_ceil(9);
    html! {
        figure {
            figcaption { (title) span.unit { " share of " (total) " by " (unit) ", %" } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                (scale.grid())
                @for (index, (until, count)) in bars.iter().enumerate() {
                    @let x = LEFT + step * index as f64;
                    @let y = scale.y(share(*count));
                    rect.bar x=(px(x + 1.0)) y=(px(y)) width=(px((step - 2.0).max(1.0)))
                        height=(px(HEIGHT - BOTTOM - y)) {
                        title { "up to " (short(*until)) ": " (count) " (" (short(share(*count))) " %)" }
                    }
                    @if index % every == 0 {
                        text.tick x=(px(x + step / 2.0)) y=(px(HEIGHT - 10.0)) text-anchor="middle" {
                            "≤" (short(*until))
                        }
                    }
                }
            }
        }
    }
}

/// Ranges of ratios around 1, by their magnitude.
pub fn ranges(title: &str, ranges: &[Range<'_>]) -> Markup {
    let all = ranges.iter().flat_map(|(_, least, _, most)| [*least, *most]).chain([1.0]);
    let positive: Vec<f64> = all.filter(|ratio| *ratio > 0.0 && ratio.is_finite()).collect();
    let least = positive.iter().copied().fold(f64::INFINITY, f64::min).min(0.5);
    let most = positive.iter().copied().fold(0.0, f64::max).max(2.0);
    let (low, high) = (least.log10() - 0.05, most.log10() + 0.05);
    let left = 250.0;
    let x = |ratio: f64| {
        left + (ratio.max(least).log10() - low) / (high - low) * (WIDTH - left - RIGHT)
    };
    let height = 34.0 + 24.0 * ranges.len() as f64;
    html! {
        figure.wide {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title) {
                @for ratio in decades(least, most) {
                    line class=(if (ratio - 1.0).abs() < 1e-9 { "mark" } else { "grid" })
                        x1=(px(x(ratio))) x2=(px(x(ratio))) y1="4" y2=(px(height - 26.0)) {}
                    text.tick x=(px(x(ratio))) y=(px(height - 10.0)) text-anchor="middle" { (short(ratio)) "×" }
                }
                @for (index, (name, least, median, most)) in ranges.iter().enumerate() {
                    @let y = 16.0 + 24.0 * index as f64;
                    text.tick x=(px(left - 10.0)) y=(px(y + 4.0)) text-anchor="end" { (name) }
                    line.line.c0 x1=(px(x(*least))) x2=(px(x(*most))) y1=(px(y)) y2=(px(y)) {}
                    circle.dot cx=(px(x(*median))) cy=(px(y)) r="4.5" {
                        title { (name) ": " (short(*least)) ", " (short(*median)) ", " (short(*most)) }
                    }
                }
            }
        }
    }
}

fn path(line: &Line, x: &impl Fn(f64) -> f64, scale: &Scale) -> String {
    let chunk = line.points.len().div_ceil(MOST_POINTS).max(1);
    let peaks = line.points.chunks(chunk).filter_map(|chunk| {
        chunk.iter().copied().reduce(|one, other| if other.1 > one.1 { other } else { one })
    });
    let points: Vec<String> =
        peaks.map(|(at, value)| format!("{},{}", px(x(at)), px(scale.y(value)))).collect();
    points.join(" ")
}

fn colour(class: &str, index: usize) -> String {
    format!("{class} c{}", index % COLOURS)
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn time(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        120..7200 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}

/// Three digits, with a thousands' letter.
pub fn short(value: f64) -> String {
    let (value, letter) = match value.abs() {
        1e9.. => (value / 1e9, "G"),
        1e6.. => (value / 1e6, "M"),
        1e4.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{letter}")
}

/// Round numbers between two.
fn ticks(least: f64, most: f64, wanted: usize) -> Vec<f64> {
    let rough = (most - least) / wanted.max(1) as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return vec![least];
    }
    let magnitude = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|it| it * magnitude).find(|step| *step >= rough);
    let step = step.unwrap_or(magnitude * 10.0);
    let count = ((most - least) / step * (1.0 + 1e-9)).floor() as u32;
    (0..=count).map(|index| least + step * f64::from(index)).collect()
}

/// 1, 2 and 5 times powers of ten between two; powers alone if that is too many.
fn decades(least: f64, most: f64) -> Vec<f64> {
    let powers = least.log10().floor() as i32..=most.log10().ceil() as i32;
    let of = |factors: &[f64]| -> Vec<f64> {
        let each =
            powers.clone().flat_map(|power| factors.iter().map(move |it| it * 10f64.powi(power)));
        each.filter(|it| (least * 0.999..=most * 1.001).contains(it)).collect()
    };
    let all = of(&[1.0, 2.0, 5.0]);
    if all.len() > 9 { of(&[1.0]) } else { all }
}

// === impl Scale ===

impl Scale {
    fn of(values: impl Iterator<Item = f64>, logarithmic: bool) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if !least.is_finite() {
            return Self { least: 0.0, most: 1.0, logarithmic: false };
        }
        if logarithmic {
            Self { least: least / 1.2, most: most * 1.2, logarithmic }
        } else {
            Self { least: 0.0, most: most * 1.05, logarithmic }
        }
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            let least = self.least.log10();
            (value.max(self.least).log10() - least) / (self.most.log10() - least)
        } else {
            value / self.most
        };
        TOP + (1.0 - share.clamp(0.0, 1.0)) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self) -> Markup {
        let values = if self.logarithmic {
            decades(self.least, self.most)
        } else {
            ticks(0.0, self.most, 4)
        };
        html! {
            @for value in values {
                line.grid x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(self.y(value))) y2=(px(self.y(value))) {}
                text.tick x=(px(LEFT - 8.0)) y=(px(self.y(value) + 4.0)) text-anchor="end" { (short(value)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shorts = [0.0, 0.123, 5.0, 12.34, 999.6, 12_345.0, 2.5e6].map(short);
        assert_eq!(shorts, ["0", "0.12", "5", "12.3", "1000", "12.3k", "2.5M"]);
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 10.0, 4), [0.0, 5.0, 10.0]);
        assert_eq!(ticks(0.0, 0.0, 4), [0.0]);
        assert_eq!(decades(0.5, 20.0), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert!(decades(0.001, 1e6).len() <= 10);
    }

    #[test]
    fn names_cannot_break_out_of_the_picture() {
        let line =
            Line { name: "<script>&\"".to_owned(), points: vec![(0.0, 1.0), (5.0, f64::NAN)] };
        let plot = Plot { lines: vec![line.clone(), line], ..Plot::default() };
        let text = plot.figure().into_string();
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script>"), "{text}");
        assert_eq!(Plot::default().figure().into_string(), "");
        assert_eq!(bars("x", "ms", &[]).into_string(), "");
    }
}
