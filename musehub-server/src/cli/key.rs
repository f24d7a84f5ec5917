//! `key`: the keys that identities sign with, for the operator.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use musehub_core::Handle;
use musehub_core::signature::{KeyId, PublicKey};

use super::{DataDirectory, Outcome, parse_handle};
use crate::config::Limits;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Add a public key of somebody's, whom you know to hold it; the identity is made where there is none.
    Add(AddArguments),
    /// List somebody's keys, retired ones included.
    List(ListArguments),
    /// Retire a key: it signs nothing from then on, and commits that it signed are shown as signed by a retired key.
    Revoke(RevokeArguments),
}

#[derive(Args, Debug)]
pub(super) struct AddArguments {
    /// Whose key.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    /// The 32 bytes of an Ed25519 public key, in base64url.
    #[arg(value_name = "PUBLIC_KEY", allow_hyphen_values = true)]
    key: PublicKey,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// Whose keys.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct RevokeArguments {
    /// Whose key.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    /// The fingerprint that `key list` shows.
    #[arg(value_name = "KEY_ID")]
    key: KeyId,
    #[command(flatten)]
    data: DataDirectory,
}

pub(super) async fn run(command: Command) -> Outcome {
    match command {
        Command::Add(AddArguments { handle, key, data }) => {
            let app = data.open(Limits::default()).await?;
            let record = app.keyring.add_unproven(&handle, key).await?;
            println!("added key {} of {handle}", record.key.id());
        }
        Command::List(ListArguments { handle, data }) => {
            let app = data.open(Limits::default()).await?;
            for record in app.keyring.keys(&handle).await? {
                let state =
                    record.retired_at.map_or_else(|| "in force".to_owned(), |at| format!("retired {at}"));
                println!("{}  made {}  {state}", record.key.id(), record.created_at);
            }
        }
        Command::Revoke(RevokeArguments { handle, key, data }) => {
            let app = data.open(Limits::default()).await?;
            app.keyring.retire(&handle, &key).await?;
            println!("retired key {key} of {handle}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
