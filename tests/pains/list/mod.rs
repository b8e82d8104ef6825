//! The list: every pain, who told it, and what keeps it from coming back.
//!
//! Invariant: each number is here once, and each row has a test, or says what
//! it waits for.

mod agents;
mod jobs;
mod life;

use self::{
    agents::{AGENTS_KILLED_WHILE_A_JOB_RUNS, TOO_FEW_AGENTS, TOO_MANY_AGENTS},
    jobs::{CREDENTIALS, DEMANDS_AND_CAPABILITIES, FROM_ZERO},
    life::{IMAGES, LIFE_OF_AN_AGENT},
};

/// A pain of users of other tools.
pub(crate) struct Pain {
    /// Its number on the page.
    pub(crate) number: usize,
    /// What it is.
    pub(crate) what: &'static str,
    /// Where it was told: `OWNER/REPOSITORY#NUMBER`, or an address.
    pub(crate) told_in: &'static [&'static str],
    /// What keeps it away.
    pub(crate) kept: Kept,
}

/// What keeps a pain away.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    /// A test, as `FILE::NAME`.
    By(&'static str),
    /// A test of a chart's suite, as `FILE::TEXT`, the text being that of its `it:`.
    Suite(&'static str),
    /// Another part, or more of it, that is yet to come.
    Later(Part),
    /// The same, with what there is already and what is missing.
    Partly(Part, &'static str),
    /// Something of this project's that is not there yet.
    Pending(&'static str),
}

/// A part of the project beside the scaler.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// The agent's image and its entry point.
    Agent,
    /// The charts and their alerts.
    Chart,
    /// What acts on the cluster: which pod is removed, events of pods that fail.
    Guard,
}

/// The parts of the list.
pub(crate) const SECTIONS: &[(&str, &[Pain])] = &[
    (
        "Agents killed while a job runs",
        AGENTS_KILLED_WHILE_A_JOB_RUNS,
    ),
    ("Too many agents", TOO_MANY_AGENTS),
    ("Too few agents", TOO_FEW_AGENTS),
    ("Demands and capabilities", DEMANDS_AND_CAPABILITIES),
    ("From zero", FROM_ZERO),
    ("Credentials", CREDENTIALS),
    ("The life of an agent", LIFE_OF_AN_AGENT),
    ("Images", IMAGES),
];

const fn pain(
    number: usize,
    what: &'static str,
    told_in: &'static [&'static str],
    kept: Kept,
) -> Pain {
    Pain {
        number,
        what,
        told_in,
        kept,
    }
}
