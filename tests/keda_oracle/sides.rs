//! Both sides: KEDA's code and the whole scaler, on one organization.
//!
//! May import: everything here, and the program's own wiring. Invariant: both
//! read the same queue over HTTP, and nothing moves in it between the two.

use std::{collections::HashMap, io::Write as _, sync::Arc, time::Duration};

use azp_scaler::{
    app::App,
    config::ServeArgs,
    emulator::{Clock, Emulator, EmulatorHandle, Settings},
    scaler::{
        Scaler,
        answer::Unanswered,
        answers::{Answers as _, Call},
    },
};
use clap::Parser as _;
use jiff::Timestamp;
use tempfile::NamedTempFile;
use tokio::{net::TcpListener, runtime::Runtime, task::JoinHandle};

use crate::{
    case::{Case, Metadata, PICKUP},
    oracle::{Oracle, Question},
    service,
};

/// What one side says to a case.
#[derive(Clone, Debug)]
pub enum Told {
    /// The number, whether the scaling object is active, jobs for each agent.
    Number {
        value: u64,
        active: bool,
        target: i64,
    },
    /// No number, for this reason.
    Refused(#[expect(dead_code, reason = "a failure shows it")] String),
}

/// Both sides, and what they read.
pub struct Sides {
    runtime: Runtime,
    site: Site,
    oracle: Oracle,
}

/// An organization, and the scaler that reads it.
struct Site {
    emulator: EmulatorHandle,
    serving: JoinHandle<std::io::Result<()>>,
    url: String,
    scaler: Serving,
    pools: u32,
}

/// After so many pools there is a new organization: KEDA has all of them listed
/// for a trigger that names its pool by number.
const POOLS: u32 = 100;

/// A pool, and the scaler that is asked for it.
#[derive(Clone, Debug)]
pub struct Place {
    name: String,
    id: u32,
    url: String,
    scaler: Serving,
}

const TOKEN: &str = "t0ken";

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    serve: ServeArgs,
}

// === impl Told ===

impl Told {
    /// The number alone.
    pub fn value(&self) -> Option<u64> {
        match self {
            Self::Number { value, .. } => Some(*value),
            Self::Refused(_) => None,
        }
    }
}

/// Two refusals are equal, whatever their words.
impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        let number = |told: &Self| match told {
            Self::Number {
                value,
                active,
                target,
            } => Some((*value, *active, *target)),
            Self::Refused(_) => None,
        };
        number(self) == number(other)
    }
}

// === impl Sides ===

impl Sides {
    pub fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        Self {
            oracle: Oracle::start(),
            site: runtime.block_on(Site::start()),
            runtime,
        }
    }

    /// A new pool with the case's past.
    pub fn place(&mut self, case: &Case) -> Place {
        if self.site.pools == POOLS {
            self.site.serving.abort();
            self.site = self.runtime.block_on(Site::start());
        }
        self.site.pools += 1;
        let name = format!("pool {}", self.site.pools);
        let id = self.site.emulator.ensure_pool(&name).unwrap().0;
        case.live(&self.site.emulator, &name);
        Place {
            name,
            id,
            url: self.site.url.clone(),
            scaler: self.site.scaler.clone(),
        }
    }

    /// A pool whose job requests come in these words, page by page.
    pub fn odd_place(&self, pages: &'static [&'static str]) -> Place {
        self.runtime.block_on(async {
            let url = service::start(pages).await;
            Place {
                name: service::POOL.to_owned(),
                id: service::POOL_ID,
                scaler: scaler(&url).await,
                url,
            }
        })
    }

    /// What KEDA's code says.
    pub fn keda(&mut self, trigger: &Metadata, place: &Place) -> Told {
        let (mut metadata, mut env) = (Metadata::new(), Metadata::new());
        for (key, value) in trigger {
            let value = place.filled(value);
            if key.ends_with("FromEnv") {
                // The key names a variable of the scale target.
                env.insert(format!("VALUE_OF_{key}"), value);
                metadata.insert(key.clone(), format!("VALUE_OF_{key}"));
            } else {
                metadata.insert(key.clone(), value);
            }
        }
        let auth = Metadata::from([("personalAccessToken".to_owned(), TOKEN.to_owned())]);
        let reply = self.oracle.ask(&Question {
            metadata,
            env,
            auth,
        });
        match reply.error {
            Some(reason) => Told::Refused(reason),
            None => Told::Number {
                value: reply.value,
                active: reply.active,
                target: reply.target,
            },
        }
    }

    /// What the scaler says, after the neighbour was there, if there is one.
    pub fn scaler(&self, case: &Case, place: &Place) -> Told {
        if case.neighbour {
            let plain = Metadata::from([("poolName".to_owned(), "{pool}".to_owned())]);
            self.ask(&plain, place, "a-neighbour");
        }
        self.ask(&case.trigger, place, "the-object")
    }

    fn ask(&self, trigger: &Metadata, place: &Place, name: &str) -> Told {
        // KEDA sends the resolved value under the key that names the variable,
        // and leaves the key out where there is none.
        let filled = trigger.iter().map(|(key, value)| {
            let value = place.filled(value);
            (key.clone(), value)
        });
        let filled = filled.filter(|(key, value)| !(key.ends_with("FromEnv") && value.is_empty()));
        let connection = ("scalerAddress".to_owned(), "scaler.keda:9090".to_owned());
        let metadata: HashMap<String, String> = filled.chain([connection]).collect();
        let call = Call {
            namespace: &place.name,
            name,
            metadata: &metadata,
            encrypted: false,
        };
        let told = self.runtime.block_on(async {
            let target = place.scaler.scaler.spec(&call)?.target.into();
            loop {
                match place.scaler.scaler.answer(&call).await {
                    // The machine is slow; nothing was said yet.
                    Err(Unanswered::NotReadYet { .. }) => {}
                    answer => break answer.map(|answer| (answer, target)),
                }
            }
        });
        match told {
            Ok((answer, target)) => Told::Number {
                value: answer.number.value(),
                active: answer.active,
                target,
            },
            Err(refusal @ (Unanswered::Trigger(_) | Unanswered::Unreadable { .. })) => {
                Told::Refused(refusal.to_string())
            }
            Err(other) => panic!("the scaler is not set up for this test: {other}"),
        }
    }
}

/// A scaler, and the file of its token, which it reads again and again.
#[derive(Clone, Debug)]
struct Serving {
    scaler: Arc<Scaler>,
    _token: Arc<NamedTempFile>,
}

// === impl Place ===

impl Place {
    fn filled(&self, value: &str) -> String {
        let value = value.replace("{pool}", &self.name);
        let value = value.replace("{id}", &self.id.to_string());
        value.replace("{url}", &self.url)
    }
}

// === impl Site ===

impl Site {
    async fn start() -> Self {
        let settings = Settings {
            // Stands still but for what a case does, so that both sides see
            // one queue, however slow the machine.
            clock: Clock::manual(Timestamp::UNIX_EPOCH + Duration::from_hours(500_000)),
            pickup: PICKUP,
            ..Settings::default()
        };
        let emulator = Emulator::new(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/contoso", listener.local_addr().unwrap());
        Self {
            emulator: emulator.handle(),
            serving: tokio::spawn(emulator.run(listener, std::future::pending())),
            scaler: scaler(&url).await,
            url,
            pools: 0,
        }
    }
}

/// The scaler as `azp-scaler serve` puts it together. No pool is read twice, and
/// nothing is forgotten while the test runs.
async fn scaler(url: &str) -> Serving {
    let mut token = NamedTempFile::new().unwrap();
    token.write_all(TOKEN.as_bytes()).unwrap();
    azp_scaler::azure::install_crypto_provider();
    let token_file = token.path().display().to_string();
    let line = Line::parse_from([
        "azp-scaler",
        "--url",
        url,
        "--token-file",
        &token_file,
        "--grpc-listen=127.0.0.1:0",
        "--http-listen=127.0.0.1:0",
        "--poll-interval=1h",
        "--idle-interval=1h",
        "--max-stale=24h",
        "--forget-after=24h",
        "--learn=0s",
        "--max-pools=100000",
        "--max-scaling-objects=1000000",
    ]);
    let config = line
        .serve
        .resolve()
        .unwrap_or_else(|error| panic!("{error}"));
    Serving {
        scaler: App::build(config).await.unwrap().scaler(),
        _token: Arc::new(token),
    }
}
