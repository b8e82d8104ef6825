//! `azp-cluster up` gives a person a Kubernetes with KEDA; `azp-cluster down`
//! takes it away, with everything that it left.
//!
//! Its stdout is for a shell (`eval "$(azp-cluster up)"`), its stderr for people.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use azp_harness::{Cluster, Detached, NodeOptions, Options, READY, Result, STEP, State, Tools};

const USAGE: &str = "usage: azp-cluster up [--dir DIR] [--hpa-sync-period SECONDSs]
                      [--image FILE]… [--emulator IMAGE] [--no-node] [--no-keda]
       azp-cluster down [--dir DIR]

up     starts a Kubernetes with KEDA; safe to be called twice. It prints a line for
       a shell: eval \"$(azp-cluster up)\"
down   stops it and leaves nothing behind

--dir DIR             where its files lie while it runs
                      (default: ${XDG_CACHE_HOME:-~/.cache}/azp-scaler/cluster)
--hpa-sync-period N   how often the HPA looks, as in 15s (the default, and
                      Kubernetes' own) or 2s
--image FILE          an archive of images for the node, as `docker save` and
                      images/build write them; may be repeated
--emulator IMAGE      run the emulator of Azure DevOps by this image of azp-scaler,
                      as http://emulator.azure.svc:8100
--no-node             the control plane alone, and KEDA as processes beside it; it
                      needs no root, and pods stay Pending
--no-keda             KEDA's kinds, and nobody who acts on them";

/// What the command line says.
#[derive(Debug)]
struct Arguments {
    action: Action,
    directory: PathBuf,
    hpa_sync_period: Duration,
    node: Option<NodeOptions>,
    keda: bool,
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
    let mut node = NodeOptions::default();
    let mut no_node = false;
    let mut keda = true;
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--dir" => directory = Some(PathBuf::from(value()?)),
            "--hpa-sync-period" => hpa_sync_period = seconds(&value()?)?,
            "--image" => node.images.push(archive(&value()?)?),
            "--emulator" => node.emulator = Some(value()?),
            "--no-node" => no_node = true,
            "--no-keda" => keda = false,
            _ => return Err(format!("unknown flag {flag:?}")),
        }
    }
    if no_node && (!node.images.is_empty() || node.emulator.is_some()) {
        return Err("--image and --emulator need a node; leave --no-node out".to_owned());
    }
    let directory = directory
        .or_else(default_directory)
        .ok_or("neither XDG_CACHE_HOME nor HOME is set; name a directory with --dir".to_owned())?;
    Ok(Arguments {
        action,
        directory,
        hpa_sync_period,
        node: (!no_node).then_some(node),
        keda,
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

/// Looked at before anything starts: a minute later is too late to hear of it.
fn archive(text: &str) -> std::result::Result<PathBuf, String> {
    match Path::new(text).is_file() {
        true => Ok(text.into()),
        false => Err(format!(
            "--image is {text:?}, which is no file; images/build and docker save write such archives"
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
    match cluster.state()? {
        State::Running(_) => {
            eprintln!("the cluster runs already");
            return tell(cluster.directory());
        }
        State::Leftover => eprintln!("clearing what a killed cluster left"),
        State::Absent => {}
    }
    let program = std::env::current_exe().map_err(|source| azp_harness::Error::Io {
        what: "finding this program".to_owned(),
        source,
    })?;
    let mut holder = Command::new(program);
    let period = arguments.hpa_sync_period.as_secs().to_string();
    holder.args(["hold", "--hpa-sync-period", &period]);
    holder.arg("--dir").arg(&arguments.directory);
    if !arguments.keda {
        holder.arg("--no-keda");
    }
    match &arguments.node {
        None => {
            holder.arg("--no-node");
        }
        Some(node) => {
            for image in &node.images {
                holder.arg("--image").arg(image);
            }
            if let Some(image) = &node.emulator {
                holder.args(["--emulator", image]);
            }
        }
    }
    cluster.up(holder, |step| eprintln!("{step} …"))?;
    tell(cluster.directory())
}

fn down(arguments: &Arguments) -> Result<()> {
    match Detached::new(&arguments.directory).down()? {
        State::Absent => eprintln!("no cluster is running"),
        State::Running(_) => eprintln!("the cluster is stopped, and nothing of it is left"),
        State::Leftover => eprintln!("what a killed cluster left is removed"),
    }
    Ok(())
}

/// Holds a cluster until this process is ended; the keeper then clears up.
fn hold(arguments: &Arguments) -> Result<()> {
    let options = Options {
        hpa_sync_period: arguments.hpa_sync_period,
        directory: Some(arguments.directory.clone()),
        node: arguments.node.clone(),
        keda: arguments.keda,
        kwok: None,
        // `up` hears this process on its stdout only.
        progress: |step| println!("{STEP}{step}"),
    };
    let started = Cluster::start(&options);
    let told = started.and_then(|cluster| {
        let guide = cluster.directory().join("guide");
        let written = std::fs::write(&guide, how_to_use(&cluster)?);
        written.map_err(|source| azp_harness::Error::Io {
            what: format!("writing {}", guide.display()),
            source,
        })?;
        Ok(cluster)
    });
    match told {
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

/// Tells the shell its line, which comes first in the guide, and the person the
/// rest.
fn tell(directory: &Path) -> Result<()> {
    let guide = directory.join("guide");
    let text = std::fs::read_to_string(&guide).map_err(|source| azp_harness::Error::Io {
        what: format!(
            "reading {} (is the cluster still starting?)",
            guide.display()
        ),
        source,
    })?;
    let (line, rest) = text.split_once('\n').unwrap_or((&text, ""));
    eprintln!("{rest}");
    println!("{line}");
    Ok(())
}

/// As one word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn how_to_use(cluster: &Cluster) -> Result<String> {
    let tools = Tools::locate()?;
    let directory = cluster.directory().display();
    let programs: Vec<String> = ["kubectl", "helm"]
        .iter()
        .filter_map(|name| Some(tools.path(name).ok()?.parent()?.display().to_string()))
        .collect();
    // Where the emulator's own routes are: jobs are queued there.
    let url = cluster.node().and_then(|node| node.emulator_url());
    let routes = url.map_or(String::new(), |url| {
        format!(" AZP_EMULATOR='{url}/_emulator'")
    });
    let export = format!(
        "export KUBECONFIG={} PATH={}:\"$PATH\"{routes}",
        quoted(&cluster.kubeconfig().display().to_string()),
        quoted(&programs.join(":"))
    );
    let words = match cluster.node() {
        None => "There is no node: pods stay Pending, and replicas are what to look at.
KEDA reaches a scaler on this machine by its loopback address: start one with
`azp-scaler serve --grpc-listen 127.0.0.1:9090`, and write into the trigger
`scalerAddress: 127.0.0.1:9090`."
            .to_owned(),
        Some(node) => format!(
            "The node has no registry and no way out: a pod's image is one of --image, with
`imagePullPolicy: IfNotPresent`. Pods and services are reached from here by their
addresses, and pods reach this machine by {host}: start a scaler with
`azp-scaler serve --grpc-listen {host}:9090`, and write into the trigger
`scalerAddress: {host}:9090`.{emulator}",
            host = node.host_address(),
            emulator = node.emulator_url().map_or(String::new(), |url| format!(
                "\nThe emulator is http://emulator.azure.svc:8100 for pods, {url} from here."
            )),
        ),
    };
    Ok(format!(
        "{export}
Kubernetes {kubernetes} with KEDA {keda}.
{words}
Logs are in {directory}/logs. `azp-cluster down` (make cluster-down) takes it away.",
        kubernetes = tools.version("kube-apiserver"),
        keda = tools.version("keda-operator"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["/tmp/a b", "/tmp/it's", "'$HOME' \"`\\", ""] {
            let script = format!(
                "export WORD={0} PATH={0}:\"$PATH\"; echo \"$WORD\"",
                quoted(text)
            );
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert!(output.status.success(), "{script}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{text}\n"));
        }
    }
}
