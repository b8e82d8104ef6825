//! Where a node lives on this machine: one of sixteen numbers, the addresses that
//! go with it, and the name of its link and its cgroup.
//!
//! Imports the keeper of processes and no other part of a cluster. The invariant:
//! a number is held by the lock of one file, whose text names what its holder has
//! put on this machine; whoever takes a number has cleared before what the last
//! holder left behind.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_lc_rs::digest;

use crate::error::{Doing, Error, Result};
use crate::hex::hex;
use crate::keeper::{Keeper, marker};

/// How many nodes can run side by side.
const PLACES: u8 = 16;

/// Takes away what a node leaves on its host; the keeper does so too.
const CLEAR: &str = include_str!("clear.sh");

/// The place of a node, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    number: u8,
    name: String,
    /// Its lock is the hold.
    _lock: File,
}

impl Place {
    /// Takes a free place for the cluster in `directory`, and clears what killed
    /// runs have left in any place.
    pub(crate) fn take(directory: &Path) -> Result<Place> {
        let name = name(directory);
        let mut taken = None;
        for number in 0..PLACES {
            let Some(mut lock) = hold_cleared(number, directory)? else {
                continue;
            };
            if taken.is_none() && is_free(number)? {
                let lock_path = path(number);
                // For the keeper first: it has to know before there is anything.
                let note = directory.join("place");
                fs::write(&note, format!("{name} {}\n", lock_path.display()))
                    .doing(|| format!("writing {}", note.display()))?;
                write(&mut lock, &format!("{name} {}\n", directory.display()))
                    .doing(|| format!("writing {}", lock_path.display()))?;
                taken = Some(Place {
                    number,
                    name: name.clone(),
                    _lock: lock,
                });
            } else {
                // Still locked: nobody holds a file that is not there.
                let _ = fs::remove_file(path(number));
            }
        }
        taken.ok_or(Error::NoPlace)
    }

    /// The name of the host's end of the link, and of the cgroup.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The host, as the node and its pods reach it.
    pub(crate) fn host(&self) -> Ipv4Addr {
        self.address(255, 1)
    }

    /// Where servers of the cluster are reached: theirs is one certificate.
    pub(crate) fn served(&self) -> Vec<Ipv4Addr> {
        vec![self.host(), self.node(), self.kubernetes_service()]
    }

    /// The node, as the host reaches it.
    pub(crate) fn node(&self) -> Ipv4Addr {
        self.address(255, 2)
    }

    /// All addresses of the place.
    pub(crate) fn range(&self) -> String {
        range(self.number)
    }

    /// The addresses of pods.
    pub(crate) fn pods(&self) -> String {
        format!("{}/24", self.address(0, 0))
    }

    /// The addresses of services.
    pub(crate) fn services(&self) -> String {
        format!("{}/20", self.address(64, 0))
    }

    /// The apiserver, as pods reach it: Kubernetes gives it the first one.
    pub(crate) fn kubernetes_service(&self) -> Ipv4Addr {
        self.address(64, 1)
    }

    /// The names' server.
    pub(crate) fn dns_service(&self) -> Ipv4Addr {
        self.address(64, 10)
    }

    /// The emulator of Azure DevOps.
    pub(crate) fn emulator_service(&self) -> Ipv4Addr {
        self.address(64, 81)
    }

    fn address(&self, third: u8, fourth: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, second(self.number), third, fourth)
    }
}

fn second(number: u8) -> u8 {
    200 + number
}

fn range(number: u8) -> String {
    format!("10.{}.0.0/16", second(number))
}

fn path(number: u8) -> PathBuf {
    PathBuf::from(format!("/run/azp-node-{number}.lock"))
}

/// The same for one directory always, and short enough for a link (15 bytes).
fn name(directory: &Path) -> String {
    let hash = digest::digest(&digest::SHA256, directory.as_os_str().as_bytes());
    format!("azp{}", &hex(hash.as_ref())[..9])
}

/// The lock of a place, unless somebody has it.
fn hold(number: u8) -> Result<Option<File>> {
    let path = path(number);
    let what = || format!("locking {}", path.display());
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.open(&path).doing(what)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).doing(what),
        }
        // Its last holder may have removed it between the two; then the next
        // one locks another file of this name.
        let locked = lock.metadata().doing(what)?.ino();
        if fs::metadata(&path).is_ok_and(|file| file.ino() == locked) {
            return Ok(Some(lock));
        }
    }
}

/// The lock of a place, once nothing of its last holder is left.
fn hold_cleared(number: u8, own: &Path) -> Result<Option<File>> {
    let Some(lock) = hold(number)? else {
        return Ok(None);
    };
    let Some((_, directory)) = holder(&lock)? else {
        return Ok(Some(lock));
    };
    // Its own keeper does it, and wants the lock for that; unless the directory
    // is this cluster's own, or is gone.
    drop(lock);
    if directory != own && marker(&directory).exists() {
        Keeper::clear_leftovers(&directory)?;
    }
    let Some(lock) = hold(number)? else {
        return Ok(None);
    };
    if let Some((name, directory)) = holder(&lock)? {
        clear(&name, &directory)?;
    }
    Ok(Some(lock))
}

/// Who held a place last and has not cleared it: its name and its directory.
fn holder(mut lock: &File) -> Result<Option<(String, PathBuf)>> {
    let mut text = String::new();
    lock.rewind()
        .and_then(|()| lock.read_to_string(&mut text))
        .doing(|| "reading a place's lock".to_owned())?;
    let holder = text.trim_end().split_once(' ');
    Ok(holder.map(|(name, directory)| (name.to_owned(), directory.into())))
}

fn clear(name: &str, directory: &Path) -> Result<()> {
    let status = Command::new("bash")
        .args(["-c", &format!("{CLEAR}\nclear_node \"$@\""), "clear"])
        .arg(name)
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .doing(|| "running bash".to_owned())?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Leftover(name.to_owned())),
    }
}

fn write(lock: &mut File, text: &str) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(text.as_bytes())?;
    lock.flush()
}

/// Whether nothing on this machine leads to a place's addresses: a network of
/// its owner's may have them, or a broader one that they are part of.
fn is_free(number: u8) -> Result<bool> {
    for within_or_over in ["root", "match"] {
        let output = Command::new("ip")
            .args(["-4", "route", "show", "table", "all", within_or_over])
            .arg(range(number))
            .output()
            .doing(|| "running ip route".to_owned())?;
        let routes = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || routes.lines().any(is_of_a_network) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a line of `ip route` is more than the way to everywhere, which is one
/// route, or two halves where a VPN goes before it.
fn is_of_a_network(route: &str) -> bool {
    let everywhere = ["default", "0.0.0.0/1", "128.0.0.0/1"];
    // What leads nowhere, as in `unreachable default`, says so before.
    !route.trim().is_empty()
        && !route
            .split_whitespace()
            .take(2)
            .any(|word| everywhere.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_a_link_and_belongs_to_one_directory() {
        let one = name(Path::new("/tmp/one"));
        assert_eq!(one.len(), 12, "{one}");
        assert!(one.starts_with("azp"), "{one}");
        assert_eq!(one, name(Path::new("/tmp/one")));
        assert_ne!(one, name(Path::new("/tmp/two")));
    }

    #[test]
    fn only_the_way_to_everywhere_leaves_a_place_free() {
        for everywhere in [
            "default via 192.0.2.1 dev eth0 ",
            "default dev wg0 table 51820 scope link",
            "unreachable default table 7 metric 4294967295",
            "0.0.0.0/1 via 198.51.100.1 dev tun0",
            "",
        ] {
            assert!(!is_of_a_network(everywhere), "{everywhere}");
        }
        for network in [
            "10.0.0.0/8 via 198.51.100.1 dev tun0",
            "blackhole 10.192.0.0/10",
            "local 10.200.255.1 dev azp0 table local proto kernel scope host",
            "10.201.0.0/16 dev br-default scope link",
        ] {
            assert!(is_of_a_network(network), "{network}");
        }
    }
}
