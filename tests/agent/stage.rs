//! The stage: an organization in memory, a folder with the stand-in agent, and
//! azp-agent as a real process.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use azp_scaler::{
    domain::{
        demand::Demands,
        job::{JobResult, JobState, RequestId},
    },
    emulator::{AgentStatus, Emulator, EmulatorHandle, JobStatus, NewJobs, Settings},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The pool of every test.
pub(crate) const POOL: &str = "builds";

/// Nothing here may take longer: a bound that only a hang reaches.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// An organization of its own.
pub(crate) struct Stage {
    pub(crate) organization: EmulatorHandle,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

/// azp-agent with its folder, as in a container.
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) folder: TempDir,
    child: Child,
    /// The child only started the namespace in which azp-agent is process 1.
    first: bool,
    /// Its processes are ended with it, as a container's are.
    ended: bool,
}

/// What a pod is started with.
#[derive(Clone, Default)]
pub(crate) struct Start {
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    /// Another user than this process's.
    pub(crate) user: Option<u32>,
    /// No agent is baked in.
    pub(crate) empty: bool,
    /// Nobody reads what it writes: its output and its log are pipes whose other
    /// end is gone.
    pub(crate) unheard: bool,
    /// It is process 1 of a namespace of its own, as in a container.
    pub(crate) first: bool,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let token = format!("pat{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let emulator = Emulator::new(Settings {
            token: Some(token.clone().into()),
            pools: vec![POOL.to_owned()],
            ..settings
        })
        .unwrap();
        let organization = emulator.handle();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(emulator.run(listener, std::future::pending()));
        Self {
            organization,
            address,
            token,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Starts azp-agent in a folder of its own.
    pub(crate) fn pod(&self, name: &str, start: &Start) -> Pod {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        self.pod_in(folder, name, start)
    }

    pub(crate) fn pod_in(&self, folder: TempDir, name: &str, start: &Start) -> Pod {
        let home = folder.path().join("agent");
        if !start.empty && !home.exists() {
            azp_stand_in::install(&home).unwrap();
        }
        if let Some(user) = start.user {
            own(folder.path(), user);
        }
        let log = |name: &str| {
            File::options()
                .create(true)
                .append(true)
                .open(folder.path().join(name))
                .unwrap()
        };
        let program = env!("CARGO_BIN_EXE_azp-agent");
        let mut command = Command::new(if start.first { "unshare" } else { program });
        if start.first {
            command.args(["--pid", "--fork", "--kill-child", "--mount-proc", program]);
        }
        command
            .arg("run")
            .args(&start.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", folder.path())
            .env("AZP_URL", self.url())
            .env("AZP_TOKEN", &self.token)
            .env("AZP_POOL", POOL)
            .env("AZP_AGENT_NAME", name)
            .env("AZP_AGENT_HOME", &home)
            .env("AZP_SOCKET", folder.path().join("socket"))
            .env("AZP_LEAVE_WITHIN", "20s")
            .env("AZP_LOG_FORMAT", "text")
            .env("AGENT_ALLOW_RUNASROOT", "1")
            .env("STAND_IN_RETRY_MS", "50")
            .env("STAND_IN_UPDATE_PAUSE", "0.2")
            .stdin(Stdio::null())
            .stdout(log("output"))
            .stderr(log("log"));
        for (name, value) in &start.variables {
            command.env(name, value);
        }
        if start.unheard {
            let (_, nobody) = std::io::pipe().unwrap();
            command.stdout(nobody.try_clone().unwrap()).stderr(nobody);
        }
        if let Some(user) = start.user {
            use std::os::unix::process::CommandExt as _;
            command.uid(user).gid(user);
        }
        Pod {
            name: name.to_owned(),
            child: command.spawn().unwrap(),
            folder,
            first: start.first,
            ended: false,
        }
    }

    /// Queues one job with these steps.
    pub(crate) fn queue(&self, steps: &[&str]) -> RequestId {
        let jobs = NewJobs {
            count: 1,
            demands: Demands::default(),
            duration: Duration::ZERO,
            pipeline: "tests".into(),
            steps: steps.iter().map(|step| Box::from(*step)).collect(),
            outcome: JobResult::Succeeded,
            needs_agent: false,
        };
        self.organization.queue_jobs(POOL, &jobs).unwrap()[0]
    }

    pub(crate) fn job(&self, id: RequestId) -> JobStatus {
        self.organization.job(POOL, id).unwrap()
    }

    pub(crate) fn agent(&self, name: &str) -> Option<AgentStatus> {
        let agents = self.organization.agents(POOL).unwrap();
        agents.into_iter().find(|agent| &*agent.name == name)
    }

    /// Waits for something in the organization.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let looked = self.organization.until(|_| look(self));
        let waited = tokio::time::timeout(LONG, looked).await;
        waited.unwrap_or_else(|_| {
            let agents = self.organization.agents(POOL).unwrap();
            panic!("not within {LONG:?}: {what}; agents: {agents:?}")
        })
    }

    pub(crate) async fn until_online(&self, name: &str) {
        let online = |stage: &Self| stage.agent(name).filter(|agent| agent.online).map(drop);
        self.until(&format!("{name} is online"), online).await;
    }

    pub(crate) async fn until_state(&self, id: RequestId, wanted: JobState) {
        let what = format!("job {id} is {wanted:?}");
        self.until(&what, |stage| (stage.job(id).state == wanted).then_some(()))
            .await;
    }
}

impl Start {
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Pod {
    pub(crate) fn pid(&self) -> u32 {
        match descendants(self.child.id()).first() {
            Some(first) if self.first => *first,
            _ => self.child.id(),
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        send(signal, self.pid());
    }

    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let waited = tokio::time::timeout(LONG, async {
            // Its end is an event that the standard library cannot await.
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        match waited.await {
            Ok(status) => {
                self.ended = true;
                status
            }
            Err(_) => panic!(
                "{} does not end within {LONG:?}\n{}",
                self.name,
                self.story()
            ),
        }
    }

    /// Waits for its end; it must be this code.
    pub(crate) async fn ends_with(&mut self, code: i32) {
        let status = self.ended().await;
        let signal = status.signal();
        assert_eq!(
            status.code(),
            Some(code),
            "signal {signal:?}\n{}",
            self.story()
        );
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until the agent has written this.
    pub(crate) async fn says(&self, text: &str) {
        self.holds("output", text).await;
    }

    /// Waits until azp-agent has logged this.
    pub(crate) async fn logs(&self, text: &str) {
        self.holds("log", text).await;
    }

    async fn holds(&self, file: &str, text: &str) {
        let written = || fs::read_to_string(self.path(file)).unwrap_or_default();
        let said = async {
            // A line in a file is no event that can be awaited.
            while !written().contains(text) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(LONG, said).await;
        waited.unwrap_or_else(|_| panic!("{file} never holds: {text}\n{}", self.story()));
    }

    /// How many listeners live below it.
    pub(crate) fn listeners(&self) -> usize {
        let is_listener = |process: &&u32| {
            let command = fs::read_to_string(format!("/proc/{process}/cmdline"));
            command.is_ok_and(|text| {
                let program = text.split('\0').next().unwrap_or_default();
                program.ends_with("/Agent.Listener")
            })
        };
        descendants(self.pid()).iter().filter(is_listener).count()
    }

    /// All that it wrote, for whoever has to find out.
    pub(crate) fn story(&self) -> String {
        let output = fs::read_to_string(self.path("output")).unwrap_or_default();
        format!(
            "--- log of {}\n{}--- output\n{output}",
            self.name,
            self.log()
        )
    }

    /// Kills it and everything below it at once, as the end of a container does.
    pub(crate) fn kill_all(&mut self) {
        let below = descendants(self.child.id());
        send("KILL", self.pid());
        for process in below {
            send("KILL", process);
        }
        let _ = self.child.wait();
        self.ended = true;
    }

    /// Asks azp-agent's own command in this container.
    pub(crate) fn ask(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_azp-agent"))
            .args(arguments)
            .env_clear()
            .env("AZP_SOCKET", self.path("socket"))
            .output()
            .unwrap()
    }

    /// The folder, for another pod in its place.
    pub(crate) fn into_folder(mut self) -> TempDir {
        assert!(self.ended);
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if !self.ended {
            self.kill_all();
        }
    }
}

fn send(signal: &str, process: u32) {
    // It may be gone already.
    let _ = Command::new("kill")
        .args(["-s", signal, &process.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Everybody below a process.
pub(crate) fn descendants(process: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        if let Some(parent) = after.split_ascii_whitespace().nth(1) {
            parents.push((pid, parent.parse::<u32>().unwrap_or_default()));
        }
    }
    let mut found = vec![process];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.split_off(1)
}

/// Gives a folder and all in it to another user.
fn own(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path(), user);
        }
    }
}
