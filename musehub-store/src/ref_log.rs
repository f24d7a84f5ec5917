//! Branch moves and repository records as small objects that are created once: `refs/<repository id>/<branch>/<number>.json` and
//! `repositories/<owner>/<slug>/<version>.json`. Old moves lie in segments, `refs/<repository id>/=log/<number>.seg`.

mod compact;
mod entry;
mod folded;
mod segment;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use musehub_core::port::{BackendError, RefLogEntry, RefStore, RepositoryRecord};
use musehub_core::{BranchName, Handle, RepoId, Slug};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::backend::{Backend, failed};
pub use compact::Compacted;
use folded::Remembered;

/// How many entries are read at a time.
const PARALLEL: usize = 32;
/// The longest file name that an escaped branch name may have; longer ones end in a hash.
const MAX_ESCAPED: usize = 180;
/// How often an entry is written again where the store refuses it and yet has none: S3 does that to one of two that race.
const REFUSALS: u32 = 8;
/// The first wait before that; each is twice the one before.
const REFUSED_WAIT: Duration = Duration::from_millis(20);

const WRITING: &str = "writing an entry of the log";
/// How often the log is looked at when it is folded meanwhile. Each repetition means that somebody else got on.
const ATTEMPTS: usize = 100;

/// A [`RefStore`] over an object store. Clones share what they know.
#[derive(Clone, Debug)]
pub struct RefLog {
    backend: Backend,
    /// Held while an entry is created, where the store does not decide races.
    alone: Option<Arc<Mutex<()>>>,
    remembered: Arc<Remembered>,
}

impl RefLog {
    /// The log in `backend`.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self { backend, alone: None, remembered: Arc::default() }
    }

    /// The log in a `backend` that [overwrites](crate::Creation::Overwriting) what it was asked to create. This value and
    /// its clones then must be the only ones that write it: another process would overwrite their entries, and lose pushes.
    #[must_use]
    pub fn alone(backend: Backend) -> Self {
        Self { backend, alone: Some(Arc::default()), remembered: Arc::default() }
    }

    async fn create<T: Serialize>(&self, path: &Path, value: T) -> Result<(), BackendError> {
        let resting = entry::write(value).map_err(|error| BackendError::unavailable(WRITING, error))?;
        let _alone = match &self.alone {
            None => None,
            Some(lock) => {
                let held = lock.lock().await;
                match self.backend.durable.head(path).await {
                    Err(object_store::Error::NotFound { .. }) => Some(held),
                    Ok(_) => return Err(BackendError::Conflict { what: path.to_string() }),
                    Err(error) => return Err(failed(WRITING, error)),
                }
            }
        };
        let mut wait = REFUSED_WAIT;
        for _ in 0..REFUSALS {
            // A store that knows no conditions may refuse a request that has one.
            let mode = if self.alone.is_some() { PutMode::Overwrite } else { PutMode::Create };
            let options = PutOptions { mode, ..PutOptions::default() };
            let payload = PutPayload::from_bytes(resting.clone());
            let Err(error) = self.backend.durable.put_opts(path, payload, options).await else {
                return Ok(());
            };
            // Whatever a store answered, what it holds decides: an answer may be lost after the entry was made, and then a
            // repetition of the request meets its own entry.
            match self.backend.get(path).await {
                Ok(present) if present == resting => return Ok(()),
                Ok(_) => return Err(BackendError::Conflict { what: path.to_string() }),
                Err(BackendError::Missing { .. }) if is_refusal(&error) => {}
                Err(_) => return Err(BackendError::unavailable(WRITING, error)),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(BackendError::unavailable(WRITING, format!("the store refuses {path} and has no such entry")))
    }

    async fn read<T: for<'de> Deserialize<'de>>(&self, path: &Path) -> Result<T, BackendError> {
        let bytes = self.backend.get(path).await?;
        entry::read(&bytes).map_err(|reason| BackendError::Damaged { what: path.to_string(), reason })
    }

    async fn read_all<T: for<'de> Deserialize<'de>>(&self, paths: Vec<Path>) -> Result<Vec<T>, BackendError> {
        let reads = futures::stream::iter(paths).map(|path| async move { self.read(&path).await });
        reads.buffered(PARALLEL).try_collect().await
    }

    /// The numbers below a prefix, by the directory that they are in.
    async fn numbers(&self, prefix: &str) -> Result<BTreeMap<String, Vec<u64>>, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from(prefix)));
        let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        while let Some(entry) = entries.try_next().await.map_err(|error| failed("listing the log", error))? {
            let path: &str = entry.location.as_ref();
            let parts = path.strip_suffix(".json").and_then(|path| path.rsplit_once('/'));
            if let Some((directory, Ok(number))) =
                parts.map(|(directory, number)| (directory, number.parse()))
            {
                numbers.entry(directory.to_owned()).or_default().push(number);
            }
        }
        for of_directory in numbers.values_mut() {
            of_directory.sort_unstable();
        }
        Ok(numbers)
    }

    /// The last entry of each directory below a prefix.
    async fn latest<T: for<'de> Deserialize<'de>>(&self, prefix: &str) -> Result<Vec<T>, BackendError> {
        let numbers = self.numbers(prefix).await?;
        let last =
            numbers.iter().filter_map(|(directory, numbers)| Some(numbered(directory, *numbers.last()?)));
        self.read_all(last.collect()).await
    }
}

#[async_trait]
impl RefStore for RefLog {
    async fn put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        let path = numbered(&repository_directory(&record.owner, &record.slug), record.version);
        self.create(&path, record).await
    }

    async fn repository(
        &self,
        owner: &Handle,
        slug: &Slug,
    ) -> Result<Option<RepositoryRecord>, BackendError> {
        Ok(self.latest(&repository_directory(owner, slug)).await?.pop())
    }

    async fn repositories(&self) -> Result<Vec<RepositoryRecord>, BackendError> {
        self.latest("repositories").await
    }

    async fn moved_repositories(&self) -> Result<Vec<RepoId>, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from("refs")));
        let mut moved = BTreeSet::new();
        while let Some(entry) = entries.try_next().await.map_err(|error| failed("listing the log", error))? {
            let path: &str = entry.location.as_ref();
            // What marks a log that is being removed is no move.
            if path.ends_with(".json") || path.ends_with(".seg") {
                moved.extend(path.split('/').nth(1).and_then(|repo| RepoId::parse(repo).ok()));
            }
        }
        Ok(moved.into_iter().collect())
    }

    async fn append(&self, entry: &RefLogEntry) -> Result<(), BackendError> {
        let path = numbered(&branch_directory(&entry.repo_id, &entry.branch), entry.sequence);
        self.create(&path, entry).await?;
        self.refuse_folded(entry).await
    }

    async fn heads(&self, repo: &RepoId) -> Result<Vec<RefLogEntry>, BackendError> {
        for _ in 0..ATTEMPTS {
            match self.try_heads(repo).await {
                Err(Retry::Moved) => {}
                Err(Retry::Failed(error)) => return Err(error),
                Ok(heads) => return Ok(heads),
            }
        }
        Err(restless())
    }

    async fn history(
        &self,
        repo: &RepoId,
        branch: &BranchName,
        after: u64,
    ) -> Result<Vec<RefLogEntry>, BackendError> {
        for _ in 0..ATTEMPTS {
            match self.try_history(repo, branch, after).await {
                Err(Retry::Moved) => {}
                Err(Retry::Failed(error)) => return Err(error),
                Ok(moves) => return Ok(moves),
            }
        }
        Err(restless())
    }
}

/// The log was folded at every look, which happens once in an hour: something else is wrong.
fn restless() -> BackendError {
    BackendError::unavailable("reading the log", "entries that are listed are not there, again and again")
}

/// Why a look at the log has to be repeated, or is in vain.
enum Retry {
    /// Entries were folded while they were being read.
    Moved,
    Failed(BackendError),
}

impl Retry {
    /// An entry that was listed and is absent has been folded since.
    fn moved(error: BackendError) -> Self {
        match error {
            BackendError::Missing { .. } => Self::Moved,
            error => Self::Failed(error),
        }
    }
}

impl From<BackendError> for Retry {
    fn from(error: BackendError) -> Self {
        Self::Failed(error)
    }
}

impl RefLog {
    /// The last move of every branch: of those listed where there is one, else of those folded. The listing comes first, so
    /// what is absent from it because it was folded is in the segment.
    async fn try_heads(&self, repo: &RepoId) -> Result<Vec<RefLogEntry>, Retry> {
        let mut listed = self.numbers(&format!("refs/{repo}")).await?;
        listed.remove(&folded::segment_directory(repo));
        let folds = self.folds(repo).await?;
        if folds.purged {
            return Ok(Vec::new());
        }
        let mut heads: BTreeMap<String, RefLogEntry> = BTreeMap::new();
        if let Some(segment) = self.newest_segment(repo, folds).await? {
            let last = segment.heads.into_iter().map(|head| head.last);
            heads.extend(last.map(|entry| (branch_directory(repo, &entry.branch), entry)));
        }
        let mut later = Vec::new();
        for (directory, numbers) in listed {
            let folded = heads.get(&directory).map_or(0, |head| head.sequence);
            let Some(last) = numbers.last().filter(|last| **last > folded) else {
                continue;
            };
            later.push(numbered(&directory, *last));
            heads.remove(&directory);
        }
        let later: Vec<RefLogEntry> = self.read_all(later).await.map_err(Retry::moved)?;
        heads.extend(later.into_iter().map(|entry| (branch_directory(repo, &entry.branch), entry)));
        Ok(heads.into_values().collect())
    }

    async fn try_history(
        &self,
        repo: &RepoId,
        branch: &BranchName,
        after: u64,
    ) -> Result<Vec<RefLogEntry>, Retry> {
        let directory = branch_directory(repo, branch);
        let numbers = self.numbers(&directory).await?.remove(&directory).unwrap_or_default();
        let folds = self.folds(repo).await?;
        if folds.purged {
            return Ok(Vec::new());
        }
        let (mut moves, until) = self.folded_moves(repo, branch, after, folds).await?;
        let after = after.max(until);
        let later: Vec<u64> = numbers.into_iter().filter(|number| *number > after).collect();
        // Numbers follow one another: one that is not there is a loss, or came while the directory was being listed, or was
        // folded then.
        let gap = (after.saturating_add(1)..).zip(&later).find(|(expected, number)| expected != *number);
        if let Some((absent, _)) = gap {
            let found = self.read::<RefLogEntry>(&numbered(&directory, absent)).await;
            return Err(match found {
                Err(error) if self.folds(repo).await? == folds => Retry::Failed(error),
                _ => Retry::Moved,
            });
        }
        let paths = later.into_iter().map(|number| numbered(&directory, number));
        let later: Vec<RefLogEntry> = self.read_all(paths.collect()).await.map_err(Retry::moved)?;
        moves.extend(later);
        Ok(moves)
    }
}

/// Whether a store says that there is an entry already.
fn is_refusal(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { .. })
}

fn numbered(directory: &str, number: u64) -> Path {
    Path::from(format!("{directory}/{number:012}.json"))
}

fn repository_directory(owner: &Handle, slug: &Slug) -> String {
    format!(
        "repositories/{}/{}",
        escape(&owner.as_str().to_lowercase()),
        escape(&slug.as_str().to_lowercase())
    )
}

fn branch_directory(repo: &RepoId, branch: &BranchName) -> String {
    format!("refs/{repo}/{}", escape(branch.as_str()))
}

/// A name as one segment that no store and no file system changes, confuses with another or finds too long: everything but
/// `a`–`z`, `0`–`9`, `-` and `_` as `=` and two hexadecimal digits.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => escaped.push(char::from(byte)),
            _ => {
                let _ = write!(escaped, "={byte:02x}");
            }
        }
    }
    if escaped.len() > MAX_ESCAPED {
        escaped.truncate(MAX_ESCAPED - 66);
        let _ = write!(escaped, "=={}", blake3::hash(name.as_bytes()).to_hex());
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_segments_that_stay_apart() {
        assert_eq!(escape("feat/x-1"), "feat=2fx-1");
        assert_eq!(escape("Main"), "=4dain");
        assert_eq!(escape("a.b"), "a=2eb");
        let long: Vec<String> = ["é", "è"].iter().map(|last| format!("{}{last}", "ü".repeat(120))).collect();
        assert_ne!(escape(&long[0]), escape(&long[1]));
        assert!(escape(&long[0]).len() <= MAX_ESCAPED);
    }
}
