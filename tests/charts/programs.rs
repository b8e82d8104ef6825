//! What the pods tell the programs is what these know: subcommands, flags and
//! variables, by their own help.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

use super::{
    fail_on,
    pods::pods,
    render::{items, renders, text},
};

/// Variables with a secret, which no flag has.
const SECRETS: &[&str] = &["AZP_TOKEN", "AZP_CLIENTSECRET", "AZP_HOOK_SECRET"];

/// How a container calls one of the programs.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    /// The program, and then its subcommands.
    words: Vec<String>,
    flags: Vec<String>,
    variables: Vec<String>,
}

/// The call of a container that runs one of the programs.
fn call(container: &Value) -> Option<Call> {
    let image = text(container, "/image");
    let program = ["azp-scaler", "azp-agent"]
        .into_iter()
        .find(|name| image.contains(&format!("azp-scaler/{name}")))?;
    let list = |key| items(container, key).iter().filter_map(Value::as_str);
    let mut command: Vec<&str> = list("/command").collect();
    match command.first() {
        // The image's own entry point.
        None if program == "azp-agent" => command = vec![program, "run"],
        None => command = vec![program],
        Some(first) if first.ends_with(program) => command[0] = program,
        Some(_) => return None,
    }
    command.extend(list("/args"));
    let first_flag = command.iter().position(|word| word.starts_with('-'));
    let (words, rest) = command.split_at(first_flag.unwrap_or(command.len()));
    let flags = rest.iter().filter(|word| word.starts_with("--"));
    let flags = flags.map(|flag| flag.split('=').next().unwrap_or(flag).to_owned());
    let variables = items(container, "/env")
        .iter()
        .map(|one| text(one, "/name"));
    let variables = variables.filter(|name| name.starts_with("AZP_") && !SECRETS.contains(name));
    Some(Call {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        flags: flags.collect(),
        variables: variables.map(str::to_owned).collect(),
    })
}

/// The help of a subcommand, or what the program says to a wrong one.
fn help(words: &[String]) -> Result<String, String> {
    let program = match words[0].as_str() {
        "azp-scaler" => env!("CARGO_BIN_EXE_azp-scaler"),
        _ => env!("CARGO_BIN_EXE_azp-agent"),
    };
    let output = Command::new(program)
        .args(&words[1..])
        .arg("--help")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[test]
fn the_programs_know_what_their_pods_tell_them() {
    let mut problems = Vec::new();
    let mut helps: BTreeMap<Vec<String>, Result<String, String>> = BTreeMap::new();
    for render in renders() {
        for pod in pods(render) {
            for call in pod.containers().filter_map(call) {
                let about = format!("{}: {}", pod.document.about(), call.words.join(" "));
                let known = helps
                    .entry(call.words.clone())
                    .or_insert_with(|| help(&call.words));
                let known = match known {
                    Ok(known) => known,
                    Err(said) => {
                        problems.push(format!("{about}: {said}"));
                        continue;
                    }
                };
                let part = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
                let words: Vec<&str> = known.split(part).collect();
                let told = call.flags.iter().chain(&call.variables);
                let unknown = told.filter(|word| !words.contains(&word.as_str()));
                problems.extend(unknown.map(|word| format!("{about}: does not know {word}")));
            }
        }
    }
    assert!(helps.len() > 3, "calls: {:?}", helps.keys());
    fail_on(&problems);
}

#[test]
fn a_call_is_read_from_a_container() {
    let container = serde_json::json!({
        "image": "ghcr.io/azp-scaler/azp-agent:0.1.0",
        "args": ["--once", "--idle-timeout=10m"],
        "env": [{"name": "AZP_POOL"}, {"name": "AZP_TOKEN"}, {"name": "PATH"}],
    });
    let call = call(&container).unwrap();
    assert_eq!(call.words, ["azp-agent", "run"]);
    assert_eq!(call.flags, ["--once", "--idle-timeout"]);
    assert_eq!(call.variables, ["AZP_POOL"]);
    assert!(help(&["azp-agent".to_owned(), "walk".to_owned()]).is_err());
}
