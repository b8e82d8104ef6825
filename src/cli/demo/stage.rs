//! The stage: the emulator and the scaler, both real and listening, the day's
//! clock, and what happens on it.
//!
//! May import: app, config, emulator, shutdown, its siblings. Invariant: what is
//! shown is read from where a user would read it; nothing looks into the scaler.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};

use super::{
    day::{self, CLOSES, DAY, OPENS, POOL, What},
    keda::{Asked, Rhythm},
    pages::{self, Pool},
};
use crate::{
    app::{Addresses, App},
    cli::status_page::PoolStatus,
    config::{ClusterConfig, DemoConfig, ServeConfig, TenancyConfig, TokenConfig},
    domain::{demand::Demands, job::RequestId, organization::OrganizationUrl},
    emulator::{Clock, Emulator, EmulatorHandle, Fault, FaultKind, NewJobs, Refusal, Settings},
};

/// Nobody else knows the ports, and the organization is not real.
const TOKEN: &str = "demo-token";
const HOOK_SECRET: &str = "demo-hook-secret";

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What is there before anything happens.
pub(super) struct Set {
    pub(super) stage: Stage,
    pub(super) emulator: Emulator,
    pub(super) listener: TcpListener,
    pub(super) app: App,
}

/// Where everything happens.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) emulator: EmulatorHandle,
    pub(super) emulator_address: SocketAddr,
    pub(super) scaler: Addresses,
    pub(super) rhythm: Rhythm,
    pub(super) asked: Asked,
    length: Duration,
    opened: Instant,
    news: Mutex<Vec<News>>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct News {
    /// In minutes after midnight.
    pub(super) at: u32,
    pub(super) what: String,
}

/// What there is to see at one moment.
#[derive(Debug)]
pub(super) struct View {
    /// In minutes after midnight.
    pub(super) now: u32,
    pub(super) pool: Pool,
    pub(super) status: PoolStatus,
    /// Requests that came to Azure DevOps.
    pub(super) requests: u64,
    /// Requests that KEDA's own trigger would have sent.
    pub(super) built_in: u64,
}

// === impl Set ===

impl Set {
    /// Binds every port and runs nothing yet.
    pub(super) async fn build(config: DemoConfig) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(ANY_PORT).await?;
        let emulator_address = listener.local_addr()?;
        let emulator = Emulator::new(Settings {
            token: Some(SecretString::from(TOKEN)),
            pools: vec![POOL.to_owned()],
            clock: Clock::scaled(day::factor(config.length)),
            // Half a minute of the day.
            pickup: Duration::from_secs(30),
            ..Settings::default()
        })?;
        let rhythm = Rhythm::of(config.length);
        let app = App::build(scaler(emulator_address, rhythm)?).await?;
        let stage = Stage {
            emulator: emulator.handle(),
            emulator_address,
            scaler: app.addresses()?,
            rhythm,
            asked: Asked::default(),
            length: config.length,
            opened: Instant::now(),
            news: Mutex::default(),
        };
        Ok(Self {
            stage,
            emulator,
            listener,
            app,
        })
    }
}

/// As `azp-scaler serve` would be set up, at the demo's pace.
fn scaler(emulator: SocketAddr, rhythm: Rhythm) -> anyhow::Result<ServeConfig> {
    Ok(ServeConfig {
        tenancy: TenancyConfig::single(
            OrganizationUrl::parse(&format!("http://{emulator}/demo"))?,
            TokenConfig::Fixed(SecretString::from(TOKEN)),
        ),
        cluster: ClusterConfig::off(),
        guard: None,
        grpc_listen: ANY_PORT,
        tls: None,
        http_listen: ANY_PORT,
        poll_interval: rhythm.polling,
        idle_interval: 3 * rhythm.polling,
        max_stale: Duration::from_secs(600),
        learn: Duration::ZERO,
        forget_after: Duration::from_secs(600),
        max_pools: 10,
        max_scaling_objects: 10,
        request_timeout: Duration::from_secs(5),
        body_cap: 16 << 20,
        hook_secret: Some(SecretString::from(HOOK_SECRET)),
        drain_delay: Duration::ZERO,
        drain_deadline: Duration::from_secs(2),
        log: "off".to_owned(),
        log_json: None,
    })
}

// === impl Stage ===

impl Stage {
    /// The time of the day, in minutes after midnight.
    pub(super) fn now(&self) -> u32 {
        let minutes = self.opened.elapsed().as_secs_f64() * day::factor(self.length) / 60.0;
        // The demo has an end, so this is small; and a cast ends at the bounds.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "see above"
        )]
        let minutes = minutes as u32;
        OPENS.saturating_add(minutes)
    }

    /// When it is this time of the day.
    fn instant(&self, minutes: u32) -> Instant {
        let seconds = f64::from(60 * (minutes - OPENS)) / day::factor(self.length);
        self.opened + Duration::from_secs_f64(seconds)
    }

    /// Lets the day happen, and ends when every job that can run has run; at the
    /// latest when the evening is as long as the day was.
    pub(super) async fn play(&self) -> anyhow::Result<()> {
        let mut jobs: HashMap<&str, RequestId> = HashMap::new();
        for event in DAY {
            sleep_until(self.instant(event.at)).await;
            self.happen(&event.what, &mut jobs).await?;
        }
        sleep_until(self.instant(CLOSES)).await;
        let mut turns = tokio::time::interval(self.rhythm.polling);
        while self.emulator.counts(POOL)?.unfinished() > day::never_run()
            && self.opened.elapsed() < 2 * self.length
        {
            turns.tick().await;
        }
        Ok(())
    }

    async fn happen(
        &self,
        what: &What,
        last_jobs: &mut HashMap<&'static str, RequestId>,
    ) -> anyhow::Result<()> {
        match what {
            What::Jobs(wave) => {
                let ids = self.emulator.queue_jobs(
                    POOL,
                    &NewJobs {
                        count: wave.count,
                        demands: Demands::read(wave.demands),
                        duration: Duration::from_secs(60 * u64::from(wave.minutes)),
                        pipeline: wave.pipeline.into(),
                        ..NewJobs::default()
                    },
                )?;
                last_jobs.extend(ids.last().map(|last| (wave.pipeline, *last)));
                self.tell(wave.to_string());
                if wave.hook {
                    pages::deliver_hook(self.scaler.http, HOOK_SECRET).await?;
                }
            }
            What::Cancel(pipeline) => match last_jobs.get(pipeline) {
                Some(job) => self.cancel(pipeline, *job)?,
                None => self.tell(format!("there is no job of {pipeline} to cancel")),
            },
            What::Fails => {
                self.emulator.set_fault(Fault::new(FaultKind::Unavailable));
                self.tell("Azure DevOps answers 503; the last numbers hold".to_owned());
            }
            What::Recovers => {
                self.emulator.clear_faults();
                self.tell("Azure DevOps is back".to_owned());
            }
        }
        Ok(())
    }

    fn cancel(&self, pipeline: &str, job: RequestId) -> anyhow::Result<()> {
        match self.emulator.cancel_job(POOL, job) {
            Ok(()) => self.tell(format!("somebody cancels job #{job} of {pipeline}")),
            // On a day that is very short it may be done by now.
            Err(Refusal::AlreadyFinished { .. }) => {
                self.tell(format!(
                    "job #{job} of {pipeline} ends before it is cancelled"
                ));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn tell(&self, what: String) {
        let news = News {
            at: self.now(),
            what,
        };
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(news);
    }

    /// What has happened, from the `from`th on.
    pub(super) fn news(&self, from: usize) -> Vec<News> {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.get(from..).unwrap_or_default().to_vec()
    }

    /// Looks around.
    pub(super) async fn look(&self) -> anyhow::Result<View> {
        let (pool, status) = tokio::try_join!(
            pages::pool(self.emulator_address),
            pages::status(self.scaler.http)
        )?;
        Ok(View {
            now: self.now(),
            pool,
            status,
            requests: self.emulator.requests().total,
            built_in: self.asked.requests_of_the_built_in_trigger(),
        })
    }
}
