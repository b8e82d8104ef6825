//! The emulator by its own routes: Azure DevOps as the scenarios steer it.

#![allow(dead_code, reason = "each test steers its own part of it")]

use std::time::Duration;

use azp_harness::{Cluster, Process, http};
use serde_json::{Value, json};

use super::Failure;

/// The organization's name in the URL; the emulator takes any.
const ORGANIZATION: &str = "contoso";

/// Jobs that are to be queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jobs<'a> {
    pub(crate) count: u32,
    pub(crate) demands: &'a [&'a str],
    pub(crate) lasting: Duration,
}

/// A pool at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PoolState {
    /// Jobs that wait for an agent.
    pub(crate) queued: u64,
    /// Jobs that an agent has.
    pub(crate) running: u64,
    /// Jobs that ended as they should.
    pub(crate) succeeded: u64,
    /// Jobs whose agent was killed.
    pub(crate) lost: u64,
    /// The names of the agents that have no job.
    pub(crate) idle_agents: Vec<String>,
    /// The names of those that listen no more.
    pub(crate) offline_agents: Vec<String>,
    /// How many agents there are.
    pub(crate) agents: usize,
}

/// A job at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobState {
    pub(crate) id: i64,
    /// `queued`, `assigned`, `running` or `finished`, as the emulator says it.
    pub(crate) state: String,
    /// How it ended; empty before.
    pub(crate) result: String,
    /// The agent that has or had it; empty before.
    pub(crate) agent: String,
}

/// A running emulator. Clones reach the same one.
#[derive(Debug, Clone)]
pub(crate) struct Emulator {
    address: String,
    /// Where it is a program of the test's own.
    _process: Option<std::sync::Arc<Process>>,
}

impl Emulator {
    /// One that runs already, at `http://HOST:PORT`.
    pub(crate) fn at(address: &str) -> Emulator {
        Emulator {
            address: address.trim_start_matches("http://").to_owned(),
            _process: None,
        }
    }

    pub(crate) fn start(cluster: &Cluster, name: &str, pool: &str) -> Result<Emulator, Failure> {
        let process = cluster.spawn(
            &format!("emulator-{name}"),
            env!("CARGO_BIN_EXE_azp-scaler").as_ref(),
            &["emulator", "--listen", "127.0.0.1:0", "--pool", pool],
            &[],
        )?;
        let address =
            process.line_after("emulator listening on http://", Duration::from_secs(20))?;
        Ok(Emulator {
            address,
            _process: Some(std::sync::Arc::new(process)),
        })
    }

    /// Lets nobody in any more who does not have this token.
    pub(crate) fn set_token(&self, token: &str) -> Result<(), Failure> {
        self.ask("POST", "/_emulator/token", &json!({"token": token}))?;
        Ok(())
    }

    /// The organization's URL, as `AZP_URL` wants it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/{ORGANIZATION}", self.address)
    }

    /// Makes a pool.
    pub(crate) fn add_pool(&self, pool: &str) -> Result<(), Failure> {
        self.ask("POST", &format!("/_emulator/pools/{pool}"), &Value::Null)?;
        Ok(())
    }

    /// Whether a job fails at once that no registered agent of the pool could run,
    /// as Azure DevOps has it. Makes the pool.
    pub(crate) fn set_strict(&self, pool: &str, strict: bool) -> Result<(), Failure> {
        let path = format!("/_emulator/pools/{pool}");
        self.ask("POST", &path, &json!({"strict": strict}))?;
        Ok(())
    }

    /// Queues jobs; gives their request ids.
    pub(crate) fn queue(&self, pool: &str, jobs: Jobs<'_>) -> Result<Vec<i64>, Failure> {
        let body = json!({
            "count": jobs.count,
            "demands": jobs.demands,
            "durationSeconds": jobs.lasting.as_secs(),
        });
        self.queue_as(pool, &body)
    }

    /// Queues jobs that last until [`Emulator::open`] opens their gate. The agents
    /// are pods that reach the emulator at `inside`, such as `http://emulator.azure.svc:8100`.
    pub(crate) fn queue_gated(
        &self,
        pool: &str,
        count: u32,
        demands: &[&str],
        (inside, gate): (&str, &str),
    ) -> Result<Vec<i64>, Failure> {
        let step = format!(
            "until curl -fs -o /dev/null {inside}/_emulator/pools/{gate}; do sleep 1; done"
        );
        let body = json!({"count": count, "demands": demands, "steps": [step]});
        self.queue_as(pool, &body)
    }

    /// Lets the jobs behind a gate end: the gate is a pool, which is there from now on.
    pub(crate) fn open(&self, gate: &str) -> Result<(), Failure> {
        self.add_pool(gate)
    }

    fn queue_as(&self, pool: &str, body: &Value) -> Result<Vec<i64>, Failure> {
        let answer = self.ask("POST", &format!("/_emulator/pools/{pool}/jobs"), body)?;
        let ids = answer["requestIds"].as_array().cloned().unwrap_or_default();
        let ids: Vec<i64> = ids.iter().filter_map(Value::as_i64).collect();
        match body["count"].as_u64() == Some(ids.len() as u64) {
            true => Ok(ids),
            false => Err(format!("asked for {body}, got {answer}").into()),
        }
    }

    /// Cancels a job.
    pub(crate) fn cancel(&self, pool: &str, job: i64) -> Result<(), Failure> {
        self.ask(
            "DELETE",
            &format!("/_emulator/pools/{pool}/jobs/{job}"),
            &Value::Null,
        )?;
        Ok(())
    }

    /// Registers an agent that takes jobs, as a pod would.
    pub(crate) fn add_agent(&self, pool: &str, name: &str) -> Result<(), Failure> {
        let body = json!({"name": name, "capabilities": {}});
        self.ask("POST", &format!("/_emulator/pools/{pool}/agents"), &body)?;
        Ok(())
    }

    /// The same for an agent that was started with `--once`.
    pub(crate) fn add_agent_for_one_job(&self, pool: &str, name: &str) -> Result<(), Failure> {
        let body = json!({"name": name, "capabilities": {}, "once": true});
        self.ask("POST", &format!("/_emulator/pools/{pool}/agents"), &body)?;
        Ok(())
    }

    /// Registers an agent that is disabled: jobs are matched to it, and it takes
    /// none.
    pub(crate) fn add_template(&self, pool: &str, name: &str, has: &[&str]) -> Result<(), Failure> {
        let has: serde_json::Map<_, _> = has
            .iter()
            .map(|it| ((*it).to_owned(), json!("1")))
            .collect();
        let body = json!({"name": name, "capabilities": has, "enabled": false});
        self.ask("POST", &format!("/_emulator/pools/{pool}/agents"), &body)?;
        Ok(())
    }

    /// Takes an agent away; a job that it has is lost.
    pub(crate) fn remove_agent(&self, pool: &str, name: &str) -> Result<(), Failure> {
        self.ask(
            "DELETE",
            &format!("/_emulator/pools/{pool}/agents/{name}"),
            &Value::Null,
        )?;
        Ok(())
    }

    /// The pool now.
    pub(crate) fn pool(&self, pool: &str) -> Result<PoolState, Failure> {
        let answer = self.report(pool)?;
        // What is not there must not pass for none.
        let count = |member: &str| {
            let value = answer["counts"][member].as_u64();
            value.ok_or_else(|| format!("no {member} among the counts of {answer}"))
        };
        let agents = answer["agents"].as_array().cloned();
        let agents = agents.ok_or_else(|| format!("no agents in {answer}"))?;
        let named = |wanted: fn(&Value) -> bool| {
            let names = agents.iter().filter(|agent| wanted(agent));
            let names = names.filter_map(|agent| Some(agent["name"].as_str()?.to_owned()));
            names.collect()
        };
        Ok(PoolState {
            queued: count("queued")?,
            running: count("assigned")? + count("running")?,
            succeeded: count("succeeded")?,
            lost: count("lost")?,
            idle_agents: named(|agent| agent["requestId"].is_null()),
            offline_agents: named(|agent| agent["online"] == false),
            agents: agents.len(),
        })
    }

    /// The jobs of a pool, those that ended among them.
    pub(crate) fn jobs(&self, pool: &str) -> Result<Vec<JobState>, Failure> {
        let answer = self.report(pool)?;
        let jobs = answer["jobs"].as_array().cloned();
        let jobs = jobs.ok_or_else(|| format!("no jobs in {answer}"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let state = |job: &Value| JobState {
            id: job["requestId"].as_i64().unwrap_or_default(),
            state: text(&job["state"]),
            result: text(&job["result"]),
            agent: text(&job["agent"]),
        };
        Ok(jobs.iter().map(state).collect())
    }

    /// The pool's number in the organization.
    pub(crate) fn pool_id(&self, pool: &str) -> Result<u64, Failure> {
        let answer = self.report(pool)?;
        answer["id"]
            .as_u64()
            .ok_or_else(|| format!("no id in {answer}").into())
    }

    fn report(&self, pool: &str) -> Result<Value, Failure> {
        self.ask("GET", &format!("/_emulator/pools/{pool}"), &Value::Null)
    }

    /// How many requests Azure's routes have had.
    pub(crate) fn requests(&self) -> Result<u64, Failure> {
        let answer = self.ask("GET", "/_emulator/requests", &Value::Null)?;
        answer["total"]
            .as_u64()
            .ok_or_else(|| format!("no total in {answer}").into())
    }

    /// Makes every request fail until [`Emulator::clear_faults`].
    pub(crate) fn fail(&self, kind: &str) -> Result<(), Failure> {
        self.ask("POST", "/_emulator/faults", &json!({"kind": kind}))?;
        Ok(())
    }

    pub(crate) fn clear_faults(&self) -> Result<(), Failure> {
        self.ask("DELETE", "/_emulator/faults", &Value::Null)?;
        Ok(())
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = http::request(method, &self.address, path, &[], &text)?;
        if !(200..300).contains(&answer.status) {
            return Err(
                format!("{method} {path} {text}: {} {}", answer.status, answer.body).into(),
            );
        }
        match answer.body.is_empty() {
            true => Ok(Value::Null),
            false => Ok(serde_json::from_str(&answer.body)?),
        }
    }
}
