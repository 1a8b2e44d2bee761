//! The offline checker of recorded watch histories.
//!
//! Pure: it is given what clients saw, what writers were acknowledged and what an unselected direct watch recorded, and says
//! which of the seen the API server could not have answered. It knows nothing of HTTP, time or files: order is told by
//! [`record::Moment`]s. The rules are those of semantics §3 and §5; each is named by [`violation::Rule`].
//!
//! What it cannot say: that an event was lost at the very end of a watch which ended before the run did. A watch may end at any
//! time, and whoever resumes it is given the event.

pub(crate) mod listing;
pub(crate) mod record;
pub(crate) mod recording;
pub(crate) mod reference;
pub(crate) mod replay;
pub(crate) mod scope;
pub(crate) mod session;
pub(crate) mod truth;
pub(crate) mod view;
pub(crate) mod violation;
