//! Branch moves and repository records in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;

use super::{FoldedName, conflict, folded, lock, missing};
use crate::name::{BranchName, Handle, RepoId, Slug};
use crate::port::{BackendError, RefLogEntry, RefStore, RepositoryRecord};

/// A [`RefStore`] in memory.
///
/// # Errors
/// [`BackendError::Conflict`] for a number or version that exists, a name that is taken, a move whose `old` is not the
/// present head, and a record that changes what stays (its id, its creation, its scheme once fixed).
/// [`BackendError::Missing`] for a number or version whose predecessor does not exist, and for a move in a repository
/// that has no record.
#[derive(Debug, Default)]
pub struct MemoryRefs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<FoldedName, Vec<RepositoryRecord>>,
    names: HashMap<RepoId, FoldedName>,
    moves: HashMap<RepoId, BTreeMap<BranchName, Vec<RefLogEntry>>>,
}

impl MemoryRefs {
    /// A store without repositories.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Refuses a number that is not the one after `last`.
fn check_next(what: &str, last: u64, next: u64) -> Result<(), BackendError> {
    if next <= last || next == 0 {
        Err(conflict(format!("{what} {next}")))
    } else if next > last + 1 {
        Err(missing(format!("{what} {}", next - 1)))
    } else {
        Ok(())
    }
}

fn check_successor(last: &RepositoryRecord, next: &RepositoryRecord) -> Result<(), BackendError> {
    let refuse = |what| Err(conflict(format!("{}/{} with another {what}", last.owner, last.slug)));
    if last.repo_id != next.repo_id {
        return refuse("id");
    }
    if last.created_at != next.created_at {
        return refuse("time of creation");
    }
    if last.scheme.is_some() && last.scheme != next.scheme {
        return refuse("scheme");
    }
    Ok(())
}

#[async_trait]
impl RefStore for MemoryRefs {
    async fn put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        let mut state = lock(&self.0);
        let name = folded(&record.owner, &record.slug);
        let last = state.records.get(&name).and_then(|versions| versions.last());
        let what = format!("{}/{} version", record.owner, record.slug);
        check_next(&what, last.map_or(0, |last| last.version), record.version)?;
        match last {
            Some(last) => check_successor(last, record)?,
            None if state.names.contains_key(&record.repo_id) => {
                return Err(conflict(format!("repository {}", record.repo_id)));
            }
            None => {}
        }
        state.names.insert(record.repo_id.clone(), name.clone());
        state.records.entry(name).or_default().push(record.clone());
        Ok(())
    }

    async fn repository(
        &self,
        owner: &Handle,
        slug: &Slug,
    ) -> Result<Option<RepositoryRecord>, BackendError> {
        let state = lock(&self.0);
        Ok(state.records.get(&folded(owner, slug)).and_then(|versions| versions.last()).cloned())
    }

    async fn repositories(&self) -> Result<Vec<RepositoryRecord>, BackendError> {
        Ok(lock(&self.0).records.values().filter_map(|versions| versions.last()).cloned().collect())
    }

    async fn moved_repositories(&self) -> Result<Vec<RepoId>, BackendError> {
        Ok(lock(&self.0).moves.keys().cloned().collect())
    }

    async fn append(&self, entry: &RefLogEntry) -> Result<(), BackendError> {
        let mut state = lock(&self.0);
        if !state.names.contains_key(&entry.repo_id) {
            return Err(missing(format!("repository {}", entry.repo_id)));
        }
        let branches = state.moves.get(&entry.repo_id);
        let last = branches.and_then(|branches| branches.get(&entry.branch)).and_then(|moves| moves.last());
        let what = format!("branch '{}' move", entry.branch);
        check_next(&what, last.map_or(0, |last| last.sequence), entry.sequence)?;
        let head = last.and_then(|last| last.new);
        if entry.old != head {
            return Err(conflict(format!("branch '{}' with another head", entry.branch)));
        }
        // One that makes no branch has to bring something.
        if head.is_none() && entry.new.is_none() && entry.packs.is_empty() {
            return Err(missing(format!("branch '{}'", entry.branch)));
        }
        let branches = state.moves.entry(entry.repo_id.clone()).or_default();
        branches.entry(entry.branch.clone()).or_default().push(entry.clone());
        Ok(())
    }

    async fn heads(&self, repo: &RepoId) -> Result<Vec<RefLogEntry>, BackendError> {
        let state = lock(&self.0);
        let branches = state.moves.get(repo).into_iter().flatten();
        Ok(branches.filter_map(|(_, moves)| moves.last()).cloned().collect())
    }

    async fn history(
        &self,
        repo: &RepoId,
        branch: &BranchName,
        after: u64,
    ) -> Result<Vec<RefLogEntry>, BackendError> {
        let state = lock(&self.0);
        let moves = state.moves.get(repo).and_then(|branches| branches.get(branch)).into_iter().flatten();
        Ok(moves.filter(|entry| entry.sequence > after).cloned().collect())
    }
}
