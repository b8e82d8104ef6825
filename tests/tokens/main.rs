//! Tokens nowhere: a program that holds secrets of every origin, among servers
//! that fail in every way and repeat what they were sent, and then a search of
//! everything that came out of it.
//!
//! Invariant: what is searched for was really sent; a secret that no server
//! has seen proves nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "the tests of TLS need more of it")]
#[path = "../tls/authority.rs"]
mod authority;
#[allow(dead_code, reason = "the tests of TLS need more of it")]
#[path = "../tls/caller.rs"]
mod caller;
mod calls;
mod mirror;
mod program;
mod secrets;
#[path = "../support/mod.rs"]
mod support;

use azp_scaler::{
    emulator::{AuthorityFault, Emulator, EmulatorHandle, Fault, FaultKind, Settings},
    grpc::proto::ScaledObjectRef,
};
use tokio::net::TcpListener;

use calls::Calls;
use mirror::Mirror;
use program::{Files, Program};
use secrets::{SECRETS, Search};

/// Asked by what is shared with the tests of TLS.
fn object() -> ScaledObjectRef {
    ScaledObjectRef::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_comes_out_as_text() {
    nothing_comes_out("text").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_comes_out_as_json() {
    nothing_comes_out("json").await;
}

async fn nothing_comes_out(format: &str) {
    let (emulator, emulated) = emulator().await;
    let mirror = Mirror::start().await;
    let files = Files::new(&emulated, &mirror.at);
    let mut program = Program::start(&files, format, &emulated, &mirror.at).await;
    let mut search = Search::default();

    let mut calls = Calls::new(&program, &files, &emulated, &mirror.at).await;
    calls.good(&mut search).await;
    let (failing, echoing) = tokio::join!(every_fault(&calls, &emulator), every_echo(&calls));
    search.extend(failing);
    search.extend(echoing);
    calls.every_kind_has_come().await;
    calls.bad(&mut search).await;
    calls.http(&mut search).await;
    search.add("its command line", program.command_line());
    for arguments in [&["explain"][..], &["explain", "ci/good"]] {
        let server = format!("--server=http://{}", program.http);
        let asked = [arguments, &[&server]].concat();
        search.add("explain", program::run(&asked, &[]));
    }
    program.end();
    search.add("standard output", files.read("stdout"));
    let log = files.read("stderr");
    for part in ["TRACE", "h2::", "hyper_util::", "azp_scaler::"] {
        assert!(log.contains(part), "no {part} in the log");
    }
    search.add("standard error", log);

    for secret in SECRETS.iter().filter(|secret| secret.is_sent(format)) {
        let seen = secret.is_in(&mirror.heard());
        assert!(seen, "{}: no server has seen it", secret.name);
    }
    search.finds_nothing();
}

/// The emulator fails in every way.
async fn every_fault(calls: &Calls, emulator: &EmulatorHandle) -> Search {
    let mut search = Search::default();
    let mut faults = FaultKind::ALL;
    // What is dear comes first, while few pools are looked up again and again;
    // what holds others up comes last.
    faults.sort_by_key(|(_, kind)| match kind {
        FaultKind::HugeBody => 0,
        FaultKind::TooManyRequests | FaultKind::SlowDown => 2,
        FaultKind::Hang | FaultKind::SlowBody => 3,
        _ => 1,
    });
    for (name, kind) in faults {
        emulator.set_fault(Fault {
            retry_after: 1,
            ..Fault::new(kind)
        });
        calls.emulated(name, &mut search).await;
    }
    emulator.clear_faults();
    for (name, fault) in AuthorityFault::ALL {
        emulator.set_authority_fault(Some(fault));
        calls.emulated(name, &mut search).await;
    }
    emulator.set_authority_fault(None);
    search
}

/// The mirror repeats in every way.
async fn every_echo(calls: &Calls) -> Search {
    let mut search = Search::default();
    for turn in 0..mirror::TURNS {
        calls.mirrored(turn, &mut search).await;
    }
    search
}

#[test]
fn no_secret_comes_out_of_a_refusal() {
    let mut search = Search::default();
    for (what, output) in program::refusals() {
        assert!(!output.is_empty(), "{what}");
        search.add(what, output);
    }
    search.finds_nothing();
}

#[test]
fn the_search_finds_every_secret_in_every_form() {
    for secret in SECRETS {
        for (form, text) in secret.spelt() {
            let mut search = Search::default();
            search.add("a text", format!("denied ({text})"));
            let found = search.found();
            assert!(!found.is_empty(), "{}, {form}: {text}", secret.name);
        }
        let mut search = Search::default();
        search.add("a part", secret.part().to_owned());
        assert_eq!(search.found().len(), 1, "{}", secret.name);
    }
}

async fn emulator() -> (EmulatorHandle, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let emulator = Emulator::new(Settings {
        pools: vec!["linux".to_owned()],
        ..Settings::default()
    });
    let emulator = emulator.unwrap();
    let handle = emulator.handle();
    tokio::spawn(emulator.run(listener, std::future::pending()));
    (handle, at)
}
