//! What it says to whoever started it, in the real agent's words
//! (`Misc/layoutbin/en-US/strings.json`).
//!
//! Invariant: a reader who is gone ends nothing.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use jiff::Timestamp;

/// A line for standard output.
pub(crate) fn say(line: impl Display) {
    // Standard output is flushed at each line, also into a pipe.
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line with the time before it.
pub(crate) fn say_now(line: impl Display) {
    say(format_args!("{}: {line}", now()));
}

/// A line for standard error.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The heading of a part of the configuration.
pub(crate) fn section(name: &str) {
    say(format_args!("\n>> {name}:\n"));
}

/// The time as .NET's format `u` writes it.
pub(crate) fn now() -> impl Display {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ")
}
