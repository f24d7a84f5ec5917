//! `repo collaborator`: who may do what with a repository of somebody else's.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use musehub_core::port::{RepositoryRecord, Role};
use musehub_core::{Handle, Slug};

use super::{DataDirectory, Outcome, parse_handle, parse_repository};
use crate::app::App;
use crate::config::Limits;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Let somebody read, push to or administer a repository; or change what they may.
    Add(AddArguments),
    /// Take it back.
    Remove(RemoveArguments),
    /// List who may do what, besides the owner.
    List(ListArguments),
}

#[derive(Args, Debug)]
pub(super) struct AddArguments {
    /// The repository.
    #[arg(value_name = "OWNER/SLUG", value_parser = parse_repository)]
    name: (Handle, Slug),
    /// Who.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    /// What they may do: `read`, `write` or `admin`, each with what comes before it.
    #[arg(long, default_value_t = Role::Write)]
    role: Role,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct RemoveArguments {
    /// The repository.
    #[arg(value_name = "OWNER/SLUG", value_parser = parse_repository)]
    name: (Handle, Slug),
    /// Who.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// The repository.
    #[arg(value_name = "OWNER/SLUG", value_parser = parse_repository)]
    name: (Handle, Slug),
    #[command(flatten)]
    data: DataDirectory,
}

pub(super) async fn run(command: Command) -> Outcome {
    match command {
        Command::Add(AddArguments { name, handle, role, data }) => {
            let app = data.open(Limits::default()).await?;
            let repo = find(&app, &name).await?;
            app.hub.set_collaborator(&repo, &handle, role, &repo.owner).await?;
            println!("{handle} may {role} {}/{}", repo.owner, repo.slug);
        }
        Command::Remove(RemoveArguments { name, handle, data }) => {
            let app = data.open(Limits::default()).await?;
            let repo = find(&app, &name).await?;
            app.hub.remove_collaborator(&repo, &handle).await?;
            println!("{handle} is no collaborator of {}/{} any more", repo.owner, repo.slug);
        }
        Command::List(ListArguments { name, data }) => {
            let app = data.open(Limits::default()).await?;
            for one in app.hub.collaborators(&find(&app, &name).await?).await? {
                println!("{}  {}  by {} at {}", one.handle, one.role, one.added_by, one.added_at);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(
    app: &App,
    (owner, slug): &(Handle, Slug),
) -> Result<RepositoryRecord, Box<dyn std::error::Error + Send + Sync>> {
    let repo = app.repositories.repository(owner, slug).await?.filter(|repo| !repo.deleted);
    repo.ok_or_else(|| format!("there is no repository {owner}/{slug}").into())
}
