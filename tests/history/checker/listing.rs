//! Rules for a state: a list, or what a watch shows before its events.

use super::record::{Asked, Form, Item, List, Version};
use super::truth::Truth;
use super::view::View;
use super::violation::{Rule, Verdict, broken};

/// Whether a list could have been answered.
pub(crate) fn check(truth: &Truth, view: &View, form: Form, list: &List) -> Verdict {
    let at_least = match list.ask {
        Asked::Fresh => truth.floor(list.asked),
        Asked::Any => 0,
        Asked::NotOlderThan(version) => version,
    };
    bounds(truth, list.version, at_least)?;
    whole(view, form, list.version, &list.items)
}

/// Whether a version may be served.
pub(super) fn bounds(truth: &Truth, version: Version, at_least: Version) -> Verdict {
    if version < at_least {
        return broken(Rule::Stale, format!("version {version}, but {at_least} is due"));
    }
    if version > truth.end {
        return broken(Rule::State, format!("version {version} is beyond the end, {}", truth.end));
    }
    Ok(())
}

/// Whether these are exactly the objects at a version, in their order.
pub(super) fn whole(view: &View, form: Form, version: Version, items: &[Item]) -> Verdict {
    in_order(items)?;
    let due = view.items(view.after(version), form);
    if let Some((seen, due)) = items.iter().zip(&due).find(|(seen, due)| seen != due) {
        let rule = match seen.key == due.key && seen.version == due.version {
            true => Rule::Content,
            false => Rule::State,
        };
        return broken(rule, format!("at {version}: {} where {} is due", shown(seen), shown(due)));
    }
    if items.len() != due.len() {
        let what = format!("at {version}: {} objects where {} are due", items.len(), due.len());
        return broken(Rule::State, what);
    }
    Ok(())
}

/// Whether keys only go up.
pub(super) fn in_order(items: &[Item]) -> Verdict {
    match items.windows(2).find(|pair| pair[0].key >= pair[1].key) {
        None => Ok(()),
        Some(pair) => {
            broken(Rule::KeyOrder, format!("{} before {}", shown(&pair[0]), shown(&pair[1])))
        }
    }
}

/// For messages.
pub(super) fn shown(item: &Item) -> String {
    format!("{}@{}", item.key, item.version)
}
