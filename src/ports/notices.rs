//! What keeps scaling objects from scaling, and how it is told to their owners, as
//! traits.
//!
//! May import: domain, the writes. Invariants: what is not known is said to be so,
//! and never taken for an end of anything; what was told can be read again by
//! whoever leads next.

use tokio::sync::watch;

use super::writes::Attempt;
use crate::domain::{
    declared::Kind,
    notice::{Code, Notice, Stage},
    profile::ScalingObject,
};

/// How one scaling object does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// The scaling object.
    pub object: ScalingObject,
    /// What it is.
    pub kind: Kind,
    /// What tells it from another of the same name.
    pub uid: Box<str>,
    /// How much of it is known.
    pub seen: Seen,
    /// What there is to tell; one for each code at most.
    pub notices: Vec<Notice>,
}

/// How much is known of a scaling object. What there is to tell holds in any case;
/// that there is nothing, as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// One of its pools has not been asked for yet.
    Nothing,
    /// Whether its pools can be read.
    Reading,
    /// And what becomes of their jobs.
    Jobs,
}

/// How scaling objects do, by the latest snapshots.
pub trait Notices: Send + Sync + 'static {
    /// All that the cluster declares; `None` until it has told them once.
    fn notices(&self) -> Option<Vec<Noticed>>;

    /// Counts what may change them: readings and declarations.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What an Event tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It has begun, or is about something else now.
    Is(Code, u64),
    /// These are over.
    Over(Vec<Code>),
}

/// An Event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The scaling object that it is about.
    pub object: ScalingObject,
    /// What that is.
    pub kind: Kind,
    /// What tells that from another of the same name.
    pub uid: Box<str>,
    /// Tells the Event from all others of that object; one that is tried again
    /// keeps it.
    pub mark: u64,
    /// What it tells.
    pub news: News,
    /// The same in words, with the remedy.
    pub note: String,
    /// Which replica writes it.
    pub reporter: Box<str>,
}

/// The Events of scaling objects.
pub trait Events: Send + Sync + 'static {
    /// What was told of late, oldest first, by the scaling object's uid: of every
    /// replica, and as far as the cluster still has it.
    fn told(&self) -> Attempt<'_, Vec<(Box<str>, News)>>;

    /// Writes one. It is well if it is there already.
    fn tell<'a>(&'a self, event: &'a Event) -> Attempt<'a, ()>;
}

// === impl Noticed ===

impl Noticed {
    /// What there is to tell by this code.
    #[must_use]
    pub fn of(&self, code: Code) -> Option<&Notice> {
        self.notices.iter().find(|notice| notice.code == code)
    }

    /// Where there is nothing to tell by this code: is that known?
    #[must_use]
    pub fn knows(&self, code: Code) -> bool {
        self.seen
            >= match code.facts().stage {
                Stage::Reading => Seen::Reading,
                Stage::Jobs => Seen::Jobs,
            }
    }
}
