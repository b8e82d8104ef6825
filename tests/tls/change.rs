//! Files that change while the server runs.

use std::{
    fs,
    io::{self, Write},
    sync::Mutex,
};

use futures::StreamExt as _;

use super::*;
use crate::caller::shown;

#[tokio::test]
async fn a_new_certificate_and_client_ca_are_taken_up_without_a_restart() {
    let log = Log::default();
    let _guard = log.start();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut secret = Secret::new(&old.server(2100), Some(&old.pem));
    let served = serve(secret.files(true), IN_2100).await;
    let (old_client, new_client) = (old.client(), new.client());
    let before = trusting(&old, Some(&old_client));
    let channel = channel(served.at, &before).await.unwrap();
    let mut client = ExternalScalerClient::new(channel);
    let states = client.stream_is_active(object()).await.unwrap();
    let mut states = states.into_inner();
    assert!(!states.next().await.unwrap().unwrap().result);

    secret.swap(&new.server(2101), Some(&new.pem));
    let ends = format!("azp_tls_certificate_expiry_timestamp_seconds {IN_2101}");
    log.look().await;
    assert!(served.tells(&ends));
    let after = trusting(&new, Some(&new_client));
    assert_eq!(call(served.at, &after).await, Ok(()));
    assert!(call(served.at, &before).await.is_err(), "the old one ends");
    let stranger = trusting(&new, Some(&old_client));
    assert!(call(served.at, &stranger).await.is_err(), "its CA is gone");

    // What was open stays so.
    served.answers.active.send_replace(true);
    assert!(states.next().await.unwrap().unwrap().result);
    client.is_active(object()).await.unwrap();
}

/// Everything that is logged while a test runs in its one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn lines(&self, part: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }

    /// The files are looked at once more.
    async fn look(&self) {
        let looks = || self.lines("looked at the files of TLS").len();
        let before = looks();
        pass(Duration::from_secs(10)).await;
        let looked = async {
            while looks() == before {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(60), looked)
            .await
            .expect("a look");
    }

    fn warnings(&self) -> Vec<String> {
        self.lines(" WARN ")
    }
}

/// After the change the old certificate still serves, one warning holds these
/// words and no part of the key, and a whole pair is taken up again.
async fn check_kept(change: impl AsyncFn(&mut Secret, &Authority), words: &[&str]) {
    let log = Log::default();
    let _guard = log.start();
    let authority = Authority::new("ours");
    let first = authority.server(2100);
    let mut secret = Secret::new(&first, None);
    let served = serve(secret.files(false), IN_2100).await;
    let keda = trusting(&authority, None);
    let before = shown(served.at, &keda).await;

    change(&mut secret, &authority).await;
    for _ in 0..4 {
        log.look().await;
    }
    assert_eq!(shown(served.at, &keda).await, before, "{words:?}");
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for word in words {
        assert!(warnings[0].contains(word), "no {word} in {warnings:?}");
    }
    assert!(!warnings[0].contains(&first.key[40..60]), "{warnings:?}");

    secret.swap(&authority.server(2101), None);
    log.look().await;
    assert_ne!(shown(served.at, &keda).await, before, "{words:?}");
    assert_eq!(log.warnings().len(), 1);
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_old_certificate() {
    let another_key = async |secret: &mut Secret, authority: &Authority| {
        let mut mixed = authority.server(2101);
        mixed.key = authority.server(2101).key;
        secret.swap(&mixed, None);
    };
    check_kept(another_key, &["tls.key", "is not that of", "--tls-cert"]).await;
    let half = async |secret: &mut Secret, authority: &Authority| {
        let mut half = authority.server(2101);
        half.cert.truncate(half.cert.len() / 2);
        secret.swap(&half, None);
    };
    check_kept(half, &["--tls-cert", "tls.crt", "written to its end"]).await;
    let gone = async |secret: &mut Secret, _: &Authority| {
        fs::remove_file(secret.path("..data").join("tls.key")).unwrap();
    };
    check_kept(gone, &["--tls-key", "cannot be read", "tls.key"]).await;
}

/// Written one after the other: what is between is no reason to warn.
#[tokio::test]
async fn a_pair_that_is_half_written_at_one_look_is_not_told() {
    let log = Log::default();
    let _guard = log.start();
    let authority = Authority::new("ours");
    let secret = Secret::new(&authority.server(2100), None);
    let served = serve(secret.files(false), IN_2100).await;
    let keda = trusting(&authority, None);
    let before = shown(served.at, &keda).await;
    let next = authority.server(2101);
    fs::write(secret.path("..data").join("tls.crt"), &next.cert).unwrap();
    log.look().await;
    assert_eq!(shown(served.at, &keda).await, before);
    fs::write(secret.path("..data").join("tls.key"), &next.key).unwrap();
    log.look().await;
    assert_ne!(shown(served.at, &keda).await, before);
    assert_eq!(log.warnings(), [""; 0]);
}

#[tokio::test]
async fn a_certificate_that_ended_is_told_once() {
    let log = Log::default();
    let _guard = log.start();
    let authority = Authority::new("ours");
    let secret = Secret::new(&authority.server(2021), None);
    let served = serve(secret.files(false), IN_2021).await;
    for _ in 0..4 {
        log.look().await;
    }
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("--tls-cert has ended"), "{warnings:?}");
    assert!(warnings[0].contains("2021-01-01T00:00:00Z"), "{warnings:?}");
    drop(served);
}
