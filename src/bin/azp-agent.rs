//! The program `azp-agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    azp_scaler::cli::agent::main()
}
