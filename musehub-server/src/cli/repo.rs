//! `repo`: makes repositories, and says who may do what with them.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use musehub_core::hub::NewRepository;
use musehub_core::port::Visibility;
use musehub_core::{Handle, Slug};

use super::{DataDirectory, Outcome, collaborator, parse_repository};
use crate::config::Limits;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Make an empty repository, ready for its first push.
    Create(CreateArguments),
    /// Say who may do what with a repository, besides its owner.
    #[command(subcommand)]
    Collaborator(collaborator::Command),
}

#[derive(Args, Debug)]
pub(super) struct CreateArguments {
    /// Whose it will be, and its name.
    #[arg(value_name = "OWNER/SLUG", value_parser = parse_repository)]
    name: (Handle, Slug),
    /// Show it to its owner only.
    #[arg(long)]
    private: bool,
    /// What it is about.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    #[command(flatten)]
    data: DataDirectory,
}

pub(super) async fn run(command: Command) -> Outcome {
    let arguments = match command {
        Command::Create(arguments) => arguments,
        Command::Collaborator(command) => return collaborator::run(command).await,
    };
    let app = arguments.data.open(Limits::default()).await?;
    let (owner, slug) = arguments.name;
    let visibility = if arguments.private { Visibility::Private } else { Visibility::Public };
    let new = NewRepository { owner, slug, visibility, description: arguments.description, scheme: None };
    let repo = app.hub.create_repository(new).await?;
    println!("created {} repository {}/{}", repo.visibility.as_str(), repo.owner, repo.slug);
    Ok(ExitCode::SUCCESS)
}
