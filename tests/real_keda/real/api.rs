//! The apiserver by plain HTTP, for what is done so often that a kubectl each
//! time would be the load of the machine.

use std::time::Duration;

use azp_harness::{Cluster, Lines, http};

use super::{Failure, Outcome};

/// A way to the apiserver, open until it is dropped.
#[derive(Debug)]
pub(crate) struct Api {
    address: String,
    _proxy: Lines,
}

impl Api {
    pub(crate) fn open(cluster: &Cluster) -> Result<Api, Failure> {
        let proxy = cluster.watch(&["proxy", "--port=0"])?;
        let line = proxy.next_within(Duration::from_secs(20));
        let line = line.map(|(_, line)| line).unwrap_or_default();
        let Some(address) = line.strip_prefix("Starting to serve on ") else {
            proxy.check()?;
            return Err(format!("kubectl proxy says {line:?}").into());
        };
        Ok(Api {
            address: address.trim().to_owned(),
            _proxy: proxy,
        })
    }

    /// Says of a pod what its node would.
    pub(crate) fn set_pod_phase(&self, namespace: &str, pod: &str, phase: &str) -> Outcome {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/status");
        let body = format!(r#"{{"status":{{"phase":"{phase}"}}}}"#);
        let patch = [("content-type", "application/merge-patch+json")];
        let answer = http::request("PATCH", &self.address, &path, &patch, &body)?;
        match answer.status {
            200 => Ok(()),
            status => Err(format!("PATCH {path} {body}: {status} {}", answer.body).into()),
        }
    }
}
