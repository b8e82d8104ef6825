//! A cluster that may go away, with a Secret that may vanish; and the clients
//! that read with what is in it.

use std::sync::{Arc, Mutex};

use azp_scaler::{
    azure::{Client, ClientSettings, Credential},
    domain::{
        declared::{Declarations, JobCensus, LeavingPods},
        organization::OrganizationUrl,
    },
    ports::{AgentPools, Cluster, CredentialUse, Organizations, ReadError, SecretRef, Tokens},
};
use futures::{FutureExt as _, future, future::BoxFuture};
use secrecy::SecretString;
use tokio::sync::watch;

/// What the scaler is told of the cluster.
pub(crate) struct Fake {
    told: Mutex<Option<Watches>>,
    /// The token in the Secret `ci/azp`.
    token: Arc<Mutex<Option<SecretString>>>,
}

struct Watches {
    declared: watch::Sender<Option<Arc<Declarations>>>,
    job_pods: watch::Sender<Option<Arc<JobCensus>>>,
}

struct Held(Arc<Mutex<Option<SecretString>>>);

/// Clients that use a token of the trigger's own.
pub(crate) struct Clients {
    pub(crate) request_timeout: std::time::Duration,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let watches = Watches {
            declared: watch::Sender::new(Some(Arc::default())),
            job_pods: watch::Sender::new(Some(Arc::default())),
        };
        let fake = Self {
            told: Mutex::new(Some(watches)),
            token: Arc::default(),
        };
        fake.put_secret();
        fake
    }

    pub(crate) fn put_secret(&self) {
        *self.token.lock().unwrap() = Some("a-token".into());
    }

    pub(crate) fn delete_secret(&self) {
        *self.token.lock().unwrap() = None;
    }

    /// Nothing is told from now on.
    pub(crate) fn go_away(&self) {
        *self.told.lock().unwrap() = None;
    }
}

impl Cluster for Fake {
    fn declared(&self) -> watch::Receiver<Option<Arc<Declarations>>> {
        let told = self.told.lock().unwrap();
        told.as_ref().unwrap().declared.subscribe()
    }

    fn job_pods(&self) -> watch::Receiver<Option<Arc<JobCensus>>> {
        let told = self.told.lock().unwrap();
        told.as_ref().unwrap().job_pods.subscribe()
    }

    /// Pods are not watched here.
    fn leaving_pods(&self) -> watch::Receiver<Option<Arc<LeavingPods>>> {
        watch::Sender::new(None).subscribe()
    }

    fn token(&self, secret: &SecretRef) -> Arc<dyn Tokens> {
        assert_eq!((&*secret.namespace, &*secret.name), ("ci", "azp"));
        Arc::new(Held(Arc::clone(&self.token)))
    }
}

impl Tokens for Held {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, ReadError>> {
        let token = self.0.lock().unwrap().clone();
        let missing = || ReadError::CredentialMissing {
            detail: "the Secret ci/azp is not there".into(),
        };
        future::ready(token.ok_or_else(missing)).boxed()
    }
}

impl Organizations for Clients {
    fn client(
        &self,
        organization: &OrganizationUrl,
        credential: &CredentialUse,
    ) -> Result<Arc<dyn AgentPools>, ReadError> {
        let CredentialUse::Own(tokens) = credential else {
            panic!("the scaler holds no credential here");
        };
        let credential = Credential::Held(Arc::clone(tokens));
        let settings = ClientSettings {
            request_timeout: self.request_timeout,
            ..ClientSettings::new(organization.clone(), credential)
        };
        Ok(Arc::new(Client::new(settings).unwrap()))
    }
}
