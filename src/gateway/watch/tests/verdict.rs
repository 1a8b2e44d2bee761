//! The judgement of what one watcher received.

use proptest::prelude::*;

use super::{in_short, version_in};

/// Compares what came with what was due: the initial frames and their end, if the watch began with a
/// state; then the events, in order and once, with bookmarks that are ahead of none and never beyond
/// `newest`. Returns whether all that was due has come.
pub(super) fn verdict(
    received: &str,
    initial: Option<&[String]>,
    start: u64,
    due: Vec<(u64, String)>,
    newest: u64,
) -> Result<bool, TestCaseError> {
    let mut lines = received.split_inclusive('\n');
    if let Some(initial) = initial {
        for expected in initial {
            let Some(line) = lines.next() else { return Ok(false) };
            prop_assert_eq!(line, expected);
        }
        let Some(end) = lines.next() else { return Ok(false) };
        prop_assert_eq!(in_short(end), format!("END {}", start));
    }
    let mut due = due.into_iter().peekable();
    let mut marked = start;
    for line in lines {
        if line.starts_with(r#"{"type":"BOOKMARK""#) {
            let at = version_in(line);
            prop_assert!(at > start, "not newer than the start: {}", line);
            prop_assert!(at >= marked && at <= newest, "{}", line);
            if let Some((next, _)) = due.peek() {
                prop_assert!(*next > at, "bookmark {} is ahead of {}", at, next);
            }
            marked = at;
        } else {
            let Some((number, expected)) = due.next() else {
                return Err(TestCaseError::fail(format!("not due: {line}")));
            };
            prop_assert_eq!(line, expected);
            prop_assert!(number > marked, "event {} after bookmark {}", number, marked);
        }
    }
    Ok(due.next().is_none())
}
