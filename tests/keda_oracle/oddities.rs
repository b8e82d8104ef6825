//! Corners of KEDA's rules that surprise and are kept: the last table of
//! `docs/keda-differences.md`.
//!
//! May import: cases. Invariant: each case has the number that a reader of the
//! page would expect, and both sides have to give it.

use crate::case::{Case, Step, agent, jobs, with_jobs};

/// A surprise of KEDA's that is kept: its name on the page, a case, and the
/// number that both sides give it.
pub struct Oddity {
    pub name: &'static str,
    pub cases: fn() -> Vec<(Case, u64)>,
}

pub const ODDITIES: &[Oddity] = &[
    Oddity {
        name: "white-space",
        cases: || {
            vec![
                (with_jobs(1, "docker").with("demands", "java, docker"), 0),
                (with_jobs(1, "docker").with("demands", " docker,java\n"), 1),
                (with_jobs(1, "docker").with("demands", " \t"), 1),
            ]
        },
    },
    Oddity {
        name: "named-twice",
        cases: || {
            vec![
                (with_jobs(1, "java").with("demands", "java,java"), 0),
                (with_jobs(1, "java").with("demands", "java,docker"), 1),
            ]
        },
    },
    Oddity {
        name: "empty-item",
        cases: || {
            let same = |case: Case| case.with("requireAllDemands", "true");
            vec![
                (same(with_jobs(1, "java").with("demands", "java,")), 0),
                (with_jobs(1, "java").with("demands", "java,"), 1),
            ]
        },
    },
    Oddity {
        name: "operators",
        cases: || {
            let seventeen = || with_jobs(1, "java -equals 17");
            vec![
                (seventeen().with("demands", "java"), 0),
                (seventeen().with("demands", "java -equals 17"), 1),
            ]
        },
    },
    Oddity {
        name: "agent-version",
        cases: || {
            vec![
                (with_jobs(1, "Agent.Version2").with("demands", "java"), 1),
                (with_jobs(1, "agent.version").with("demands", "java"), 0),
                (
                    with_jobs(1, "java").with("demands", "java,Agent.Version"),
                    1,
                ),
            ]
        },
    },
    Oddity {
        name: "nothing-asked-for",
        cases: || {
            let plain = || Case {
                past: vec![jobs(2, &[])],
                ..with_jobs(0, "")
            };
            let within = "requireAllDemandsAndIgnoreOthers";
            vec![
                (plain().with("demands", "java"), 2),
                (plain().with("demands", "java").with(within, "true"), 0),
            ]
        },
    },
    Oddity {
        name: "letters",
        cases: || {
            let blind = |case: Case| case.with("caseInsensitiveDemandsProcessing", "true");
            vec![
                (with_jobs(1, "JAVA").with("demands", "java"), 0),
                (blind(with_jobs(1, "JAVA").with("demands", "java")), 1),
                (blind(with_jobs(1, "K8S").with("demands", "\u{212a}8ſ")), 1),
                (blind(with_jobs(1, "ΟΔΟΣ").with("demands", "οδος")), 1),
                (blind(with_jobs(1, "STRASSE").with("demands", "straße")), 0),
                (blind(with_jobs(1, "i").with("demands", "ı")), 0),
                (blind(with_jobs(1, "i\u{307}").with("demands", "İ")), 0),
            ]
        },
    },
    Oddity {
        name: "both-flags",
        cases: || {
            let case = with_jobs(1, "java").with("requireAllDemands", "true");
            let case = case.with("requireAllDemandsAndIgnoreOthers", "true");
            let two = Case {
                past: vec![jobs(1, &["java", "docker"])],
                ..case.clone()
            };
            vec![
                (case.with("demands", "java"), 1),
                (two.with("demands", "java"), 0),
            ]
        },
    },
    Oddity {
        name: "parent-first",
        cases: || {
            let matched = || with_template("java");
            vec![
                (matched().with("parent", "template"), 1),
                (matched().with("parent", " template\n"), 1),
                (matched().with("parent", "Template"), 0),
                // whatever the demands say
                (matched().with("parent", "template").with("demands", "x"), 1),
            ]
        },
    },
    Oddity {
        name: "parent-of-all",
        cases: || {
            // Every agent of the pool could run it, so none is named.
            let mut all = with_template("java");
            all.past.remove(0);
            vec![(all.with("parent", "template"), 0)]
        },
    },
    Oddity {
        name: "in-flight",
        cases: || {
            let given = |hours: usize| {
                let mut case = with_jobs(3, "java");
                case.past.insert(0, agent("runner", "java", true));
                case.past.extend(vec![Step::Hour; hours]);
                case
            };
            let not = |case: Case| case.with("scaleOnInFlight", "false");
            vec![
                // one of the three is assigned, then running
                (given(0), 3),
                (not(given(0)), 3),
                (given(1), 3),
                (not(given(1)), 2),
            ]
        },
    },
];

/// A job that one agent of the pool could run, if it were online, and another
/// one could not.
fn with_template(demand: &str) -> Case {
    let mut case = with_jobs(1, demand);
    let both = [
        agent("other", "cobol", false),
        agent("template", demand, false),
    ];
    case.past.splice(0..0, both);
    case
}
