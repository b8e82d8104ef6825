//! KEDA's side: its own code, in a Go program that answers lines by lines.
//!
//! May import: the harness, which knows where the program lies. Invariant: an
//! answer belongs to the question before it; a program that is not there or
//! ends is a failure with its remedy, never a case left out.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use azp_harness::Tools;
use serde::{Deserialize, Serialize};

/// The program, which ends with this.
pub struct Oracle {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    log: std::fs::File,
}

/// One trigger, with what KEDA would have resolved for it.
#[derive(Debug, Serialize)]
pub struct Question {
    pub metadata: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    pub auth: BTreeMap<String, String>,
}

/// What KEDA makes of it.
#[derive(Debug, Deserialize)]
pub struct Reply {
    pub value: u64,
    pub active: bool,
    pub target: i64,
    /// Why there is no number.
    pub error: Option<String>,
}

// === impl Oracle ===

impl Oracle {
    pub fn start() -> Self {
        let tools = Tools::locate().unwrap_or_else(|error| panic!("{error}"));
        let program = tools.path("keda-oracle");
        let program = program.unwrap_or_else(|error| panic!("{error}"));
        let log = tempfile::tempfile().unwrap();
        let mut child = Command::new(program)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            questions: child.stdin.take(),
            child,
            answers,
            log,
        }
    }

    pub fn ask(&mut self, question: &Question) -> Reply {
        let mut line = serde_json::to_string(question).unwrap();
        line.push('\n');
        let asked = self.questions.as_mut().unwrap().write_all(line.as_bytes());
        line.clear();
        let read = asked.and_then(|()| self.answers.read_line(&mut line));
        match read {
            Ok(1..) => serde_json::from_str(&line).unwrap(),
            other => panic!(
                "keda-oracle answered no more ({other:?}) to {question:?}: {}",
                self.log()
            ),
        }
    }

    fn log(&mut self) -> String {
        let mut text = String::new();
        let read = self.log.rewind();
        let read = read.and_then(|()| self.log.read_to_string(&mut text));
        read.map_or_else(|error| error.to_string(), |_| text)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // The end of the questions is its end.
        self.questions = None;
        let _ = self.child.wait();
    }
}
