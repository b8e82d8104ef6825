//! Tokens in Secrets.
//!
//! May import: its siblings, ports. Invariants: of a Secret one key is kept, and
//! is shown to nobody but who asks for the token; while the apiserver is away the
//! last value stays; a Secret that is gone is missed at once, and found again by
//! itself. Nothing is read before somebody asks, nor after the last one left.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{WatchEvent, WatchParams},
};
use secrecy::SecretString;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    failure::{Failure, Rule},
    follow::{WATCH_SECONDS, pause},
};
use crate::ports::{ReadError, SecretRef, Tokens};

/// Between a first refusal, where a token was had before, and the next reading.
const AFTER_A_REFUSAL: Duration = Duration::from_secs(2);

/// A token in a Secret; followed from the first question on.
pub(super) struct SecretToken {
    source: Source,
    held: watch::Receiver<Held>,
    follower: Mutex<Follower>,
    asked: Arc<Notify>,
}

#[derive(Clone)]
struct Source {
    client: Client,
    secret: SecretRef,
    read_again_after: Duration,
}

/// Who follows the Secret: nobody yet, or a task that ends with this.
struct Follower {
    waiting: Option<watch::Sender<Held>>,
    running: Option<AbortOnDropHandle<()>>,
}

/// What is known of the token.
#[derive(Clone)]
struct Held {
    /// The token, or what is missing; `None` before the first reading.
    token: Option<Result<SecretString, Box<str>>>,
    /// Until when this is good without looking again; `None` where whoever
    /// follows the Secret tells of changes by itself.
    good_until: Option<Instant>,
}

/// How a reading or a watch came to its end.
enum End {
    /// What was watched is too old; a reading is next.
    ReadAgain,
    /// Something failed; it is tried again after a while.
    Failed(Failure),
    /// The Secret may not be read.
    Refused,
    /// It may be read, but not watched.
    Unwatched,
}

// === impl SecretToken ===

impl SecretToken {
    pub(super) fn new(client: Client, secret: SecretRef, read_again_after: Duration) -> Self {
        let (sender, held) = watch::channel(Held {
            token: None,
            good_until: None,
        });
        Self {
            source: Source {
                client,
                secret,
                read_again_after,
            },
            held,
            follower: Mutex::new(Follower {
                waiting: Some(sender),
                running: None,
            }),
            asked: Arc::default(),
        }
    }

    fn begin(&self) {
        let mut follower = self.follower.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = follower.waiting.take() {
            let work = self.source.clone().follow(sender, Arc::clone(&self.asked));
            follower.running = Some(AbortOnDropHandle::new(tokio::spawn(work)));
        }
    }

    async fn ask(&self) -> Result<SecretString, ReadError> {
        let SecretRef {
            namespace, name, ..
        } = &self.source.secret;
        if !is_name(namespace) || !is_name(name) {
            let detail = format!("{namespace:?}/{name:?} cannot be the name of a Secret");
            return Err(ReadError::CredentialMissing {
                detail: detail.into(),
            });
        }
        self.begin();
        let mut held = self.held.clone();
        loop {
            let now = held.borrow_and_update().clone();
            let is_good = now.good_until.is_none_or(|until| Instant::now() < until);
            if let Some(token) = now.token.filter(|_| is_good) {
                return token.map_err(|detail| ReadError::CredentialMissing { detail });
            }
            self.asked.notify_one();
            if held.changed().await.is_err() {
                // Only where the task died.
                let detail = format!(
                    "the Secret {} is not followed any more",
                    self.source.shown()
                );
                return Err(ReadError::CredentialMissing {
                    detail: detail.into(),
                });
            }
        }
    }
}

impl Tokens for SecretToken {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, ReadError>> {
        Box::pin(self.ask())
    }
}

// === impl Source ===

impl Source {
    /// Follows the Secret; dropped when nobody wants the token any more.
    async fn follow(self, held: watch::Sender<Held>, asked: Arc<Notify>) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.secret.namespace);
        let mut failures = 0;
        loop {
            let began = Instant::now();
            match self.read_and_watch(&secrets, &held).await {
                End::ReadAgain => failures = 0,
                End::Failed(failure) => {
                    if began.elapsed() > Duration::from_secs(u64::from(WATCH_SECONDS)) {
                        failures = 0;
                    }
                    let what = format!("the Secret {} cannot be read: {failure}", self.shown());
                    held.send_modify(|held| {
                        held.token.get_or_insert_with(|| Err(what.into()));
                        held.good_until = None;
                    });
                    sleep(pause(failures, &failure)).await;
                    failures = failures.saturating_add(1);
                }
                // An apiserver that has just started may refuse what it allows
                // a moment later.
                End::Refused if failures == 0 && holds_one(&held) => {
                    failures = 1;
                    sleep(AFTER_A_REFUSAL).await;
                }
                End::Refused => {
                    let (shown, rule) = (self.shown(), self.rule());
                    let what = format!("the Secret {shown} may not be read; give a role {rule}");
                    self.hold_for_a_while(&held, Some(what));
                    self.until_asked(&asked).await;
                }
                End::Unwatched => {
                    failures = 0;
                    self.hold_for_a_while(&held, None);
                    self.until_asked(&asked).await;
                }
            }
        }
    }

    async fn read_and_watch(&self, secrets: &Api<Secret>, held: &watch::Sender<Held>) -> End {
        let secret = match secrets.get_opt(&self.secret.name).await {
            Ok(secret) => secret,
            Err(error) => return self.ended(&error, End::Refused),
        };
        let version = secret
            .as_ref()
            .and_then(|secret| secret.metadata.resource_version.clone());
        // Kubernetes: from version 0 on, what is there comes first.
        let mut version = version.unwrap_or_else(|| "0".to_owned());
        self.hold(held, secret);
        let only = format!("metadata.name={}", self.secret.name);
        let params = WatchParams::default().fields(&only).timeout(WATCH_SECONDS);
        loop {
            let events = match secrets.watch(&params, &version).await {
                Ok(events) => events,
                Err(error) => return self.ended(&error, End::Unwatched),
            };
            pin_mut!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(WatchEvent::Added(secret) | WatchEvent::Modified(secret)) => {
                        version = secret.metadata.resource_version.clone().unwrap_or_default();
                        self.hold(held, Some(secret));
                    }
                    Ok(WatchEvent::Deleted(secret)) => {
                        version = secret.metadata.resource_version.unwrap_or_default();
                        self.hold(held, None);
                    }
                    Ok(WatchEvent::Bookmark(mark)) => version = mark.metadata.resource_version,
                    Ok(WatchEvent::Error(status)) => {
                        return self.ended(&kube::Error::Api(status), End::Unwatched);
                    }
                    Err(error) => return self.ended(&error, End::Unwatched),
                }
            }
        }
    }

    fn ended(&self, error: &kube::Error, forbidden: End) -> End {
        match Failure::of(error, &self.rule()) {
            None => End::ReadAgain,
            Some(Failure::Forbidden { .. }) => forbidden,
            Some(failure) => End::Failed(failure),
        }
    }

    fn hold(&self, held: &watch::Sender<Held>, secret: Option<Secret>) {
        held.send_replace(Held {
            token: Some(self.token_in(secret).map_err(Into::into)),
            good_until: None,
        });
    }

    /// What is known is good for a while, and has to be looked at again then.
    fn hold_for_a_while(&self, held: &watch::Sender<Held>, missing: Option<String>) {
        held.send_modify(|held| {
            if let Some(missing) = missing {
                held.token = Some(Err(missing.into()));
            }
            held.good_until = Some(Instant::now() + self.read_again_after);
        });
    }

    async fn until_asked(&self, asked: &Notify) {
        sleep(self.read_again_after).await;
        asked.notified().await;
    }

    fn token_in(&self, secret: Option<Secret>) -> Result<SecretString, String> {
        let SecretRef {
            namespace,
            name,
            key,
        } = &self.secret;
        let Some(secret) = secret else {
            return Err(format!(
                "there is no Secret {namespace}/{name}; create it, with the token in the key {key:?}"
            ));
        };
        let mut data = secret.data.unwrap_or_default();
        let value = data.remove(&**key).map(|value| value.0);
        let wrong = match value.as_deref().map(std::str::from_utf8) {
            // A Secret made from a file most often ends in a newline.
            Some(Ok(text)) if !text.trim().is_empty() => return Ok(text.trim().into()),
            Some(Ok(_)) => "which is empty",
            Some(Err(_)) => "which is no text",
            None => "which is not there",
        };
        Err(format!(
            "the Secret {namespace}/{name} should have the token in the key {key:?}, {wrong}"
        ))
    }

    fn shown(&self) -> String {
        format!("{}/{}", self.secret.namespace, self.secret.name)
    }

    fn rule(&self) -> Rule {
        Rule {
            group: "",
            resource: "secrets",
            verbs: &["get", "watch"],
            name: Some(self.secret.name.clone()),
            namespace: Some(self.secret.namespace.clone()),
        }
    }
}

fn holds_one(held: &watch::Sender<Held>) -> bool {
    matches!(held.borrow().token, Some(Ok(_)))
}

/// Kubernetes: what the names of namespaces and Secrets are made of. Others never
/// exist, and would lead elsewhere in a URL.
fn is_name(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 253
        && ends.iter().all(|end| end.is_some_and(|&c| letter(c)))
        && bytes.iter().all(|&c| letter(c) || c == b'-' || c == b'.')
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn source(client: Client) -> Source {
        let secret = SecretRef {
            namespace: "ci".into(),
            name: "azp".into(),
            key: "token".into(),
        };
        Source {
            client,
            secret,
            read_again_after: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn a_token_is_read_as_it_was_meant_or_told_missing() {
        let away = "http://127.0.0.1:1".parse().unwrap();
        let source = source(Client::try_from(kube::Config::new(away)).unwrap());
        type Row = (Option<&'static [u8]>, Result<&'static str, &'static str>);
        let rows: [Row; 5] = [
            (Some(b"s3cr3t"), Ok("s3cr3t")),
            (Some(b" s3cr3t\r\n"), Ok("s3cr3t")),
            (Some(b" \n"), Err("which is empty")),
            (Some(b"\xff"), Err("which is no text")),
            (None, Err("which is not there")),
        ];
        for (value, expected) in rows {
            let data = value.map(|value| ("token".to_owned(), ByteString(value.to_vec())));
            let secret = Secret {
                data: Some(data.into_iter().collect()),
                ..Secret::default()
            };
            match (source.token_in(Some(secret)), expected) {
                (Ok(token), Ok(expected)) => assert_eq!(token.expose_secret(), expected),
                (Err(what), Err(part)) => assert!(what.contains(part), "{what}"),
                (seen, expected) => panic!("{seen:?} instead of {expected:?}"),
            }
        }
        let gone = source.token_in(None).unwrap_err();
        assert!(gone.contains("no Secret ci/azp; create it"), "{gone}");
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["azp", "a", "azp-token.v2", "0"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(254);
        for name in [
            "", "..", "a/b", "a..b", "-a", "a-", "Azp", "a?b", "a,b=c", "ä", &long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
