//! The stage of a run: a cluster with kwok's nodes, Azure DevOps, both sides' objects.
//!
//! May import: everything here but the run. Invariant: what has started ends with the
//! stage.

use std::{sync::Arc, time::Duration};

use azp_harness::{Cluster, KwokOptions, Options};
use azp_scaler::{
    azure::{Client, ClientSettings, Credential, PersonalAccessToken, install_crypto_provider},
    domain::organization::OrganizationUrl,
    emulator::{Emulator, EmulatorHandle, Settings},
};
use tokio::{net::TcpListener, task::spawn_blocking, time::Instant};

use crate::{
    agents::{Entry, Pace, Work},
    api::Api,
    deeds::Ground,
    diary::Diary,
    failure::Failure,
    load::Kind,
    objects::{self, OURS, STOCK, Site, demand},
    player::{Player, Side},
    scalers::{Scalers, Service},
    view::View,
};

/// kwok's nodes, so many that a drain befalls a tenth of all agents.
pub(crate) const NODES: u32 = 10;
const PODS: u32 = 250;

/// What users have.
pub(crate) const HPA_PERIOD: Duration = Duration::from_secs(15);

pub(crate) const PACE: Pace = Pace {
    start: Duration::from_secs(2),
    leave: Duration::from_millis(200),
    // The agents' chart.
    idle: Duration::from_secs(600),
};

/// From an agent's being given a job to its running it; the emulator's.
pub(crate) const PICKUP: Duration = Duration::from_millis(500);

pub(crate) struct Stage {
    pub(crate) ground: Ground,
    pub(crate) ours: Work,
    pub(crate) stock: Work,
    /// The emulator, for its own routes.
    pub(crate) address: String,
    _player: Player,
}

impl Stage {
    pub(crate) async fn start(longest_job: Duration) -> Result<Stage, Failure> {
        install_crypto_provider();
        let (address, emulator) = serve_emulator().await?;
        let organization = format!("http://{address}/contoso");
        let options = Options {
            hpa_sync_period: HPA_PERIOD,
            kwok: Some(KwokOptions {
                nodes: NODES,
                pods: PODS,
            }),
            progress: |step| println!("{step}"),
            ..Options::default()
        };
        let cluster = Arc::new(spawn_blocking(move || Cluster::start(&options)).await??);
        let service = Service::bind().await?;
        let site = Site {
            organization: &organization,
            scaler: &service.address.clone(),
            longest_job,
        };
        for namespace in [OURS, STOCK] {
            cluster.kubectl(&["create", "namespace", namespace])?;
        }
        let yaml = objects::ours(site) + &objects::stock(site);
        let scalers = Arc::new(Scalers::start(&cluster, service, &organization)?);
        let applied = cluster.apply(&yaml).and_then(|()| until_ready(&cluster));
        applied.map_err(|error| {
            let (ours, logs) = (cluster.explain(OURS), scalers.logs());
            format!("{error}\n{ours}\nthe scalers' logs:\n{logs}")
        })?;
        let api = Api::open(&cluster)?;
        let work = |entry, pool: &'static str| work(entry, pool, &emulator, &organization);
        let (ours, stock) = (work(Entry::AzpAgent, OURS)?, work(Entry::StartSh, STOCK)?);
        let side = |namespace, work: &Work| Side {
            namespace,
            work: work.clone(),
            capabilities: |kind| vec![(demand(kind), "1")],
            kind: objects::kind,
        };
        let player = Player::start(&api, vec![side(OURS, &ours), side(STOCK, &stock)]);
        Ok(Stage {
            ground: Ground {
                cluster,
                api,
                scalers,
                emulator,
            },
            ours,
            stock,
            address,
            _player: player,
        })
    }
}

async fn serve_emulator() -> Result<(String, EmulatorHandle), Failure> {
    let settings = Settings {
        pools: vec![OURS.to_owned(), STOCK.to_owned()],
        pickup: PICKUP,
        ..Settings::default()
    };
    let emulator = Emulator::new(settings).map_err(|refusal| refusal.to_string())?;
    let handle = emulator.handle();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    // It serves until this process ends.
    tokio::spawn(emulator.run(listener, std::future::pending()));
    Ok((address, handle))
}

fn work(
    entry: Entry,
    pool: &'static str,
    emulator: &EmulatorHandle,
    organization: &str,
) -> Result<Work, Failure> {
    let organization = OrganizationUrl::parse(organization).map_err(|error| error.to_string())?;
    let token = PersonalAccessToken::parse(&"token".into()).map_err(|error| error.to_string())?;
    let settings = ClientSettings::new(organization, Credential::PersonalAccessToken(token));
    let client = Client::new(settings).map_err(|error| error.to_string())?;
    Ok(Work {
        entry,
        pool,
        pool_id: emulator
            .ensure_pool(pool)
            .map_err(|refusal| refusal.to_string())?,
        pace: PACE,
        emulator: emulator.clone(),
        client: Arc::new(client),
        view: View::of(emulator, pool),
        diary: Diary::new(Instant::now()),
    })
}

fn until_ready(cluster: &Cluster) -> azp_harness::Result<()> {
    for (kind, namespace) in [
        ("scaledobject", OURS),
        ("scaledjob", OURS),
        ("scaledobject", STOCK),
    ] {
        cluster.kubectl(&[
            "wait",
            "--for=condition=Ready",
            kind,
            "--all",
            &format!("--namespace={namespace}"),
            "--timeout=60s",
        ])?;
    }
    Ok(())
}

/// What the agents of a kind have, as jobs ask for it.
pub(crate) fn demands(kind: Kind) -> [&'static str; 1] {
    [demand(kind)]
}
