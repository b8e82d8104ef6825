//! The demo, as a newcomer runs it: the built program, from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

/// Every job of the day but the one that nobody can run.
const JOBS: u64 = 87;

fn demo(seconds: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_azp-scaler"));
    command.args(["demo", "--for", seconds, "--plain"]);
    command
}

/// The number that stands before this word in the last line that holds it.
fn number_before(text: &str, word: &str) -> u64 {
    let line = text.lines().rfind(|line| line.contains(word));
    let line = line.unwrap_or_else(|| panic!("nothing is {word:?} in:\n{text}"));
    let (before, _) = line.split_once(word).unwrap();
    let number = before.split_whitespace().next_back().unwrap();
    number.parse().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn a_day_passes_and_no_job_is_lost() {
    let output = demo("10").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{text}");
    assert_eq!(errors, "");
    let (_, summary) = text.split_once("The day is over.").expect("a summary");

    // On a slow machine the job that is to be cancelled may be done before.
    let (done, cancelled) = (
        number_before(summary, " done"),
        number_before(summary, " canceled"),
    );
    assert_eq!(done + cancelled, JOBS, "{text}");
    assert_eq!(number_before(summary, " lost"), 0, "{text}");
    let asked = number_before(summary, " requests;");
    let built_in = summary.split("would have sent ").nth(1).unwrap();
    let built_in: u64 = built_in.lines().next().unwrap().parse().unwrap();
    assert!(0 < asked && asked < built_in, "{text}");

    // One job waits, and it is said why: while it waits and at the end.
    for part in [&text, summary] {
        let why = part.lines().find(|line| line.contains("mainframe waits"));
        let why = why.unwrap_or_else(|| panic!("no reason in:\n{part}"));
        assert!(why.contains("no profile takes it"), "{why}");
        assert!(why.contains("demand \"cobol\" is not met"), "{why}");
    }
    assert!(text.contains("Azure DevOps answers 503"), "{text}");
    assert!(!text.contains('\x1b'), "a terminal's codes outside of one");
}

#[test]
fn an_interrupt_ends_it_in_order() {
    let mut child = demo("300").stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("07:") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended early");
    }
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(sent.success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("Stopped at 07:"), "{rest}");
}
