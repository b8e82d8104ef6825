//! Answers by script, in the scaler's place.

use std::{future::Future, sync::Mutex};

use azp_scaler::{
    domain::{
        number::{Number, Tally},
        organization::OrganizationUrl,
        profile::{Counting, Matching, Profile},
    },
    scaler::{
        answer::{Answer, MetricSpec, Unanswered},
        answers::{Answers, Call},
        status::{Gauges, Status, Wanted},
    },
};
use futures::{StreamExt as _, stream::BoxStream};
use tokio::sync::{Semaphore, watch};

/// What is answered, and what was asked.
pub struct Scripted {
    /// The number of every answer, or why there is none.
    pub script: Mutex<Result<u32, Unanswered>>,
    /// Answers wait for a place here; there are plenty unless a test closes it.
    pub gate: Semaphore,
    /// Questions that wait or have waited at the gate, and those of them that
    /// are over, answered or not.
    pub asked: watch::Sender<usize>,
    pub over: watch::Sender<usize>,
    pub last: Mutex<Option<Asked>>,
    /// Did the last question come over TLS?
    pub encrypted: Mutex<Option<bool>>,
    /// The activity that streams tell.
    pub active: watch::Sender<bool>,
    /// Who was nudged.
    pub nudged: Mutex<Vec<Option<String>>>,
    /// The only organization that has pools, with how many.
    pub pools: (OrganizationUrl, usize),
    pub status: Mutex<Status>,
    /// What of it was last asked for.
    pub wanted: Mutex<Wanted>,
    pub gauges: Mutex<Gauges>,
    pub stuck: Mutex<Option<String>>,
}

/// A question: namespace, name, the key `poolName`, and which it was.
pub type Asked = (String, String, Option<String>);

struct Over<'a>(&'a watch::Sender<usize>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl Scripted {
    pub fn new(script: Result<u32, Unanswered>) -> Self {
        let contoso = OrganizationUrl::parse("https://dev.azure.com/contoso").unwrap();
        Self {
            script: Mutex::new(script),
            gate: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            asked: watch::Sender::new(0),
            over: watch::Sender::new(0),
            last: Mutex::default(),
            encrypted: Mutex::default(),
            active: watch::Sender::new(false),
            nudged: Mutex::default(),
            pools: (contoso, 2),
            status: Mutex::default(),
            wanted: Mutex::default(),
            gauges: Mutex::default(),
            stuck: Mutex::default(),
        }
    }

    /// Answers wait from now on, until there are permits again.
    pub fn close_gate(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn note(&self, call: &Call<'_>) -> Result<u32, Unanswered> {
        let pool = call.metadata.get("poolName").cloned();
        let last = (call.namespace.to_owned(), call.name.to_owned(), pool);
        *self.last.lock().unwrap() = Some(last);
        *self.encrypted.lock().unwrap() = Some(call.encrypted);
        self.script.lock().unwrap().clone()
    }
}

fn answer(queued: u32) -> Answer {
    let profile = Profile {
        matching: Matching::Any,
        counting: Counting::Unfinished,
        warm_agents: 0,
        priority: 0,
    };
    let tally = Tally {
        queued,
        ..Tally::default()
    };
    Answer {
        number: Number::new(&profile, tally),
        active: queued > 0,
    }
}

impl Answers for Scripted {
    fn spec(&self, call: &Call<'_>) -> Result<MetricSpec, Unanswered> {
        self.note(call).map(|target| MetricSpec {
            name: "azure-pipelines-linux".to_owned(),
            target,
        })
    }

    fn answer(&self, call: &Call<'_>) -> impl Future<Output = Result<Answer, Unanswered>> + Send {
        let script = self.note(call);
        async move {
            let _over = Over(&self.over);
            self.asked.send_modify(|count| *count += 1);
            self.gate.acquire().await.unwrap().forget();
            script.map(answer)
        }
    }

    fn activity(&self, call: &Call<'_>) -> Result<BoxStream<'static, bool>, Unanswered> {
        self.note(call)?;
        let states = tokio_stream::wrappers::WatchStream::new(self.active.subscribe());
        Ok(states.boxed())
    }

    fn nudge(&self, organization: Option<&OrganizationUrl>) -> usize {
        let name = organization.map(|url| url.as_str().to_owned());
        self.nudged.lock().unwrap().push(name);
        match organization {
            Some(other) if *other != self.pools.0 => 0,
            _ => self.pools.1,
        }
    }

    fn status(&self, wanted: &Wanted) -> Status {
        *self.wanted.lock().unwrap() = wanted.clone();
        self.status.lock().unwrap().clone()
    }

    fn gauges(&self) -> Gauges {
        self.gauges.lock().unwrap().clone()
    }

    fn is_stuck(&self) -> Option<String> {
        self.stuck.lock().unwrap().clone()
    }
}
