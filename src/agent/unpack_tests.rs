//! Packages, good and hostile ones.
//!
//! May import: the module that it tests. Invariant: a hostile package is written
//! byte by byte where the usual writer of archives would refuse to.

use std::{collections::BTreeMap, io::Write as _, os::unix::fs::MetadataExt as _};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, Header};
use tempfile::TempDir;

use super::*;

/// One entry of a package.
struct Item {
    name: &'static str,
    kind: EntryType,
    /// A file's text or a link's target.
    holds: &'static str,
    mode: u32,
}

fn file(name: &'static str, holds: &'static str) -> Item {
    let (kind, mode) = (EntryType::Regular, 0o644);
    Item {
        name,
        kind,
        holds,
        mode,
    }
}

fn of(kind: EntryType, name: &'static str, holds: &'static str) -> Item {
    Item {
        kind,
        mode: 0o755,
        ..file(name, holds)
    }
}

fn link(name: &'static str, target: &'static str) -> Item {
    of(EntryType::Symlink, name, target)
}

fn folder(name: &'static str) -> Item {
    of(EntryType::Directory, name, "")
}

/// A header whose name is set without a look at it.
fn header(item: &Item) -> Header {
    let mut header = Header::new_gnu();
    let is_file = item.kind == EntryType::Regular;
    let old = header.as_old_mut();
    old.name[..item.name.len()].copy_from_slice(item.name.as_bytes());
    if !is_file {
        old.linkname[..item.holds.len()].copy_from_slice(item.holds.as_bytes());
    }
    header.set_entry_type(item.kind);
    header.set_mode(item.mode);
    header.set_size(if is_file { item.holds.len() as u64 } else { 0 });
    header.set_cksum();
    header
}

fn package(items: &[Item]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for item in items {
        let data = if item.kind == EntryType::Regular {
            item.holds.as_bytes()
        } else {
            b""
        };
        builder.append(&header(item), data).unwrap();
    }
    zipped(&builder.into_inner().unwrap())
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap()
}

const SMALL: Bounds = Bounds {
    bytes: 1000,
    entries: 20,
};

/// Unpacks into a fresh folder `place/agent`, and tells what is there then, below
/// `place`: files by what they hold, links by their target.
async fn unpacked(package: &[u8]) -> (Result<Unpacked, UnpackError>, BTreeMap<String, String>) {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("secret"), "untouched").unwrap();
    let archive = home.path().join("package");
    fs::write(&archive, package).unwrap();
    let got = unpack(&archive, &home.path().join("place/agent"), SMALL).await;
    assert_eq!(fs::read(home.path().join("secret")).unwrap(), b"untouched");
    let mut found = BTreeMap::new();
    list(&home.path().join("place"), "", &mut found);
    assert_eq!(fs::read_dir(&home).unwrap().count(), 3, "beside the place");
    (got, found)
}

fn list(folder: &Path, name: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{name}/{}", entry.file_name().display());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            list(&entry.path(), &name, found);
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            found.insert(name, format!("-> {}", target.display()));
        } else {
            found.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_package_becomes_a_folder() {
    let long = "externals/".repeat(9).leak();
    let items = [
        folder("./"),
        Item {
            mode: 0o755,
            ..file("./config.sh", "#!/bin/bash")
        },
        // The folder comes after what is in it, and would let nobody in.
        file("bin/Agent.Listener", "listener"),
        Item {
            mode: 0o500,
            ..folder("bin")
        },
        Item {
            mode: 0o6711,
            ..file("bin/setuid", "")
        },
        link("externals/node/bin/npm", "../lib/npm-cli.js"),
        link("current", "./bin"),
        file(long, "deep"),
        of(EntryType::Link, "run.sh", "config.sh"),
        file("twice", "first"),
        file("twice", "second"),
        link("bin/up", ".."),
    ];
    let home = TempDir::new().unwrap();
    let (archive, place) = (home.path().join("package"), home.path().join("agent"));
    fs::write(&archive, package(&items)).unwrap();
    // A folder that an image has made, and what a killed process left.
    fs::create_dir(&place).unwrap();
    fs::create_dir(home.path().join("agent.part")).unwrap();
    fs::write(home.path().join("agent.part/old"), "").unwrap();
    let got = unpack(&archive, &place, SMALL).await.unwrap();
    assert_eq!((got.entries, got.bytes), (12, 11 + 8 + 4 + 5 + 6));
    let mut found = BTreeMap::new();
    list(&place, "/agent", &mut found);
    assert!(!home.path().join("agent.part").exists());
    let deep = format!("/agent/{}", long.trim_end_matches('/'));
    let expected = [
        ("/agent/bin/Agent.Listener", "listener"),
        ("/agent/bin/setuid", ""),
        ("/agent/bin/up", "-> .."),
        ("/agent/config.sh", "#!/bin/bash"),
        ("/agent/current", "-> ./bin"),
        ("/agent/externals/node/bin/npm", "-> ../lib/npm-cli.js"),
        (&deep, "deep"),
        ("/agent/run.sh", "#!/bin/bash"),
        ("/agent/twice", "second"),
    ];
    let expected = expected.map(|(name, holds)| (name.to_owned(), holds.to_owned()));
    assert_eq!(found, BTreeMap::from(expected));
    let mode = |name: &str| place.join(name).metadata().unwrap().mode() & 0o7777;
    let modes = [
        "config.sh",
        "run.sh",
        "bin",
        "bin/Agent.Listener",
        "bin/setuid",
    ]
    .map(mode);
    assert_eq!(modes, [0o755, 0o755, 0o700, 0o644, 0o711]);
    let again = unpack(&archive, &place, SMALL).await.unwrap_err();
    assert!(matches!(again, UnpackError::Exists(_)), "{again}");
}

#[tokio::test]
async fn nothing_leaves_the_folder() {
    let check = async |items: &[Item], part: &str| {
        let names: Vec<_> = items.iter().map(|item| (item.name, item.holds)).collect();
        // What came before would be there, were the whole not taken back.
        let whole: Vec<Item> = std::iter::once(file("good", "1"))
            .chain(items.iter().map(|item| Item { ..*item }))
            .collect();
        let (got, found) = unpacked(&package(&whole)).await;
        let Err(error) = got else {
            panic!("{names:?} became {found:?}");
        };
        assert!(error.to_string().contains(part), "{names:?}: {error}");
        assert!(found.is_empty(), "{names:?} left {found:?}");
    };
    let out = "a name that leads out of it";
    check(&[file("../secret", "x")], out).await;
    check(&[file("a/../../secret", "x")], out).await;
    check(&[file("/etc/x", "x")], out).await;
    check(&[folder("..")], out).await;
    let through = "below a link or a file";
    check(&[link("a", "b"), file("a/x", "x")], through).await;
    check(&[folder("b"), link("a", "b"), file("a/x", "x")], through).await;
    check(&[file("a", ""), file("a/x", "x")], through).await;
    let link_out = "a link that leads out of it";
    check(&[link("a", "/etc")], link_out).await;
    check(&[link("a", "..")], link_out).await;
    check(&[link("a/b", "../..")], link_out).await;
    check(&[link("a", "b/../..")], link_out).await;
    // `d/up` is the folder itself, so that `..` behind it is outside.
    check(&[link("d/up", ".."), link("d/x", "up/../secret")], link_out).await;
    check(&[link("a", "")], link_out).await;
    let no_file = "a link to no file of its own";
    let hard = |target| of(EntryType::Link, "a", target);
    check(&[hard("/etc/passwd")], no_file).await;
    check(&[hard("../secret")], no_file).await;
    check(&[hard("missing")], no_file).await;
    check(&[file("a", ""), hard("a")], no_file).await;
    check(&[link("l", "good"), hard("l")], no_file).await;
    check(
        &[folder("b"), link("d", "b"), file("b/x", ""), hard("d/x")],
        no_file,
    )
    .await;
    for (kind, part) in [
        (EntryType::Char, "a device"),
        (EntryType::Block, "a device"),
        (EntryType::Fifo, "a pipe"),
        (EntryType::new(b'Q'), "something else"),
    ] {
        check(&[of(kind, "a", "")], part).await;
    }
    check(
        &[folder("b"), file("b", "x")],
        "a file in the place of a folder",
    )
    .await;
    check(
        &[file("b", ""), folder("b")],
        "a folder in the place of a file",
    )
    .await;
}

/// A link is replaced, not followed.
#[tokio::test]
async fn a_file_in_the_place_of_a_link_is_a_file() {
    let (got, found) = unpacked(&package(&[
        file("good", "1"),
        link("a", "good"),
        file("a", "2"),
    ]))
    .await;
    got.unwrap();
    let expected = [("/agent/a", "2"), ("/agent/good", "1")];
    let expected = expected.map(|(name, holds)| (name.to_owned(), holds.to_owned()));
    assert_eq!(found, BTreeMap::from(expected));
}

#[tokio::test]
async fn what_a_package_unfolds_to_is_bounded() {
    let check = async |package: &[u8], part: &str| {
        let (got, found) = unpacked(package).await;
        let error = got.unwrap_err().to_string();
        assert!(error.contains(part), "{part:?} is not in {error}");
        assert!(found.is_empty(), "{found:?}");
    };
    let large = |size: u64| {
        let mut header = header(&file("a", ""));
        header.set_size(size);
        header.set_cksum();
        header
    };
    // It says so itself, and would have no more than zeros.
    check(&zipped(large(1001).as_bytes()), "more than 1000 bytes").await;
    check(
        &zipped(large(u64::MAX >> 1).as_bytes()),
        "more than 1000 bytes",
    )
    .await;
    let both = [large(600), large(600)].map(|header| [header.as_bytes(), &[0; 1024][..]].concat());
    check(&zipped(&both.concat()), "more than 1000 bytes").await;
    let many: Vec<Item> = (0..21).map(|_| file("a", "")).collect();
    check(&package(&many), "more than 20 files").await;
    // A name of 2 MiB, in 2 KB.
    let mut name = header(&file("././@LongLink", ""));
    name.set_entry_type(EntryType::GNULongName);
    name.set_size(2 << 20);
    name.set_cksum();
    let long = [name.as_bytes(), &vec![b'a'; 2 << 20][..]].concat();
    check(&zipped(&long), "too long").await;
}

#[tokio::test]
async fn what_is_no_whole_package_is_told() {
    let whole = package(&[file("a", "text"), file("b", "text")]);
    for package in [
        &b""[..],
        b"<html>",
        &zipped(b""),
        &zipped(b"no archive at all"),
        &zipped(&[b'x'; 2048]),
        &whole[..whole.len() - 20],
        &whole[..60],
    ] {
        let (got, found) = unpacked(package).await;
        let error = got.unwrap_err();
        assert!(matches!(error, UnpackError::Archive(_)), "{error}");
        assert!(
            error.to_string().contains("is it a whole .tar.gz?"),
            "{error}"
        );
        assert!(found.is_empty(), "{found:?}");
    }
    let error = unpack(Path::new("/nowhere"), Path::new("/"), SMALL).await;
    assert!(matches!(error, Err(UnpackError::Exists(_))));
}
