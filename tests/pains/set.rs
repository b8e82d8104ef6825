//! The set of a scenario: an emulated organization with the pool `linux`, and a
//! scaler as `azp-scaler serve` would be set up.

use std::{
    collections::HashMap, future, io::Write as _, net::SocketAddr, sync::Arc, time::Duration,
};

use azp_scaler::{
    app::{Addresses, App},
    config::ServeArgs,
    domain::{demand::Demands, job::RequestId},
    emulator::{Clock, Emulator, EmulatorHandle, Fault, FaultKind, NewAgent, NewJobs, Settings},
    scaler::{
        Scaler,
        answer::{Answer, Unanswered},
        answers::{Answers as _, Call},
        status::{PoolStatus, Wanted},
    },
    shutdown::Shutdown,
};
use clap::Parser as _;
use jiff::Timestamp;
use tempfile::NamedTempFile;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};

/// The pool of every scenario.
pub(crate) const POOL: &str = "linux";

/// Longer than anything takes, so that what never comes fails the test.
const LONGEST: Duration = Duration::from_secs(30);

/// An organization and a scaler that reads it.
pub(crate) struct Set {
    pub(crate) organization: EmulatorHandle,
    pub(crate) at: Addresses,
    pub(crate) scaler: Arc<Scaler>,
    azure: SocketAddr,
    /// The file goes with the set, in case somebody looks into it again.
    _token: NamedTempFile,
}

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    serve: ServeArgs,
}

// === impl Set ===

impl Set {
    pub(crate) async fn start() -> Self {
        let settings = Settings {
            pools: vec![POOL.to_owned()],
            clock: Clock::manual(Timestamp::from_second(1_780_000_000).unwrap()),
            ..Settings::default()
        };
        let emulator = Emulator::new(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let azure = listener.local_addr().unwrap();
        let organization = emulator.handle();
        tokio::spawn(emulator.run(listener, future::pending()));
        Self::beside(organization, azure, &[]).await
    }

    /// The same, whose scaler has these flags too.
    pub(crate) async fn with_flags(&self, flags: &[&str]) -> Self {
        Self::beside(self.organization.clone(), self.azure, flags).await
    }

    /// Another replica of the scaler, which reads the same organization.
    pub(crate) async fn replica(&self) -> Self {
        self.with_flags(&[]).await
    }

    async fn beside(organization: EmulatorHandle, azure: SocketAddr, flags: &[&str]) -> Self {
        let mut token = NamedTempFile::new().unwrap();
        token.write_all(b"a-token").unwrap();
        let url = format!("--url=http://{azure}/contoso");
        let token_file = format!("--token-file={}", token.path().display());
        let usual = [
            "serve",
            &url,
            &token_file,
            "--grpc-listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0",
            "--learn=0s",
            "--poll-interval=100ms",
            "--idle-interval=100ms",
        ];
        let line = Line::parse_from([&usual[..], flags].concat());
        let app = App::build(line.serve.resolve().unwrap()).await.unwrap();
        let (at, scaler) = (app.addresses().unwrap(), app.scaler());
        tokio::spawn(app.run(Shutdown::new()));
        Self {
            organization,
            at,
            scaler,
            azure,
            _token: token,
        }
    }

    /// Queues jobs of a minute each; demands are separated by commas.
    pub(crate) fn queue(&self, count: u32, demands: &str) -> Vec<RequestId> {
        let demands = demands.split(',').map(str::trim);
        let demands: Vec<&str> = demands.filter(|demand| !demand.is_empty()).collect();
        let jobs = NewJobs {
            count,
            demands: Demands::read(&demands),
            ..NewJobs::default()
        };
        self.organization.queue_jobs(POOL, &jobs).unwrap()
    }

    /// An agent that has these capabilities, all with the value 1.
    pub(crate) fn agent(&self, name: &str, capabilities: &[&str]) {
        let capabilities = capabilities.iter().map(|name| (*name, "1"));
        let agent = NewAgent::in_pod(name, capabilities);
        self.organization.add_agent(POOL, agent).unwrap();
    }

    /// A template of KEDA's `parent`: an agent that jobs for java match and that
    /// runs none. Beside it stands one that they do not match, since rows name
    /// no agents where all of a pool match.
    pub(crate) fn template(&self, name: &str) {
        for (name, capability) in [(name, "java"), ("not-java", "cobol")] {
            let agent = NewAgent {
                online: false,
                ..NewAgent::in_pod(name, [(capability, "1")])
            };
            self.organization.add_agent(POOL, agent).unwrap();
        }
    }

    /// Lets time pass in the organization.
    pub(crate) fn seconds_pass(&self, seconds: u64) {
        self.organization.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn fault(&self, kind: FaultKind) {
        self.organization.set_fault(Fault::new(kind));
    }

    /// What KEDA is told now.
    pub(crate) async fn ask(&self, name: &str, trigger: &str) -> Result<Answer, Unanswered> {
        let metadata = metadata(trigger);
        let call = Call {
            namespace: "ci",
            name,
            metadata: &metadata,
            encrypted: false,
        };
        self.scaler.answer(&call).await
    }

    /// What KEDA is told once the queue has been read after this.
    pub(crate) async fn answer(&self, name: &str, trigger: &str) -> Answer {
        // A pool is read once somebody asks for it.
        let _ = self.ask(name, trigger).await;
        self.read_again().await;
        self.ask(name, trigger).await.unwrap()
    }

    /// The number of that.
    pub(crate) async fn number(&self, name: &str, trigger: &str) -> u64 {
        self.answer(name, trigger).await.number.value()
    }

    /// Waits for a reading that began after this.
    pub(crate) async fn read_again(&self) {
        let asked = Instant::now();
        let is_younger = |pool: &PoolStatus, looked: Instant| {
            let age = pool.age_seconds.map(Duration::from_secs_f64);
            age.is_some_and(|age| age < looked - asked)
        };
        self.look_until(is_younger).await;
    }

    /// Waits until the status of the pool is like that.
    pub(crate) async fn until(&self, is_so: impl Fn(&PoolStatus) -> bool) {
        self.look_until(|pool, _| is_so(pool)).await;
    }

    /// Nothing but the status tells of a reading, so it is looked at again and
    /// again; `is_so` is told since when, at the latest, it has been like that.
    async fn look_until(&self, is_so: impl Fn(&PoolStatus, Instant) -> bool) {
        let wanted = Wanted {
            pool: Some(POOL.to_owned()),
            ..Wanted::default()
        };
        let look = async {
            loop {
                let looked = Instant::now();
                let pools = self.scaler.status(&wanted).pools;
                if pools.iter().any(|pool| is_so(pool, looked)) {
                    return;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONGEST, look).await.expect("the status becomes so");
    }
}

/// `key: value; key: value` and the pool's name.
pub(crate) fn metadata(trigger: &str) -> HashMap<String, String> {
    let pairs = trigger.split(';').filter(|pair| !pair.trim().is_empty());
    let pairs = pairs.map(|pair| pair.split_once(':').unwrap());
    let own = pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    let pool = ("poolName".to_owned(), POOL.to_owned());
    own.chain([pool]).collect()
}
