//! The log in `_diag`, one file a process, as the real agent keeps it.
//!
//! Invariant: no secret is written here; a log that cannot be written ends nothing.

use std::{
    fmt::Arguments,
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::OnceLock,
};

use jiff::Timestamp;

use crate::terminal;

static LOG: OnceLock<(File, &'static str)> = OnceLock::new();

/// Opens the log of this process: `who` is `Agent` or `Worker`.
pub(crate) fn open(folder: &Path, who: &'static str) {
    let time = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let path = folder.join(format!("{who}_{time}-utc.log"));
    let opened = fs::create_dir_all(folder)
        .and_then(|()| File::options().create(true).append(true).open(path));
    if let Ok(file) = opened {
        let _ = LOG.set((file, who));
    }
}

/// Writes a line. Use [`note!`].
pub(crate) fn write(line: Arguments<'_>) {
    if let Some((file, who)) = LOG.get() {
        let line = format!("[{} INFO {who}] {line}\n", terminal::now());
        let mut file: &File = file;
        let _ = file.write_all(line.as_bytes());
    }
}

/// Writes a line to the log in `_diag`.
macro_rules! note {
    ($($line:tt)*) => { $crate::diag::write(format_args!($($line)*)) };
}
pub(crate) use note;
