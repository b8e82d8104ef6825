//! An emulator and an agent's folder, and the processes that run in it.

use std::{
    future::Future,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use azp_scaler::{
    domain::job::{JobResult, JobState, RequestId},
    emulator::{AgentStatus, Emulator, EmulatorHandle, NewJobs, Settings},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdout, Command},
    time::timeout,
};

pub(crate) const TOKEN: &str = "s3cret-of-people";
pub(crate) const POOL: &str = "linux";
pub(crate) const AGENT: &str = "agent-1";

/// Ends what hangs; nothing here takes as long.
const HANGS: Duration = Duration::from_secs(120);

pub(crate) struct Stage {
    pub(crate) emulator: EmulatorHandle,
    pub(crate) url: String,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// A process of the agent, and what it says on standard output.
pub(crate) struct Process {
    child: Child,
    _group: Group,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A process and what it started, all killed at the end, whatever happens. But
/// not the steps of a job: who starts one sees to its end.
#[derive(Debug)]
struct Group(Pid);

/// What a process that has ended said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
    /// What it left behind goes on as long as this is kept.
    _group: Group,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let emulator = Emulator::new(Settings {
            token: Some(TOKEN.into()),
            pools: vec![POOL.into()],
            ..settings
        });
        let emulator = emulator.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/contoso", listener.local_addr().unwrap());
        let handle = emulator.handle();
        tokio::spawn(emulator.run(listener, std::future::pending()));
        let folder = tempfile::tempdir().unwrap();
        let stage = Self {
            emulator: handle,
            url,
            folder,
            environment: Vec::new(),
        };
        let program = env!("CARGO_BIN_EXE_azp-stand-in");
        let mut install = Command::new(program);
        let installed = install.arg("install").arg(stage.folder()).status().await;
        assert!(installed.unwrap().success());
        stage
    }

    /// One with an agent that is configured.
    pub(crate) async fn configured() -> Self {
        let stage = Self::start().await;
        stage.configure().await;
        stage
    }

    pub(crate) async fn configure(&self) {
        let ended = self.config(&["--token", TOKEN]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("agent")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.file(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    /// `config.sh` for the agent of this stage, with more arguments.
    pub(crate) async fn config(&self, more: &[&str]) -> Ended {
        let usual = [
            "--unattended",
            "--url",
            &self.url,
            "--auth",
            "pat",
            "--pool",
            POOL,
        ];
        let usual = usual.iter().chain(&["--agent", AGENT, "--acceptTeeEula"]);
        let arguments: Vec<&str> = usual.chain(more).copied().collect();
        self.start_program("config.sh", &arguments).end().await
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Process {
        self.start_program("run.sh", arguments)
    }

    /// The listener without a shell around it, so that it can be killed.
    pub(crate) fn listener(&self, arguments: &[&str]) -> Process {
        let arguments: Vec<&str> = ["run"].iter().chain(arguments).copied().collect();
        self.start_program("bin/Agent.Listener", &arguments)
    }

    /// A listener that listens.
    pub(crate) async fn listening(&self, arguments: &[&str]) -> Process {
        let mut listener = self.listener(arguments);
        listener.line("Listening for Jobs").await;
        listener
    }

    pub(crate) fn start_program(&self, program: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(self.file(program));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("AGENT_ALLOW_RUNASROOT", "1")
            .env("STAND_IN_RETRY_MS", "20")
            .env("STAND_IN_UPDATE_STEP", "0.05")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process {
            _group: Group(pid(&child)),
            child,
            lines,
        }
    }

    pub(crate) fn queue(&self, steps: &[&str]) -> RequestId {
        self.queue_jobs(&NewJobs {
            steps: steps.iter().map(|step| (*step).into()).collect(),
            ..NewJobs::default()
        })
    }

    pub(crate) fn queue_jobs(&self, jobs: &NewJobs) -> RequestId {
        self.emulator.queue_jobs(POOL, jobs).unwrap()[0]
    }

    /// The result of a job, when it has one.
    pub(crate) async fn result(&self, job: RequestId) -> JobResult {
        let result = self
            .emulator
            .until(|emulator| match emulator.job(POOL, job).unwrap().state {
                JobState::Finished(result) => Some(result),
                _ => None,
            });
        in_time(result).await
    }

    /// The rest of the first line of a job's output that begins so.
    pub(crate) async fn said(&self, job: RequestId, start: &str) -> String {
        let said = self.emulator.until(|emulator| {
            let log = emulator.log(POOL, job).unwrap();
            let mut lines = log.lines();
            lines.find_map(|line| line.strip_prefix(start).map(str::to_owned))
        });
        in_time(said).await
    }

    pub(crate) fn log(&self, job: RequestId) -> String {
        self.emulator.log(POOL, job).unwrap()
    }

    /// The agent, once it is as wanted.
    pub(crate) async fn agent(&self, wanted: impl Fn(&AgentStatus) -> bool) -> AgentStatus {
        let found = self.emulator.until(|emulator| {
            let mut agents = emulator.agents(POOL).unwrap().into_iter();
            agents.find(|agent| wanted(agent))
        });
        in_time(found).await
    }
}

impl Process {
    /// The next line that holds this.
    pub(crate) async fn line(&mut self, part: &str) -> String {
        let mut before = Vec::new();
        loop {
            match in_time(self.lines.next_line()).await.unwrap() {
                Some(line) if line.contains(part) => return line,
                Some(line) => before.push(line),
                None => {
                    let mut errors = String::new();
                    let stderr = self.child.stderr.as_mut().unwrap();
                    stderr.read_to_string(&mut errors).await.unwrap();
                    panic!("no line with {part:?} in {before:#?}, {errors}")
                }
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap();
    }

    /// Waits for its end, and for that of whatever shares its output. It is
    /// reaped at once: an update waits until no process has its number.
    pub(crate) async fn end(self) -> Ended {
        let Self {
            mut child,
            mut lines,
            _group,
        } = self;
        let mut stderr = child.stderr.take().unwrap();
        let output = async {
            let mut output = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                output.push(line);
            }
            output.join("\n")
        };
        let errors = async {
            let mut errors = String::new();
            stderr.read_to_string(&mut errors).await.unwrap();
            errors
        };
        let ended = async { tokio::join!(child.wait(), output, errors) };
        let (status, output, errors) = in_time(ended).await;
        Ended {
            code: status.unwrap().code(),
            output,
            errors,
            _group,
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It fails when all of it has ended.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

fn pid(child: &Child) -> Pid {
    let id = child.id().expect("it has not been waited for");
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

/// Waits for the end of a process that is no child of ours.
pub(crate) async fn gone(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let wait = tokio::task::spawn_blocking(move || {
        // One that cannot be opened is gone already.
        if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
            let hangs = Timespec::try_from(HANGS).unwrap();
            let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&hangs));
            assert_eq!(ended, Ok(1), "{pid:?} goes on");
        }
    });
    wait.await.unwrap();
}

pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(HANGS, what).await.expect("it hangs")
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
