//! Which of the three programs this is, and what it was told to do.
//!
//! Invariant: the exit code is chosen here, and what still runs is left: a
//! thread that reads standard input must not keep a process alive.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    configure,
    diag::{self, note},
    environment::Environment,
    input::Input,
    install,
    layout::Folder,
    listener::{self, SUCCESS, TERMINATED_ERROR},
    remove,
    terminal::{complain, say},
    worker,
};

const USAGE: &str = "azp-stand-in install FOLDER [VERSION] lays an agent's folder out\n\
                     azp-stand-in package VERSION FILE makes the archive of one\n\
                     In a folder: config.sh, config.sh remove, run.sh [--once]";

/// Runs the program under the name by which it was started, and ends the process.
pub fn main() -> ! {
    let code = run();
    let _ = io::stdout().flush();
    std::process::exit(code)
}

fn run() -> i32 {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            complain(format_args!(
                "this program's own file cannot be found: {error}"
            ));
            return TERMINATED_ERROR;
        }
    };
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let name = program.file_name().and_then(|name| name.to_str());
    match (name, Folder::of_program(&program)) {
        (Some("Agent.Listener"), Some(folder)) => in_runtime(listener(&folder, &arguments)),
        (Some("Agent.Worker"), Some(folder)) => in_runtime(worker(&folder)),
        _ => lay_out(&program, &arguments),
    }
}

fn in_runtime(work: impl Future<Output = i32>) -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            complain(format_args!("An error occurred: {error}"));
            listener::RETRYABLE_ERROR
        }
    }
}

async fn listener(folder: &Folder, arguments: &[String]) -> i32 {
    let mut environment = Environment::of_process();
    let file = fs::read_to_string(folder.root().join(".env"));
    environment.add_lines(&file.unwrap_or_default());
    let input = Input::read(arguments, &mut environment);
    diag::open(&folder.diag(), "Agent");
    note!(
        "version {}, command {:?}",
        folder.version(),
        input.command()
    );
    if input.flag("version") {
        say(folder.version());
        return SUCCESS;
    }
    if input.flag("help") {
        say(USAGE);
        return SUCCESS;
    }
    let code = match input.command() {
        "configure" => configure::run(folder, &input, &environment).await,
        "remove" => remove::run(folder, &input).await,
        "run" | "" => listener::run(folder, &input, environment).await,
        other => {
            complain(format_args!(
                "Unrecognized command-line input arguments: '{other}'."
            ));
            TERMINATED_ERROR
        }
    };
    note!("exit code {code}");
    code
}

async fn worker(folder: &Folder) -> i32 {
    diag::open(&folder.diag(), "Worker");
    worker::run(folder, Environment::of_process()).await
}

fn lay_out(program: &Path, arguments: &[String]) -> i32 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["install", into] => install::install(program, &PathBuf::from(into), install::VERSION),
        ["install", into, version] => install::install(program, &PathBuf::from(into), version),
        ["package", version, file] => install::package(program, version, &PathBuf::from(file)),
        _ => {
            complain(USAGE);
            return TERMINATED_ERROR;
        }
    };
    match done {
        Ok(()) => SUCCESS,
        Err(error) => {
            complain(format_args!("{}: {error}", words.join(" ")));
            TERMINATED_ERROR
        }
    }
}
