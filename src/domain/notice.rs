//! Notices: what keeps a scaling object from scaling, or its jobs from an agent.
//!
//! May import: nothing of ours. Invariants: codes come from a closed list, and each
//! has its meaning and remedy in one table; a note fits into an Event of Kubernetes
//! and is one line, whatever the texts that it is made of hold.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Kubernetes: a longer note of an Event is refused, in bytes.
pub const LONGEST_NOTE: usize = 1024;

/// The reason of the Event that tells that something is over.
pub const RECOVERED: &str = "Recovered";

/// What it is, as `reason` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The metadata of a trigger cannot be used.
    TriggerInvalid,
    /// A rule of tenancy stands against a trigger.
    AccessDenied,
    /// The credential cannot be had.
    CredentialMissing,
    /// The service does not know the credential.
    CredentialRejected,
    /// The token was good once.
    CredentialExpired,
    /// The credential may not read the pool.
    CredentialForbidden,
    /// Who gives out tokens gives none.
    AuthorityFails,
    /// No such pool, or none that is visible.
    PoolNotFound,
    /// A project's number of a queue, in the place of a pool's.
    QueueIdForPool,
    /// The pool cannot be read, for another reason.
    AzureDevOpsFails,
    /// There are more pools than the scaler was made for.
    ScalerFull,
    /// A `ScaledObject` and a `ScaledJob` that nobody can tell apart.
    NameShared,
    /// The pool is Microsoft's.
    PoolHosted,
    /// Jobs that no scaling object takes.
    JobsUnmatched,
    /// Jobs beyond `maxReplicaCount`.
    AtMaximum,
    /// Jobs of a scaling object that is paused.
    PausedWithJobs,
}

/// What is to be known of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which.
    pub code: Code,
    /// Its name.
    pub name: &'static str,
    /// Is something wrong, or only as somebody has set it?
    pub is_warning: bool,
    /// What its scaling object lacks while it lasts.
    pub stage: Stage,
    /// May it pass by itself within a moment, and come again?
    pub may_pass: bool,
    /// What has happened.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// How far it was from a trigger to its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The pool is not read: one such code stands in the place of another.
    Reading,
    /// The pool is read.
    Jobs,
}

/// One thing to be told of a scaling object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is.
    pub code: Code,
    /// Tells it from another of its code: of another pool, with other problems.
    /// Ages and counts do not change it.
    pub about: u64,
    /// What has happened and what to do, for people.
    pub note: String,
}

const fn facts(
    code: Code,
    name: &'static str,
    (is_warning, stage, may_pass): (bool, Stage, bool),
    meaning: &'static str,
    remedy: &'static str,
) -> Facts {
    Facts {
        code,
        name,
        is_warning,
        stage,
        may_pass,
        meaning,
        remedy,
    }
}

const TO_MEND: (bool, Stage, bool) = (true, Stage::Reading, false);
const FAILING: (bool, Stage, bool) = (true, Stage::Reading, true);

/// Every code, in the order of [`Code`].
pub static TABLE: [Facts; 16] = [
    facts(
        Code::TriggerInvalid,
        "TriggerInvalid",
        TO_MEND,
        "the metadata of a trigger cannot be used",
        "correct the keys that the message names",
    ),
    facts(
        Code::AccessDenied,
        "AccessDenied",
        TO_MEND,
        "a rule of the scaler's operator stands against the trigger",
        "see the rule that the message names",
    ),
    facts(
        Code::CredentialMissing,
        "CredentialMissing",
        TO_MEND,
        "the credential, or the key of the Secret with it, is not there",
        "put it where the message says",
    ),
    facts(
        Code::CredentialRejected,
        "CredentialRejected",
        TO_MEND,
        "Azure DevOps does not know the credential",
        "check that the token is valid and whole, and of this organization",
    ),
    facts(
        Code::CredentialExpired,
        "CredentialExpired",
        TO_MEND,
        "the personal access token has expired",
        "make a new one",
    ),
    facts(
        Code::CredentialForbidden,
        "CredentialForbidden",
        TO_MEND,
        "the credential is known, and may not read the pool",
        "give it the scope and the role that the message names",
    ),
    facts(
        Code::AuthorityFails,
        "AuthorityFails",
        FAILING,
        "Entra ID, or another authority, gives no token",
        "look at the code in the message",
    ),
    facts(
        Code::PoolNotFound,
        "PoolNotFound",
        TO_MEND,
        "the pool is not there, or not visible to the credential",
        "check its name, and the credential's role on it",
    ),
    facts(
        Code::QueueIdForPool,
        "QueueIdForPool",
        TO_MEND,
        "the number is that of a project's queue",
        "write the pool's number, which the message has",
    ),
    facts(
        Code::AzureDevOpsFails,
        "AzureDevOpsFails",
        FAILING,
        "the pool cannot be read, and what was read last is too old to scale by",
        "until it can be read, the agents stay as many as they are",
    ),
    facts(
        Code::ScalerFull,
        "ScalerFull",
        TO_MEND,
        "the scaler reads as many pools as it may",
        "raise the flag that the message names",
    ),
    facts(
        Code::NameShared,
        "NameShared",
        (true, Stage::Jobs, false),
        "a ScaledObject and a ScaledJob of one name have the same trigger",
        "rename one, or write mode in both",
    ),
    facts(
        Code::PoolHosted,
        "PoolHosted",
        (true, Stage::Jobs, false),
        "the pool is hosted by Microsoft, so that no agent of yours can join it",
        "name a pool of your own",
    ),
    facts(
        Code::JobsUnmatched,
        "JobsUnmatched",
        (true, Stage::Jobs, true),
        "jobs wait in the pool that no scaling object takes, this one neither",
        "change what the job asks for, or give agents what it asks for and say so in the \
         capabilities of their trigger",
    ),
    facts(
        Code::AtMaximum,
        "AtMaximum",
        (false, Stage::Jobs, true),
        "it has as many agents as it may have, and jobs wait",
        "raise maxReplicaCount, or let others take the jobs",
    ),
    facts(
        Code::PausedWithJobs,
        "PausedWithJobs",
        (false, Stage::Jobs, true),
        "it is paused by an annotation, and jobs wait",
        "take the annotation that begins with autoscaling.keda.sh/paused away",
    ),
];

// === impl Code ===

impl Code {
    /// What is to be known of it.
    #[must_use]
    pub const fn facts(self) -> &'static Facts {
        &TABLE[self as usize]
    }

    /// Its name: the `reason` of an Event.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The code of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let facts = TABLE.iter().find(|facts| facts.name == name);
        facts.map(|facts| facts.code)
    }
}

// === impl Notice ===

impl Notice {
    /// One whose verdict says what to do by itself.
    #[must_use]
    pub fn new(code: Code, about: &str, verdict: &str) -> Self {
        // The hasher has fixed keys: every replica of one version computes the same.
        let mut hasher = DefaultHasher::new();
        about.hash(&mut hasher);
        Self {
            code,
            about: hasher.finish(),
            note: fitted(verdict, ""),
        }
    }

    /// One whose verdict says what has happened alone.
    #[must_use]
    pub fn with_remedy(code: Code, about: &str, verdict: &str) -> Self {
        Self {
            note: fitted(verdict, &format!("; {}", code.facts().remedy)),
            ..Self::new(code, about, "")
        }
    }

    /// Of another trigger of the same scaling object, with the same code. Whatever
    /// the order, the result is about the same.
    pub fn join(&mut self, other: &Self) {
        if self.about == other.about {
            return;
        }
        self.about = self.about.wrapping_add(other.about);
        self.note = fitted(&format!("{}; {}", self.note, other.note), "");
    }
}

/// The verdict and the end of a note, shortened in between where they are too long.
fn fitted(verdict: &str, end: &str) -> String {
    const CUT: &str = "…";
    let mut note = String::with_capacity(verdict.len() + end.len());
    for c in verdict.chars() {
        match is_no_text(c) {
            true => note.extend(c.escape_default()),
            false => note.push(c),
        }
        if note.len() + end.len() > LONGEST_NOTE {
            break;
        }
    }
    if note.len() + end.len() > LONGEST_NOTE {
        let mut room = LONGEST_NOTE - end.len() - CUT.len();
        while !note.is_char_boundary(room) {
            room -= 1;
        }
        note.truncate(room);
        note.push_str(CUT);
    }
    note.push_str(end);
    note
}

/// Controls, and what Unicode has for lines and directions: demands are anybody's.
fn is_no_text(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_codes() {
        for (index, facts) in TABLE.iter().enumerate() {
            let code = facts.code;
            assert_eq!(code as usize, index);
            assert_eq!(format!("{code:?}"), facts.name);
            assert_eq!(Code::parse(code.name()), Some(code));
            assert!(!facts.meaning.is_empty() && !facts.remedy.is_empty());
        }
        assert_eq!(Code::parse(RECOVERED), None);
    }

    #[test]
    fn a_note_fits_is_one_line_and_keeps_its_remedy() {
        let check = |verdict: &str| {
            let long = Notice::with_remedy(Code::JobsUnmatched, "a", verdict);
            let note = &long.note;
            assert!(note.len() <= LONGEST_NOTE, "{}", note.len());
            assert!(
                note.ends_with("the capabilities of their trigger"),
                "{note}"
            );
            assert!(!note.chars().any(is_no_text), "{note:?}");
            assert_eq!(note.contains('…'), verdict.len() > 900, "{note}");
        };
        check("short");
        check("a\nb\u{1b}[31m\u{202e}");
        check(&"x".repeat(5000));
        check(&"ü".repeat(3000));
        check(&"\u{202e}\n".repeat(2000));
        let plain = Notice::new(Code::PoolNotFound, "a", &"ü".repeat(600));
        assert!(plain.note.len() <= LONGEST_NOTE && plain.note.ends_with('…'));
    }

    #[test]
    fn notices_of_one_code_become_one_whatever_their_order() {
        let [one, other] = ["one", "other"].map(|pool| Notice::new(Code::PoolNotFound, pool, pool));
        let (mut a, mut b, mut same) = (one.clone(), other.clone(), one.clone());
        a.join(&other);
        b.join(&one);
        same.join(&one);
        assert_eq!((a.about, a.note.as_str()), (b.about, "one; other"));
        assert_ne!(a.about, one.about);
        assert_eq!(same, one);
    }
}
