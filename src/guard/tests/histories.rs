//! Suspects under random histories, against a rule that is said another way: by the
//! whole of what was ever seen.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    super::{
        election::Lead,
        suspects::{Known, Look, Suspects},
    },
    field::{JOB, Pool, left, profile},
};
use crate::{
    domain::{
        leftover::{CLUSTER, OWNER, PLACEHOLDER},
        registration::{AgentId, RegisteredAgent},
    },
    ports::writes::{AgentPod, AgentPodsSeen, PodName},
};

const OFFLINE_FOR: Duration = Duration::from_secs(600);
const GAP: Duration = Duration::from_secs(180);
const NAMES: [&str; 4] = ["agents-1", "agents-2", "AGENTS-1", "others-1"];

/// What happens between two looks.
#[derive(Clone, Debug)]
enum Event {
    Nothing,
    Online(usize),
    Job(usize),
    Mark(usize, &'static str, Option<&'static str>),
    Name(usize, usize),
    Number(usize),
    Went(usize),
    Pod(usize),
    Current,
    PodsKnown,
    Term,
}

/// All that is so at one moment.
#[derive(Clone, Debug)]
struct Moment {
    at: Instant,
    term: u64,
    agents: Vec<RegisteredAgent>,
    pods: BTreeSet<&'static str>,
    is_current: bool,
    pods_known: bool,
}

fn event() -> impl Strategy<Value = Event> {
    let mark = prop_oneof![
        Just((OWNER, None::<&'static str>)),
        Just((OWNER, Some("build"))),
        Just((OWNER, Some("ci"))),
        Just((CLUSTER, None::<&'static str>)),
        Just((CLUSTER, Some("east"))),
        Just((CLUSTER, Some("west"))),
        Just((PLACEHOLDER, None::<&'static str>)),
        Just((PLACEHOLDER, Some("ci/agents"))),
    ];
    let agent = 0..3_usize;
    prop_oneof![
        12 => Just(Event::Nothing),
        2 => agent.clone().prop_map(Event::Online),
        2 => agent.clone().prop_map(Event::Job),
        2 => (agent.clone(), mark).prop_map(|(agent, (name, value))| Event::Mark(agent, name, value)),
        1 => (agent.clone(), 0..NAMES.len()).prop_map(|(agent, name)| Event::Name(agent, name)),
        1 => agent.clone().prop_map(Event::Number),
        1 => agent.prop_map(Event::Went),
        2 => (0..NAMES.len()).prop_map(Event::Pod),
        1 => Just(Event::Current),
        1 => Just(Event::PodsKnown),
        1 => Just(Event::Term),
    ]
}

impl Moment {
    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Nothing => {}
            Event::Online(agent) => self.agents[agent].online ^= true,
            Event::Job(agent) => {
                let job = &mut self.agents[agent].assigned;
                *job = if job.is_some() { None } else { JOB };
            }
            Event::Mark(agent, name, value) => {
                let own = &mut self.agents[agent].capabilities;
                own.remove(name);
                own.extend(value.map(|value| (name.into(), value.into())));
            }
            Event::Name(agent, name) => self.agents[agent].name = NAMES[name].into(),
            Event::Number(agent) => self.agents[agent].id.0 += 10,
            Event::Went(agent) => {
                let went = &mut self.agents[agent].status_changed;
                let before = went.map_or(0, jiff::Timestamp::as_second);
                *went = Some(jiff::Timestamp::from_second(before + 1).unwrap());
            }
            Event::Pod(pod) => {
                if !self.pods.remove(NAMES[pod]) {
                    self.pods.insert(NAMES[pod]);
                }
            }
            Event::Current => self.is_current ^= true,
            Event::PodsKnown => self.pods_known ^= true,
            Event::Term => self.term += 1,
        }
    }

    /// Is there nothing to be said for this agent at this moment?
    fn is_lost(&self, agent: &RegisteredAgent) -> bool {
        let has = |name: &str, value: &str| {
            agent
                .capabilities
                .get(name)
                .is_some_and(|own| **own == *value)
        };
        let called = agent.name.to_lowercase();
        let mut same = self
            .agents
            .iter()
            .filter(|other| other.name.to_lowercase() == called);
        !agent.online
            && agent.assigned.is_none()
            && has(OWNER, "ci")
            && has(CLUSTER, "west")
            && !agent.capabilities.contains_key(PLACEHOLDER)
            && agent.name.starts_with("agents-")
            && same.next().is_some()
            && same.next().is_none()
            && self.is_current
            && self.pods_known
            && !self.pods.contains(&*agent.name)
    }
}

/// For how long by now this agent was lost at each look, in this term and without a
/// gap.
fn lost_for(history: &[Moment], id: AgentId) -> Option<Duration> {
    let now = history.last()?;
    let of = |moment: &Moment| moment.agents.iter().find(|agent| agent.id == id).cloned();
    let agent = of(now)?;
    let mut since = None;
    for moment in history.iter().rev() {
        let same = of(moment).is_some_and(|before| {
            before.name == agent.name
                && before.status_changed == agent.status_changed
                && moment.is_lost(&before)
        });
        let gap = since.is_some_and(|since: Instant| since - moment.at > GAP);
        if !same || gap || moment.term != now.term {
            break;
        }
        since = Some(moment.at);
    }
    since.map(|since| now.at - since)
}

fn seen(moment: &Moment) -> AgentPodsSeen {
    let pod = |name: &&str| {
        let pod = AgentPod {
            uid: (*name).into(),
            annotations: [].into(),
            is_leaving: false,
        };
        (PodName::new("ci", name), Arc::new(pod))
    };
    AgentPodsSeen {
        pods: moment.pods.iter().map(pod).collect(),
        ended: [].into(),
        named: [("ci".into(), "agents".into())].into(),
    }
}

proptest! {
    #[test]
    fn only_what_was_lost_all_the_time_goes_and_all_of_that(
        steps in prop::collection::vec((event(), prop_oneof![8 => 60..61_u64, 1 => 61..400_u64]), 1..80),
    ) {
        let began = Instant::now();
        let agents = [left(1, "agents-1"), left(2, "agents-2"), left(3, "agents-3")];
        let mut moment = Moment {
            at: began,
            term: 1,
            agents: agents.into(),
            pods: BTreeSet::new(),
            is_current: true,
            pods_known: true,
        };
        let mut since = began;
        let mut history: Vec<Moment> = Vec::new();
        let mut suspects = Suspects::new(OFFLINE_FOR, GAP);
        let stand = Pool::new(27, Vec::new()).stand(vec![profile("ci/linux", None, "")]);
        for (event, pause) in steps {
            let term = moment.term;
            moment.happens(&event);
            moment.at += Duration::from_secs(pause);
            if moment.term != term {
                since = moment.at;
            }
            history.push(moment.clone());
            let lead = Lead { term: moment.term, since, until: moment.at + OFFLINE_FOR };
            let look = Look {
                stand: stand.clone(),
                pool: crate::domain::pool::PoolId(27),
                agents: moment.agents.clone(),
                began: moment.at,
            };
            let pods = seen(&moment);
            let known = Known {
                cluster: "west",
                pods: moment.pods_known.then_some(&pods),
                namespaces: None,
                is_current: moment.is_current,
            };
            let leftovers = suspects.leftovers(lead, &look, known);
            for agent in &moment.agents {
                let lost = lost_for(&history, agent.id);
                let goes = leftovers.iter().any(|leftover| leftover.id == agent.id);
                prop_assert_eq!(goes, lost.is_some_and(|lost| lost >= OFFLINE_FOR), "{:?}", agent);
                // And the time is what it was, or there is a reason.
                let seen = suspects.seen(&look, known, agent);
                prop_assert_eq!(seen.ok(), lost);
            }
        }
    }
}
