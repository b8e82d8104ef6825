//! Placeholders in a pool whose server says what the test has written: in which
//! order it is asked, and what is tried again.
//!
//! May import: the module that it tests, ports. Invariant: a request that was not
//! scripted fails the test, and so does one that does not come.

use std::{collections::VecDeque, sync::Mutex};

use futures::future::{BoxFuture, FutureExt as _, ready};

use super::*;
use crate::{
    domain::{
        capability::Capabilities,
        placeholder::{CapabilityMap, Registration, VERSION},
    },
    ports::{
        Right,
        registrations::{Asked, Registrations},
    },
};

const OWNER: &str = "ci/agents";
const WITHIN: Duration = Duration::from_secs(120);

/// What comes next, and the answer to it.
enum Says {
    Agents(Vec<RegisteredAgent>),
    Registers(Registering),
    Done,
    Removes(Removal),
    Fails(ReadError),
}

struct Server(Mutex<VecDeque<(&'static str, Says)>>);

impl Server {
    fn next(&self, came: &str) -> Asked<Says> {
        let next = self.0.lock().unwrap().pop_front();
        let (expected, says) = next.unwrap_or_else(|| panic!("{came} is one too many"));
        assert_eq!(came, expected);
        match says {
            Says::Fails(error) => Err(error),
            says => Ok(says),
        }
    }

    fn done(&self, came: &str) -> BoxFuture<'static, Asked<()>> {
        ready(self.next(came).map(|_| ())).boxed()
    }
}

impl Registrations for Server {
    fn agents<'a>(
        &'a self,
        pool: &'a PoolRef,
    ) -> BoxFuture<'a, Asked<(PoolId, Vec<RegisteredAgent>)>> {
        let says = self.next(&format!("look at {pool}"));
        ready(says.map(|says| match says {
            Says::Agents(agents) => (PoolId(27), agents),
            _ => panic!("no answer to a look"),
        }))
        .boxed()
    }

    fn agent(&self, _: PoolId, _: AgentId) -> BoxFuture<'_, Asked<Option<RegisteredAgent>>> {
        panic!("it reads no agent alone");
    }

    fn agent_named<'a>(
        &'a self,
        _: &'a PoolRef,
        _: &'a str,
    ) -> BoxFuture<'a, Asked<(PoolId, Option<RegisteredAgent>)>> {
        panic!("it looks for no name");
    }

    fn set_enabled<'a>(
        &'a self,
        _: PoolId,
        agent: AgentId,
        _: &'a str,
        enabled: bool,
    ) -> BoxFuture<'a, Asked<()>> {
        assert!(enabled);
        self.done(&format!("enable {agent}"))
    }

    fn remove(&self, _: PoolId, agent: AgentId) -> BoxFuture<'_, Asked<Removal>> {
        let says = self.next(&format!("remove {agent}"));
        ready(says.map(|says| match says {
            Says::Removes(removal) => removal,
            _ => panic!("no answer to a removal"),
        }))
        .boxed()
    }
}

impl Placeholders for Server {
    fn register<'a>(
        &'a self,
        _: PoolId,
        registration: &'a Registration,
    ) -> BoxFuture<'a, Asked<Registering>> {
        let says = self.next(&format!("register {}", registration.name));
        ready(says.map(|says| match says {
            Says::Registers(registering) => registering,
            _ => panic!("no answer to a registration"),
        }))
        .boxed()
    }

    fn tell_capabilities<'a>(
        &'a self,
        _: PoolId,
        agent: AgentId,
        capabilities: &'a CapabilityMap,
    ) -> BoxFuture<'a, Asked<()>> {
        assert_eq!(&*capabilities["azp-agent.placeholder"], OWNER);
        self.done(&format!("tell {agent}"))
    }
}

fn placeholder(name: &str) -> Placeholder {
    Placeholder {
        name: name.into(),
        capabilities: Capabilities::parse("docker").unwrap(),
    }
}

fn registered(id: u32, name: &str, owner: &str) -> RegisteredAgent {
    let Registration { name, system, user } = placeholder(name).registration(owner);
    RegisteredAgent {
        id: AgentId(id),
        name,
        version: VERSION.into(),
        enabled: true,
        online: false,
        assigned: None,
        last: None,
        created: None,
        status_changed: None,
        capabilities: system.into_iter().chain(user).collect(),
    }
}

/// Keeps these in pool `a`, and none in `b`, at a server that says this; what was
/// done, and why it is not whole.
async fn kept(wanted: &[&str], says: Vec<(&'static str, Says)>) -> (Vec<String>, Option<Undone>) {
    let server = Server(Mutex::new(says.into()));
    let pool = |pool: &str, names: &[&str]| WantedInPool {
        pool: pool.into(),
        placeholders: names.iter().map(|name| placeholder(name)).collect(),
    };
    let wanted = Wanted {
        owner: OWNER.into(),
        pools: vec![pool("a", wanted), pool("b", &[])],
    };
    let report = keep(&server, &wanted, WITHIN).await;
    let left = server.0.lock().unwrap().len();
    assert_eq!(left, 0, "requests are missing");
    let done = report.done.iter().map(ToString::to_string).collect();
    (done, report.outcome.err())
}

fn down() -> Says {
    Says::Fails(ReadError::Server { status: 503 })
}

#[tokio::test(start_paused = true)]
async fn all_pools_are_seen_first_and_what_is_too_much_goes_last() {
    let disabled = RegisteredAgent {
        enabled: false,
        ..registered(1, "one", OWNER)
    };
    let mut other = registered(2, "two", OWNER);
    other.capabilities.insert("maven".into(), "true".into());
    let old = registered(3, "old", OWNER);
    let says = vec![
        (
            "look at a",
            Says::Agents(vec![old, disabled, other, registered(4, "four", OWNER)]),
        ),
        (
            "look at b",
            Says::Agents(vec![
                registered(9, "old", OWNER),
                registered(8, "x", "other"),
            ]),
        ),
        (
            "register new",
            Says::Registers(Registering::Registered(AgentId(5))),
        ),
        ("tell 5", Says::Done),
        ("enable 1", Says::Done),
        ("tell 2", Says::Done),
        ("remove 3", Says::Removes(Removal::Removed)),
        ("remove 9", Says::Removes(Removal::WasGone)),
    ];
    let (done, undone) = kept(&["one", "two", "new", "four"], says).await;
    let expected = [
        "a/new: registered (5)",
        "a/one: updated",
        "a/two: updated",
        "a/old: removed",
        "b/old: removed",
        "a/four: as it should be",
    ];
    assert_eq!(
        (done.iter().map(String::as_str).collect(), undone),
        (expected.to_vec(), None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_of_somebody_elses_stops_all_before_anything_is_changed() {
    let says = vec![
        (
            "look at a",
            Says::Agents(vec![registered(1, "one", "other")]),
        ),
        ("look at b", Says::Agents(vec![registered(9, "old", OWNER)])),
    ];
    let (done, undone) = kept(&["new", "one"], says).await;
    assert_eq!(done, [""; 0]);
    let told = undone.unwrap().to_string();
    let expected = "in pool a agent \"one\" (1) is the placeholder of \"other\"; choose another \
                    name, or remove that agent";
    assert_eq!(told, expected);
}

/// The chart's hook comes after the scaler has seen the trigger: it is no failure that
/// the scaler was faster, and nothing of the scaler's is touched, also in the end.
#[tokio::test(start_paused = true)]
async fn what_a_scaler_keeps_is_left_to_it() {
    let scalers = "azp-scaler:west:azp/azp-scaler:ci/linux";
    let looks = |agents: Vec<RegisteredAgent>| {
        vec![
            ("look at a", Says::Agents(agents)),
            ("look at b", Says::Agents(Vec::new())),
        ]
    };
    let says = looks(vec![registered(1, "one", scalers)]);
    let (done, undone) = kept(&["one"], says).await;
    assert_eq!(
        (&*done[0], done.len(), undone),
        ("a/one: azp-scaler keeps it", 1, None)
    );
    let (done, undone) = kept(&[], looks(vec![registered(1, "one", scalers)])).await;
    assert_eq!((done.len(), undone), (0, None));
}

/// An answer that was lost on its way does no harm: the next look finds what was
/// done.
#[tokio::test(start_paused = true)]
async fn what_fails_in_passing_is_tried_again_with_a_new_look() {
    let mut half = registered(5, "new", OWNER);
    half.capabilities.remove("docker");
    let says = vec![
        ("look at a", down()),
        ("look at a", Says::Agents(Vec::new())),
        ("look at b", Says::Agents(Vec::new())),
        (
            "register new",
            Says::Registers(Registering::Registered(AgentId(5))),
        ),
        ("tell 5", Says::Fails(ReadError::Throttled)),
        ("look at a", Says::Agents(vec![half])),
        ("look at b", Says::Agents(Vec::new())),
        ("tell 5", Says::Done),
    ];
    let (done, undone) = kept(&["new"], says).await;
    assert_eq!(
        (done, undone),
        (vec!["a/new: registered (5)".to_owned()], None)
    );

    // Somebody was faster: by this owner's own hand, and by another's.
    for (owner, expected) in [
        (OWNER, None),
        ("other", Some("is the placeholder of \"other\"")),
    ] {
        let says = vec![
            ("look at a", Says::Agents(Vec::new())),
            ("look at b", Says::Agents(Vec::new())),
            ("register new", Says::Registers(Registering::NameTaken)),
            ("look at a", Says::Agents(vec![registered(5, "new", owner)])),
            ("look at b", Says::Agents(Vec::new())),
        ];
        let (_, undone) = kept(&["new"], says).await;
        match (undone, expected) {
            (None, None) => {}
            (Some(undone), Some(part)) => assert!(undone.to_string().contains(part), "{undone}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_is_bounded_and_a_refusal_ends_at_once() {
    let began = Instant::now();
    // 250 ms, 500 ms, 1 s, 2 s, 4 s, then 5 s each: 27 tries in 120 s.
    let says = (0..28).map(|_| ("look at a", down())).collect();
    let (_, undone) = kept(&["new"], says).await;
    let told = undone.unwrap().to_string();
    let expected =
        "pool a: Azure DevOps failed with status 503; that is how it was for 120s (--within)";
    assert_eq!(told, expected);
    assert!(began.elapsed() <= WITHIN, "{:?}", began.elapsed());

    let began = Instant::now();
    let forbidden = ReadError::Forbidden {
        right: Right::Manage,
        message: "Access denied".into(),
    };
    let says = vec![
        ("look at a", Says::Agents(Vec::new())),
        ("look at b", Says::Agents(Vec::new())),
        ("register new", Says::Fails(forbidden)),
    ];
    let (done, undone) = kept(&["new"], says).await;
    let told = undone.unwrap().to_string();
    assert!(
        told.starts_with("pool a: ") && told.contains("role Administrator"),
        "{told}"
    );
    assert_eq!((done.len(), began.elapsed()), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_runs_by_a_placeholders_name_is_left_and_told() {
    let online = RegisteredAgent {
        online: true,
        ..registered(1, "one", OWNER)
    };
    let message = "it has a job".into();
    let says = vec![
        (
            "look at a",
            Says::Agents(vec![online, registered(2, "two", OWNER)]),
        ),
        ("look at b", Says::Agents(Vec::new())),
        ("remove 2", Says::Removes(Removal::Busy { message })),
    ];
    let (done, undone) = kept(&[], says).await;
    let expected = [
        "a/one: stays: an agent runs by its name",
        "a/two: stays: an agent runs by its name",
    ];
    assert_eq!(done, expected);
    assert!(matches!(undone, Some(Undone::InUse { name, .. }) if &*name == "one"));
}
