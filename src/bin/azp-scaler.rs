//! The program `azp-scaler`.

use std::process::ExitCode;

fn main() -> ExitCode {
    azp_scaler::cli::main()
}
