//! The apiserver by plain HTTP, through a `kubectl proxy`: what a node's kubelet and
//! an autoscaler of nodes would say to it, and the pods as they come and go.
//!
//! May import: the harness. Invariant: an apiserver that is away is waited for; nobody
//! here misses what happened meanwhile, since a watch that breaks begins with a list.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use azp_harness::{Cluster, Lines};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::failure::Failure;

/// Between two tries, while the apiserver is away.
const PAUSE: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(15);

/// A way to the apiserver. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    address: Arc<str>,
    _proxy: Arc<Lines>,
}

/// A pod, as far as its player cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) node: String,
    pub(crate) is_running: bool,
    /// It has ended, and is kept for its Job.
    pub(crate) is_over: bool,
    /// It was told to end: within so many seconds.
    pub(crate) grace: Option<u64>,
}

/// What became of a pod.
#[derive(Clone, Debug)]
pub(crate) enum PodEvent {
    Is(Pod),
    /// By its uid.
    Gone(String),
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
            address: address.trim().into(),
            _proxy: Arc::new(proxy),
        })
    }

    /// One request; the status and the body.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> Result<(u16, String), Failure> {
        let asked = async {
            let mut stream = self.begin(method, path, kind, body).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            let answer = String::from_utf8_lossy(&answer);
            let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
            let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
            Ok((status, body.to_owned()))
        };
        timeout(ANSWER, asked).await?
    }

    async fn begin(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> Result<TcpStream, Failure> {
        let mut stream = TcpStream::connect(&*self.address).await?;
        let (address, length) = (&self.address, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        Ok(stream)
    }

    /// Says it until it is heard: an apiserver that is away or overburdened is asked
    /// again. What is not there (any more) is done.
    pub(crate) async fn insist(&self, method: &str, path: &str, kind: &str, body: &str) {
        loop {
            match self.ask(method, path, kind, body).await {
                Ok((status, _)) if status < 429 => return,
                Ok(_) | Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Says of a pod what its kubelet would when all containers have ended well.
    pub(crate) async fn pod_succeeded(&self, pod: &Pod) {
        let path = format!("{}/status", path(pod));
        let body = r#"{"status":{"phase":"Succeeded"}}"#;
        self.insist("PATCH", &path, MERGE, body).await;
    }

    /// Removes a pod that was told to end and has ended, as its kubelet does.
    pub(crate) async fn pod_ended(&self, pod: &Pod) {
        let uid = &pod.uid;
        let body = format!(
            r#"{{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{{"uid":"{uid}"}}}}"#
        );
        self.insist("DELETE", &path(pod), JSON, &body).await;
    }

    /// Evicts a pod as a drain does; says whether it was taken.
    pub(crate) async fn evict(&self, pod: &Pod) -> bool {
        let Pod {
            namespace, name, ..
        } = pod;
        let body = format!(
            r#"{{"kind":"Eviction","apiVersion":"policy/v1","metadata":{{"name":"{name}","namespace":"{namespace}"}}}}"#
        );
        let answer = self
            .ask("POST", &format!("{}/eviction", path(pod)), JSON, &body)
            .await;
        answer.is_ok_and(|(status, _)| status < 300)
    }

    /// The pods on a node that have not ended.
    pub(crate) async fn pods_on(&self, node: &str) -> Result<Vec<Pod>, Failure> {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName={node}");
        let (_, body) = self.ask("GET", &path, JSON, "").await?;
        let list: Value = serde_json::from_str(&unchunked(&body))?;
        let items = list["items"].as_array().ok_or("no list")?;
        let pods = items
            .iter()
            .map(read)
            .filter(|pod| !pod.is_over && pod.grace.is_none());
        Ok(pods.collect())
    }

    /// Takes a node out of the scheduler's choice, or puts it back.
    pub(crate) async fn cordon(&self, node: &str, is_out: bool) {
        let body = format!(r#"{{"spec":{{"unschedulable":{is_out}}}}}"#);
        self.insist("PATCH", &format!("/api/v1/nodes/{node}"), MERGE, &body)
            .await;
    }

    /// Gives the pod template of a Deployment another annotation, as `kubectl rollout
    /// restart` does.
    pub(crate) async fn roll_out(&self, namespace: &str, deployment: &str, number: usize) {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}");
        let body = format!(
            r#"{{"spec":{{"template":{{"metadata":{{"annotations":{{"churn":"{number}"}}}}}}}}}}"#
        );
        self.insist("PATCH", &path, MERGE, &body).await;
    }

    /// Follows the pods that bear a label.
    pub(crate) fn watch_pods(&self, label: &str) -> mpsc::Receiver<PodEvent> {
        let (send, receive) = mpsc::channel(10_000);
        let (api, label) = (self.clone(), label.to_owned());
        tokio::spawn(async move {
            let mut known = BTreeMap::new();
            // Ends when nobody listens any more.
            while !send.is_closed() {
                if api.follow(&label, &mut known, &send).await.is_err() {
                    sleep(PAUSE).await;
                }
            }
        });
        receive
    }

    /// One list, and one watch until it breaks.
    async fn follow(
        &self,
        label: &str,
        known: &mut BTreeMap<String, Pod>,
        send: &mpsc::Sender<PodEvent>,
    ) -> Result<(), Failure> {
        let path = format!("/api/v1/pods?labelSelector={label}");
        let (status, body) = self.ask("GET", &path, JSON, "").await?;
        if status != 200 {
            return Err(format!("{path}: {status}").into());
        }
        let list: Value = serde_json::from_str(&unchunked(&body))?;
        let items = list["items"].as_array().ok_or("no list")?;
        let now: BTreeMap<String, Pod> = items
            .iter()
            .map(read)
            .map(|pod| (pod.uid.clone(), pod))
            .collect();
        for uid in known.keys().filter(|uid| !now.contains_key(*uid)) {
            send.send(PodEvent::Gone(uid.clone())).await?;
        }
        for pod in now.values() {
            send.send(PodEvent::Is(pod.clone())).await?;
        }
        *known = now;
        let version = list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        let path = format!("{path}&watch=1&resourceVersion={version}&timeoutSeconds=300");
        let mut lines = Chunks::of(self.begin("GET", &path, JSON, "").await?).await?;
        while let Some(line) = lines.next().await? {
            let event: Value = serde_json::from_str(&line)?;
            let pod = read(&event["object"]);
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => {
                    known.insert(pod.uid.clone(), pod.clone());
                    send.send(PodEvent::Is(pod)).await?;
                }
                Some("DELETED") => {
                    known.remove(&pod.uid);
                    send.send(PodEvent::Gone(pod.uid)).await?;
                }
                _ => return Err(format!("the watch says {line}").into()),
            }
        }
        Ok(())
    }
}

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

fn path(pod: &Pod) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name)
}

fn read(object: &Value) -> Pod {
    let (metadata, status) = (&object["metadata"], &object["status"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = metadata["labels"].as_object().into_iter().flatten();
    let is_deleted = metadata["deletionTimestamp"].is_string();
    Pod {
        namespace: text(&metadata["namespace"]),
        name: text(&metadata["name"]),
        uid: text(&metadata["uid"]),
        labels: labels
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        node: text(&object["spec"]["nodeName"]),
        is_running: status["phase"] == "Running",
        is_over: status["phase"] == "Succeeded" || status["phase"] == "Failed",
        grace: is_deleted.then(|| {
            metadata["deletionGracePeriodSeconds"]
                .as_u64()
                .unwrap_or_default()
        }),
    }
}

/// A body that is told in chunks, line by line, while it comes.
struct Chunks {
    stream: BufReader<TcpStream>,
    unread: Vec<u8>,
}

impl Chunks {
    /// Reads the head.
    async fn of(stream: TcpStream) -> Result<Chunks, Failure> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if !line.contains(" 200 ") {
            return Err(format!("the watch is answered {line}").into());
        }
        while line.trim() != "" {
            line.clear();
            stream.read_line(&mut line).await?;
        }
        Ok(Chunks {
            stream,
            unread: Vec::new(),
        })
    }

    /// `None` at the end.
    async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(Some(String::from_utf8(line)?));
            }
            let mut size = String::new();
            self.stream.read_line(&mut size).await?;
            let size = usize::from_str_radix(size.trim(), 16)?;
            if size == 0 {
                return Ok(None);
            }
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).await?;
            self.unread.extend_from_slice(&chunk[..size]);
        }
    }
}

/// A body that came in chunks, whole; any other one as it is.
fn unchunked(body: &str) -> String {
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(usize::MAX);
        let Some(chunk) = after.get(..size).filter(|_| size > 0) else {
            return if size == 0 { whole } else { body.to_owned() };
        };
        whole += chunk;
        rest = after.get(size + 2..).unwrap_or_default();
    }
    body.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_read() {
        let object = serde_json::json!({
            "metadata": {
                "namespace": "ours", "name": "p", "uid": "u", "labels": {"churn": "stays"},
                "deletionTimestamp": "2026-12-01T00:00:00Z", "deletionGracePeriodSeconds": 30,
            },
            "spec": {"nodeName": "kwok-1"},
            "status": {"phase": "Running"},
        });
        let pod = read(&object);
        assert_eq!(
            (pod.grace, pod.is_running, pod.is_over),
            (Some(30), true, false)
        );
        assert_eq!((&*pod.node, &*pod.labels["churn"]), ("kwok-1", "stays"));
        assert_eq!(read(&serde_json::json!({})), Pod::default());
    }

    #[test]
    fn chunks_become_one_text() {
        for (body, whole) in [
            ("3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "abcd"),
            ("{\"a\":\r\n1}", "{\"a\":\r\n1}"),
            ("{}", "{}"),
        ] {
            assert_eq!(unchunked(body), whole);
        }
    }
}
