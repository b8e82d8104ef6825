//! How long it waits: the real agent's times, unless a test asks for shorter
//! ones by `STAND_IN_RETRY_MS` and `STAND_IN_RENEW_MS`.

use std::time::Duration;

use crate::environment::Environment;

/// The times of an agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    retry: Option<Duration>,
    renew: Option<Duration>,
}

impl Pace {
    pub(crate) fn read(environment: &Environment) -> Self {
        let milliseconds = |name| {
            let value = environment.get(name)?.parse().ok()?;
            Some(Duration::from_millis(value))
        };
        Self {
            retry: milliseconds("STAND_IN_RETRY_MS"),
            renew: milliseconds("STAND_IN_RENEW_MS"),
        }
    }

    /// Until the lock of a job is renewed. Agent: `JobDispatcher.cs`.
    pub(crate) fn renew(self) -> Duration {
        self.renew.unwrap_or(Duration::from_secs(60))
    }

    /// Until the next attempt to create a session. Agent: `MessageListener.cs`.
    pub(crate) fn session(self) -> Duration {
        self.retry.unwrap_or(Duration::from_secs(30))
    }

    /// Until the next poll after so many failures in a row. Agent:
    /// `MessageListener.cs`.
    pub(crate) fn poll(self, failures: u32) -> Duration {
        match failures {
            ..=5 => self.between(15, 30),
            _ => self.between(30, 60),
        }
    }

    /// Until the next attempt to renew a lock for the first time. Agent:
    /// `JobDispatcher.cs`.
    pub(crate) fn first_renewal(self) -> Duration {
        self.between(1, 10)
    }

    /// Until the next attempt to renew a lock later on. Agent: `JobDispatcher.cs`.
    pub(crate) fn renewal(self, failures: u32) -> Duration {
        match failures {
            ..=5 => self.between(5, 15),
            _ => self.between(15, 30),
        }
    }

    /// Until the next attempt to finish a job. Agent: `JobDispatcher.cs`.
    pub(crate) fn finish(self) -> Duration {
        self.retry.unwrap_or(Duration::from_secs(5))
    }

    /// Until the next of the few attempts at something that may be given up.
    pub(crate) fn brief(self) -> Duration {
        self.retry.unwrap_or(Duration::from_secs(1))
    }

    fn between(self, low: u64, high: u64) -> Duration {
        let random = || Duration::from_millis(fastrand::u64(low * 1000..=high * 1000));
        self.retry.unwrap_or_else(random)
    }
}
