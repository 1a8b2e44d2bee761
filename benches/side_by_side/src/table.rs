//! The result as a Markdown table, and what stands below it.

use std::fmt::Write as _;

use crate::{
    growth::Curve,
    report::{Check, Report},
    servers::Side,
    spread::{Short, Spread},
};

/// The table of some rows, notes included.
pub(crate) fn markdown(reports: &[Report]) -> String {
    let mut text = String::from(
        "| work | figure | kube-apiserver | watchgate | limit | HAProxy | ratio: median (min–max) | goal | met |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for report in reports {
        line(report, &mut text);
    }
    let mut notes = String::new();
    for report in reports {
        for failure in &report.failures {
            push(&mut notes, &format!("- **{} is WRONG: {failure}**\n", report.row));
        }
        let status = report.cache_status.iter().map(|status| format!("Cache-Status `{status}`"));
        let commit = Some(&report.commit).filter(|commit| !commit.is_empty());
        let commit = commit.into_iter().map(|commit| format!("measured at commit {commit}"));
        let about: Vec<String> = status.chain(commit).collect();
        if !about.is_empty() {
            push(&mut notes, &format!("- `{}`: {}\n", report.row, about.join(", ")));
        }
        for note in &report.notes {
            push(&mut notes, &format!("- `{}`: {note}\n", report.row));
        }
    }
    if !notes.is_empty() {
        push(&mut text, &format!("\n{notes}"));
    }
    text
}

fn line(report: &Report, text: &mut String) {
    let side = |side| {
        let Some(figures) = report.sides.get(&side) else { return "–".to_owned() };
        let mut cell = figures.spread().map_or_else(|| "–".to_owned(), |it| it.to_string());
        if let Some(bytes) = figures.wire_bytes {
            push(&mut cell, &format!("<br>{} bytes", Short(bytes as f64)));
        }
        if let Some(p50) = figures.p50_milliseconds {
            push(&mut cell, &format!("<br>p50 {} ms", Short(p50)));
        }
        cell
    };
    let ratio = report.ratio.as_ref();
    let measured = ratio.and_then(|it| it.spread()).map_or_else(
        || "–".to_owned(),
        |it| {
            let rounds = ratio.map_or(0, |it| it.rounds.len());
            format!("{it}<br>{rounds} {}", if rounds == 1 { "round" } else { "rounds" })
        },
    );
    let mut goals: Vec<String> = ratio
        .and_then(|it| it.goal)
        .map(|goal| format!("≥ {} ×", Short(goal)))
        .into_iter()
        .collect();
    goals.extend(report.checks.iter().map(bound));
    let met = match (report.failures.is_empty(), report.met()) {
        (false, _) => "**WRONG**",
        (true, None) => "–",
        (true, Some(true)) => "yes",
        (true, Some(false)) => "**no**",
    };
    push(
        text,
        &format!(
            "| {} (`{}`) | {} | {} | {} | {} | {} | {measured} | {} | {met} |\n",
            report.title,
            report.row,
            report.unit,
            side(Side::A),
            side(Side::B),
            side(Side::Limit),
            side(Side::Haproxy),
            if goals.is_empty() { "–".to_owned() } else { goals.join("<br>") },
        ),
    );
}

fn bound(check: &Check) -> String {
    let sign = if check.met() { "" } else { " (**no**)" };
    format!("{}: {} of ≤ {}{sign}", check.what, Short(check.value), Short(check.at_most))
}

/// The points of all curves.
pub(crate) fn curves(curves: &[Curve]) -> String {
    let mut text = String::from(
        "| figure | by | at | kube-apiserver | watchgate | limit |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for curve in curves {
        let mut sizes: Vec<f64> = curve.sides.values().flatten().map(|(size, _)| *size).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        for size in sizes {
            let cost = |side| {
                let points = curve.sides.get(&side)?;
                points.iter().find(|(at, _)| *at == size).map(|(_, cost)| Short(*cost).to_string())
            };
            let cell = |side| cost(side).unwrap_or_else(|| "–".to_owned());
            push(
                &mut text,
                &format!(
                    "| {}, {} | {} | {} | {} | {} | {} |\n",
                    curve.title,
                    curve.unit,
                    curve.size,
                    Short(size),
                    cell(Side::A),
                    cell(Side::B),
                    cell(Side::Limit)
                ),
            );
        }
    }
    text
}

/// Writing to a `String` can't fail.
fn push(text: &mut String, part: &str) {
    let _ = text.write_str(part);
}

/// One line for the terminal.
pub(crate) fn summary(report: &Report) -> String {
    let mut text = format!("{}:", report.row);
    for (side, figures) in &report.sides {
        if let Some(spread) = figures.spread() {
            push(&mut text, &format!("  {side} {spread}"));
        }
    }
    if let Some(ratio) = &report.ratio
        && let Some(Spread { min, median, max }) = ratio.spread()
    {
        let goal = ratio.goal.map_or_else(String::new, |goal| format!(", goal {goal}"));
        push(&mut text, &format!("  → {} × ({}–{}{goal})", Short(median), Short(min), Short(max)));
    }
    for check in &report.checks {
        push(&mut text, &format!("  {}", bound(check)));
    }
    for failure in &report.failures {
        push(&mut text, &format!("  WRONG: {failure}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("list", "LIST all", "CPU-ms per request");
        report.side(Side::A).samples = vec![1400.0, 1500.0];
        report.side(Side::A).wire_bytes = Some(52_500_000);
        report.side(Side::B).samples = vec![40.0, 60.0];
        report.compare(Side::A, Side::B, Some(28.0));
        report
    }

    #[test]
    fn a_row_shows_each_side_the_ratio_and_the_goal() {
        let mut report = report();
        report.check("size", 1.2, 1.1);
        report.note("warm");
        let text = markdown(&[report]);
        let row = text.lines().nth(2).unwrap();
        assert!(
            row.contains("| 1,450 (1,400–1,500)<br>52,500,000 bytes | 50.0 (40.0–60.0) | – | – |"),
            "{row}"
        );
        assert!(
            row.contains(
                "| 30.0 (25.0–35.0)<br>2 rounds | ≥ 28.0 ×<br>size: 1.20 of ≤ 1.10 (**no**) | **no** |"
            ),
            "{row}"
        );
        assert!(text.ends_with("\n- `list`: warm\n"));
    }

    #[test]
    fn a_wrong_answer_is_loud() {
        let mut report = report();
        report.fail("the bodies differ");
        assert!(markdown(&[report.clone()]).contains("**WRONG**"));
        assert!(summary(&report).ends_with("WRONG: the bodies differ"));
    }
}
