//! The way to the apiserver.
//!
//! May import: config. Invariant: no environment variable but those that
//! Kubernetes gives to every pod leads to another apiserver or through a proxy.

use std::{path::Path, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::follow::WATCH_SECONDS;
use crate::config::ClusterAccess;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A connection on which nothing came for this long is dead: a watch, on which
/// nothing need come, lasts shorter.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);

/// Why there is no way to the apiserver. Not whether it can be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No service account.
    #[error(
        "this is no pod with a service account: {cause}; check automountServiceAccountToken, give --kubeconfig, or say --cluster off"
    )]
    NotInCluster {
        /// What is missing.
        cause: Box<str>,
    },
    /// The file is not there, or not what it should be.
    #[error("--kubeconfig {path}: {cause}")]
    Kubeconfig {
        /// The file.
        path: Box<str>,
        /// What is wrong.
        cause: Box<str>,
    },
    /// The certificates, or the way to prove who asks, cannot be used.
    #[error("cannot set up the client of the apiserver: {cause}; check its certificates")]
    Client {
        /// What is wrong.
        cause: Box<str>,
    },
}

// === impl ConnectError ===

impl ConnectError {
    /// The kind, from a closed list.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotInCluster { .. } => "not-in-cluster",
            Self::Kubeconfig { .. } => "kubeconfig",
            Self::Client { .. } => "client",
        }
    }
}

/// A client that has not asked anything yet.
pub(super) async fn client(access: &ClusterAccess) -> Result<Client, ConnectError> {
    let mut config = match access {
        ClusterAccess::InCluster => Config::incluster().map_err(|error| {
            let cause = error.to_string().into();
            ConnectError::NotInCluster { cause }
        })?,
        ClusterAccess::Kubeconfig(path) => {
            from_file(path)
                .await
                .map_err(|error| ConnectError::Kubeconfig {
                    path: path.display().to_string().into(),
                    cause: error.to_string().into(),
                })?
        }
    };
    config.connect_timeout = Some(CONNECT_WITHIN);
    config.read_timeout = Some(SILENCE);
    // From the request on, rather than from the last use of the connection.
    config.reset_reader_on_write = true;
    Client::try_from(config).map_err(|error| ConnectError::Client {
        cause: error.to_string().into(),
    })
}

async fn from_file(path: &Path) -> Result<Config, KubeconfigError> {
    let file = Kubeconfig::read_from(path)?;
    let own_proxy = file.clusters.iter().any(|named| {
        let cluster = named.cluster.as_ref();
        cluster.is_some_and(|cluster| cluster.proxy_url.is_some())
    });
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    if !own_proxy {
        // It came from HTTPS_PROXY, which is for the way to Azure DevOps.
        config.proxy_url = None;
    }
    Ok(config)
}
