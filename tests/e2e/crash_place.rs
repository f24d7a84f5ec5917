//! Where hubs of the crash matrix keep what they have: a directory and SQLite, or an S3-compatible store and PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use musehub_test_services::s3::{Kind, Server as Store};
use musehub_test_services::{Engine, postgres};
use tempfile::TempDir;

use crate::process::{Ran, Server, musehub};

/// A place of one hub.
pub(crate) struct Place {
    /// The directory of data, which commands run in.
    data: TempDir,
    services: Option<Services>,
}

/// What several machines could share.
struct Services {
    store: Store,
    bucket: String,
    /// The bucket as a directory.
    objects: PathBuf,
    database: String,
    /// A database with tables and no rows.
    empty: String,
}

impl Place {
    /// What suits the engine that the tests run on.
    pub(crate) async fn chosen() -> Self {
        match Engine::chosen() {
            Engine::Sqlite => Self::local(),
            Engine::Postgres => Self::shared().await,
        }
    }

    /// A directory and SQLite.
    pub(crate) fn local() -> Self {
        Self { data: tempfile::tempdir().unwrap(), services: None }
    }

    /// An S3-compatible store and PostgreSQL.
    async fn shared() -> Self {
        let store = Store::of(Kind::S3sFs);
        let (bucket, objects) = store.new_bucket();
        let empty = postgres::database().await;
        let services = Services { store, bucket, objects, database: empty.clone(), empty };
        let mut place = Self { data: tempfile::tempdir().unwrap(), services: Some(services) };
        // Whatever opens a database makes its tables.
        let _ = place.run(&["jobs", "list"]).expect(0);
        place.without_database().await;
        place
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.services.is_some()
    }

    /// A command of the server's over it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = musehub(arguments);
        command.arg("--data").arg(self.path()).current_dir(self.path());
        if let Some(services) = &self.services {
            command.envs(&services.store.settings);
            command.env("MUSEHUB_STORE", format!("s3://{}", services.bucket));
            command.env("MUSEHUB_DATABASE", &services.database);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    pub(crate) fn serve(&self) -> Server {
        Server::serve(&mut self.command(&["serve"]))
    }

    /// A server of which a variable is set.
    pub(crate) fn serve_with(&self, variables: &[(&str, &str)]) -> Server {
        Server::serve(self.command(&["serve"]).envs(variables.iter().copied()))
    }

    pub(crate) fn path(&self) -> &Path {
        self.data.path()
    }

    fn objects(&self) -> PathBuf {
        self.services.as_ref().map_or_else(|| self.path().join("store"), |services| services.objects.clone())
    }

    /// A copy, with the times of its files. Nobody may be using it.
    pub(crate) async fn copy(&self) -> Self {
        let data = tempfile::tempdir().unwrap();
        copy_files(self.path(), data.path());
        let Some(services) = &self.services else {
            return Self { data, services: None };
        };
        let (bucket, objects) = services.store.new_bucket();
        copy_files(&services.objects, &objects);
        let database = postgres::copy(&services.database).await;
        let (store, empty) = (services.store.clone(), services.empty.clone());
        Self { data, services: Some(Services { store, bucket, objects, database, empty }) }
    }

    /// Gives it a database in which nothing is.
    pub(crate) async fn without_database(&mut self) {
        match &mut self.services {
            None => {
                for file in ["musehub.db", "musehub.db-wal", "musehub.db-shm"] {
                    let _ = fs::remove_file(self.data.path().join(file));
                }
            }
            Some(services) => {
                let fresh = postgres::copy(&services.empty).await;
                let old = std::mem::replace(&mut services.database, fresh);
                if old != services.empty {
                    postgres::remove(&old).await;
                }
            }
        }
    }

    /// Frees what it takes, for tests that make many.
    pub(crate) async fn remove(self) {
        if let Some(services) = self.services {
            postgres::remove(&services.database).await;
            let _ = fs::remove_dir_all(services.objects);
        }
    }

    /// Lets three hours pass for the objects of the store, and ends all leases.
    pub(crate) fn later(&self) {
        self.end_leases();
        for (path, modified) in files(&self.objects()) {
            let earlier = modified - Duration::from_secs(3 * 60 * 60);
            File::options().write(true).open(&path).unwrap().set_modified(earlier).unwrap();
        }
    }

    /// A lease that a dead process held ends after ten minutes.
    pub(crate) fn end_leases(&self) {
        let _ = fs::remove_dir_all(self.objects().join("leases"));
    }

    /// The objects under a prefix, as files.
    pub(crate) fn under(&self, prefix: &str) -> Vec<PathBuf> {
        files(&self.objects().join(prefix)).into_iter().map(|(path, _)| path).collect()
    }

    /// How many objects there are, by their kind.
    pub(crate) fn census(&self) -> Census {
        let objects = self.objects();
        let mut census = BTreeMap::new();
        for (path, _) in files(&objects) {
            let path = path.strip_prefix(&objects).unwrap().to_str().unwrap();
            let top = path.split('/').next().unwrap();
            if top != "leases" {
                let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
                *census.entry(format!("{top}.{extension}")).or_default() += 1;
            }
        }
        Census(census)
    }
}

/// How many objects there are, by their kind.
pub(crate) struct Census(BTreeMap<String, i64>);

impl Census {
    /// What came and what went until `after`, in words.
    pub(crate) fn difference(&self, after: &Self) -> String {
        let kinds: BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        let count = |census: &Self, kind| census.0.get(kind).copied().unwrap_or(0);
        let changes: Vec<String> = kinds
            .into_iter()
            .map(|kind| (kind, count(after, kind) - count(self, kind)))
            .filter(|(_, change)| *change != 0)
            .map(|(kind, change)| format!("{change:+} {kind}"))
            .collect();
        if changes.is_empty() { "as before".to_owned() } else { changes.join(" ") }
    }
}

fn copy_files(from: &Path, to: &Path) {
    for (path, modified) in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, &target).unwrap();
        File::options().write(true).open(&target).unwrap().set_modified(modified).unwrap();
    }
}

/// Every file below a directory, and when it was written.
fn files(directory: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            } else {
                found.push((entry.path(), entry.metadata().unwrap().modified().unwrap()));
            }
        }
    }
    found
}
