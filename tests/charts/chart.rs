//! A chart on disk, and helm, asked so that it finds neither a cluster nor a network.
//!
//! Invariant: nothing here depends on who runs it: helm gets an environment of
//! its own, in which every way out leads nowhere.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use azp_harness::Tools;
use serde_json::Value;

/// One of the charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chart {
    pub(crate) name: &'static str,
    /// The example that says no more than it has to.
    minimal: &'static str,
    /// A release's name of nearly as many letters as it may have; helm's own bound is 53.
    pub(crate) longest: &'static str,
}

pub(crate) const SCALER: Chart = Chart {
    name: "azp-scaler",
    minimal: "minimal-values.yaml",
    longest: "a-release-whose-name-is-just-as-long-as-helm-can-take",
};
pub(crate) const AGENT: Chart = Chart {
    name: "azp-agent",
    minimal: "default-minimal-values.yaml",
    // Beside it, a profile's name goes into that of the pods.
    longest: "a-release-with-as-many-letters",
};
pub(crate) const CHARTS: [Chart; 2] = [SCALER, AGENT];

/// Values that a chart is rendered with: files, of which the later ones win.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) files: Vec<(PathBuf, String)>,
}

static TOOLS: LazyLock<Tools> =
    LazyLock::new(|| Tools::locate().unwrap_or_else(|error| panic!("{error}")));

/// The path of a built tool.
pub(crate) fn tool(name: &str) -> &'static Path {
    TOOLS.path(name).unwrap_or_else(|error| panic!("{error}"))
}

/// The version of a built tool.
pub(crate) fn version(name: &str) -> &'static str {
    TOOLS.version(name)
}

/// A command that knows nothing of this machine, and reaches nothing from it.
pub(crate) fn alone(program: &Path) -> Command {
    static HOME: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", HOME.path())
        .env("KUBECONFIG", "/dev/null");
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        // Nobody serves there: whoever asks the network fails at once.
        command.env(proxy, "http://127.0.0.1:9");
    }
    command
}

/// What helm says to these arguments.
pub(crate) fn helm<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    alone(tool("helm")).args(arguments).output().unwrap()
}

/// What a program printed, on both ways.
pub(crate) fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

/// YAML as JSON values; every key once.
pub(crate) fn yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

// === impl Chart ===

impl Chart {
    pub(crate) fn dir(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("charts")
            .join(self.name)
    }

    /// A file of the chart.
    pub(crate) fn read(self, path: &str) -> String {
        let path = self.dir().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn values(self) -> Value {
        yaml(&self.read("values.yaml"))
            .unwrap_or_else(|error| panic!("{}/values.yaml: {error}", self.name))
    }

    /// Every template, by its path in the chart.
    pub(crate) fn templates(self) -> Vec<(String, String)> {
        let mut folders = vec![self.dir().join("templates")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in entries(&folder) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(self.dir()).unwrap();
                let text = fs::read_to_string(&path).unwrap();
                found.push((name.display().to_string(), text));
            }
        }
        found.sort();
        assert!(found.len() > 3, "{}: {found:?}", self.name);
        found
    }

    /// The examples in `ci/`, and each `…-values.yaml` beside `values.yaml` on top of
    /// the minimal one.
    pub(crate) fn examples(self) -> Vec<Example> {
        let examples = values_in(&self.dir().join("ci")).into_iter();
        let mut examples: Vec<Example> = examples.map(|path| Example::new(&[path])).collect();
        let minimal = self.dir().join("ci").join(self.minimal);
        let above = values_in(&self.dir()).into_iter();
        examples.extend(above.map(|path| Example::new(&[minimal.clone(), path])));
        assert!(examples.len() > 2, "{}: {examples:?}", self.name);
        examples
    }

    /// The example that says no more than it has to.
    pub(crate) fn minimal(self) -> Example {
        Example::new(&[self.dir().join("ci").join(self.minimal)])
    }
}

// === impl Example ===

impl Example {
    fn new(paths: &[PathBuf]) -> Example {
        let last = paths.last().and_then(|path| path.file_stem());
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path);
            text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Example {
            name: last.unwrap().to_string_lossy().into_owned(),
            files: paths
                .iter()
                .map(|path| (path.clone(), read(path)))
                .collect(),
        }
    }

    /// helm's flags for it.
    pub(crate) fn flags(&self) -> impl Iterator<Item = OsString> {
        let flags = self
            .files
            .iter()
            .map(|(path, _)| ["--values".into(), path.into()]);
        flags.flatten()
    }
}

/// The files of values in a folder, by name.
fn values_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = entries(folder);
    files.retain(|path| path.to_string_lossy().ends_with("-values.yaml"));
    files.sort();
    files
}

/// What is in a folder; it must be there.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    read.map(|entry| entry.unwrap().path()).collect()
}
