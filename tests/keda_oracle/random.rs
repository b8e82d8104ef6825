//! Random cases: queues in every state, and triggers with every combination of
//! KEDA's keys, written well and badly.
//!
//! May import: cases, proptest. Invariant: what is chosen often is what makes
//! both sides count; what both refuse is rare, or nothing else would be tested.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use crate::case::{Case, Metadata, Step, agent};

/// What jobs ask for and triggers list, so that they often meet: the same in
/// other letters, with operators, with white space, no demand at all.
const DEMANDS: &[&str] = &[
    "java",
    "java",
    "docker",
    "docker",
    "Java",
    "DOCKER",
    " docker",
    "java ",
    "",
    "java -equals 17",
    "Java -Equals 17",
    "team -equals Payments & Co",
    "büro",
    "BÜRO",
    "Agent.Version -gtVersion 2.182.1",
    "Agent.Version",
    "agent.version -gtVersion 2.1",
    "Agent.VersionX",
    "Agent.OS -equals Linux",
];

const AGENTS: &[&str] = &["template-java", "template-docker", "Runner-1", "runner-2"];

/// Agents that triggers name: those, in other letters too, and one that is not.
const PARENTS: &[&str] = &[
    "template-java",
    "template-java",
    "template-java",
    "template-docker",
    "template-docker",
    "Template-Java",
    "Runner-1",
    "Runner-1",
    "runner-1",
    "runner-2",
    "nobody",
];

/// What agents have beside what every agent has.
const CAPABILITIES: &[(&str, &str)] = &[
    ("java", "17"),
    ("docker", "/usr/bin/docker"),
    ("team", "payments & co"),
    ("büro", "1"),
];

/// Values of a key that are read, and those that both refuse.
type Values = (&'static [&'static str], &'static [&'static str]);

const FLAGS: Values = (
    &["true", "false", "true", "1", "T", "FALSE", " true ", ""],
    &["yes", "tRue"],
);
const WINDOWS: Values = (
    &["250", "200", "1", "2", "3", "0", "9999999999"],
    &["-1", "07"],
);
const TARGETS: Values = (&["1", "2", " 5 ", ""], &["1.0", "+1"]);
const ACTIVATIONS: Values = (&["0", "1", "2", "5", "-0"], &["one", "00"]);
const UNKNOWN: &[&str] = &[
    "Demands",
    "poolname",
    "demand",
    "requireAlldemands",
    "Parent",
];
const PADDINGS: &[&str] = &["", "", "", " ", "\t", "\n", "\u{a0}"];

/// Any case.
pub fn case() -> impl Strategy<Value = Case> {
    let past = (prop::bool::weighted(0.6), vec(step(), 0..14)).prop_map(|(templates, mut past)| {
        if templates {
            past.splice(0..0, self::templates());
        }
        past
    });
    (past, trigger(), prop::bool::weighted(0.1)).prop_map(|(past, trigger, neighbour)| Case {
        past,
        trigger,
        neighbour,
    })
}

/// Offline agents, of which each can run other jobs, as `parent` needs them: a
/// job that all agents of its pool could run names none of them.
fn templates() -> [Step; 3] {
    [
        agent("template-java", "java", false),
        agent("template-docker", "docker", false),
        agent("bare", "nothing", false),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let name = || select(AGENTS).prop_map(str::to_owned);
    let capabilities = prop::sample::subsequence(CAPABILITIES, 0..=CAPABILITIES.len());
    let agent = (name(), capabilities, any::<bool>()).prop_map(|(name, own, online)| Step::Agent {
        name,
        capabilities: own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        online,
    });
    // A few queues are longer than any answer that is cut off.
    let count = prop_oneof![40 => 1..4_u32, 1 => 80..220_u32];
    let usual: &[&[&str]] = &[
        &["java", "Agent.Version -gtVersion 2.182.1"],
        &["docker", "Agent.Version -gtVersion 2.182.1"],
        &["Docker"],
    ];
    let usual = select(usual).prop_map(<[&str]>::to_vec);
    let demands = prop_oneof![usual, vec(select(DEMANDS), 0..3)];
    let demands = demands.prop_map(|demands| demands.into_iter().map(str::to_owned).collect());
    let jobs = (count, demands, any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |(count, demands, short, needs_agent)| Step::Jobs {
            count,
            demands,
            short,
            needs_agent,
        },
    );
    let cancel = any::<Index>().prop_map(|index| Step::Cancel(index.index(10)));
    prop_oneof![
        8 => jobs,
        3 => agent,
        2 => Just(Step::Hour),
        1 => cancel,
        1 => name().prop_map(Step::Kill),
    ]
}

/// Keys with their values; a key that is not there has none.
fn trigger() -> impl Strategy<Value = Metadata> {
    let rules = (
        demands(),
        often(0.25, select(PARENTS).prop_map(str::to_owned)),
    );
    let flags = (flag(0.4), flag(0.4), flag(0.5), flag(0.5), flag(0.3));
    let numbers = (
        often(0.15, one_of(WINDOWS)),
        often(0.3, one_of(TARGETS)),
        often(0.3, one_of(ACTIVATIONS)),
    );
    let unknown = often(0.02, select(UNKNOWN).prop_map(str::to_owned));
    (places(), rules, flags, numbers, unknown, select(PADDINGS)).prop_map(
        |(places, (demands, parent), flags, numbers, unknown, padding)| {
            let values = [
                ("demands", demands),
                ("parent", parent.map(|parent| format!("{parent}{padding}"))),
                ("requireAllDemands", flags.0),
                ("requireAllDemandsAndIgnoreOthers", flags.1),
                ("caseInsensitiveDemandsProcessing", flags.2),
                ("scaleOnInFlight", flags.3),
                ("fetchUnfinishedJobsOnly", flags.4),
                ("jobsToFetch", numbers.0),
                ("targetPipelinesQueueLength", numbers.1),
                ("activationTargetPipelinesQueueLength", numbers.2),
            ];
            let given = values.into_iter();
            let given = given.filter_map(|(key, value)| Some((key.to_owned(), value?)));
            let unknown = unknown.map(|key| (key, "java".to_owned()));
            places.into_iter().chain(given).chain(unknown).collect()
        },
    )
}

/// The pool and the organization, in each way to name them.
fn places() -> impl Strategy<Value = Vec<(String, String)>> {
    let pool: &[&[(&str, &str)]] = &[
        &[("poolName", "{pool}")],
        &[("poolName", " {pool} ")],
        &[("poolID", "{id}")],
        &[("poolName", "{pool}"), ("poolID", "999")],
        &[("poolName", ""), ("poolID", "{id}")],
    ];
    let organization: &[&[(&str, &str)]] = &[
        &[("organizationURL", "{url}")],
        &[("organizationURLFromEnv", "{url}")],
        &[
            ("organizationURL", "http://127.0.0.1:1/nobody"),
            ("organizationURLFromEnv", "{url}"),
        ],
        &[("organizationURL", "{url}"), ("organizationURLFromEnv", "")],
        &[
            ("organizationURL", "{url}"),
            ("personalAccessTokenFromEnv", "other"),
        ],
    ];
    (select(pool), select(organization)).prop_map(|(pool, organization)| {
        let both = pool.iter().chain(organization);
        both.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    })
}

/// Some demands, one of them perhaps twice, with white space around the whole
/// or an item; perhaps none at all, in the many ways there are.
fn demands() -> impl Strategy<Value = Option<String>> {
    let list = vec(select(DEMANDS), 0..9).prop_map(|items| items.join(","));
    let padded = (list, select(PADDINGS), select(PADDINGS))
        .prop_map(|(list, before, after)| format!("{before}{list}{after}"));
    often(0.7, padded)
}

fn flag(chance: f64) -> impl Strategy<Value = Option<String>> {
    often(chance, one_of(FLAGS))
}

fn one_of((good, bad): Values) -> impl Strategy<Value = String> {
    prop_oneof![30 => select(good), 1 => select(bad)].prop_map(str::to_owned)
}

fn often<S: Strategy>(chance: f64, value: S) -> impl Strategy<Value = Option<S::Value>> {
    prop::option::weighted(chance, value)
}
