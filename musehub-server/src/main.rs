//! The `musehub-server` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    musehub_server::cli::main()
}
