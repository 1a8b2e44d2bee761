//! The reference watches: direct, unselected, over the whole run, one for each form.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::sync::oneshot;

use crate::checker::record::{End, Event, Seen, Start, Version};
use crate::checker::reference::{Contents, Noted, Reference};
use crate::checker::scope::Scope;
use crate::course::Course;
use crate::forms::{Keys, Object};
use crate::ground::{Side, Way};
use crate::kinds::Kind;
use crate::seeded::Seeded;
use crate::stream::{Ask, Subject};

/// Everything a form showed, in its order.
pub(crate) struct Observed {
    /// Before the bookmark that ended the initial events.
    initial: Vec<Noted>,
    changes: Vec<Noted>,
}

/// Watches from before the run until it is drained. `ready` hears the version of the initial events once they are over. The API server may end
/// a watch that it can't feed: then this one goes on where it was.
pub(crate) async fn observe(
    course: Arc<Course>,
    kind: &'static Kind,
    form: usize,
    ready: oneshot::Sender<Version>,
) -> Result<Observed> {
    let scope = Scope::default();
    let subject = Subject { course: &course, kind, scope: &scope, form: kind.forms[form] };
    let client = course.ground.client(Side::Direct, Way::Http1)?;
    let (mut random, mut keys) = (Seeded::new(form as u64), Keys::default());
    let mut observed = Observed { initial: Vec::new(), changes: Vec::new() };
    // The first watch only brings the state.
    let start = Ask { start: Start::Fresh, bookmarks: true, timeout: 1, leave: None, slow: None };
    let initial = &mut observed.initial;
    let mut note = |event: &Event, object: Object| initial.push(noted(event, object));
    let first = subject.watch(&client, start, &mut random, &mut keys, &mut note).await?;
    let seen = first.session.seen;
    let live = seen.iter().skip_while(|seen| !seen.is_initial_end());
    let mut versions = live.map(|seen| match seen {
        Seen::Bookmark { version, .. } => Some(*version),
        Seen::Event(_) => None,
    });
    let Some(Some(mut version)) = versions.next() else {
        anyhow::bail!("{}: no end of the initial events: {seen:?}", kind.resource);
    };
    let quiet = versions.all(|version| version.is_some());
    ensure!(quiet, "{}: something is written before the run: {seen:?}", kind.resource);
    // Nobody waits any more if the run was given up.
    let _ = ready.send(version);
    let mut watches = 0;
    loop {
        watches += 1;
        ensure!(watches < 50, "{}: the reference watch doesn't hold", kind.resource);
        let ask = Ask { start: Start::After(version), timeout: 3_500, ..start };
        let changes = &mut observed.changes;
        let mut note = |event: &Event, object: Object| changes.push(noted(event, object));
        let watched = subject.watch(&client, ask, &mut random, &mut keys, &mut note).await?;
        version = watched.session.seen.last().map_or(version, Seen::version);
        match watched.session.end {
            End::Drained => return Ok(observed),
            End::Refused(code) => anyhow::bail!("{}: refused with {code}", kind.resource),
            End::Ended | End::Broken => {}
        }
    }
}

fn noted(event: &Event, object: Object) -> Noted {
    Noted { event: event.clone(), labels: object.labels, fields: object.fields }
}

/// One reference of what the forms showed; the first is the one that tells labels and fields.
pub(crate) fn reference(forms: Vec<Observed>, end: u64) -> Result<Reference> {
    let mut forms = forms.into_iter();
    let first = forms.next().context("no form was observed")?;
    let contents = |observed: Observed| -> Contents {
        let all = observed.initial.into_iter().chain(observed.changes);
        all.map(|noted| ((noted.event.key, noted.event.version), noted.event.content)).collect()
    };
    let others = forms.map(contents).collect();
    Ok(Reference { initial: first.initial, changes: first.changes, others, end })
}
