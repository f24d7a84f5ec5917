//! The command line.

mod backfill;
mod backup;
mod breakage;
mod collaborator;
mod demo;
mod jobs;
mod key;
mod network;
mod new_file;
mod openapi;
mod portable;
mod progress;
mod rebuild;
mod repo;
mod sample;
mod schema;
mod serve;
mod token;
mod upkeep;
mod verify;
mod work;

use std::convert::Infallible;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use musehub_store::{DatabaseUrl, DatabaseUrlError, StoreLocation};

use crate::app::App;
use crate::auth::AccessOptions;
use crate::config::{Config, Limits, Settings};

/// What a command gives: its exit status, or why it failed.
type Outcome = Result<ExitCode, Box<dyn std::error::Error + Send + Sync>>;

/// A hub for the Muse version control system.
#[derive(Parser, Debug)]
#[command(name = "musehub-server", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve repositories over HTTP.
    Serve(serve::Arguments),
    /// Serve, with a sample Python project pushed, and print what to look at.
    Demo(demo::Arguments),
    Worker(work::Arguments),
    /// Look at background jobs, try them again, cancel them.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Make repositories, and say who may do what with them.
    #[command(subcommand)]
    Repo(repo::Command),
    /// Make, list and revoke tokens, which clients prove themselves with.
    #[command(subcommand)]
    Token(token::Command),
    /// Add, list and revoke the keys that identities sign with.
    #[command(subcommand)]
    Key(key::Command),
    /// Look at the schema of the database.
    #[command(subcommand)]
    Schema(schema::Command),
    /// Fold many small packs of the object store into few large ones.
    Repack(upkeep::RepackArguments),
    /// Remove what nothing needs from the object store, after a grace period.
    Gc(upkeep::GcArguments),
    Verify(verify::Arguments),
    RebuildIndex(rebuild::Arguments),
    Export(portable::ExportArguments),
    Import(portable::ImportArguments),
    LoadRows(backfill::LoadArguments),
    Backfill(backfill::BackfillArguments),
    Backup(backup::BackupArguments),
    Restore(backup::RestoreArguments),
    Breakage(breakage::Arguments),
    #[command(name = "openapi")]
    OpenApi(openapi::Arguments),
}

/// Where everything is kept.
#[derive(Args, Debug, Clone)]
struct DataDirectory {
    /// Object store: file://DIRECTORY or s3://BUCKET/PREFIX, which the variables AWS_ENDPOINT_URL, AWS_REGION,
    /// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY lead to; `store` in the data directory where none is given.
    #[arg(long, value_name = "URL", env = "MUSEHUB_STORE", global = true)]
    store: Option<StoreLocation>,
    /// Promise that no other process writes to the object store, commands included: some S3-compatible stores overwrite what
    /// they are asked to create, and are refused without this promise.
    #[arg(long, env = "MUSEHUB_ONLY_PROCESS", global = true)]
    only_process: bool,
    /// Directory of the object store and the database, where no others are given; made where it is not there.
    #[arg(long, value_name = "DIR", default_value = "musehub-data", env = "MUSEHUB_DATA", global = true)]
    data: PathBuf,
    /// Database: sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME; musehub.db of the data directory where none is given.
    /// Of PostgreSQL, PGPASSWORD and the password file are heard too.
    #[arg(
        long,
        value_name = "URL",
        env = "MUSEHUB_DATABASE",
        hide_env_values = true,
        global = true,
        value_parser = parse_database
    )]
    database: Option<DatabaseArgument>,
}

/// What came of reading the URL of a database. Judged later: the command line's own errors repeat what they refuse, and
/// this may hold a password.
type DatabaseArgument = Result<DatabaseUrl, DatabaseUrlError>;

fn parse_database(text: &str) -> Result<DatabaseArgument, Infallible> {
    Ok(text.parse())
}

impl DataDirectory {
    fn settings(&self) -> Result<Settings, DatabaseUrlError> {
        let mut settings = Settings::in_directory(&self.data);
        settings.only_process = self.only_process;
        if let Some(store) = &self.store {
            settings.store = store.clone();
        }
        if let Some(database) = &self.database {
            settings.database = database.clone()?;
        }
        Ok(settings)
    }

    async fn open(
        &self,
        config: impl Into<Config>,
    ) -> Result<Arc<App>, Box<dyn std::error::Error + Send + Sync>> {
        let settings = self.settings()?;
        std::fs::create_dir_all(&self.data)
            .map_err(|error| format!("cannot make the data directory {}: {error}", self.data.display()))?;
        Ok(App::open(&settings, config).await?)
    }

    /// Refuses what holds no hub: a check of nothing would find nothing wrong.
    fn require_existing(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match self.settings()?.store {
            StoreLocation::Directory(store) if !store.is_dir() => {
                Err(format!("{} is not there: no hub's data", store.display()).into())
            }
            _ => Ok(()),
        }
    }
}

/// How to serve.
#[derive(Args, Debug, Clone)]
struct ServeOptions {
    /// Address to listen on; port 0 takes any that is free.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1337", env = "MUSEHUB_LISTEN")]
    listen: SocketAddr,
    /// Host under which clients reach this server, as HOST or HOST:PORT; may be given several times. A signed request counts
    /// only if it was signed for one of them; without, only for this machine's own names.
    #[arg(long, value_name = "HOST", env = "MUSEHUB_PUBLIC_HOST", value_delimiter = ',')]
    public_host: Vec<String>,
    /// Let anybody take a free name with a key. Otherwise names are given out with `token create` or `key add`.
    #[arg(long, env = "MUSEHUB_OPEN_REGISTRATION")]
    open_registration: bool,
    /// Largest object, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().object >> 20)]
    max_object: u64,
    /// Largest upload of objects in one request, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().upload >> 20)]
    max_upload: u64,
    /// Largest push, without uploaded objects, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().push >> 20)]
    max_push: u64,
    /// Uploads that may wait in one repository for a push that claims them; they expire after a day.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().staged_uploads)]
    max_staged_uploads: u64,
    /// What they may have together, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().staged_bytes >> 20)]
    max_staged: u64,
    /// Largest request of any other kind, in MiB: lists of ids, above all, of which a million have 64.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().request >> 20)]
    max_request: u64,
    /// Largest answer to a fetch, in MiB. The Muse client of March 2026 takes no more than 64.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().fetch >> 20)]
    max_fetch: u64,
    /// Largest pack of one push, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().mpack >> 20)]
    max_mpack: u64,
    /// Packs larger than this many MiB are indexed in the background; their clients get a job to poll.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().mpack_inline >> 20)]
    mpack_in_background: u64,
    /// Builds packs with up to this many MiB of objects before clones ask for them; 0 builds none.
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().mpack_ahead >> 20)]
    build_ahead: u64,
    /// Give clients no addresses of the bucket itself: everything goes through this server. For a bucket that they cannot reach.
    #[arg(long, env = "MUSEHUB_NO_STORE_ADDRESSES")]
    no_store_addresses: bool,
    #[command(flatten)]
    network: network::NetworkOptions,
}

impl ServeOptions {
    fn access(&self) -> AccessOptions {
        AccessOptions { public_hosts: self.public_host.clone(), open_registration: self.open_registration }
    }

    fn limits(&self) -> Limits {
        let mib = |count: u64| count.saturating_mul(1 << 20);
        Limits {
            object: mib(self.max_object),
            upload: mib(self.max_upload),
            push: mib(self.max_push),
            staged_uploads: self.max_staged_uploads,
            staged_bytes: mib(self.max_staged),
            request: mib(self.max_request),
            fetch: mib(self.max_fetch),
            mpack: mib(self.max_mpack),
            mpack_inline: mib(self.mpack_in_background),
            mpack_ahead: mib(self.build_ahead),
        }
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(status) => status,
        Err(error) => match schema::refusal(error.as_ref()) {
            Some(refusal) => {
                eprintln!("error: {refusal}");
                ExitCode::from(schema::REFUSED)
            }
            None => {
                eprintln!("error: {}", chain(error.as_ref()));
                ExitCode::from(2)
            }
        },
    }
}

async fn run(command: Command) -> Outcome {
    start_logging(if matches!(command, Command::Serve(_) | Command::Worker(_)) { "info" } else { "warn" });
    match command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Worker(arguments) => work::run(arguments).await,
        Command::Jobs(command) => jobs::run(command).await,
        Command::Repo(command) => repo::run(command).await,
        Command::Token(command) => token::run(command).await,
        Command::Key(command) => key::run(command).await,
        Command::Schema(command) => schema::run(command).await,
        Command::Breakage(arguments) => breakage::run(&arguments).await,
        Command::OpenApi(arguments) => openapi::run(&arguments),
        Command::Repack(arguments) => upkeep::repack(arguments).await,
        Command::Gc(arguments) => upkeep::gc(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::RebuildIndex(arguments) => rebuild::run(arguments).await,
        Command::Export(arguments) => portable::run_export(arguments).await,
        Command::Import(arguments) => portable::run_import(arguments).await,
        Command::LoadRows(arguments) => backfill::load_rows(arguments).await,
        Command::Backfill(arguments) => backfill::backfill(arguments).await,
        Command::Backup(arguments) => backup::run_backup(arguments).await,
        Command::Restore(arguments) => backup::run_restore(arguments).await,
    }
}

/// Logs go to standard error; `RUST_LOG` chooses what is said.
fn start_logging(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("{default},sqlx=warn")));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only a second call fails, and then there are logs already.
    let _ = logs.with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// An error and its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Reads `OWNER/SLUG`.
fn parse_repository(text: &str) -> Result<(musehub_core::Handle, musehub_core::Slug), String> {
    let (owner, slug) = text.split_once('/').ok_or("a repository is named OWNER/SLUG")?;
    let owner = musehub_core::Handle::parse(owner).map_err(|error| error.to_string())?;
    let slug = musehub_core::Slug::parse(slug).map_err(|error| error.to_string())?;
    Ok((owner, slug))
}

fn parse_handle(text: &str) -> Result<musehub_core::Handle, String> {
    musehub_core::Handle::parse(text).map_err(|error| error.to_string())
}
