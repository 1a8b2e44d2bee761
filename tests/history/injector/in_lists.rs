//! Faults in lists.

use super::{Fault, Surroundings, older};
use crate::checker::record::{Asked, List};
use crate::seeded::Seeded;

pub(super) fn inject(
    random: &mut Seeded,
    around: &Surroundings<'_>,
    list: &List,
    fault: Fault,
) -> Option<List> {
    let mut list = list.clone();
    let count = list.items.len();
    let place = random.below(count);
    match fault {
        Fault::ListWrongVersion => wrong_version(random, around, &mut list)?,
        Fault::ListStale => stale(random, around, &mut list)?,
        _ if count == 0 => return None,
        Fault::ListLoss => {
            list.items.remove(place);
        }
        Fault::ListDuplicate => {
            let at = place + random.below(count - place) + 1;
            list.items.insert(at, list.items[place].clone());
        }
        Fault::ListReordering if place + 1 < count => list.items.swap(place, place + 1),
        Fault::ListWrongContent => list.items[place].content ^= 1 + random.number() / 2,
        Fault::ListStaleObject => {
            let item = &mut list.items[place];
            (item.version, item.content) = older(around, random, &item.key, item.version)?;
        }
        _ => return None,
    }
    Some(list)
}

/// To beyond the next change that the list would show, or to before the last one that it does.
fn wrong_version(random: &mut Seeded, around: &Surroundings<'_>, list: &mut List) -> Option<()> {
    let place = around.view.after(list.version);
    list.version = match random.percent(50) {
        true => around.view.events.get(place)?.version,
        false => around.view.events[place.checked_sub(1)?].version - 1,
    };
    Some(())
}

/// A true state, but from before what is due.
fn stale(random: &mut Seeded, around: &Surroundings<'_>, list: &mut List) -> Option<()> {
    let at_least = match list.ask {
        Asked::Fresh => around.truth.floor(list.asked),
        Asked::NotOlderThan(version) => version,
        Asked::Any => return None,
    };
    let place = around.view.after(at_least.checked_sub(1)?);
    let count = random.below(place);
    list.version = around.view.events.get(count).filter(|due| due.version < at_least)?.version;
    list.items = around.view.items(count + 1, around.form);
    Some(())
}
