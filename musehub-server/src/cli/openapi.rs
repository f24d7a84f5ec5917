//! `openapi`: what the JSON API is, for programs.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::api::openapi;

/// Print the description of the JSON API, in OpenAPI 3.1: what a server answers at /api/v1/openapi.json.
#[derive(Args, Debug)]
pub(super) struct Arguments {}

pub(super) fn run(_: &Arguments) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(&openapi::json())?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}
