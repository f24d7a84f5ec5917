//! `schema`: whether the database is what this hub declares.

use std::error::Error;
use std::process::ExitCode;

use clap::Subcommand;
use musehub_store::SqlIndex;
use musehub_store::schema::SchemaError;

use super::{DataDirectory, Outcome};

/// The exit status of every command whose database is not what this hub declares.
pub(super) const REFUSED: u8 = 3;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Compare the database with what this version declares, and change nothing; exit status 3 where they differ.
    Check(DataDirectory),
}

pub(super) async fn run(command: Command) -> Outcome {
    let Command::Check(data) = command;
    let report = SqlIndex::check_schema(&data.settings()?.database).await?;
    for migration in &report.pending {
        println!("migration {migration} is not applied; the server applies it when it starts");
    }
    for difference in &report.differences {
        println!("{difference}");
    }
    for (difference, reason) in &report.benign {
        println!("benign: {difference} ({reason})");
    }
    if !report.is_clean() {
        return Ok(ExitCode::from(REFUSED));
    }
    println!("{} tables are as declared", report.tables);
    Ok(ExitCode::SUCCESS)
}

/// Why a database was refused, where that is at the bottom of an error.
pub(super) fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a SchemaError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref() {
            return Some(refusal);
        }
        cause = error.source();
    }
    None
}
