//! `token`: makes tokens.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use musehub_core::Handle;
use musehub_core::port::{NewToken, TokenHash};

use super::{DataDirectory, Outcome, parse_handle};
use crate::app::{App, Limits};

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Make a token of somebody's, and print it once: it is alone on the last line, and kept nowhere.
    Create(CreateArguments),
}

#[derive(Args, Debug)]
pub(super) struct CreateArguments {
    /// Whose it will be; made where there is no such identity.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    #[command(flatten)]
    data: DataDirectory,
}

pub(super) async fn run(command: Command) -> Outcome {
    let Command::Create(arguments) = command;
    let app = arguments.data.open(Limits::default()).await?;
    let token = create(&app, &arguments.handle).await?;
    println!("token of {}; it is shown this once:", arguments.handle);
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}

/// Makes a token and keeps its hash.
pub(super) async fn create(
    app: &App,
    handle: &Handle,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut random = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("no random bytes: {error}"))?;
    let token = format!("mh_{}", hex::encode(random));
    let new = NewToken { hash: TokenHash::of(&token), handle: handle.clone(), created_at: app.clock.now() };
    app.identities.add_token(&new).await?;
    Ok(token)
}
