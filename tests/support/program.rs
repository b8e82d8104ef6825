//! The program that users get, as a child of the test.

use std::{
    io::{BufRead as _, BufReader, Lines},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A child that is killed at the end, whatever happens.
pub struct Running(pub Child);

impl Running {
    /// Asks it to end.
    pub fn terminate(&self) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").arg(id).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, and what it says on standard output.
pub struct Program {
    pub running: Running,
    pub lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = command(arguments, environment)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            running: Running(child),
            lines,
        }
    }

    /// The address that its next line tells.
    pub fn address(&mut self, before: &str) -> SocketAddr {
        let line = self.lines.next().expect("a line").unwrap();
        line.strip_prefix(before)
            .unwrap_or_else(|| panic!("{line:?}"))
            .parse()
            .unwrap()
    }
}

/// The program with these variables and no others.
pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_azp-scaler"));
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied());
    command
}
