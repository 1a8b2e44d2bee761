//! What is printed of a difference: both answers, and how to ask again.

use std::fmt;

use crate::answer::Answer;
use crate::case::Case;
use crate::judge::Answers;

/// A case whose answers differ.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Its place in the sequence of its seed.
    pub(crate) number: u64,
    pub(crate) case: Case,
    pub(crate) difference: String,
    pub(crate) answers: Answers,
    pub(crate) cache_status: String,
}

/// More of a body is not shown.
const SHOWN: usize = 1500;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "=== {}: {}", self.number, self.difference)?;
        writeln!(f, "{}", self.case.curl())?;
        writeln!(f, "Cache-Status: {}", self.cache_status)?;
        show(f, "direct", &self.answers.before)?;
        show(f, "gateway", &self.answers.ours)
    }
}

fn show(f: &mut fmt::Formatter<'_>, name: &str, answer: &Answer) -> fmt::Result {
    writeln!(f, "--- {name}: {} {:?}", answer.status, answer.end)?;
    for (name, value) in &answer.headers {
        writeln!(f, "{name}: {value}")?;
    }
    let shown = &answer.body[..answer.body.len().min(SHOWN)];
    let rest = answer.body.len() - shown.len();
    writeln!(f, "\n{}", String::from_utf8_lossy(shown).escape_debug())?;
    if rest > 0 {
        writeln!(f, "… and {rest} bytes")?;
    }
    Ok(())
}
