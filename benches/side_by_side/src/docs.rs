//! The generated part of docs/PERFORMANCE.md: everything between two markers.
//!
//! What a run measured replaces the same rows of earlier runs, which are kept as JSON beside the pictures. So one row can be
//! measured anew without losing the others; each row says by which commit it was measured.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use crate::{growth::Curve, plot, report::Report, result::Outcome, rows, table};

const BEGIN: &str =
    "<!-- side-by-side: begin (written by watchgate-side-by-side --write-docs) -->\n";
const END: &str = "<!-- side-by-side: end -->\n";
const DOCUMENT: &str = "docs/PERFORMANCE.md";
const DIRECTORY: &str = "docs/performance";

/// Writes the block, the JSON and the pictures, below the root of the repository.
///
/// # Errors
/// When the document has no markers, or a file can't be read or written.
pub(crate) fn write(root: &Path, outcome: &Outcome) -> Result<()> {
    let directory = root.join(DIRECTORY);
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let file = directory.join("side-by-side.json");
    let merged = match fs::read(&file) {
        Ok(bytes) => {
            let earlier =
                serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?;
            merge(earlier, outcome.clone())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => outcome.clone(),
        Err(error) => return Err(error).context(file.display().to_string()),
    };
    let mut text = serde_json::to_vec_pretty(&merged)?;
    text.push(b'\n');
    fs::write(&file, text).with_context(|| file.display().to_string())?;
    for curve in &merged.growth {
        plot::draw(curve, &directory.join(format!("{}.svg", curve.name)))?;
    }
    let document = root.join(DOCUMENT);
    let text = fs::read_to_string(&document).with_context(|| document.display().to_string())?;
    let text = replaced(&text, &block(&merged)).with_context(|| document.display().to_string())?;
    fs::write(&document, text).with_context(|| document.display().to_string())
}

/// Rows and curves of `outcome`, and those of `earlier` that it does not have, in the order of the table.
fn merge(earlier: Outcome, mut outcome: Outcome) -> Outcome {
    let kept: Vec<Report> = earlier
        .rows
        .into_iter()
        .filter(|it| outcome.rows.iter().all(|new| new.row != it.row))
        .collect();
    outcome.rows.extend(kept);
    let order: Vec<&str> = rows::all().iter().map(|row| row.name).collect();
    let place = |report: &Report| order.iter().position(|name| *name == report.row);
    outcome.rows.sort_by_key(|report| place(report).unwrap_or(usize::MAX));
    let kept: Vec<Curve> = earlier
        .growth
        .into_iter()
        .filter(|it| outcome.growth.iter().all(|new| new.name != it.name))
        .collect();
    outcome.growth.extend(kept);
    outcome
}

fn block(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    let versions = &outcome.versions;
    let mut text = format!(
        "Machine: {} × {}, {:.0} GiB, Linux {}, load average at the start {}. {}; kube-apiserver {}; {}.\n\
         {} {} pods, seed {}. Machine and load are of the last run that wrote here.\n\n",
        machine.cores,
        machine.processor,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
        machine.load_average,
        versions.watchgate,
        versions.kubernetes,
        versions.haproxy,
        outcome.pods,
        serde_json::to_string(&outcome.profile).unwrap_or_default().trim_matches('"'),
        outcome.seed,
    );
    text += &table::markdown(&outcome.rows);
    if !outcome.growth.is_empty() {
        text += "\n### Growth\n\n";
        text += &table::curves(&outcome.growth);
        for curve in &outcome.growth {
            text += &format!(
                "\n![{} by {}](performance/{}.svg)\n",
                curve.title, curve.size, curve.name
            );
        }
    }
    text
}

fn replaced(text: &str, block: &str) -> Result<String> {
    let (before, rest) =
        text.split_once(BEGIN).context("no line that marks the beginning of the block")?;
    let (_, after) = rest.split_once(END).context("no line that marks the end of the block")?;
    ensure!(!after.contains(BEGIN), "two blocks");
    Ok(format!("{before}{BEGIN}\n{block}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_block_is_replaced() {
        let text = format!("# Title\n{BEGIN}old\n{END}rest\n");
        let new = replaced(&text, "new").unwrap();
        assert_eq!(new, format!("# Title\n{BEGIN}\nnew\n{END}rest\n"));
        assert_eq!(replaced(&new, "new").unwrap(), new);
        assert!(replaced("# Title\n", "new").is_err());
    }

    #[test]
    fn rows_that_were_not_measured_again_stay_in_their_place() {
        let outcome = |rows: &[(&str, &str)]| {
            let mut outcome = Outcome::example();
            outcome.rows = rows.iter().map(|(row, title)| Report::new(row, *title, "ms")).collect();
            outcome
        };
        let earlier = outcome(&[("list-json", "old"), ("get", "old")]);
        let merged = merge(earlier, outcome(&[("get", "new"), ("list-namespace", "new")]));
        let rows: Vec<_> =
            merged.rows.iter().map(|it| (it.row.as_str(), it.title.as_str())).collect();
        assert_eq!(rows, [("list-json", "old"), ("list-namespace", "new"), ("get", "new")]);
    }
}
