//! Unpacking: the agent's package becomes a folder.
//!
//! May import: nothing of ours. Invariants: nothing is written outside of the
//! folder, whatever the package holds; the folder is there only when it is whole;
//! disk and memory are bounded. A package is trusted with what its files do, but
//! one that somebody else has made must not reach beyond them.
//!
//! What keeps writing inside: a name has no `..` and no `/` in front; no folder
//! on the way to it is a link; a link may climb only at its start, and so only
//! through folders that are real, and no further than the folder itself.

use std::{
    borrow::Cow,
    cell::Cell,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink},
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

/// The names and marks before one file may take this many bytes. A name alone
/// has at most 4096; `tar` would read one of any length into memory.
const HEAD_CAP: u64 = 1 << 20;

/// How much a package may become.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of all its files, the runtimes of its tasks among them.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}

/// Why a package was not unpacked. The folder is not there then.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// There is something in its place.
    #[error("{0} is there already; remove it, or name another folder")]
    Exists(PathBuf),
    /// It has no place, such as `/`.
    #[error("{0} is no folder that can be made; name one below another")]
    NoPlace(PathBuf),
    /// The package is no archive, is cut off, or breaks the bounds of a name.
    #[error("the package cannot be read ({0}); is it a whole .tar.gz?")]
    Archive(io::Error),
    /// Something in it has no place in a package.
    #[error(
        "the package holds {what} ({name}), which no agent's package does; nothing was unpacked"
    )]
    Forbidden {
        /// What it is.
        what: &'static str,
        /// Its name in the package, shortened.
        name: Box<str>,
    },
    /// It unfolds to more than it may.
    #[error("the package unfolds to more than {0} {1}")]
    TooLarge(u64, &'static str),
    /// The disk says no.
    #[error("{path} cannot be written ({cause}); is there room, and may it be written?")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        cause: io::Error,
    },
}

/// A package on its way into a folder of which nobody knows yet.
struct Unpacking {
    root: PathBuf,
    bounds: Bounds,
    done: Unpacked,
    /// How many bytes may be read at present.
    allowance: Rc<Cell<u64>>,
}

/// Reads no more than it may.
struct Metered<R> {
    inner: R,
    allowance: Rc<Cell<u64>>,
}

/// Unpacks a `.tar.gz` into a folder that is not there yet, or empty, on a thread
/// of its own. It is made beside it, as `NAME.part`, and renamed at the end, so
/// that the folder itself cannot be where a volume is mounted.
///
/// # Errors
/// Where the package or the disk is not as it should be.
pub async fn unpack(package: &Path, into: &Path, bounds: Bounds) -> Result<Unpacked, UnpackError> {
    let (package, into) = (package.to_owned(), into.to_owned());
    let unpacking = tokio::task::spawn_blocking(move || unpack_here(&package, &into, bounds));
    // The process ends.
    let ended = |error| Err(UnpackError::Archive(io::Error::other(error)));
    unpacking.await.unwrap_or_else(ended)
}

fn unpack_here(package: &Path, into: &Path, bounds: Bounds) -> Result<Unpacked, UnpackError> {
    if !is_free(into) {
        return Err(UnpackError::Exists(into.to_owned()));
    }
    let name = into.file_name();
    let mut part = name
        .ok_or_else(|| UnpackError::NoPlace(into.to_owned()))?
        .to_owned();
    part.push(".part");
    let root = into.with_file_name(part);
    // What a process left behind that was killed here.
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).map_err(|cause| unwritten(&root, cause))?;
    let unpacked = File::open(package)
        .map_err(UnpackError::Archive)
        .and_then(|package| Unpacking::new(root.clone(), bounds).all_of(package));
    let done = unpacked.and_then(|unpacked| {
        fs::rename(&root, into).map_err(|cause| unwritten(into, cause))?;
        Ok(unpacked)
    });
    if done.is_err() {
        // Its own error says more than that of a folder left behind.
        let _ = fs::remove_dir_all(&root);
    }
    done
}

/// Is there nothing in this place, or an empty folder?
fn is_free(into: &Path) -> bool {
    match into.symlink_metadata() {
        Ok(found) if found.is_dir() => {
            fs::read_dir(into).is_ok_and(|mut entries| entries.next().is_none())
        }
        Ok(_) => false,
        Err(_) => true,
    }
}

// === impl Bounds ===

impl Default for Bounds {
    /// 4 GiB and 500,000 entries: several times what the agent has.
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            entries: 500_000,
        }
    }
}

// === impl Unpacking ===

impl Unpacking {
    fn new(root: PathBuf, bounds: Bounds) -> Self {
        Self {
            root,
            bounds,
            done: Unpacked::default(),
            allowance: Rc::default(),
        }
    }

    fn all_of(mut self, package: impl Read) -> Result<Unpacked, UnpackError> {
        let metered = Metered {
            inner: MultiGzDecoder::new(package),
            allowance: Rc::clone(&self.allowance),
        };
        let mut archive = Archive::new(metered);
        let mut entries = archive.entries().map_err(UnpackError::Archive)?;
        loop {
            self.allowance.set(HEAD_CAP);
            let Some(entry) = entries.next() else { break };
            self.one(entry.map_err(UnpackError::Archive)?)?;
        }
        if self.done.entries == 0 {
            let empty = io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty");
            return Err(UnpackError::Archive(empty));
        }
        Ok(self.done)
    }

    fn one(&mut self, entry: Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let forbidden = |what| forbidden(what, &shown);
        self.done.entries += 1;
        if self.done.entries > self.bounds.entries {
            return Err(UnpackError::TooLarge(self.bounds.entries, "files"));
        }
        let path = entry.path().map_err(UnpackError::Archive)?;
        let name = inside(&path).ok_or_else(|| forbidden("a name that leads out of it"))?;
        if name.as_os_str().is_empty() {
            // The folder itself, as `./`.
            return Ok(());
        }
        self.folder_of(&name)
            .ok_or_else(|| forbidden("a name below a link or a file"))??;
        let target = entry.link_name().ok().flatten().map(Cow::into_owned);
        match kind {
            EntryType::Regular | EntryType::Continuous => self.file(&name, entry),
            EntryType::Directory => {
                let mode = entry.header().mode().unwrap_or(0o755);
                match self.folder(&name) {
                    Some(made) => made.and_then(|()| self.set_mode(&name, mode | 0o700)),
                    None => Err(forbidden("a folder in the place of a file")),
                }
            }
            EntryType::Symlink => {
                let target = target.filter(|target| stays_inside(&name, target));
                let target = target.ok_or_else(|| forbidden("a link that leads out of it"))?;
                self.link(&name, |at| symlink(target, at))
            }
            EntryType::Link => {
                let target = target.and_then(|target| inside(&target));
                let target = target.filter(|target| self.is_file(target) && *target != name);
                let target = target.ok_or_else(|| forbidden("a link to no file of its own"))?;
                self.link(&name, |at| fs::hard_link(self.root.join(target), at))
            }
            EntryType::Char | EntryType::Block => Err(forbidden("a device")),
            EntryType::Fifo => Err(forbidden("a pipe")),
            _ => Err(forbidden("something else than files, folders and links")),
        }
    }

    fn file(&mut self, name: &Path, mut entry: Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let size = entry.size();
        self.done.bytes = self.done.bytes.saturating_add(size);
        if self.done.bytes > self.bounds.bytes {
            return Err(UnpackError::TooLarge(self.bounds.bytes, "bytes"));
        }
        self.place(name)?;
        let at = self.root.join(name);
        let failed = |cause| unwritten(&at, cause);
        // `create_new` follows no link.
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&at);
        let mut file = file.map_err(failed)?;
        self.allowance.set(size);
        copy(&mut entry, &mut file, &at)?;
        let mode = entry.header().mode().unwrap_or(0o644);
        self.set_mode(name, mode)
    }

    fn link(
        &self,
        name: &Path,
        make: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), UnpackError> {
        self.place(name)?;
        let at = self.root.join(name);
        make(&at).map_err(|cause| unwritten(&at, cause))
    }

    /// Makes the folders on the way to this name; `None` where there is something
    /// else on the way.
    fn folder_of(&self, name: &Path) -> Option<Result<(), UnpackError>> {
        let mut way = PathBuf::new();
        for part in name.parent()?.components() {
            way.push(part);
            match self.folder(&way)? {
                Ok(()) => {}
                failed => return Some(failed),
            }
        }
        Some(Ok(()))
    }

    /// Makes this folder where there is none; `None` where there is something else.
    fn folder(&self, name: &Path) -> Option<Result<(), UnpackError>> {
        let at = self.root.join(name);
        match at.symlink_metadata() {
            Ok(found) => found.is_dir().then_some(Ok(())),
            Err(_) => Some(fs::create_dir(&at).map_err(|cause| unwritten(&at, cause))),
        }
    }

    /// Makes room for a file or link. As in `tar`, the last of a name counts.
    fn place(&self, name: &Path) -> Result<(), UnpackError> {
        let at = self.root.join(name);
        match at.symlink_metadata() {
            Ok(found) if found.is_dir() => Err(forbidden(
                "a file in the place of a folder",
                &name.to_string_lossy(),
            )),
            Ok(_) => fs::remove_file(&at).map_err(|cause| unwritten(&at, cause)),
            Err(_) => Ok(()),
        }
    }

    /// Is this a file that came with the package, by a way without links?
    fn is_file(&self, name: &Path) -> bool {
        let kind = |name: &Path| self.root.join(name).symlink_metadata().ok();
        let mut above = name.ancestors().skip(1);
        above.all(|folder| kind(folder).is_some_and(|folder| folder.is_dir()))
            && kind(name).is_some_and(|file| file.is_file())
    }

    /// The rights that the package gives, without those that run a program as
    /// somebody else.
    fn set_mode(&self, name: &Path, mode: u32) -> Result<(), UnpackError> {
        let at = self.root.join(name);
        let rights = Permissions::from_mode(mode & 0o777);
        fs::set_permissions(&at, rights).map_err(|cause| unwritten(&at, cause))
    }
}

// === impl Metered ===

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("a name or an extension in it is too long"));
        }
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.allowance.set(left - read as u64);
        Ok(read)
    }
}

/// The name without `.`, if it has a place below the folder.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut name = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => name.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(name)
}

/// Does a link of this name lead to something in the folder? It may climb as far
/// as the folder itself, and only before it descends: what it descends through
/// may be another link, and `..` behind that would be somewhere else.
fn stays_inside(name: &Path, target: &Path) -> bool {
    let depth = name.components().count() - 1;
    let mut climbed = 0;
    let mut descends = false;
    for part in target.components() {
        match part {
            Component::Normal(_) => descends = true,
            Component::CurDir => {}
            Component::ParentDir if !descends && climbed < depth => climbed += 1,
            _ => return false,
        }
    }
    !target.as_os_str().is_empty()
}

/// Copies a file, and tells which side failed.
fn copy(from: &mut impl Read, into: &mut File, at: &Path) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UnpackError::Archive(error)),
        };
        let written = io::Write::write_all(into, &buffer[..read]);
        written.map_err(|cause| unwritten(at, cause))?;
    }
}

fn forbidden(what: &'static str, name: &str) -> UnpackError {
    let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
    let name = name.into();
    UnpackError::Forbidden { what, name }
}

fn unwritten(path: &Path, cause: io::Error) -> UnpackError {
    UnpackError::Write {
        path: path.to_owned(),
        cause,
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
