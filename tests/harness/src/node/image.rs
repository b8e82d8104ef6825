//! Images of one static program, as archives that every container runtime reads:
//! what the node's own pods are made of, since there is no registry.
//!
//! Knows nothing of a cluster. The invariant: the same program and name make the
//! same archive, byte for byte.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use aws_lc_rs::digest;

use crate::error::{Doing, Result};
use crate::hex::hex;

/// An image with nothing in it but one program that is linked to nothing.
#[derive(Debug, Clone, Copy)]
pub struct ProgramImage<'a> {
    /// Its whole name, as in `localhost/probe:1`.
    pub name: &'a str,
    /// The program on this machine.
    pub program: &'a Path,
    /// Where it lies in the image, and what runs by default, as in `/probe`.
    pub path: &'a str,
}

/// By number, so that Kubernetes can see that it is not root.
const USER: &str = "65532:65532";

impl ProgramImage<'_> {
    /// Writes the archive.
    ///
    /// # Errors
    /// When the program cannot be read, or the archive not be written.
    pub fn write(&self, archive: &Path) -> Result<()> {
        let what = || {
            format!(
                "making an image of {} in {}",
                self.program.display(),
                archive.display()
            )
        };
        let layer = archive.with_extension("layer");
        let diff_id = self.write_layer(&layer).doing(what)?;
        let written = self.write_archive(archive, &layer, &diff_id);
        let removed = std::fs::remove_file(&layer);
        written.and(removed).doing(what)
    }

    /// Gives the SHA-256 of the layer.
    fn write_layer(&self, path: &Path) -> io::Result<String> {
        let mut layer = tar::Builder::new(Hashed {
            file: File::create(path)?,
            hash: digest::Context::new(&digest::SHA256),
        });
        let program = File::open(self.program)?;
        let mut header = header(program.metadata()?.len(), 0o755);
        layer.append_data(&mut header, self.path.trim_start_matches('/'), program)?;
        let hash = layer.into_inner()?.hash.finish();
        Ok(hex(hash.as_ref()))
    }

    fn write_archive(&self, path: &Path, layer: &Path, diff_id: &str) -> io::Result<()> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = format!(
            r#"{{"architecture":"{architecture}","os":"linux","config":{{"User":"{USER}","Entrypoint":["{}"],"WorkingDir":"/"}},"rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}},"history":[{{"created_by":"azp-cluster"}}]}}"#,
            self.path
        );
        let manifest = format!(
            r#"[{{"Config":"config.json","RepoTags":["{}"],"Layers":["layer.tar"]}}]"#,
            self.name
        );
        let mut archive = tar::Builder::new(File::create(path)?);
        for (name, text) in [("config.json", config), ("manifest.json", manifest)] {
            let mut header = header(text.len() as u64, 0o644);
            archive.append_data(&mut header, name, text.as_bytes())?;
        }
        let layer = File::open(layer)?;
        let mut header = header(layer.metadata()?.len(), 0o644);
        archive.append_data(&mut header, "layer.tar", layer)?;
        archive.into_inner()?.flush()
    }
}

/// Of no time and nobody in particular.
fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// A file, and the hash of what was written into it.
struct Hashed {
    file: File,
    hash: digest::Context,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_has_the_program_and_its_hash() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("probe");
        std::fs::write(&program, b"not much of a program").unwrap();
        let archive = directory.path().join("probe.tar");
        let image = ProgramImage {
            name: "localhost/probe:1",
            program: &program,
            path: "/probe",
        };
        image.write(&archive).unwrap();
        let first = std::fs::read(&archive).unwrap();
        image.write(&archive).unwrap();
        assert_eq!(first, std::fs::read(&archive).unwrap());

        let mut parts = std::collections::BTreeMap::new();
        let mut read = tar::Archive::new(&first[..]);
        for entry in read.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            parts.insert(name, bytes);
        }
        let hash = digest::digest(&digest::SHA256, &parts["layer.tar"]);
        let config = String::from_utf8_lossy(&parts["config.json"]).into_owned();
        assert!(config.contains(&hex(hash.as_ref())), "{config}");
        let manifest = String::from_utf8_lossy(&parts["manifest.json"]).into_owned();
        assert!(manifest.contains("localhost/probe:1"), "{manifest}");

        let mut layer = tar::Archive::new(&parts["layer.tar"][..]);
        let names: Vec<_> = layer.entries().unwrap().collect();
        assert_eq!(names.len(), 1);
    }
}
