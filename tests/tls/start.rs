//! Files that cannot be used at the start.

use std::{fs, process::Command};

use super::*;

/// What is told of these files, which must hold all of these words.
async fn check_refused(files: TlsFiles, words: &[&str]) {
    let told = Tls::load(files).await.unwrap_err().to_string();
    for word in words {
        assert!(told.contains(word), "no {word:?} in {told}");
    }
    assert!(!told.contains("PRIVATE KEY"), "{told}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_with_flag_file_and_remedy() {
    let authority = Authority::new("ours");
    let secret = Secret::new(&authority.server(2100), Some(&authority.pem));
    let files = || secret.files(true);
    assert!(Tls::load(files()).await.is_ok());
    let nowhere = || secret.path("nowhere");

    let (cert, key, client_ca) = (nowhere(), nowhere(), Some(nowhere()));
    let missing = ["cannot be read", "nowhere", "is it there"];
    for (files, flag) in [
        (TlsFiles { cert, ..files() }, "--tls-cert: "),
        (TlsFiles { key, ..files() }, "--tls-key: "),
        (
            TlsFiles {
                client_ca,
                ..files()
            },
            "--tls-client-ca: ",
        ),
    ] {
        check_refused(files, &[&missing[..], &[flag]].concat()).await;
    }

    // Each in the other's place.
    let swapped = TlsFiles {
        cert: files().key,
        ..files()
    };
    let words = [
        "--tls-cert: ",
        "tls.key",
        "no certificate in PEM",
        "there is none",
    ];
    check_refused(swapped, &words).await;
    let swapped = TlsFiles {
        key: files().cert,
        ..files()
    };
    let words = ["--tls-key: ", "tls.crt", "no private key in PEM"];
    check_refused(swapped, &words).await;

    let key = secret.path("other.key");
    fs::write(&key, authority.server(2100).key).unwrap();
    let words = ["--tls-key: ", "other.key", "--tls-cert", "take both"];
    check_refused(TlsFiles { key, ..files() }, &words).await;

    let nonsense = secret.path("nonsense.crt");
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(&nonsense, pem).unwrap();
    let words = ["nonsense.crt", "cannot be used"];
    for files in [
        TlsFiles {
            cert: nonsense.clone(),
            ..files()
        },
        TlsFiles {
            client_ca: Some(nonsense.clone()),
            ..files()
        },
    ] {
        check_refused(files, &words).await;
    }

    let large = secret.path("large.crt");
    fs::write(&large, vec![b'a'; (1 << 20) + 1]).unwrap();
    let words = ["--tls-cert: ", "large.crt", "is larger than 1048576 bytes"];
    check_refused(
        TlsFiles {
            cert: large,
            ..files()
        },
        &words,
    )
    .await;
}

#[test]
fn the_program_does_not_start_with_them() {
    let output = Command::new(env!("CARGO_BIN_EXE_azp-scaler"))
        .args([
            "serve",
            "--grpc-listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0",
        ])
        .args(["--tls-cert=/nowhere/tls.crt", "--tls-key=/nowhere/tls.key"])
        .env_clear()
        .envs([
            ("AZP_TOKEN", "x"),
            ("AZP_URL", "https://dev.azure.com/contoso"),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("--tls-cert: /nowhere/tls.crt cannot be read"),
        "{told}"
    );
}
