//! One face for the clients of every generation: what a history is after it went over the wire.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::client::MuseClient;
use crate::history::{History, Tree};
use crate::json_client::JsonClient;
use crate::mpack_client::MpackClient;

/// A client of some generation, with one repository.
#[async_trait]
pub trait WireClient: Send + Sync {
    /// Pushes a branch of a history, as much of it as the repository lacks.
    ///
    /// # Errors
    /// What the hub says against it.
    async fn push(&mut self, history: &History, branch: &str) -> Result<(), String>;

    /// Gets all of a repository.
    ///
    /// # Errors
    /// What the hub says against it, or what does not fit together of what came.
    async fn fetch(&self) -> Result<Fetched, String>;
}

/// What a client has after a fetch. Ids are bare, whatever the generation writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// The heads of branches.
    pub heads: BTreeMap<String, String>,
    /// Of each commit its parents, the first one first, its snapshot and its files.
    pub commits: BTreeMap<String, (Vec<String>, String, Tree)>,
}

impl Fetched {
    /// Of a history that is whole.
    ///
    /// # Panics
    /// Where it is not.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let commit = |id: &String| {
            let record = history.record(id);
            let snapshot = crate::record::text(record, "snapshot_id").to_owned();
            (id.clone(), (crate::history::parents(record), snapshot, history.tree(id)))
        };
        Self { heads: history.branches.clone(), commits: history.commits.keys().map(commit).collect() }
    }
}

#[async_trait]
impl WireClient for MuseClient {
    async fn push(&mut self, history: &History, branch: &str) -> Result<(), String> {
        Self::push(self, history, branch, false).await.map(drop).map_err(|error| error.to_string())
    }

    async fn fetch(&self) -> Result<Fetched, String> {
        let whole = self.clone_repository().await.map_err(|error| error.to_string())?;
        Ok(Fetched::of(&whole))
    }
}

#[async_trait]
impl WireClient for JsonClient {
    async fn push(&mut self, history: &History, branch: &str) -> Result<(), String> {
        Self::push(self, history, branch, false).await.map(drop).map_err(|error| error.to_string())
    }

    async fn fetch(&self) -> Result<Fetched, String> {
        let whole = self.whole().await.map_err(|error| error.to_string())?;
        Ok(Fetched::of(&whole))
    }
}

#[async_trait]
impl WireClient for MpackClient {
    async fn push(&mut self, history: &History, branch: &str) -> Result<(), String> {
        Self::push(self, history, branch, false).await.map(drop).map_err(|error| error.to_string())
    }

    async fn fetch(&self) -> Result<Fetched, String> {
        let whole = self.whole().await.map_err(|error| error.to_string())?;
        Ok(Fetched::of(&whole))
    }
}
