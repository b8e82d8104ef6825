//! The scaler's image.

use std::{fs, sync::LazyLock};

use serde_json::json;

use super::{BUILT, image::Image, said};

static IMAGE: LazyLock<Image> = LazyLock::new(|| Image::open(&BUILT.scaler));

const PROGRAM: &str = "usr/local/bin/azp-scaler";

#[test]
fn it_holds_the_program_and_the_certificates_and_nothing_else() {
    let files: Vec<&str> = IMAGE
        .files
        .iter()
        .filter(|(_, entry)| !entry.is_directory())
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "etc/ssl/certs/ca-certificates.crt",
        PROGRAM,
        "usr/share/doc/azp-scaler/LICENSE",
    ];
    assert_eq!(files, expected);
    for (name, entry) in &IMAGE.files {
        assert!(entry.mode & 0o022 == 0, "{name} can be written: {entry:?}");
    }
}

#[test]
fn it_is_no_larger_than_22_mb_unpacked() {
    let bytes: u64 = IMAGE
        .files
        .values()
        .filter(|entry| entry.is_regular())
        .map(|entry| entry.bytes)
        .sum();
    assert!(bytes <= 22_000_000, "{bytes}");
    println!("the scaler's image: {:.1} MB unpacked", bytes as f64 / 1e6);
}

#[test]
fn it_starts_the_scaler_itself_and_not_as_root() {
    assert_eq!(
        IMAGE.config["Entrypoint"],
        json!(["/usr/local/bin/azp-scaler"])
    );
    assert_eq!(IMAGE.config["Cmd"], json!(["serve"]));
    assert_eq!(IMAGE.config["User"], "65532:65532");
    let arch = if cfg!(target_arch = "x86_64") {
        "amd64"
    } else {
        "arm64"
    };
    assert_eq!(IMAGE.architecture, arch);
    let labels = &IMAGE.config["Labels"];
    assert_eq!(
        labels["org.opencontainers.image.version"],
        env!("CARGO_PKG_VERSION")
    );
    let revision = labels["org.opencontainers.image.revision"]
        .as_str()
        .unwrap();
    assert!(revision.len() == 40, "{revision}");
}

#[test]
fn its_program_needs_no_loader() {
    let program = fs::read(IMAGE.root().join(PROGRAM)).unwrap();
    assert!(!program_headers(&program).contains(&PT_INTERP));
    // And the reading is right: this test itself has one.
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(program_headers(&own).contains(&PT_INTERP));
}

#[test]
fn its_program_runs_as_the_user_that_the_image_names() {
    let output = IMAGE.run(
        "65532:65532",
        &[],
        &["/usr/local/bin/azp-scaler", "--version"],
    );
    let expected = format!("azp-scaler {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&output), expected);
}

const PT_INTERP: u32 = 3;

/// The types of the program headers of a 64-bit little-endian ELF file.
fn program_headers(file: &[u8]) -> Vec<u32> {
    assert_eq!(&file[..6], b"\x7fELF\x02\x01");
    let number = |at: usize, bytes: usize| {
        let mut read = [0; 8];
        read[..bytes].copy_from_slice(&file[at..at + bytes]);
        usize::try_from(u64::from_le_bytes(read)).unwrap()
    };
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let header = |index: usize| u32::try_from(number(offset + index * size, 4)).unwrap();
    (0..count).map(header).collect()
}
