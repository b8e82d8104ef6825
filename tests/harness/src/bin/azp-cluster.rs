//! `azp-cluster up` gives a person a control plane with KEDA; `azp-cluster down`
//! takes it away, with everything that it left.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use azp_harness::{Cluster, Detached, Options, READY, Result, State, Tools};

const USAGE: &str = "usage: azp-cluster up [--dir DIR] [--hpa-sync-period SECONDSs]
       azp-cluster down [--dir DIR]

up     starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
       KEDA on free ports of 127.0.0.1; safe to be called twice
down   stops them and removes every file

--dir DIR             where its files lie while it runs
                      (default: ${XDG_CACHE_HOME:-~/.cache}/azp-scaler/cluster)
--hpa-sync-period N   how often the HPA looks, as in 15s (the default, and
                      Kubernetes' own) or 2s";

/// What the command line says.
#[derive(Debug)]
struct Arguments {
    action: Action,
    directory: PathBuf,
    hpa_sync_period: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Up,
    Down,
    /// What `up` starts: the process that holds the cluster.
    Hold,
    Help,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("azp-cluster: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match arguments.action {
        Action::Up => up(&arguments),
        Action::Down => down(&arguments),
        Action::Hold => hold(&arguments),
        Action::Help => {
            println!("{USAGE}");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("azp-cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> std::result::Result<Arguments, String> {
    let action = match words.next().as_deref() {
        Some("up") => Action::Up,
        Some("down") => Action::Down,
        Some("hold") => Action::Hold,
        Some("--help" | "-h" | "help") => Action::Help,
        Some(other) => return Err(format!("unknown command {other:?}; it is up or down")),
        None => return Err("say up or down".to_owned()),
    };
    let mut directory = None;
    let mut hpa_sync_period = Options::default().hpa_sync_period;
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--dir" => directory = Some(PathBuf::from(value()?)),
            "--hpa-sync-period" => hpa_sync_period = seconds(&value()?)?,
            _ => return Err(format!("unknown flag {flag:?}")),
        }
    }
    let directory = directory
        .or_else(default_directory)
        .ok_or("neither XDG_CACHE_HOME nor HOME is set; name a directory with --dir".to_owned())?;
    Ok(Arguments {
        action,
        directory,
        hpa_sync_period,
    })
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    match number {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!(
            "--hpa-sync-period is {text:?}; it is whole seconds from 1s to 3600s"
        )),
    }
}

fn default_directory() -> Option<PathBuf> {
    let of = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("azp-scaler/cluster"))
}

fn up(arguments: &Arguments) -> Result<()> {
    let cluster = Detached::new(&arguments.directory);
    if let State::Running(_) = cluster.state()? {
        println!("the cluster runs already");
        println!("{}", how_to_use(cluster.directory())?);
        return Ok(());
    }
    if cluster.state()? == State::Leftover {
        println!("clearing what a killed cluster left");
    }
    let program = std::env::current_exe().map_err(|source| azp_harness::Error::Io {
        what: "finding this program".to_owned(),
        source,
    })?;
    let mut holder = Command::new(program);
    holder
        .args([
            "hold",
            "--hpa-sync-period",
            &arguments.hpa_sync_period.as_secs().to_string(),
        ])
        .arg("--dir")
        .arg(&arguments.directory);
    println!("starting Kubernetes and KEDA, ready in about 15 s …");
    cluster.up(holder)?;
    println!("{}", how_to_use(cluster.directory())?);
    Ok(())
}

fn down(arguments: &Arguments) -> Result<()> {
    match Detached::new(&arguments.directory).down()? {
        State::Absent => println!("no cluster is running"),
        State::Running(_) => println!("the cluster is stopped, and its files are removed"),
        State::Leftover => println!("what a killed cluster left is removed"),
    }
    Ok(())
}

/// Holds a cluster until this process is ended; the keeper then clears up.
fn hold(arguments: &Arguments) -> Result<()> {
    let options = Options {
        hpa_sync_period: arguments.hpa_sync_period,
        directory: Some(arguments.directory.clone()),
        ..Options::default()
    };
    // `up` hears this process on its stdout only.
    match Cluster::start(&options) {
        Ok(_cluster) => {
            println!("{READY}");
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            println!("{error}");
            Err(error)
        }
    }
}

fn how_to_use(directory: &Path) -> Result<String> {
    let tools = Tools::locate()?;
    let directory = directory.display();
    Ok(format!(
        "Kubernetes {kubernetes} with KEDA {keda}

  export KUBECONFIG={directory}/kubeconfig
  {kubectl} get deployments,scaledobjects,hpa --all-namespaces

There is no node: pods stay Pending, and replicas are what to look at.
KEDA reaches a scaler on this machine by its loopback address: start one with
`azp-scaler serve --grpc-listen 127.0.0.1:9090`, and write into the trigger
`scalerAddress: 127.0.0.1:9090`.
Logs are in {directory}/logs. It is taken away by `make cluster-down`.",
        kubernetes = tools.version("kube-apiserver"),
        keda = tools.version("keda-operator"),
        kubectl = tools.path("kubectl")?.display(),
    ))
}
